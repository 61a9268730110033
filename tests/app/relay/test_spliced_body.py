"""Large bodies through the relay: right to the byte whatever peers do, by all three ways."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from random import Random

import gevent
import pytest
from gevent import socket
from hypothesis import given, settings
from hypothesis import strategies as st

from app.relay.spliced_body import RunningRelays
from app.source import Body, Interrupted, SourceGone, Span
from tests import fake_peers
from tests.app.relay.clients import LONG, MIB, RelayBench, holders, iterate, receive
from tests.fake_peers import Behaviour, Breaking, FakePeer, members

CONTENT = Random(4).randbytes(3 * MIB + 12345)
SMALL = Random(5).randbytes(5000)
Way = Callable[[Body], tuple[bytes, BaseException | None]]


@pytest.fixture(params=["spliced", "copied", "iterated"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    """The three ways of a body to its client."""
    if request.param == "copied":
        monkeypatch.delattr(os, "splice")
    return iterate if request.param == "iterated" else receive


def relay(*peers: FakePeer, content: bytes = CONTENT, **options: object) -> RelayBench:
    """A relay of large bodies (nothing is small enough to be buffered) whose one search finds these peers."""
    return RelayBench(holders(content, members(peers)), small_bytes=0, **options)


def test_a_whole_body(way: Way) -> None:
    """Every byte, and a plain GET on a connection that is kept."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer) as bench:
        body = bench.open(CONTENT)
        assert body.length == len(CONTENT)
        assert bench.health.in_flight(peer.member.name) == 1
        assert way(body) == (CONTENT, None)
        assert body.sent == len(CONTENT)
        assert bench.health.in_flight(peer.member.name) == 0
        assert bench.peers.idle_connections == 1
        assert "range" not in peer.requests[0].headers
        assert bench.succeeded


@pytest.mark.parametrize(
    "span", [Span(0, 1), Span(1, len(CONTENT)), Span(777, 2 * MIB), Span(len(CONTENT) - 1, len(CONTENT))]
)
def test_a_part(way: Way, span: Span) -> None:
    """Exactly the span, asked for by Range; a part is no success to be counted."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer) as bench:
        assert way(bench.open(CONTENT, span=span)) == (CONTENT[span.start : span.stop], None)
        assert peer.requests[0].headers["range"] == f"bytes={span.start}-{span.stop - 1}"
        assert not bench.succeeded


@pytest.mark.parametrize("end", [fake_peers.closing, fake_peers.reset])
def test_goes_on_at_the_next_holder(way: Way, end: Behaviour) -> None:
    """A peer that breaks in the middle is not noticed by the client."""
    breaking = Breaking(CONTENT, after=MIB + 1, end=end)
    with fake_peers.fake_peers(breaking, fake_peers.good(CONTENT)) as peers, relay(*peers) as bench:
        assert way(bench.open(CONTENT)) == (CONTENT, None)
        assert bench.count("rykte_relay_failovers_total", reason="closed") == 1
        assert bench.health.resting(peers[0].member.name)
        assert bench.succeeded
        first, last = peers[1].requests[0].span or (0, 0)
        # A reset may throw away what was on its way; what goes on begins where the client's bytes end.
        assert 0 <= first <= MIB + 1
        assert last == len(CONTENT)


@pytest.mark.parametrize("end", [fake_peers.silent, fake_peers.trickle])
def test_a_peer_that_stalls_is_left(way: Way, end: Behaviour) -> None:
    """Silence and a trickle are the same: too little in the time."""
    breaking = Breaking(CONTENT, after=MIB, end=end)
    with fake_peers.fake_peers(breaking, fake_peers.good(CONTENT)) as peers, relay(*peers, progress_s=0.2) as bench:
        received, failure = way(bench.open(CONTENT))
        assert failure is None
        # A trickle of wrong bytes is passed on as far as it came: the relay does not verify large bodies.
        assert len(received) == len(CONTENT)
        assert received[:MIB] == CONTENT[:MIB]
        assert received[2 * MIB :] == CONTENT[2 * MIB :]
        assert bench.count("rykte_relay_failovers_total", reason="stalled") == 1


def test_a_peer_that_sends_enough_may_take_long(way: Way) -> None:
    """Each window counts for itself: a slow peer is not left for the sum of its pauses."""

    def steadily(peer: FakePeer, connection: socket.socket, request: fake_peers.Request) -> bool:
        head, body = fake_peers.Served(CONTENT).answer(request)
        connection.sendall(head)
        for start in range(0, len(body), MIB // 6):
            peer.stopping.wait(0.03)
            connection.sendall(body[start : start + MIB // 6])
        return True

    with FakePeer(steadily) as peer, relay(peer, progress_s=0.3, progress_bytes=1000) as bench:
        assert way(bench.open(CONTENT)) == (CONTENT, None)
        assert len(peer.requests) == 1


def test_nobody_left(way: Way) -> None:
    """The body ends short with everything that came, and says so."""
    with FakePeer(Breaking(CONTENT, after=MIB, end=fake_peers.closing, cuts=1)) as peer, relay(peer) as bench:
        peer.behave = Once(peer.behave)
        body = bench.open(CONTENT)
        received, failure = way(body)
        assert isinstance(failure, Interrupted)
        assert received == CONTENT[:MIB]
        assert body.sent == MIB
        assert bench.count("rykte_relay_interrupted_total") == 1
        assert not bench.succeeded
        assert bench.health.in_flight(peer.member.name) == 0


class Once:
    """Answers one request, then refuses."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._used = False

    def __call__(self, peer: FakePeer, connection: socket.socket, request: fake_peers.Request) -> bool:
        if self._used:
            return fake_peers.status(404)(peer, connection, request)
        self._used = True
        return self._behave(peer, connection, request)


def test_the_directory_is_asked_anew() -> None:
    """When the known holders are used up, others may have it by now; the broken one comes last."""
    breaking = Breaking(CONTENT, after=MIB, end=fake_peers.closing)
    with fake_peers.fake_peers(breaking, fake_peers.good(CONTENT)) as peers:
        first, later = members(peers)
        with RelayBench(holders(CONTENT, [first]), holders(CONTENT, [first, later]), small_bytes=0) as bench:
            assert receive(bench.open(CONTENT)) == (CONTENT, None)
            assert len(bench.finder.queries) == 2
        assert len(peers[0].requests) == 1


def test_the_broken_one_is_asked_once_more_last(way: Way) -> None:
    """A mirror that was restarted is back: the client gets its bytes after all."""
    with FakePeer(Breaking(CONTENT, after=MIB, end=fake_peers.closing, cuts=1)) as peer, relay(peer) as bench:
        assert way(bench.open(CONTENT)) == (CONTENT, None)
        assert len(bench.finder.queries) == 2
        assert [request.span for request in peer.requests] == [None, (MIB, len(CONTENT))]


@pytest.mark.parametrize(
    "behave",
    [
        fake_peers.status(404),
        fake_peers.status(503),
        fake_peers.closing,
        fake_peers.endless_head,
        fake_peers.good(CONTENT[:-1]),
        fake_peers.raw(b"HTTP/1.1 200 OK\r\n\r\n" + SMALL, stays=False),
    ],
)
def test_a_winner_that_fails_before_the_body(way: Way, behave: Behaviour) -> None:
    """The next candidate gives the whole; nothing had left yet."""
    with fake_peers.fake_peers(behave, fake_peers.good(CONTENT)) as peers, relay(*peers) as bench:
        assert way(bench.open(CONTENT)) == (CONTENT, None)
        assert "range" not in peers[1].requests[0].headers


def test_a_peer_that_ignores_the_range_is_left(way: Way) -> None:
    """A 200 in answer to a Range would send the first bytes twice."""

    def ignore_range(_peer: FakePeer, connection: socket.socket, request: fake_peers.Request) -> bool:
        whole = fake_peers.Request(request.method, request.target, {})
        connection.sendall(b"".join(fake_peers.Served(CONTENT).answer(whole)))
        return True

    breaking = Breaking(CONTENT, after=MIB, end=fake_peers.closing)
    with fake_peers.fake_peers(breaking, ignore_range, fake_peers.good(CONTENT)) as peers, relay(*peers) as bench:
        assert way(bench.open(CONTENT)) == (CONTENT, None)
        assert bench.count("rykte_relay_failovers_total", reason="changed") == 1


def test_a_silent_holder_before_the_first_byte(way: Way) -> None:
    """The deadline of the first byte, then the next."""
    behaviours = (fake_peers.silent, fake_peers.good(CONTENT))
    with fake_peers.fake_peers(*behaviours) as peers, relay(*peers, first_byte_s=0.2) as bench:
        assert way(bench.open(CONTENT)) == (CONTENT, None)
        assert bench.count("rykte_relay_failovers_total", reason="timeout") == 1


def test_nobody_gives_it() -> None:
    """Before the first byte that is no broken body, but a 404."""
    with fake_peers.fake_peers(fake_peers.status(404), fake_peers.status(404)) as peers, relay(*peers) as bench:
        with pytest.raises(SourceGone):
            bench.open(CONTENT)
        assert [len(peer.requests) for peer in peers] == [1, 1]
        assert bench.health.in_flight(peers[0].member.name) == 0


@settings(max_examples=30)
@given(st.lists(st.integers(0, len(SMALL)), max_size=5), st.data())
def test_cuts_anywhere_are_mended(cuts: list[int], data: st.DataObject) -> None:
    """Each holder breaks after so many bytes of what it was asked for; the client's bytes are right in any case."""
    behaviours: list[Behaviour] = [Breaking(SMALL, after=cut, end=fake_peers.closing) for cut in cuts]
    stop = data.draw(st.integers(1, len(SMALL)))
    span = Span(data.draw(st.integers(0, stop - 1)), stop)
    with fake_peers.fake_peers(*behaviours, fake_peers.good(SMALL)) as peers, relay(*peers, content=SMALL) as bench:
        assert receive(bench.open(SMALL, span=span)) == (SMALL[span.start : span.stop], None)


def test_a_client_that_goes_away() -> None:
    """Its error is passed on as it is, and the peer's connection, half read, is closed."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer) as bench:
        ours, client = socket.socketpair()
        body = bench.open(CONTENT)
        client.recv_into(bytearray(0))
        client.close()
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            body.send_to(ours)
        body.close()
        ours.close()
        assert bench.peers.idle_connections == 0
        assert bench.health.in_flight(peer.member.name) == 0
        assert not bench.health.resting(peer.member.name)
        assert bench.count("rykte_relay_interrupted_total") == 0


def test_a_client_that_takes_nothing() -> None:
    """Its socket's time-out ends it, and no peer is blamed."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer) as bench:
        ours, client = socket.socketpair()
        ours.settimeout(0.02)
        body = bench.open(CONTENT)
        with pytest.raises(TimeoutError):
            body.send_to(ours)
        body.close()
        ours.close()
        client.close()
        assert not bench.health.resting(peer.member.name)
        assert bench.peers.idle_connections == 0


def test_a_slow_client_is_no_stalled_peer() -> None:
    """Only waiting for the peer counts: the client may take as long as it likes."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer, progress_s=0.2) as bench:
        ours, client = socket.socketpair()
        body = bench.open(CONTENT)
        sending = gevent.spawn(body.send_to, ours)
        received = bytearray()
        while len(received) < len(CONTENT):
            received += client.recv(MIB)
            gevent.sleep(0.03)
        sending.get(timeout=LONG)
        body.close()
        ours.close()
        client.close()
        assert received == CONTENT
        assert len(peer.requests) == 1


def test_closing_without_sending() -> None:
    """A body that nobody wants any more leaves nothing; closing twice is allowed."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer) as bench:
        body = bench.open(CONTENT)
        body.close()
        body.close()
        assert bench.peers.idle_connections == 0


def test_a_generator_that_is_dropped() -> None:
    """A server that stops iterating in the middle closes the body, and that is all."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer) as bench:
        body = bench.open(CONTENT)
        pieces = iter(body)
        assert next(pieces)
        body.close()
        assert bench.health.in_flight(peer.member.name) == 0


def test_the_pipe_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pages for a large pipe: the bytes are copied instead, and the small pipe is closed."""

    real_fcntl = fcntl.fcntl

    def no_pages(fd: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETPIPE_SZ:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return real_fcntl(fd, command, argument)

    monkeypatch.setattr(fcntl, "fcntl", no_pages)
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer) as bench:
        assert receive(bench.open(CONTENT)) == (CONTENT, None)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM, errno.ENOSYS])
@pytest.mark.parametrize("into_socket", [False, True], ids=["from the peer", "to the client"])
def test_splice_is_refused(monkeypatch: pytest.MonkeyPatch, number: int, into_socket: bool) -> None:
    """By either side's kind of socket: what is in the pipe already is copied out, then all the rest."""
    real_splice = os.splice

    def splice(source: int, target: int, count: int, *, flags: int) -> int:
        if stat.S_ISSOCK(os.fstat(target).st_mode) is into_socket:
            raise OSError(number, os.strerror(number))
        return real_splice(source, target, count, flags=flags)

    monkeypatch.setattr(os, "splice", splice)
    with FakePeer(fake_peers.good(CONTENT)) as peer, relay(peer) as bench:
        assert receive(bench.open(CONTENT)) == (CONTENT, None)
        assert len(peer.requests) == 1


def test_slices_are_smaller_when_many_run() -> None:
    """So that a small request beside them does not wait long."""
    running = RunningRelays()
    running.count = 4
    assert running.slice_bytes == 512 * 1024
    running.count = 5
    assert running.slice_bytes == 256 * 1024


def test_the_count_of_running_relays_returns() -> None:
    """Also when one fails."""
    with FakePeer(Once(Breaking(CONTENT, after=1, end=fake_peers.closing))) as peer, relay(peer) as bench:
        receive(bench.open(CONTENT))
        assert bench.source.running_relays == 0
