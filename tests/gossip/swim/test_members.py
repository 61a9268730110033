"""The member table: which claim beats which, the probe ring, the random choice."""

from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.swim.members import MemberTable, Record, Standing, host_bytes, host_text, stronger
from gossip.wire.messages import SERF_VERSIONS, WireState

ALIVE, SUSPECT, DEAD, LEFT = WireState
STANDINGS = st.builds(Standing, st.integers(0, 4), st.sampled_from(WireState))


@pytest.mark.parametrize(
    ("known", "claim", "believed"),
    [
        ((1, ALIVE), (1, ALIVE), (1, ALIVE)),
        ((1, ALIVE), (2, ALIVE), (2, ALIVE)),
        ((1, ALIVE), (1, SUSPECT), (1, SUSPECT)),
        ((2, ALIVE), (1, SUSPECT), (2, ALIVE)),
        ((2, ALIVE), (1, DEAD), (2, ALIVE)),
        ((1, SUSPECT), (1, ALIVE), (1, SUSPECT)),
        ((1, SUSPECT), (2, ALIVE), (2, ALIVE)),
        ((1, SUSPECT), (2, SUSPECT), (2, SUSPECT)),
        ((1, SUSPECT), (1, DEAD), (1, DEAD)),
        ((1, DEAD), (1, SUSPECT), (1, DEAD)),
        ((1, DEAD), (2, SUSPECT), (2, DEAD)),
        ((1, DEAD), (1, LEFT), (1, LEFT)),
        ((1, DEAD), (2, ALIVE), (2, ALIVE)),
        ((1, LEFT), (1, DEAD), (1, LEFT)),
        ((1, LEFT), (1, ALIVE), (1, LEFT)),
        ((1, LEFT), (2, ALIVE), (2, ALIVE)),
    ],
)
def test_stronger(known: tuple[int, WireState], claim: tuple[int, WireState], believed: tuple[int, WireState]) -> None:
    """The larger incarnation wins, at equal ones the graver state, and a suspicion does not revive the dead."""
    assert stronger(Standing(*known), Standing(*claim)) == believed


def matured(standing: Standing) -> Standing:
    """A standing after all suspicion time has run out."""
    return Standing(standing.incarnation, DEAD) if standing.state is SUSPECT else standing


@given(st.lists(STANDINGS, min_size=1, max_size=4))
def test_order_of_claims_does_not_matter(claims: list[Standing]) -> None:
    """Claims in any order, repeated or not, end in the same belief once the suspicions have run out."""
    ends = set()
    for order in permutations(claims):
        known = Standing(0, DEAD)
        for claim in (*order, *order):
            known = stronger(known, claim)
        ends.add(matured(known))
    assert len(ends) == 1


def table_of(*names: str) -> MemberTable:
    """A table with these members."""
    table = MemberTable(Random(1))
    for name in names:
        table.add(Record(name, b"\x0a\0\0\1", 7946, b"", SERF_VERSIONS))
    return table


def test_ring_visits_everybody_once_a_round() -> None:
    """In each round every eligible member is probed exactly once, in an order that changes."""
    names = [f"m{number}" for number in range(20)]
    table = table_of(*names)

    def probe_round() -> list[str]:
        targets = [table.probe_target(lambda record: record.name != "m3", lambda _: False) for _ in range(19)]
        return [target.name for target in targets if target is not None]

    first, second = probe_round(), probe_round()
    assert sorted(first) == sorted(second) == sorted(set(names) - {"m3"})
    assert first != second


def test_ring_forgets_at_the_end_of_a_round() -> None:
    """Who is to be forgotten leaves the table when the round is over, not in the middle of it."""
    table = table_of("a", "b", "c")
    for _ in range(2):
        table.probe_target(lambda _: True, lambda record: record.name == "b")
    assert len(table) == 3
    for _ in range(2):
        table.probe_target(lambda _: True, lambda record: record.name == "b")
    assert sorted(record.name for record in table) == ["a", "c"]
    assert table.get("b") is None


def test_ring_without_a_target() -> None:
    """With nobody eligible, or nobody at all, there is no target, and the search ends."""
    assert table_of("a", "b").probe_target(lambda _: False, lambda _: False) is None
    assert table_of().probe_target(lambda _: True, lambda _: False) is None


@given(st.integers(0, 12), st.integers(0, 5), st.integers(0, 12))
def test_choose_finds_all_there_are(members: int, count: int, eligible: int) -> None:
    """The choice has as many different eligible members as wanted, or all if there are fewer."""
    table = table_of(*(f"m{number}" for number in range(members)))
    wanted = {f"m{number}" for number in range(min(eligible, members))}
    chosen = [record.name for record in table.choose(count, lambda record: record.name in wanted)]
    assert len(chosen) == len(set(chosen)) == min(count, len(wanted))
    assert set(chosen) <= wanted


def test_choose_is_fair() -> None:
    """Over many choices everybody's turn comes about equally often."""
    table, counts = table_of(*"abcdefgh"), dict.fromkeys("abcdefgh", 0)
    for _ in range(4000):
        for record in table.choose(2, lambda _: True):
            counts[record.name] += 1
    assert all(800 < count < 1200 for count in counts.values())


@pytest.mark.parametrize(
    ("host", "packed"),
    [("10.1.2.3", b"\x0a\1\2\3"), ("::1", bytes(15) + b"\1"), ("::ffff:10.1.2.3", b"\x0a\1\2\3")],
)
def test_addresses(host: str, packed: bytes) -> None:
    """An IPv4 address takes 4 bytes, whatever its notation, and comes back in the usual one."""
    assert host_bytes(host) == packed
    assert host_bytes(host_text(packed)) == packed


def test_record_follows_its_address() -> None:
    """The driver's form of an address is in step with the wire's."""
    record = Record("a", b"\x0a\0\0\1", 7946, b"", SERF_VERSIONS)
    record.move(b"\x0a\0\0\2", 1)
    assert record.address == ("10.0.0.2", 1)
