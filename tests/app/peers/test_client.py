"""HEAD, GET and POST to peers that behave in every way but the right one, and what stays open afterwards."""

import time
from collections.abc import Iterator
from dataclasses import replace

import gevent
import pytest
from gevent import socket

from app.access import FORWARDED_BY
from app.peers.client import Peers
from app.peers.errors import Declined, PeerError
from gossip.membership import Member
from tests import fake_peers
from tests.fake_peers import Behaviour, Breaking, FakePeer

CONTENT = bytes(range(256)) * 40
#: Long enough for anything on loopback, also on a busy machine.
LONG = 20.0
SHORT = 0.05


@pytest.fixture
def peers() -> Iterator[Peers]:
    """A client that keeps connections for as long as a test lasts."""
    client = Peers("node-x", connect_timeout_s=LONG, idle_s=LONG)
    yield client
    client.close()


def reason_of_head(peers: Peers, behave: Behaviour, timeout_s: float = LONG) -> str:
    """Why a HEAD to a peer like this fails."""
    with FakePeer(behave) as peer, pytest.raises(PeerError) as caught:
        peers.head(peer.member, "/v2/", {}, timeout_s)
    assert peers.idle_connections == 0
    return caught.value.reason


def read_body(peers: Peers, member: Member) -> bytes:
    """GET the whole body of whatever the peer serves."""
    stream = peers.get(member, "/v2/", {}, LONG)
    try:
        return stream.read_all(time.monotonic() + LONG)
    finally:
        stream.close()


def test_head_says_who_asks(peers: Peers) -> None:
    """Path, headers and the mirror's own name arrive; the head comes back."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        head = peers.head(peer.member, "/v2/a/blobs/b?ns=c", {"Accept": "x/y"}, LONG)
    assert head.content_length == len(CONTENT)
    (request,) = peer.requests
    assert (request.method, request.target) == ("HEAD", "/v2/a/blobs/b?ns=c")
    assert request.headers[FORWARDED_BY.lower()] == "node-x"
    assert request.headers["accept"] == "x/y"
    assert request.headers["host"] == f"127.0.0.1:{peer.member.tags['http']}"


def test_every_request_is_signed() -> None:
    """The signer sees each request's headers and what it adds is sent."""

    def sign(headers: dict[str, str]) -> None:
        headers["Authorization"] = f"seal of {headers[FORWARDED_BY]}"

    client = Peers("node-x", sign=sign)
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        client.head(peer.member, "/", {}, LONG)
        read_body(client, peer.member)
        client.post(peer.member, "/", b"", limit=len(CONTENT))
    client.close()
    assert [request.headers.get("authorization") for request in peer.requests] == ["seal of node-x"] * 3


def test_one_connection_serves_many_requests(peers: Peers) -> None:
    """HEAD, a whole GET and POST leave the connection to the next."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        peers.head(peer.member, "/", {}, LONG)
        assert read_body(peers, peer.member) == CONTENT
        assert peers.post(peer.member, "/x", b"question", limit=len(CONTENT)) == CONTENT
        peers.head(peer.member, "/", {}, LONG)
        assert peer.connections == 1
        assert peer.requests[2].body == b"question"


def test_a_connection_that_the_peer_closed_is_replaced(peers: Peers) -> None:
    """An idle connection that is seen to be dead costs nothing."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        peers.head(peer.member, "/", {}, LONG)
        peer.drop_connections()
        assert peers.head(peer.member, "/", {}, LONG).status == 200
        assert peer.connections == 2


def test_a_pooled_connection_that_dies_when_asked_is_replaced_once(peers: Peers) -> None:
    """No byte of an answer has come, so the question may be put again, once."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        peers.head(peer.member, "/", {}, LONG)
        peer.behave = fake_peers.closing
        with pytest.raises(PeerError) as caught:
            peers.head(peer.member, "/", {}, LONG)
        assert caught.value.reason == "closed"
        assert len(peer.requests) == 3
        assert peer.connections == 2


def test_a_pooled_connection_that_answers_in_part_is_not_asked_again(peers: Peers) -> None:
    """Once a byte has come it was an answer, if a bad one."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        peers.head(peer.member, "/", {}, LONG)
        peer.behave = fake_peers.raw(b"HTTP/1.1 200", stays=False)
        with pytest.raises(PeerError, match="within an answer's head"):
            peers.head(peer.member, "/", {}, LONG)
        assert len(peer.requests) == 2


def test_nobody_listens(peers: Peers) -> None:
    """A refused connection is `refused`, which a well peer's no is too, but that is `Declined`."""
    with pytest.raises(PeerError) as caught:
        peers.head(fake_peers.dead_member(), "/", {}, LONG)
    assert caught.value.reason == "refused"
    assert not isinstance(caught.value, Declined)


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (fake_peers.closing, "closed"),
        (fake_peers.reset, "closed"),
        (fake_peers.endless_head, "protocol"),
        (fake_peers.raw(b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000 + b"\r\n\r\n"), "protocol"),
        (fake_peers.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "protocol"),
        (fake_peers.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "protocol"),
        (fake_peers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"), "protocol"),
    ],
)
def test_a_bad_answer_to_head(peers: Peers, behave: Behaviour, reason: str) -> None:
    """Each has its reason, and its connection is not used again."""
    assert reason_of_head(peers, behave) == reason


@pytest.mark.parametrize("behave", [fake_peers.silent, fake_peers.slow_head])
def test_no_head_in_time(peers: Peers, behave: Behaviour) -> None:
    """The deadline is for the whole head: a byte now and then does not extend it."""
    assert reason_of_head(peers, behave, SHORT) == "timeout"


def test_a_connect_that_is_not_answered() -> None:
    """A full backlog stands in for a host that is gone: connecting has a deadline of its own."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        member = replace(fake_peers.dead_member(), tags={"http": str(full.getsockname()[1])})
        client = Peers("node-x", connect_timeout_s=SHORT)
        with pytest.raises(PeerError) as caught:
            client.head(member, "/", {}, LONG)
        for filler in fillers:
            filler.close()
    assert caught.value.reason == "timeout"


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "80a", "٣", "123456"])
def test_a_tag_that_is_no_port(peers: Peers, port: str) -> None:
    """The port comes from a peer and is checked."""
    member = replace(fake_peers.dead_member(), tags={"http": port})
    with pytest.raises(PeerError, match="is no port"):
        peers.head(member, "/", {}, LONG)


def test_a_host_that_is_a_name(peers: Peers) -> None:
    """Names are never looked up: only a gossip address is asked."""
    member = replace(fake_peers.dead_member(), host="localhost")
    with pytest.raises(PeerError, match="no IP address"):
        peers.head(member, "/", {}, LONG)


def test_a_path_that_would_be_two_requests(peers: Peers) -> None:
    """Nothing is sent."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        with pytest.raises(PeerError, match="can't be asked"):
            peers.head(peer.member, "/ HTTP/1.1\r\nX: y", {}, LONG)
        assert peer.connections == 0


def test_a_body_half_read_closes_the_connection(peers: Peers) -> None:
    """What is left of it would be taken for the next answer."""
    with FakePeer(fake_peers.good(CONTENT * 100)) as peer:
        stream = peers.get(peer.member, "/", {}, LONG)
        stream.take_early()
        stream.close()
        stream.close()
        assert peers.idle_connections == 0


def test_a_refusal_with_a_small_body_keeps_the_connection(peers: Peers) -> None:
    """A no is a whole answer."""
    with FakePeer(fake_peers.status(404)) as peer:
        stream = peers.get(peer.member, "/", {}, LONG)
        stream.read_all(time.monotonic() + LONG)
        stream.close()
        assert stream.head.status == 404
        assert peers.idle_connections == 1


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nthree", b"HTTP/1.1 200 OK\r\nConten"],
)
def test_a_body_without_a_right_length(peers: Peers, answer: bytes) -> None:
    """Neither until the connection's end nor longer than announced."""
    with FakePeer(fake_peers.raw(answer, stays=False)) as peer, pytest.raises(PeerError):
        peers.get(peer.member, "/", {}, LONG)
    assert peers.idle_connections == 0


def test_a_body_that_ends_early(peers: Peers) -> None:
    """Too few bytes are an error, never a short body."""
    with FakePeer(Breaking(CONTENT, after=1000, end=fake_peers.closing)) as peer, pytest.raises(PeerError) as caught:
        read_body(peers, peer.member)
    assert caught.value.reason == "closed"


def test_post_refused(peers: Peers) -> None:
    """Another status than 200 is the peer's no."""
    with FakePeer(fake_peers.status(503)) as peer, pytest.raises(Declined) as caught:
        peers.post(peer.member, "/", b"x", limit=10)
    assert caught.value.status == 503


def test_post_answered_by_too_much(peers: Peers) -> None:
    """The limit is the caller's memory."""
    with FakePeer(fake_peers.good(CONTENT)) as peer, pytest.raises(PeerError, match="the limit is 10"):
        peers.post(peer.member, "/", b"x", limit=10)
    assert peers.idle_connections == 0


def test_post_whose_answer_stalls(peers: Peers) -> None:
    """The deadline is for the whole exchange."""
    with FakePeer(Breaking(CONTENT, after=10, end=fake_peers.silent)) as peer, pytest.raises(PeerError) as caught:
        peers.post(peer.member, "/", b"x", limit=len(CONTENT), timeout_s=SHORT)
    assert caught.value.reason == "timeout"


def test_a_peer_that_says_it_closes(peers: Peers) -> None:
    """Connection: close is believed."""
    with FakePeer(fake_peers.good(CONTENT, extra={"Connection": "close"})) as peer:
        peers.head(peer.member, "/", {}, LONG)
        assert peers.idle_connections == 0


def test_a_member_that_left_is_forgotten(peers: Peers) -> None:
    """Its connections are closed, not anybody else's."""
    with fake_peers.fake_peers(fake_peers.good(CONTENT), fake_peers.good(CONTENT)) as (gone, stays):
        peers.head(gone.member, "/", {}, LONG)
        peers.head(stays.member, "/", {}, LONG)
        peers.forget(gone.member)
        assert peers.idle_connections == 1
        peers.head(stays.member, "/", {}, LONG)
        assert stays.connections == 1


def test_idle_connections_go_by_themselves() -> None:
    """Nobody has to ask for it; the greenlet that does it ends too (the leak check sees it)."""
    client = Peers("node-x", idle_s=0.02)
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        client.head(peer.member, "/", {}, LONG)
        with gevent.Timeout(LONG):
            while client.idle_connections:
                gevent.sleep(0.005)


def test_nothing_is_kept_once_closed() -> None:
    """A request that ends after `close` does not bring the pool back to life."""
    client = Peers("node-x")
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        client.close()
        client.head(peer.member, "/", {}, LONG)
        assert client.idle_connections == 0


def test_a_killed_request_closes_its_connection(peers: Peers) -> None:
    """Its answer would be taken for that of the next request."""
    with FakePeer(fake_peers.silent) as peer:
        asking = gevent.spawn(peers.head, peer.member, "/", {}, LONG)
        peer.asked.wait()
        asking.kill()
        assert peers.idle_connections == 0


def test_a_peer_over_ipv6(peers: Peers) -> None:
    """The host is written in brackets."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        member = replace(fake_peers.dead_member(), host="::1", tags={"http": str(port)})
        asking = gevent.spawn(peers.head, member, "/", {}, LONG)
        connection, _ = listener.accept()
        request = connection.recv(65536)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")
        assert asking.get().status == 404
        connection.close()
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in request
