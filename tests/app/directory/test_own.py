"""The own filter counts its changes, forgets by rebuilding, and knows when to speak."""

import random

from app.directory.bloom import Bloom
from app.directory.own import REBUILD_DELAY_S, REBUILD_INTERVAL_S, REFRESH_S, OwnFilter

ORIGIN = b"\0" * 8


def own_filter() -> OwnFilter:
    return OwnFilter(ORIGIN, 100, random.Random(1))


def test_every_addition_counts_once() -> None:
    """The revision is the number of keys added; one that is there already changes nothing."""
    own = own_filter()
    assert [own.add(key) for key in (5, 6, 5)] == [True, True, False]
    assert (own.revision, len(own), 5 in own) == (2, 2, True)
    assert own.filter == Bloom.of([5, 6], 14)


def test_a_removed_key_stays_in_the_filter_until_the_rebuild() -> None:
    """The rebuilt filter has the present keys only, under the next epoch; the revision goes on."""
    own = own_filter()
    own.add(5)
    own.add(6)
    own.remove(5, now=10.0)
    assert 5 in own.filter
    assert 5 not in own

    own.rebuild(members=3, now=15.0)

    assert own.filter == Bloom.of([6], 14)
    assert (own.epoch, own.revision, own.sequence) == (101, 2, 0)
    assert own.rebuild_at() is None


def test_a_rebuild_waits_for_the_last_removal() -> None:
    """Five seconds after the last of a burst."""
    own = own_filter()
    own.add(5)
    own.add(6)
    own.remove(5, now=10.0)
    assert own.rebuild_at() == 10.0 + REBUILD_DELAY_S
    own.remove(6, now=12.0)
    assert own.rebuild_at() == 12.0 + REBUILD_DELAY_S


def test_removals_without_end_are_not_put_off_for_ever() -> None:
    """A removal waits a minute at most, however many follow it."""
    own = own_filter()
    for key in range(100):
        own.add(key)
    for key in range(100):
        own.remove(key, now=10.0 + key)
    assert own.rebuild_at() == 10.0 + REBUILD_INTERVAL_S


def test_rebuilds_are_a_minute_apart() -> None:
    """A removal right after a rebuild waits for the rest of the minute."""
    own = own_filter()
    own.add(5)
    own.add(6)
    own.remove(5, now=10.0)
    own.rebuild(members=3, now=15.0)
    own.remove(6, now=16.0)
    assert own.rebuild_at() == 15.0 + REBUILD_INTERVAL_S


def test_a_key_that_comes_back_before_the_rebuild_costs_nothing() -> None:
    """It never left the filter, so there is nothing to tell and nothing to rebuild."""
    own = own_filter()
    own.add(5)
    own.remove(5, now=10.0)
    assert own.add(5) is False
    assert own.revision == 1
    assert own.rebuild_at() is None


def test_removing_what_is_not_there_is_no_error() -> None:
    """And causes no rebuild."""
    own = own_filter()
    own.remove(5, now=1.0)
    assert own.rebuild_at() is None


def test_growth() -> None:
    """A filter that has too few bits for its keys is outgrown, and rebuilt in the next size class."""
    own = own_filter()
    for key in range(1024):
        own.add(key)
    assert not own.outgrown(members=500)
    assert own.outgrown(members=501)
    own.add(1024)
    assert own.outgrown(members=3)

    own.rebuild(members=3, now=1.0)

    assert own.filter == Bloom.of(range(1025), 15)
    assert own.epoch == 101


def test_forgotten_keys_take_room_too() -> None:
    """Their bits are still in the filter."""
    own = own_filter()
    for key in range(1024):
        own.add(key)
    own.remove(0, now=1.0)
    own.add(5000)
    assert own.outgrown(members=3)


def test_growth_does_not_use_up_the_rebuild_of_the_minute() -> None:
    """Only rebuilds because of removals are a minute apart."""
    own = own_filter()
    own.add(5)
    own.rebuild(members=3, now=1.0)
    own.remove(5, now=2.0)
    assert own.rebuild_at() == 2.0 + REBUILD_DELAY_S


def test_broadcasts_are_numbered_within_an_epoch() -> None:
    """The sequence starts anew with each epoch; an announcement claims nothing."""
    own = own_filter()
    own.add(5)
    first = own.broadcast((5,), since=0, revision=1, now=1.0)
    second = own.broadcast((), since=1, revision=1, now=1.0)
    own.new_epoch()
    third = own.announce(now=1.0)
    assert [(d.epoch, d.sequence, d.since, d.revision) for d in (first, second, third)] == [
        (100, 1, 0, 1),
        (100, 2, 1, 1),
        (101, 1, 1, 1),
    ]


def test_a_refresh_is_a_change_without_a_key() -> None:
    """So anti-entropy carries it where the broadcast was lost."""
    own = own_filter()
    own.add(5)
    told = own.refresh(now=1.0)
    assert (told.keys, told.since, told.revision, own.revision) == ((), 1, 2, 2)


def test_every_broadcast_puts_the_refresh_off() -> None:
    """Nine minutes after the last one, up to 5 % earlier."""
    own = own_filter()
    own.start(now=0.0)
    assert REFRESH_S / 2 <= own.refresh_at() <= REFRESH_S
    own.refresh(now=1000.0)
    assert 1000.0 + 0.95 * REFRESH_S <= own.refresh_at() <= 1000.0 + REFRESH_S
