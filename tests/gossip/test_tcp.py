"""One connection: what is told of it, in every way in which it can end."""

from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import Greenlet, socket

from gossip.tcp import TcpStream
from tests.gossip.loopback import fresh_host, wait


class User:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.on_received: Callable[[], None] = lambda: None

    def stream_opened(self, number: int) -> None:
        self.told.append(("opened", number))

    def stream_received(self, number: int, data: bytes) -> None:
        self.told.append(("received", data))
        self.on_received()

    def stream_ended(self, number: int, reason: str) -> None:
        self.told.append(("ended", reason))

    def stream_gone(self, number: int) -> None:
        self.told.append(("gone", number))

    def gone(self) -> bool:
        return ("gone", 1) in self.told


def spawn(body: Callable[[], None]) -> "Greenlet[..., None]":
    return gevent.spawn(body)


def make(user: User, timeout_s: float = 20.0, peer: tuple[str, int] = ("", 0)) -> TcpStream:
    return TcpStream(1, peer, user, timeout_s, spawn, user.stream_gone)


@pytest.fixture
def user() -> User:
    return User()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end, which the stream will own, and the peer's."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    theirs.close()


def test_request_and_answer(user: User, pair: tuple[socket.socket, socket.socket]) -> None:
    """What is written in answer to a piece arrives whole, followed by the end of data."""
    ours, theirs = pair
    stream = make(user)

    def answer() -> None:
        stream.write(b"an")
        stream.write(b"swer")
        stream.close()

    user.on_received = answer
    stream.adopt(ours)
    theirs.sendall(b"question")
    received = b""
    while data := theirs.recv(100):
        received += data
    assert received == b"answer"
    assert user.told == [("received", b"question"), ("gone", 1)]


def test_end_of_data(user: User, pair: tuple[socket.socket, socket.socket]) -> None:
    """The peer's end of data has no reason; the socket is closed afterwards without being asked."""
    ours, theirs = pair
    make(user).adopt(ours)
    theirs.shutdown(socket.SHUT_WR)
    wait(user.gone)
    assert user.told == [("ended", ""), ("gone", 1)]


def test_answer_after_end_of_data(user: User, pair: tuple[socket.socket, socket.socket]) -> None:
    """Who half-closed after its question still gets what was written before."""
    ours, theirs = pair
    stream = make(user)
    user.on_received = lambda: stream.write(b"answer")
    stream.adopt(ours)
    theirs.sendall(b"question")
    theirs.shutdown(socket.SHUT_WR)
    assert theirs.recv(100) == b"answer"
    assert theirs.recv(100) == b""
    wait(user.gone)


def test_silence(user: User, pair: tuple[socket.socket, socket.socket]) -> None:
    """A conversation that takes longer than its time ends with that as the reason."""
    ours, _ = pair
    make(user, timeout_s=0.01).adopt(ours)
    wait(user.gone)
    assert user.told == [("ended", "not finished within 0.01 s"), ("gone", 1)]


def test_a_peer_that_never_reads(user: User, pair: tuple[socket.socket, socket.socket]) -> None:
    """Bytes that nobody takes hold the socket no longer than the stream's time."""
    ours, _ = pair
    stream = make(user, timeout_s=0.01)
    stream.adopt(ours)
    stream.write(bytes(50 << 20))
    stream.close()
    wait(user.gone)
    assert ours.fileno() == -1


def test_open(user: User) -> None:
    """A connection of our own is told as opened, then carries bytes both ways."""
    with socket.create_server((fresh_host(), 7946)) as server:
        stream = make(user, peer=server.getsockname())
        stream.open(20.0)
        theirs, _ = server.accept()
        with theirs:
            theirs.sendall(b"hello")
            wait(lambda: len(user.told) == 2)
            stream.write(b"goodbye")
            stream.close()
            assert theirs.recv(100) == b"goodbye"
            assert theirs.recv(100) == b""
    wait(user.gone)
    assert user.told == [("opened", 1), ("received", b"hello"), ("gone", 1)]


def test_open_refused(user: User) -> None:
    """Where nobody listens, the reason is the kernel's."""
    make(user, peer=(fresh_host(), 1)).open(20.0)
    wait(user.gone)
    assert user.told == [("ended", "Connection refused"), ("gone", 1)]


def test_open_takes_too_long(user: User) -> None:
    """A listener whose queue is full does not answer: the time to connect bounds that."""
    with socket.create_server((fresh_host(), 7946), backlog=1) as server:
        waiting = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
            waiting.append(filler)
        make(user, peer=server.getsockname()).open(0.01)
        wait(user.gone)
        for filler in waiting:
            filler.close()
    assert user.told == [("ended", "no connection within 0.01 s"), ("gone", 1)]


@pytest.mark.parametrize("write", [b"", bytes(50 << 20)])
def test_stop(user: User, pair: tuple[socket.socket, socket.socket], write: bytes) -> None:
    """Stopping closes at once, whatever still waits, and tells of no end."""
    ours, _ = pair
    stream = make(user)
    stream.adopt(ours)
    stream.write(write)
    gevent.sleep(0)
    stream.stop()
    assert user.told == [("gone", 1)]
    assert ours.fileno() == -1
