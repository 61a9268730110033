"""Whom to join, and when to ask again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bootstrap import schedule
from app.bootstrap.schedule import Schedule

_OWN = ("10.0.0.1", 7946)
_ADDRESSES = st.lists(st.tuples(st.integers(1, 30).map("10.0.0.{}".format), st.just(7946)), max_size=40)


class _MiddleOfTheRoad(random.Random):
    """Chance that always takes the middle, so that waits are exact."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def _schedule() -> Schedule:
    return Schedule(_MiddleOfTheRoad(1))


def _address(number: int) -> tuple[str, int]:
    return f"10.0.0.{number}", 7946


@given(_ADDRESSES, _ADDRESSES, st.integers())
def test_only_strangers_are_joined_a_few_at_a_time(
    answer: list[tuple[str, int]], members: list[tuple[str, int]], seed: int
) -> None:
    """Never a member or the own address, none twice, and all of them where they are few."""
    groups = list(Schedule(random.Random(seed)).groups(answer, members, _OWN))
    joined = [address for group in groups for address in group]
    strangers = set(answer) - set(members) - {_OWN}
    assert len(joined) == len(set(joined)) == min(len(strangers), 15)
    assert set(joined) <= strangers
    assert all(0 < len(group) <= 3 for group in groups)


def test_the_order_is_of_chance_and_can_be_replayed() -> None:
    """Nodes must not all join the same first address; a seed must give the same run."""
    answer = [_address(number) for number in range(2, 200)]
    orders = [list(Schedule(random.Random(seed)).groups(answer, (), _OWN)) for seed in (1, 2, 1)]
    assert orders[0] == orders[2] != orders[1]


def test_the_order_of_the_answer_does_not_matter() -> None:
    """Name servers shuffle; a replay must not depend on it."""
    answer = [_address(number) for number in range(2, 50)]
    forwards, backwards = (list(Schedule(random.Random(1)).groups(each, (), _OWN)) for each in (answer, answer[::-1]))
    assert forwards == backwards


def test_a_lone_node_asks_again_with_growing_waits() -> None:
    """From half a second to fifteen."""
    schedule_ = _schedule()
    assert [schedule_.ended(alone=True) for _ in range(8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


def test_with_company_it_asks_once_a_minute() -> None:
    """And begins anew with short waits when it is alone again."""
    schedule_ = _schedule()
    waits = [schedule_.ended(alone=alone) for alone in (True, True, False, False, True)]
    assert waits == [0.5, 1.0, 60.0, 60.0, 0.5]


def test_failures_are_waited_out_in_the_same_way() -> None:
    """A name server that is down is not flooded."""
    schedule_ = _schedule()
    assert [schedule_.failed(alone=True), schedule_.ended(alone=True), schedule_.failed(alone=False)] == [
        0.5,
        1.0,
        60.0,
    ]


def test_back_off_never_overflows() -> None:
    """A node may be alone for years."""
    schedule_ = _schedule()
    assert {schedule_.ended(alone=True) for _ in range(3000)} == {0.5, 1.0, 2.0, 4.0, 8.0, 15.0}


@given(st.integers())
def test_waits_are_spread_round_their_mean(seed: int) -> None:
    """By a quarter to each side."""
    wait_s = Schedule(random.Random(seed)).ended(alone=False)
    assert 45.0 <= wait_s <= 75.0


@pytest.mark.parametrize("alone", [True, False])
def test_a_whole_round_settles_a_node(alone: bool) -> None:
    """Whether it found somebody or found that nobody answers: a first node must get ready."""
    schedule_ = _schedule()
    assert not schedule_.settled
    schedule_.ended(alone=alone)
    assert schedule_.settled


def test_a_few_failures_settle_a_node_too() -> None:
    """A cluster whose DNS is down still rolls out."""
    schedule_ = _schedule()
    states = []
    for _ in range(schedule.FAILURES_UNTIL_SETTLED):
        states.append(schedule_.settled)
        schedule_.failed(alone=True)
    assert not any(states)
    assert schedule_.settled


def test_later_failures_do_not_unsettle() -> None:
    """The node's own content is served all the same."""
    schedule_ = _schedule()
    schedule_.ended(alone=True)
    schedule_.failed(alone=True)
    assert schedule_.settled
