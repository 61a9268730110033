"""The announcer chooses between deltas, a new epoch and a sign of life."""

import random

from app.directory.announcer import Announcer
from app.directory.batching import KEEP_S, LEADING_EDGE_S, MAX_WAITING
from app.directory.delta import Delta
from app.directory.own import REBUILD_DELAY_S, REFRESH_S, OwnFilter
from app.directory.replica import Version

ORIGIN = b"\0" * 8


class Bench:
    """An announcer in a cluster of three at time 0."""

    def __init__(self, members: int = 3) -> None:
        self.own = OwnFilter(ORIGIN, 100, random.Random(1))
        self.own.start(0.0)
        self.announcer = Announcer(self.own, 0.0)
        self.members = members

    def add(self, keys: range, now: float) -> None:
        for key in keys:
            self.announcer.key_added(key, self.members, now)

    def due(self, now: float) -> list[Delta]:
        return self.announcer.due(self.members, lambda key: False, now)


def test_new_keys_are_told_at_the_leading_edge() -> None:
    """One delta with all keys of the moment."""
    bench = Bench()
    bench.add(range(3), now=1.0)
    assert bench.announcer.next_deadline() == 1.0 + LEADING_EDGE_S
    assert bench.due(1.001) == [Delta(ORIGIN, 100, 1, 3, 0, (0, 1, 2))]
    assert bench.announcer.next_deadline() > 100.0


def test_more_keys_do_not_put_a_new_epoch_off() -> None:
    """It begins when it was said to, however fast keys go on to arrive."""
    bench = Bench()
    bench.add(range(1025), now=1.0)
    bench.add(range(2000, 2010), now=1.0009)
    assert bench.announcer.next_deadline() == 1.0 + LEADING_EDGE_S


def test_nothing_is_queued_while_alone() -> None:
    """Whoever comes later fetches the whole filter."""
    bench = Bench(members=1)
    bench.add(range(3), now=1.0)
    assert bench.announcer.next_deadline() > 100.0
    assert bench.own.revision == 3


def test_an_outgrown_filter_is_told_by_a_new_epoch() -> None:
    """One announcement without keys in place of deltas whose bits would not fit; alone the filter grows too."""
    for members in (1, 3):
        bench = Bench(members)
        bench.add(range(1025), now=1.0)
        assert bench.due(1.001) == [Delta(ORIGIN, 101, 1, 1025, 1025)]
        assert bench.own.filter.log2 == 15


def test_too_many_keys_at_once_are_told_by_a_new_epoch() -> None:
    """A flood of deltas would cost the cluster more than a fetch by each node."""
    bench = Bench()
    bench.add(range(MAX_WAITING + 1), now=1.0)
    assert bench.due(1.001) == [Delta(ORIGIN, 101, 1, MAX_WAITING + 1, MAX_WAITING + 1)]
    assert bench.own.filter.log2 == 14


def test_a_second_flood_is_left_to_anti_entropy() -> None:
    """Epochs for bulk are as far apart as the rounds of anti-entropy."""
    bench = Bench()
    bench.add(range(MAX_WAITING + 1), now=1.0)
    bench.due(1.001)
    bench.add(range(1000, 1001 + MAX_WAITING), now=1.1)
    assert all(told.epoch == 101 and told.keys for told in bench.due(1.2))

    bench.add(range(5000, 5001), now=1.0 + KEEP_S)
    assert bench.own.epoch == 101


def test_removed_keys_are_told_by_a_new_epoch() -> None:
    """Five seconds after the last removal."""
    bench = Bench()
    bench.add(range(3), now=1.0)
    bench.due(1.001)
    bench.announcer.key_removed(1, now=2.0)
    assert bench.announcer.next_deadline() == 2.0 + REBUILD_DELAY_S
    assert bench.due(2.0 + REBUILD_DELAY_S) == [Delta(ORIGIN, 101, 1, 3, 3)]
    assert 1 not in bench.own.filter


def test_keys_that_wait_go_with_the_new_epoch() -> None:
    """What was queued before it is not told once more."""
    bench = Bench()
    bench.add(range(1), now=1.0)
    bench.announcer.key_removed(0, now=1.0)
    bench.add(range(5, 6), now=1.0 + REBUILD_DELAY_S)
    assert [told.keys for told in bench.due(1.0 + REBUILD_DELAY_S)] == [()]
    assert bench.due(1.1 + REBUILD_DELAY_S) == []


def test_silence_is_broken_by_a_refresh() -> None:
    """An empty delta that counts as a change, before nine minutes are over."""
    bench = Bench()
    at = bench.announcer.next_deadline()
    assert at <= REFRESH_S
    assert bench.due(at) == [Delta(ORIGIN, 100, 1, 1, 0)]
    assert bench.announcer.next_deadline() > at


def test_a_later_life_of_the_name_is_outlived() -> None:
    """When others know an epoch above ours (the clock was set back), the next epoch is above theirs."""
    bench = Bench()
    bench.announcer.outlive(Version(99, 7), now=1.0)
    assert bench.due(1.0) == []
    bench.announcer.outlive(Version(500, 7), now=1.0)
    assert [told.epoch for told in bench.due(1.0)] == [501]


def test_an_absurd_epoch_is_not_followed() -> None:
    """Epochs are 4 bytes: nobody can drive us to the end of them."""
    bench = Bench()
    bench.announcer.outlive(Version(0xFFFFFFFF, 0), now=1.0)
    assert bench.due(1.0) == []
    assert bench.own.epoch == 100
