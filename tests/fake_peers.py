"""Peers on loopback that behave, or misbehave in one way each.

Real sockets on ephemeral ports.

A behaviour is a function that answers one request on a connection; it returns whether the connection stays open.
`FakePeer` counts connections and keeps the requests, and ends whatever still waits when it is stopped.
"""

import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from gevent import socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer

from app.key import Digest, Key
from app.source import Kind, Query
from gossip.membership import Member, MemberState

REGISTRY = "registry.test"
REPOSITORY = "library/app"


@dataclass(frozen=True)
class Request:
    """One request as it came; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def span(self) -> tuple[int, int | None] | None:
        """First byte and the one after the last (None: to the end) of a Range."""
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        return None if match is None else (int(match[1]), int(match[2]) + 1 if match[2] else None)


Behaviour = Callable[["FakePeer", socket.socket, Request], bool]


class FakePeer:
    """A server; use it as a context. `member` is how others see it."""

    def __init__(self, behave: Behaviour, name: str = "peer-a", zone: str = "") -> None:
        self.behave = behave
        self.requests: list[Request] = []
        self.connections = 0
        self.stopping = Event()
        #: Set when a request has come, for tests that wait until then.
        self.asked = Event()
        self._open: set[socket.socket] = set()
        self._handlers = Pool()
        self._server = StreamServer(("127.0.0.1", 0), self._handle, spawn=self._handlers)
        self._server.start()
        tags = {"http": str(self._server.server_port), "node": name, "zone": zone}
        self.member = Member(name, "127.0.0.1", 7946, MemberState.ALIVE, tags)

    def __enter__(self) -> "FakePeer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the listener and every connection: from now on it is a dead peer."""
        self.stopping.set()
        self._server.close()
        self.drop_connections()
        self._handlers.kill()

    def drop_connections(self) -> None:
        """Close what is open, as a server does with idle connections."""
        for connection in list(self._open):
            connection.close()

    def asked_for(self, method: str) -> list[Request]:
        """The requests of one method."""
        return [request for request in self.requests if request.method == method]

    def _handle(self, connection: socket.socket, _address: object) -> None:
        self.connections += 1
        self._open.add(connection)
        try:
            for request in _requests(connection):
                self.requests.append(request)
                self.asked.set()
                if not self.behave(self, connection, request):
                    break
        except OSError:
            pass  # the other side has gone, or `stop` has closed it
        finally:
            self._open.discard(connection)
            connection.close()


def _requests(connection: socket.socket) -> Iterator[Request]:
    buffered = b""
    while True:
        while b"\r\n\r\n" not in buffered:
            piece = connection.recv(65536)
            if not piece:
                return
            buffered += piece
        block, _, buffered = buffered.partition(b"\r\n\r\n")
        first, *lines = block.decode("ascii").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(buffered) < length:
            buffered += connection.recv(65536)
        body, buffered = buffered[:length], buffered[length:]
        yield Request(method, target, headers, body)


def write_head(status: int, headers: Mapping[str, object]) -> bytes:
    """A response head in the usual form."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(frozen=True)
class Served:
    """What a holder serves, at every path, and how it answers for it."""

    content: bytes
    digest: Digest | None = None
    media_type: str = "application/octet-stream"
    extra: Mapping[str, str] = field(default_factory=dict)

    def answer(self, request: Request) -> tuple[bytes, bytes]:
        """Head and body, by HTTP's rules for Range."""
        start, stop = 0, len(self.content)
        status = 200
        headers: dict[str, object] = {
            "Content-Type": self.media_type,
            "Docker-Content-Digest": self.digest or Digest.of(self.content),
            **self.extra,
        }
        if request.span is not None:
            status, start = 206, request.span[0]
            stop = min(stop, request.span[1] or stop)
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(self.content)}"
        headers["Content-Length"] = stop - start
        return write_head(status, headers), b"" if request.method == "HEAD" else self.content[start:stop]


def good(content: bytes, **details: object) -> Behaviour:
    """Serves `content` rightly; `details` are those of `Served`."""
    served = Served(content, **details)  # type: ignore[arg-type]  # passed through to the dataclass

    def behave(_peer: FakePeer, connection: socket.socket, request: Request) -> bool:
        head, body = served.answer(request)
        connection.sendall(head + body)
        return True

    return behave


def status(number: int) -> Behaviour:
    """Answers everything with this status and a small body."""

    def behave(_peer: FakePeer, connection: socket.socket, request: Request) -> bool:
        body = b"" if request.method == "HEAD" else b"no"
        connection.sendall(write_head(number, {"Content-Length": 2}) + body)
        return True

    return behave


def raw(answer: bytes, *, stays: bool = True) -> Behaviour:
    """Answers everything with these very bytes."""

    def behave(_peer: FakePeer, connection: socket.socket, _request: Request) -> bool:
        connection.sendall(answer)
        return stays

    return behave


def silent(peer: FakePeer, _connection: socket.socket, _request: Request) -> bool:
    """Takes the request and says nothing."""
    peer.stopping.wait()
    return False


def closing(_peer: FakePeer, _connection: socket.socket, _request: Request) -> bool:
    """Takes the request and closes."""
    return False


def endless_head(peer: FakePeer, connection: socket.socket, _request: Request) -> bool:
    """Begins an answer whose head never ends."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not peer.stopping.is_set():
        connection.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")
    return False


def slow_head(peer: FakePeer, connection: socket.socket, _request: Request) -> bool:
    """Sends a head byte by byte, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    while not peer.stopping.wait(0.002):
        connection.sendall(b"x")
    return False


class Breaking:
    """Serves rightly until `cuts` bodies have been broken, each after `after` bytes of it, in the way of `end`."""

    def __init__(self, content: bytes, *, after: int, end: Behaviour, cuts: int = 1_000_000) -> None:
        self._content = content
        self._after = after
        self._end = end
        self._cuts = cuts

    def __call__(self, peer: FakePeer, connection: socket.socket, request: Request) -> bool:
        head, body = Served(self._content).answer(request)
        if request.method == "HEAD" or not self._cuts or len(body) <= self._after:
            connection.sendall(head + body)
            return True
        self._cuts -= 1
        connection.sendall(head + body[: self._after])
        return self._end(peer, connection, request)


def reset(_peer: FakePeer, connection: socket.socket, _request: Request) -> bool:
    """End by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def trickle(peer: FakePeer, connection: socket.socket, _request: Request) -> bool:
    """Go on, a byte at a time."""
    while not peer.stopping.wait(0.002):
        connection.sendall(b"\0")
    return False


def dead_member(name: str = "dead") -> Member:
    """Nobody listens at its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Member(name, "127.0.0.1", 7946, MemberState.ALIVE, {"http": str(port)})


@contextmanager
def fake_peers(*behaviours: Behaviour) -> Iterator[list[FakePeer]]:
    """Peers `peer-0`, `peer-1` … with these behaviours."""
    peers: list[FakePeer] = []
    try:
        for number, behave in enumerate(behaviours):
            peers.append(FakePeer(behave, f"peer-{number}"))
        yield peers
    finally:
        for peer in peers:
            peer.stop()


def members(peers: Iterable[FakePeer]) -> list[Member]:
    """Their members, in the same order."""
    return [peer.member for peer in peers]


def query_for(content: bytes, kind: Kind = Kind.BLOB) -> Query:
    """The question for this content by its digest."""
    return Query(kind, Key(REGISTRY, REPOSITORY, Digest.of(content)))


def tag_query(tag: str = "1.0") -> Query:
    """The question for a tag."""
    return Query(Kind.MANIFEST, Key.parse(REGISTRY, REPOSITORY, tag))
