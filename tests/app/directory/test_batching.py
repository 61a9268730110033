"""Batches leave early, then in the cluster's pace, and no faster than the gossip can carry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.directory.batching import (
    BURST,
    KEEP_S,
    LEADING_EDGE_S,
    MAX_WAITING,
    Batch,
    Batcher,
    TokenBucket,
    batch_s,
    capacity,
)
from app.directory.delta import MAX_KEYS


def nobody(fingerprint: int) -> bool:
    return False


def due(batcher: Batcher) -> float:
    at = batcher.due()
    assert at is not None
    return at


@pytest.mark.parametrize(("members", "seconds"), [(1, 0.005), (50, 0.005), (525, 0.1275), (1000, 0.25), (5000, 0.25)])
def test_batch_time_grows_with_the_cluster(members: int, seconds: float) -> None:
    """5 ms up to 50 members, 250 ms from 1,000, a straight line between."""
    assert batch_s(members) == pytest.approx(seconds)


@pytest.mark.parametrize(("members", "per_second"), [(10, 75.0), (500, 15 * 2 / 12), (1000, 15 * 2 / 16)])
def test_capacity(members: int, per_second: float) -> None:
    """Packets a second times messages per packet, divided by the retransmits; 15 packets in large clusters."""
    assert capacity(members) == pytest.approx(per_second)


def test_the_first_key_leaves_at_once() -> None:
    """After a quiet time a key waits a millisecond only, for those of the same moment."""
    batcher = Batcher(0.0)
    batcher.add(11, 1, members=1000, now=5.0)
    batcher.add(12, 2, members=1000, now=5.0)
    assert due(batcher) == 5.0 + LEADING_EDGE_S
    assert batcher.take(5.001, 1000, nobody) == [Batch((11, 12), since=0, revision=2)]
    assert batcher.due() is None


def test_those_that_follow_wait_for_the_batch_time() -> None:
    """Counted from the last broadcast."""
    batcher = Batcher(0.0)
    batcher.add(11, 1, members=1000, now=5.0)
    batcher.take(5.001, 1000, nobody)
    batcher.add(12, 2, members=1000, now=5.1)
    assert due(batcher) == 5.001 + 0.25
    batcher.take(due(batcher), 1000, nobody)
    batcher.add(13, 3, members=1000, now=9.0)
    assert due(batcher) == 9.0 + LEADING_EDGE_S


def test_many_keys_fill_several_deltas() -> None:
    """Each is as full as it may be, and the claims join without a hole."""
    batcher = Batcher(0.0)
    for revision in range(1, 2 * MAX_KEYS + 2):
        batcher.add(1000 + revision, revision, members=3, now=1.0)
    batches = batcher.take(1.001, 3, nobody)
    assert [len(batch.keys) for batch in batches] == [MAX_KEYS, MAX_KEYS, 1]
    assert [(batch.since, batch.revision) for batch in batches] == [(0, 52), (52, 104), (104, 105)]


def test_a_suppressed_key_is_neither_told_nor_claimed() -> None:
    """Who gets the delta must not believe that it has the key between."""
    batcher = Batcher(0.0)
    for revision in (1, 2, 3, 4):
        batcher.add(10 + revision, revision, members=3, now=1.0)
    assert batcher.take(1.001, 3, lambda key: key == 12) == [Batch((11, 13, 14), since=2, revision=4)]


def test_only_suppressed_keys_are_no_delta() -> None:
    """Nothing is sent, nothing waits, no token is used."""
    batcher = Batcher(0.0)
    batcher.add(11, 1, members=3, now=1.0)
    assert batcher.take(1.001, 3, lambda key: True) == []
    assert batcher.due() is None


def test_keys_wait_when_the_bucket_is_empty() -> None:
    """They keep their order and go out when there is a token."""
    batcher = Batcher(0.0)
    for _ in range(BURST):
        assert batcher.bucket.take(0.0, 500)
    batcher.add(11, 1, members=500, now=0.0)
    batcher.add(12, 2, members=500, now=0.0)
    assert batcher.take(0.001, 500, nobody) == []
    assert batcher.take(due(batcher) + 0.001, 500, nobody) == [Batch((11, 12), since=0, revision=2)]


def test_what_waited_too_long_is_left_to_anti_entropy() -> None:
    """After one of its intervals the keys are not worth a broadcast any more."""
    batcher = Batcher(0.0)
    batcher.add(11, 1, members=3, now=0.0)
    batcher.add(12, 2, members=3, now=1.0)
    assert batcher.take(KEEP_S, 3, nobody) == [Batch((12,), since=1, revision=2)]


def test_the_queue_is_bounded() -> None:
    """It says so when it is full, and can be emptied."""
    batcher = Batcher(0.0)
    accepted = [batcher.add(key, key + 1, members=3, now=0.0) for key in range(MAX_WAITING + 1)]
    assert accepted == [True] * MAX_WAITING + [False]
    batcher.clear()
    assert batcher.due() is None
    assert batcher.add(1, 1, members=3, now=0.0)


def test_a_quiet_cluster_lends_its_half_of_the_capacity() -> None:
    """With nobody heard, tokens come at half the capacity."""
    bucket = TokenBucket(0.0)
    for _ in range(BURST):
        bucket.take(0.0, 10)
    assert not bucket.take(0.0, 10)
    assert bucket.wait_s(10) == pytest.approx(1 / 37.5)
    assert bucket.take(1 / 37.5 + 1e-6, 10)


def test_a_busy_cluster_leaves_the_own_share() -> None:
    """When the others use up the half, what is left is the half divided by the members."""
    bucket = TokenBucket(0.0)
    for _ in range(BURST):
        bucket.take(0.0, 10)
    for _ in range(100):
        bucket.heard(0.0, 10)
    bucket.take(0.0, 10)
    assert bucket.wait_s(10) == pytest.approx(1 / 3.75)


def test_what_was_heard_fades() -> None:
    """Ten seconds after a storm the whole half is to be had again."""
    bucket = TokenBucket(0.0)
    for _ in range(100):
        bucket.heard(0.0, 10)
    for _ in range(BURST):
        assert bucket.take(10.0, 10)
    assert bucket.wait_s(10) == pytest.approx(1 / 37.5, rel=0.01)


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.integers(0, 30)), max_size=30), st.integers(1, 2000))
def test_no_more_than_the_burst_and_the_half(turns: list[tuple[float, int]], members: int) -> None:
    """However keys arrive, deltas sent never exceed the burst and half of the cluster's capacity."""
    batcher, now, revision, sent = Batcher(0.0), 0.0, 0, 0
    for elapsed, keys in turns:
        now += elapsed
        for _ in range(keys):
            revision += 1
            batcher.add(revision, revision, members, now)
        sent += len(batcher.take(now, members, nobody))
    assert sent <= BURST + now * capacity(members) / 2 + 1e-6


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_claims_are_true(suppressed: list[bool]) -> None:
    """Every revision that a batch claims is one of its keys."""
    batcher = Batcher(0.0)
    for revision in range(1, len(suppressed) + 1):
        batcher.add(revision, revision, members=3, now=0.0)
    batches = batcher.take(0.001, 3, lambda key: suppressed[key - 1])
    for batch in batches:
        assert set(range(batch.since + 1, batch.revision + 1)) <= set(batch.keys)
        assert batch.since < batch.revision
    assert [key for batch in batches for key in batch.keys] == [i + 1 for i, s in enumerate(suppressed) if not s]
