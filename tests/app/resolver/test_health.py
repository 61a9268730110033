"""What is remembered of peers, on a clock of the test's."""

import pytest

from app.key import Digest
from app.resolver.health import PeerHealth
from tests.fake_clock import FakeClock

DIGEST = Digest.of(b"content")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(clock: FakeClock) -> PeerHealth:
    return PeerHealth(clock)


def rest_s(health: PeerHealth, clock: FakeClock, name: str) -> float:
    """How long the peer rests from now, to a quarter of a second."""
    started = clock.now
    while health.resting(name):
        clock.now += 0.25
    rested, clock.now = clock.now - started, started
    return rested


def test_an_unknown_peer_is_well(health: PeerHealth) -> None:
    """Nobody is doubted before they were asked."""
    assert not health.resting("a")
    assert health.latency_s("a") is None
    assert health.in_flight("a") == 0
    assert not health.quarantined("a", DIGEST)


def test_counts_transfers(health: PeerHealth) -> None:
    """Each that began is there until it ended."""
    health.began("a")
    health.began("a")
    health.began("b")
    health.ended("a")
    assert (health.in_flight("a"), health.in_flight("b")) == (1, 1)


def test_a_transfer_outlives_its_member(health: PeerHealth) -> None:
    """A body may still flow from a node that has said goodbye."""
    health.began("a")
    health.forget("a")
    assert health.in_flight("a") == 1
    health.ended("a")
    assert health.in_flight("a") == 0


def test_latency_follows_the_newest(health: PeerHealth) -> None:
    """A mean that moves a third of the way with each answer."""
    health.answered("a", 0.010)
    assert health.latency_s("a") == pytest.approx(0.010)
    health.answered("a", 0.020)
    assert health.latency_s("a") == pytest.approx(0.013)


def test_rests_longer_with_each_failure_up_to_a_minute(health: PeerHealth, clock: FakeClock) -> None:
    """1, 2, 4 … seconds, and no overflow however often it fails."""
    rests = []
    for _ in range(8):
        health.failed("a")
        rests.append(rest_s(health, clock, "a"))
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60]
    for _ in range(2000):
        health.failed("a")
    assert rest_s(health, clock, "a") == 60


def test_an_answer_ends_the_rest(health: PeerHealth, clock: FakeClock) -> None:
    """It is back, and the next failure is the first again."""
    health.failed("a")
    health.failed("a")
    health.answered("a", 0.001)
    assert not health.resting("a")
    health.failed("a")
    assert rest_s(health, clock, "a") == 1


def test_wrong_bytes_count_for_their_digest_only(health: PeerHealth, clock: FakeClock) -> None:
    """One rotten file says nothing of the others; after ten minutes it is tried again."""
    health.gave_wrong_bytes("a", DIGEST)
    assert health.quarantined("a", DIGEST)
    assert not health.quarantined("a", Digest.of(b"else"))
    assert not health.quarantined("b", DIGEST)
    clock.now += 600
    assert not health.quarantined("a", DIGEST)


def test_forgets(health: PeerHealth) -> None:
    """A member that left leaves no record; its successor has another name."""
    health.failed("a")
    health.forget("a")
    assert not health.resting("a")
    health.forget("a")


def test_memory_is_bounded(health: PeerHealth) -> None:
    """Names made up by others push out the oldest."""
    health.failed("first")
    health.gave_wrong_bytes("first", DIGEST)
    for number in range(20_000):
        health.failed(f"made-up-{number}")
        health.gave_wrong_bytes(f"made-up-{number}", DIGEST)
    assert not health.resting("first")
    assert not health.quarantined("first", DIGEST)
    assert health.resting("made-up-19999")
