"""Whatever deltas and filters come, in whatever order: complete in the end, or something is said to be missing."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.directory.bloom import Bloom
from app.directory.delta import Delta, origin_of
from app.directory.directory import Directory
from app.directory.own import OwnFilter
from app.directory.replica import MAX_AHEAD, Replica, Snapshot, Take, Verdict, Version
from tests.clusters.directory_cluster import member

ORIGIN = b"\1" * 8


def told(sequence: int, since: int, revision: int, epoch: int = 5, keys: tuple[int, ...] = ()) -> Delta:
    return Delta(ORIGIN, epoch, sequence, revision, since, keys)


def replica_at(revision: int, sequence: int, epoch: int = 5) -> Replica:
    replica = Replica()
    assert replica.load(Version(epoch, revision), sequence)[0] is Take.REPLACE
    return replica


def test_a_new_replica_misses_everything() -> None:
    """There is a gap until a whole filter came."""
    replica = Replica()
    assert replica.gap
    assert replica.apply(told(1, 0, 1)) is Verdict.GAP


def test_the_next_delta_is_new() -> None:
    """It moves both counters on."""
    replica = replica_at(revision=10, sequence=3)
    assert replica.apply(told(4, 10, 12)) is Verdict.NEW
    assert (replica.version, replica.sequence, replica.gap) == (Version(5, 12), 4, False)


@pytest.mark.parametrize("delta", [told(3, 8, 10), told(1, 0, 2), told(9, 0, 50, epoch=4)])
def test_old_deltas_change_nothing(delta: Delta) -> None:
    """Those applied already, and those of an older epoch."""
    replica = replica_at(revision=10, sequence=3)
    assert replica.apply(delta) is Verdict.OLD
    assert (replica.version, replica.sequence) == (Version(5, 10), 3)


def test_a_lost_delta_is_a_gap_until_it_comes() -> None:
    """Late is as good as in time."""
    replica = replica_at(revision=10, sequence=3)
    assert replica.apply(told(5, 12, 13)) is Verdict.GAP
    assert replica.version == Version(5, 10)
    assert replica.apply(told(5, 12, 13)) is Verdict.OLD
    assert replica.apply(told(4, 10, 12)) is Verdict.NEW
    assert (replica.version, replica.sequence, replica.gap) == (Version(5, 13), 5, False)


def test_suppressed_keys_are_no_gap() -> None:
    """All broadcasts came, but the revision stays where it is complete: anti-entropy does the rest."""
    replica = replica_at(revision=10, sequence=3)
    assert replica.apply(told(4, 15, 16)) is Verdict.NEW
    assert replica.version == Version(5, 10)
    assert replica.load(Version(5, 15), 3)[0] is Take.MERGE
    assert replica.version == Version(5, 16)


def test_a_delta_of_a_newer_epoch_is_a_gap() -> None:
    """It is kept, and applied once the filter of its epoch is here."""
    replica = replica_at(revision=10, sequence=3)
    early = told(2, 20, 21, epoch=6)
    assert replica.apply(early) is Verdict.GAP
    assert replica.apply(early) is Verdict.OLD
    assert replica.load(Version(6, 20), 1) == (Take.REPLACE, [early])
    assert (replica.version, replica.sequence, replica.gap) == (Version(6, 21), 2, False)


def test_the_newest_epoch_counts() -> None:
    """Deltas of an epoch between are pointless, and a filter of one leaves the gap open."""
    replica = replica_at(revision=10, sequence=3)
    replica.apply(told(1, 20, 20, epoch=7))
    assert replica.apply(told(1, 15, 15, epoch=6)) is Verdict.OLD
    assert replica.load(Version(6, 15), 1)[0] is Take.REPLACE
    assert replica.gap
    assert replica.load(Version(7, 20), 1)[0] is Take.REPLACE
    assert not replica.gap


@pytest.mark.parametrize(("version", "sequence"), [(Version(5, 10), 3), (Version(5, 9), 2), (Version(4, 99), 99)])
def test_filters_that_are_not_newer_are_ignored(version: Version, sequence: int) -> None:
    """Equal and older ones change nothing."""
    replica = replica_at(revision=10, sequence=3)
    assert replica.load(version, sequence) == (Take.IGNORE, [])
    assert replica.version == Version(5, 10)


def test_a_filter_of_a_higher_sequence_closes_the_gap() -> None:
    """Even at an equal revision it has the broadcast that was lost."""
    replica = replica_at(revision=10, sequence=3)
    replica.apply(told(5, 11, 11))
    assert replica.load(Version(5, 10), 4)[0] is Take.MERGE
    assert not replica.gap
    assert replica.sequence == 5


def test_memory_is_bounded() -> None:
    """Whatever is claimed beyond a hole, only so much is remembered, and a filter still closes it."""
    replica = replica_at(revision=0, sequence=0)
    for number in range(10 * MAX_AHEAD):
        replica.apply(told(10 + number, 10 + 2 * number, 11 + 2 * number))
        replica.apply(told(10 + number, 0, 1, epoch=6))
    assert max(len(getattr(replica, name)) for name in ("_ahead", "_claims", "_early")) == MAX_AHEAD
    replica.load(Version(6, 5000), 5000)
    assert not replica.gap


class Origin:
    """A node whose filter changes at random, and what it sent and could have sent on the way."""

    def __init__(self, steps: list[str]) -> None:
        self.own = OwnFilter(ORIGIN_MEMBER, 5, random.Random(1))
        self.sent: list[Delta] = []
        self.snapshots: list[Snapshot] = []
        for number, step in enumerate(steps):
            self._step(step, number)
            self.snapshots.append(self.snapshot())

    def snapshot(self) -> Snapshot:
        own = self.own
        return Snapshot(own.origin, Version(own.epoch, own.revision), own.sequence, Bloom.decode(own.filter.encode()))

    def _step(self, step: str, number: int) -> None:
        own = self.own
        if step == "told":
            own.add(number)
            self.sent.append(own.broadcast((number,), own.revision - 1, own.revision, 0.0))
        elif step == "suppressed":
            own.add(number)
        elif step == "refresh":
            self.sent.append(own.refresh(0.0))
        else:
            own.rebuild(3, 0.0)
            self.sent.append(own.announce(0.0))


PEER = member("origin")
ORIGIN_MEMBER = origin_of(PEER.name)


def steps(*kinds: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(kinds), min_size=1, max_size=25)


@given(steps("told", "told", "refresh"), st.randoms(use_true_random=False))
def test_any_order_ends_in_the_same_filter(kinds: list[str], shuffle: random.Random) -> None:
    """All deltas, in any order, some twice, after the first filter: the copy is exact."""
    origin, directory = setup(kinds)
    deltas = origin.sent * 2
    shuffle.shuffle(deltas)
    for delta in deltas:
        directory.apply(delta, 0.0)
    assert directory.snapshot(origin.own.origin) == origin.snapshot()


@given(
    steps("told", "suppressed", "refresh", "epoch"),
    st.randoms(use_true_random=False),
    st.lists(st.booleans(), min_size=80, max_size=80),
)
def test_any_loss_ends_in_the_same_filter_or_is_known(
    kinds: list[str], shuffle: random.Random, kept: list[bool]
) -> None:
    """Deltas and filters of any moment, in any order, some lost.

    The copy that claims the origin's version is the origin's filter, the copy never claims more than it has, and one
    whole filter of the present makes it exact.
    """
    origin, directory = setup(kinds)
    inputs: list[Delta | Snapshot] = [*origin.sent, *origin.snapshots]
    shuffle.shuffle(inputs)
    for keep, item in zip(kept, inputs, strict=False):
        if keep:
            give(directory, item)
            check_claim(directory, origin)
    directory.load(origin.snapshot(), 0.0)
    copy = directory.snapshot(origin.own.origin)
    assert copy == origin.snapshot()
    replica = directory.replica(origin.own.origin)
    assert replica is not None
    assert not replica.gap


@given(steps("told", "epoch"), st.integers(0, 24))
def test_a_lost_broadcast_shows_with_the_next_one(kinds: list[str], lost: int) -> None:
    """Any broadcast but the last may be lost: the gap is known once a later one came."""
    origin, directory = setup([*kinds, "told"])
    missing = origin.sent[lost % (len(origin.sent) - 1)] if len(origin.sent) > 1 else None
    for delta in origin.sent:
        if delta is not missing:
            directory.apply(delta, 0.0)
    replica = directory.replica(origin.own.origin)
    assert replica is not None
    assert replica.gap == (missing is not None or any(kind == "epoch" for kind in kinds))


def setup(kinds: list[str]) -> tuple[Origin, Directory]:
    """An origin with a history, and a directory that has its first filter, empty."""
    origin = Origin(kinds)
    directory = Directory()
    directory.set_member(PEER, 0.0)
    directory.load(Snapshot(origin.own.origin, Version(5, 0), 0, Bloom(14)), 0.0)
    return origin, directory


def give(directory: Directory, item: Delta | Snapshot) -> None:
    if isinstance(item, Delta):
        directory.apply(item, 0.0)
    else:
        directory.load(Snapshot(item.origin, item.version, item.sequence, Bloom.decode(item.filter.encode())), 0.0)


def check_claim(directory: Directory, origin: Origin) -> None:
    """What the copy calls complete is in it: all keys of the newest snapshot that is not beyond its version."""
    copy = directory.snapshot(origin.own.origin)
    assert copy is not None
    for snapshot in origin.snapshots:
        if snapshot.version.epoch == copy.version.epoch and snapshot.version <= copy.version:
            merged = Bloom.decode(copy.filter.encode())
            merged.merge(snapshot.filter)
            assert merged == copy.filter
