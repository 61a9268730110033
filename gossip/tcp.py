"""One TCP connection of the gevent driver: bytes in as they come, bytes out without waiting.

A connection is at most two greenlets, one that connects and reads and one that writes; `close` and `stop` end both.
What the bytes mean is the core's business; how long a conversation may take is bounded here as well, so that
a silent peer never holds a socket for longer than one time-out.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent import Greenlet, socket

from gossip.swim.effects import Address

_PIECE_BYTES = 64 << 10

#: Starts a greenlet; the owner decides what happens to an error at its root.
Spawn = Callable[[Callable[[], None]], "Greenlet[..., Any]"]


class StreamUser(Protocol):
    """Who is told what happens on a stream. Calls must not switch greenlets."""

    def stream_opened(self, number: int) -> None:
        """Connected; for streams that we opened."""

    def stream_received(self, number: int, data: bytes) -> None:
        """The next piece, as large as it came."""

    def stream_ended(self, number: int, reason: str) -> None:
        """No more will come: the peer's end of data (no reason), or why the stream can't go on."""


def family_of(host: str) -> int:
    """The address family of an address in text."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class TcpStream:
    """A connection, accepted (`adopt`) or our own (`open`); one of the two is called, once, before all else."""

    def __init__(
        self,
        number: int,
        peer: Address,
        user: StreamUser,
        timeout_s: float,
        spawn: Spawn,
        gone: Callable[[int], object],
    ) -> None:
        """`gone(number)` is called when the socket is closed, perhaps more than once; nothing is told after it."""
        self.number = number
        self.peer = peer
        self._gone = gone
        self._user = user
        self._timeout_s = timeout_s
        self._spawn = spawn
        self._socket: socket.socket | None = None
        self._outgoing: deque[bytes] = deque()
        self._closing = False
        self._reader: Greenlet[..., Any] | None = None
        self._writer: Greenlet[..., Any] | None = None

    def adopt(self, connected: socket.socket) -> None:
        """Read from an accepted connection, which belongs to this stream from now on."""
        self._socket = connected
        self._reader = self._spawn(self._read)

    def open(self, connect_timeout_s: float) -> None:
        """Connect, then read. Returns at once."""
        self._reader = self._spawn(lambda: self._connect(connect_timeout_s))

    def write(self, data: bytes) -> None:
        """Send `data` behind what waits already. Returns at once."""
        self._outgoing.append(data)
        self._ensure_writer()

    def close(self) -> None:
        """Send what waits, then close. Returns at once."""
        self._closing = True
        self._ensure_writer()

    def stop(self) -> None:
        """Close now and wait until no greenlet is left; the user is not told of an end."""
        self._outgoing.clear()
        self._closing = True
        if self._reader is not None:
            self._reader.kill()
        if self._writer is not None:
            self._writer.kill()
        self._release()

    def _connect(self, timeout_s: float) -> None:
        connection = socket.socket(family_of(self.peer[0]), socket.SOCK_STREAM)
        self._socket = connection
        try:
            with gevent.Timeout(timeout_s, TimeoutError(f"no connection within {timeout_s:g} s")):
                connection.connect(self.peer)
        except OSError as error:
            self._end(_told(error))
            return
        self._user.stream_opened(self.number)
        self._read()

    def _read(self) -> None:
        reason = ""
        try:
            with gevent.Timeout(self._timeout_s, TimeoutError(f"not finished within {self._timeout_s:g} s")):
                while not self._closing and (data := self._receive()):
                    self._user.stream_received(self.number, data)
        except OSError as error:
            reason = _told(error)
        if not self._closing:
            self._end(reason)

    def _receive(self) -> bytes:
        assert self._socket is not None
        data: bytes = self._socket.recv(_PIECE_BYTES)
        return data

    def _end(self, reason: str) -> None:
        if reason:
            self._outgoing.clear()
        self._user.stream_ended(self.number, reason)
        self.close()

    def _ensure_writer(self) -> None:
        if self._writer is None or self._writer.dead:
            self._writer = self._spawn(self._write)

    def _write(self) -> None:
        try:
            with gevent.Timeout(self._timeout_s, TimeoutError):
                while self._outgoing and self._socket is not None:
                    self._socket.sendall(self._outgoing.popleft())
        except OSError:
            # The peer went away or reads too slowly. It will ask again; nobody here waits for it.
            self._outgoing.clear()
            self._closing = True
        if self._closing:
            if self._reader is not None:
                self._reader.kill()
            self._release()

    def _release(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._gone(self.number)


def _told(error: OSError) -> str:
    return error.strerror or str(error)
