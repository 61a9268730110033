"""Small bodies and manifests: no wrong byte leaves, a bad peer costs only a failover, memory is bounded."""

from collections.abc import Callable
from random import Random

import pytest

from app.key import Digest
from app.relay.verified_body import ByteBudget
from app.source import Body, Interrupted, Kind, SourceGone
from tests import fake_peers
from tests.app.relay.clients import MIB, RelayBench, holders, iterate, receive
from tests.fake_peers import Behaviour, Breaking, FakePeer, members

CONTENT = Random(6).randbytes(700_000)
WRONG = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
DIGEST = Digest.of(CONTENT)
Way = Callable[[Body], tuple[bytes, BaseException | None]]


@pytest.fixture(params=[receive, iterate], ids=["sent", "iterated"])
def way(request: pytest.FixtureRequest) -> Way:
    """Both ways of a body to its client."""
    result: Way = request.param
    return result


def relay(*peers: FakePeer, **options: object) -> RelayBench:
    """A relay whose one search finds these peers."""
    return RelayBench(holders(CONTENT, members(peers)), **options)


LYING = fake_peers.good(WRONG, digest=DIGEST)


def test_a_small_body(way: Way) -> None:
    """Right, whole, and its memory is free again."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer, buffers_bytes=MIB) as bench:
        body = bench.open(CONTENT, Kind.MANIFEST)
        assert bench.source.buffer_bytes_left == MIB - len(CONTENT)
        assert bench.peers.idle_connections == 1
        assert body.length == len(CONTENT)
        assert way(body) == (CONTENT, None)
        assert body.sent == len(CONTENT)
        body.close()
        assert bench.source.buffer_bytes_left == MIB
        assert bench.succeeded


def test_an_empty_body(way: Way) -> None:
    """Zero bytes have a digest too."""
    with FakePeer(fake_peers.good(b"")) as peer, RelayBench(holders(b"", [peer.member])) as bench:
        assert way(bench.open(b"")) == (b"", None)


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (LYING, "corrupt"),
        (Breaking(CONTENT, after=1000, end=fake_peers.closing), "closed"),
        (Breaking(CONTENT, after=1000, end=fake_peers.reset), "closed"),
        (Breaking(CONTENT, after=1000, end=fake_peers.silent), "stalled"),
        (Breaking(CONTENT, after=1000, end=fake_peers.trickle), "stalled"),
        (fake_peers.good(CONTENT + b"x", digest=DIGEST), "changed"),
        (fake_peers.silent, "timeout"),
        (fake_peers.slow_head, "timeout"),
        (fake_peers.endless_head, "protocol"),
        (fake_peers.status(404), "refused"),
    ],
)
def test_a_bad_peer_costs_only_a_failover(behave: Behaviour, reason: str) -> None:
    """The next holder gives it from its first byte; the client knows nothing of it."""
    deadlines = {"first_byte_s": 0.2, "progress_s": 0.2}
    with fake_peers.fake_peers(behave, fake_peers.good(CONTENT)) as peers, relay(*peers, **deadlines) as bench:
        assert receive(bench.open(CONTENT)) == (CONTENT, None)
        assert bench.count("rykte_relay_failovers_total", reason=reason) == 1
        assert "range" not in peers[1].requests[0].headers


def test_a_liar_is_remembered_for_that_digest() -> None:
    """It is asked last for it from now on, and asked no second time for this body."""
    with FakePeer(LYING) as peer, relay(peer) as bench:
        with pytest.raises(SourceGone):
            bench.open(CONTENT)
        assert bench.health.quarantined(peer.member.name, DIGEST)
        assert bench.count("rykte_verification_failures_total", source="peer") == 1
        assert len(peer.requests) == 1
        assert bench.source.buffer_bytes_left == 32 * MIB


def test_nobody_gives_it() -> None:
    """No byte was given: that is a 404, and no memory is kept."""
    with relay_of_the_dead() as bench:
        with pytest.raises(SourceGone):
            bench.open(CONTENT)
        assert bench.source.buffer_bytes_left == 32 * MIB


def relay_of_the_dead() -> RelayBench:
    """The only holder is gone."""
    return RelayBench(holders(CONTENT, [fake_peers.dead_member()]))


def test_beyond_the_budget_the_end_is_held_back(way: Way) -> None:
    """No room for a buffer: it streams, and is right."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer, buffers_bytes=0) as bench:
        body = bench.open(CONTENT)
        assert body.length == len(CONTENT)
        assert way(body) == (CONTENT, None)
        assert body.sent == len(CONTENT)
        assert bench.succeeded
        assert bench.peers.idle_connections == 1


def test_a_large_manifest_is_verified_too(way: Way) -> None:
    """Whatever its size."""
    with FakePeer(LYING) as peer, relay(peer, small_bytes=10) as bench:
        received, failure = way(bench.open(CONTENT, Kind.MANIFEST))
        assert isinstance(failure, Interrupted)
        assert len(received) < len(CONTENT)


def test_wrong_bytes_beyond_the_budget_never_arrive_whole(way: Way) -> None:
    """The last piece stays here, the peer is remembered, and it is counted."""
    with FakePeer(LYING) as peer, relay(peer, buffers_bytes=0) as bench:
        received, failure = way(bench.open(CONTENT))
        assert isinstance(failure, Interrupted)
        assert len(received) < len(CONTENT)
        assert CONTENT.startswith(received)
        assert bench.health.quarantined(peer.member.name, DIGEST)
        assert bench.count("rykte_verification_failures_total", source="peer") == 1
        assert bench.count("rykte_relay_interrupted_total") == 1
        assert not bench.succeeded


def test_a_break_beyond_the_budget_is_mended(way: Way) -> None:
    """The hash goes on over the bytes of both holders."""
    with (
        fake_peers.fake_peers(
            Breaking(CONTENT, after=300_000, end=fake_peers.closing), fake_peers.good(CONTENT)
        ) as peers,
        relay(*peers, buffers_bytes=0) as bench,
    ):
        assert way(bench.open(CONTENT)) == (CONTENT, None)
        assert peers[1].requests[0].span == (300_000, len(CONTENT))


def test_budget() -> None:
    """Who does not fit gets nothing; what is given back can be had again."""
    budget = ByteBudget(10)
    assert budget.take(6)
    assert not budget.take(5)
    assert budget.take(4)
    assert not budget.take(1)
    budget.give_back(6)
    assert budget.left == 6
