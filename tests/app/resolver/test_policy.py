"""Every registered policy keeps the contract; what the default prefers."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.resolver.policy import POLICIES, Policy, Standing, nearest
from tests.contracts import policy as contract
from tests.contracts.policy import member

every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())


@every_policy
@given(contract.STANDINGS, st.integers(0, 9))
def test_contract(policy: Policy, candidates: list[Standing], seed: int) -> None:
    """Nobody lost, invented or repeated; no hidden chance; the doubtful last."""
    contract.invents_and_repeats_nobody(policy, candidates, seed)
    contract.gives_the_same_order_for_the_same_input(policy, candidates, seed)
    contract.puts_the_doubtful_last(policy, candidates, seed)


@every_policy
def test_equals_are_told_apart_by_chance(policy: Policy) -> None:
    """The first of ten equals is not always the same."""
    contract.tells_equals_apart_by_chance(policy)


def names(*candidates: Standing) -> list[str]:
    """The default policy's order."""
    return [each.name for each in nearest(candidates, Random(1))]


def test_zone_then_transfers_then_latency() -> None:
    """Each criterion decides only among equals in those before it."""
    assert names(
        Standing(member(1), False, 0, 0.001, False),
        Standing(member(2), True, 3, 0.001, False),
        Standing(member(3), True, 0, 0.050, False),
        Standing(member(4), True, 0, 0.002, False),
        Standing(member(5), True, 0, 0.001, True),
    ) == ["node-4", "node-3", "node-2", "node-1", "node-5"]


def test_a_new_member_is_taken_for_a_near_one() -> None:
    """Else nobody would ever ask it."""
    assert names(Standing(member(1), True, 0, 0.010, False), Standing(member(2), True, 0, None, False)) == [
        "node-2",
        "node-1",
    ]


def test_small_differences_of_latency_decide_nothing() -> None:
    """Or the one that was once a little faster gets all the questions."""
    close = [Standing(member(n), True, 0, 0.0051 + n * 0.0001, False) for n in range(5)]
    assert len({nearest(close, Random(seed))[0].name for seed in range(50)}) == 5
