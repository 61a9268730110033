"""The race's driver with real peers on loopback: what it finds, what it learns of them, what it leaves behind."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

import gevent
import pytest

from app.key import Digest
from app.metrics import Metrics
from app.peers.client import Peers
from app.resolver.health import PeerHealth
from app.resolver.resolver import MAX_RANKED, Resolver
from gossip.membership import Member, MemberState
from tests import fake_peers
from tests.fake_peers import FakePeer, members, query_for, tag_query

CONTENT = b"a layer of an image"
LONG = 20.0


class FixedDirectory:
    """Names the same candidates for every key, and keeps what it was asked."""

    def __init__(self, candidates: Sequence[Member]) -> None:
        self.members = list(candidates)
        self.asked: list[int] = []

    def candidates(self, fingerprint: int) -> Sequence[Member]:
        self.asked.append(fingerprint)
        return self.members


class Bench:
    """A resolver and what it works with."""

    def __init__(self) -> None:
        self.directory = FixedDirectory([])
        self.metrics = Metrics()
        self.health = PeerHealth(time.monotonic)
        self.peers = Peers("node-x", connect_timeout_s=LONG, idle_s=LONG)
        self.resolver = self.make()

    def make(self, **options: object) -> Resolver:
        """A resolver with other options than the patient ones of a test."""
        patient: dict[str, object] = {"resolve_timeout_s": 0.02, "probe_deadline_s": LONG}
        return Resolver(
            self.directory,
            self.peers,
            self.health,
            metrics=self.metrics,
            rng=Random(1),
            clock=time.monotonic,
            **(patient | options),  # type: ignore[arg-type]  # the test's own options
        )

    def count(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.resolver.stop()
    bench.peers.close()


def test_nobody_is_asked_when_nobody_is_known(bench: Bench) -> None:
    """The directory is local memory: a miss costs no wait."""
    query = query_for(CONTENT)
    assert bench.resolver.find(query) is None
    assert bench.directory.asked == [query.key.fingerprint]
    assert bench.count("rykte_resolve_duration_seconds_count", outcome="miss") == 1


def test_finds_a_holder(bench: Bench) -> None:
    """What it is comes from the peer's head; the question is containerd's own."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        bench.directory.members = [peer.member]
        query = replace(query_for(CONTENT), accept="*/*")
        found = bench.resolver.find(query)
    assert found is not None
    assert found.winner == peer.member
    assert found.descriptor.digest == Digest.of(CONTENT)
    assert found.descriptor.size == len(CONTENT)
    assert found.updated_at is None
    (request,) = peer.requests
    assert request.target == f"/v2/library/app/blobs/{Digest.of(CONTENT)}?ns=registry.test"
    assert request.headers["accept"] == "*/*"
    assert bench.count("rykte_probes_total", result="hit") == 1
    assert bench.count("rykte_resolve_duration_seconds_count", outcome="hit") == 1
    assert bench.health.latency_s(peer.member.name) is not None


def test_misses_and_the_dead_are_no_holders(bench: Bench) -> None:
    """A 404 is an answer, a refused connection a failure; neither is found."""
    with FakePeer(fake_peers.status(404)) as peer:
        dead = fake_peers.dead_member()
        bench.directory.members = [peer.member, dead]
        assert bench.resolver.find(query_for(CONTENT)) is None
    assert bench.count("rykte_probes_total", result="miss") == 1
    assert bench.count("rykte_probes_total", result="error") == 1
    assert bench.health.resting(dead.name)
    assert not bench.health.resting(peer.member.name)


@pytest.mark.parametrize(
    "behave",
    [
        fake_peers.good(CONTENT, digest=Digest.of(b"other")),
        fake_peers.raw(b"HTTP/1.1 200 OK\r\n\r\n"),
        fake_peers.closing,
        fake_peers.endless_head,
        fake_peers.status(500),
    ],
)
def test_a_bad_peer_loses_to_a_good_one(bench: Bench, behave: fake_peers.Behaviour) -> None:
    """Its failure is remembered, so that it is asked last the next time."""
    with fake_peers.fake_peers(behave, fake_peers.good(CONTENT)) as (bad, good):
        bench.directory.members = [bad.member]
        assert bench.resolver.find(query_for(CONTENT)) is None
        assert bench.health.resting(bad.member.name)
        bench.directory.members = [bad.member, good.member]
        found = bench.resolver.find(query_for(CONTENT))
    assert found is not None
    assert found.winner == good.member
    assert bench.resolver.rank([bad.member, good.member], None) == [good.member, bad.member]


def test_silent_peers_do_not_hide_a_holder(bench: Bench) -> None:
    """After 20 ms the next three are asked as well."""
    behaviours = [fake_peers.silent] * 4 + [fake_peers.good(CONTENT)]
    with fake_peers.fake_peers(*behaviours) as peers:
        bench.directory.members = members(peers)
        # The good one may come among the first three by chance, or after them: it is found in any case.
        found = bench.resolver.find(query_for(CONTENT))
        assert found is not None
        assert found.winner == peers[-1].member
        bench.resolver.stop()


def test_silence_ends_at_the_deadline(bench: Bench) -> None:
    """The probe's own time-out and the search's are the same."""
    resolver = bench.make(probe_deadline_s=0.05)
    with FakePeer(fake_peers.silent) as peer:
        bench.directory.members = [peer.member]
        assert resolver.find(query_for(CONTENT)) is None
        resolver.stop()


def test_a_losing_probe_gives_its_connection_back(bench: Bench) -> None:
    """It is not cut off: it ends by itself, is counted, and its peer is known to be well."""
    gate = gevent.event.Event()
    serve = fake_peers.good(CONTENT)

    def late(peer: FakePeer, connection: gevent.socket.socket, request: fake_peers.Request) -> bool:
        gate.wait()
        return serve(peer, connection, request)

    with fake_peers.fake_peers(late, serve) as (slow, quick):
        bench.directory.members = members([slow, quick])
        found = bench.resolver.find(query_for(CONTENT))
        assert found is not None
        assert found.winner == quick.member
        assert found.others == (slow.member,)
        gate.set()
        with gevent.Timeout(LONG):
            while bench.peers.idle_connections < 2:
                gevent.sleep(0.001)
        assert bench.count("rykte_probes_total", result="hit") == 2


def test_full_is_asked_once_more(bench: Bench) -> None:
    """503 is no 404 as long as nobody else has it."""
    serve, refuse = fake_peers.good(CONTENT), fake_peers.status(503)

    def first_full(peer: FakePeer, connection: gevent.socket.socket, request: fake_peers.Request) -> bool:
        return (refuse if len(peer.requests) == 1 else serve)(peer, connection, request)

    with FakePeer(first_full) as peer:
        bench.directory.members = [peer.member]
        assert bench.resolver.find(query_for(CONTENT)) is not None
    assert bench.count("rykte_probes_total", result="full") == 1


def test_a_tag_takes_the_newest_and_counts_the_conflict(bench: Bench) -> None:
    """Two answers within the window differ: the image updated last is the one, and its time goes on."""
    resolver = bench.make(resolve_timeout_s=LONG)
    old = fake_peers.good(b"old", extra={"Rykte-Updated": "1000"})
    new = fake_peers.good(b"new", extra={"Rykte-Updated": "2000.5"})
    with fake_peers.fake_peers(old, new) as peers:
        bench.directory.members = members(peers)
        found = resolver.find(tag_query())
        assert found is not None
        assert found.descriptor.digest == Digest.of(b"new")
        assert found.updated_at == 2000.5
    assert bench.count("rykte_tag_conflicts_total") == 1


def test_a_node_at_its_limit_of_probes_finds_nothing_more(bench: Bench) -> None:
    """Memory is bounded: what can't be asked now counts as full, and nothing waits."""
    resolver = bench.make(max_probes=1, resolve_timeout_s=0.001)
    with FakePeer(fake_peers.silent) as peer:
        bench.directory.members = [peer.member]
        first = gevent.spawn(resolver.find, query_for(CONTENT))
        peer.asked.wait()
        assert resolver.find(query_for(b"something else")) is None
        assert len(peer.requests) == 1
        first.kill()
        resolver.stop()


def test_rank_knows_what_happened(bench: Bench) -> None:
    """Zone, state, failures and wrong bytes all reach the policy."""
    resolver = bench.make(zone="a")
    digest = Digest.of(CONTENT)

    def named(name: str, zone: str = "a", state: MemberState = MemberState.ALIVE) -> Member:
        return Member(name, "10.0.0.1", 1, state, {"zone": zone})

    far, busy, suspect = named("far", zone="b"), named("busy"), named("suspect", state=MemberState.SUSPECT)
    well, liar = named("well"), named("liar")
    bench.health.began("busy")
    bench.health.gave_wrong_bytes("liar", digest)
    order = resolver.rank([far, busy, suspect, liar, well], digest)
    assert order[:3] == [well, busy, far]
    assert {each.name for each in order[3:]} == {"suspect", "liar"}
    assert resolver.rank([far, liar], None) == [liar, far]


def test_of_very_many_candidates_some_are_ranked(bench: Bench) -> None:
    """Five thousand holders of a popular layer cost no more than a hundred."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        bench.directory.members = [replace(peer.member, name=f"node-{number}") for number in range(1000)]
        found = bench.resolver.find(query_for(CONTENT))
        assert found is not None
        assert len({found.winner.name, *(member.name for member in found.others)}) == MAX_RANKED
        bench.resolver.stop()


def test_stop_ends_what_runs(bench: Bench) -> None:
    """The race that waits for it hears of it; nothing is left (the leak check sees it)."""
    with FakePeer(fake_peers.silent) as peer:
        bench.directory.members = [peer.member]
        search = gevent.spawn(bench.resolver.find, query_for(CONTENT))
        peer.asked.wait()
        bench.resolver.stop()
        assert search.get() is None
