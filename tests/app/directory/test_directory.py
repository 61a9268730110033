"""The directory finds present members only, keeps a failed one's filter for its return, and forgets the silent."""

import random
from dataclasses import replace

from app.directory.bloom import Bloom
from app.directory.delta import Delta, origin_of
from app.directory.directory import TTL_S, Directory
from app.directory.replica import Snapshot, Verdict, Version
from gossip.membership import Member, MemberState
from tests.clusters.directory_cluster import member

A, B = member("a"), member("b")


def whole(of: Member, *keys: int, epoch: int = 5, revision: int | None = None, log2: int = 14) -> Snapshot:
    version = Version(epoch, len(keys) if revision is None else revision)
    return Snapshot(origin_of(of.name), version, version.revision, Bloom.of(keys, log2))


def told(of: Member, sequence: int, key: int, epoch: int = 5) -> Delta:
    return Delta(origin_of(of.name), epoch, sequence, sequence, sequence - 1, (key,))


def directory_of(*members: Member, now: float = 0.0) -> Directory:
    directory = Directory()
    for each in members:
        directory.set_member(each, now)
    return directory


def test_candidates_are_those_whose_filter_has_the_key() -> None:
    """By whole filter or by delta."""
    directory = directory_of(A, B)
    directory.load(whole(A, 1, 2), 0.0)
    directory.load(whole(B, 2), 0.0)
    assert directory.candidates(1) == [A]
    assert {each.name for each in directory.candidates(2)} == {"a", "b"}
    assert directory.holders(2) == 2

    assert directory.apply(told(B, 2, 1), 1.0) is Verdict.NEW
    assert directory.holders(1) == 2


def test_filters_of_different_sizes_are_searched_together() -> None:
    """One lookup for all."""
    directory = directory_of(A, B)
    directory.load(whole(A, 1, log2=14), 0.0)
    directory.load(whole(B, 1, log2=17), 0.0)
    assert {each.name for each in directory.candidates(1)} == {"a", "b"}


def test_who_is_no_member_has_no_filter() -> None:
    """Deltas and filters of strangers take no memory."""
    directory = directory_of(A)
    assert directory.apply(told(B, 1, 1), 0.0) is None
    assert directory.load(whole(B, 1), 0.0) is False
    assert directory.candidates(1) == []


def test_a_delta_before_the_filter_is_found_at_once() -> None:
    """What is told counts, although the rest is still to be fetched, and stays when the rest comes."""
    directory = directory_of(A)
    assert directory.apply(told(A, 3, 1), 0.0) is Verdict.GAP
    assert directory.candidates(1) == [A]
    assert list(directory.gaps()) == [origin_of("a")]

    directory.load(whole(A, 8, 9), 0.0)
    assert directory.candidates(1) == [A]
    assert list(directory.gaps()) == []


def test_the_old_filter_is_used_until_the_new_one_is_here() -> None:
    """A new epoch that is only announced takes nothing away."""
    directory = directory_of(A)
    directory.load(whole(A, 1), 0.0)
    directory.apply(Delta(origin_of("a"), 6, 1, 1, 1), 1.0)
    assert directory.candidates(1) == [A]

    directory.load(whole(A, 2, epoch=6), 2.0)
    assert directory.candidates(1) == []
    assert directory.candidates(2) == [A]


def test_a_suspect_is_still_a_candidate_and_a_leaving_one_is_not() -> None:
    """Whoever asks puts suspects last; who leaves is about to stop serving."""
    directory = directory_of(A)
    directory.load(whole(A, 1), 0.0)
    suspect = replace(A, state=MemberState.SUSPECT)
    assert directory.set_member(suspect, 1.0) is False
    assert directory.candidates(1) == [suspect]

    directory.set_member(replace(A, state=MemberState.LEAVING), 2.0)
    assert directory.candidates(1) == []
    assert directory.present == ()


def test_a_failed_member_comes_back_with_its_filter() -> None:
    """It is no candidate meanwhile, and is not told to others."""
    directory = directory_of(A)
    directory.load(whole(A, 1), 0.0)
    directory.fail(replace(A, state=MemberState.FAILED))
    assert directory.candidates(1) == []
    assert directory.vector() == {}
    assert directory.members == 1

    assert directory.set_member(A, 1.0) is True
    assert directory.candidates(1) == [A]


def test_a_failed_member_is_forgotten_when_the_ttl_ends() -> None:
    """Counted from when its filter was last heard of."""
    directory = directory_of(A)
    directory.load(whole(A, 1), 100.0)
    directory.fail(replace(A, state=MemberState.FAILED))
    directory.expire(100.0 + TTL_S - 1)
    assert directory.replica(origin_of("a")) is not None
    directory.expire(100.0 + TTL_S)
    assert directory.replica(origin_of("a")) is None


def test_a_failed_member_without_a_filter_is_forgotten_at_once() -> None:
    """There is nothing to keep."""
    directory = directory_of(A)
    directory.fail(A)
    assert directory.replica(origin_of("a")) is None


def test_a_member_that_left_is_forgotten_at_once() -> None:
    """It said so itself; unknown ones are no error."""
    directory = directory_of(A)
    directory.load(whole(A, 1), 0.0)
    directory.drop(A)
    directory.drop(B)
    directory.fail(B)
    assert directory.candidates(1) == []
    assert directory.replica(origin_of("a")) is None


def test_a_silent_filter_is_not_asked_until_it_is_heard_of_again() -> None:
    """The member is there, but nothing was heard of its filter for ten minutes."""
    directory = directory_of(A)
    directory.load(whole(A, 1), 0.0)
    directory.expire(TTL_S - 0.1)
    assert directory.candidates(1) == [A]

    directory.expire(TTL_S)
    assert directory.candidates(1) == []
    assert directory.usable() == 0

    directory.apply(told(A, 2, 7), TTL_S + 1)
    assert directory.candidates(1) == [A]
    assert directory.usable() == 1


def test_an_old_filter_does_not_bring_a_silent_one_back() -> None:
    """A third node that still has the same version knows nothing newer."""
    directory = directory_of(A)
    directory.load(whole(A, 1), 0.0)
    directory.expire(TTL_S)
    assert directory.load(whole(A, 1), TTL_S + 1) is False
    assert directory.candidates(1) == []


def test_a_snapshot_can_be_given_on() -> None:
    """What one node holds another can load, and both are then equal."""
    first, second = directory_of(A), directory_of(A)
    first.load(whole(A, 1, 2), 0.0)
    first.apply(told(A, 3, 3), 0.0)
    copy = first.snapshot(origin_of("a"))
    assert copy is not None
    assert second.load(copy, 0.0)
    assert second.snapshot(origin_of("a")) == copy
    assert second.vector() == first.vector() == {origin_of("a"): Version(5, 3)}


def test_what_is_only_half_known_is_not_given_on() -> None:
    """Without a whole filter there is no version to tell."""
    directory = directory_of(A)
    directory.apply(told(A, 1, 1), 0.0)
    assert directory.vector() == {}
    assert directory.snapshot(origin_of("a")) is None
    assert directory.snapshot(b"nobody..") is None


def test_another_size_within_an_epoch_replaces() -> None:
    """No node sends that; it harms only the copy of its own filter, and raises nothing."""
    directory = directory_of(A)
    directory.load(whole(A, 1), 0.0)
    assert directory.load(whole(A, 2, log2=15, revision=9), 0.0)
    assert directory.candidates(2) == [A]


def test_rows_show_keys_and_age() -> None:
    """The number of keys is an estimate that deltas move on; members without a filter are left out."""
    directory = directory_of(A, B)
    rng = random.Random(1)
    directory.load(whole(A, *(rng.getrandbits(64) for _ in range(100))), 10.0)
    directory.apply(told(A, 101, rng.getrandbits(64)), 20.0)
    (row,) = directory.rows(25.0)
    assert (row.member, row.age_s) == (A, 5.0)
    assert abs(row.keys - 101) <= 2
