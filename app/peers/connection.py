"""One TCP connection to a peer: the only place where a network error becomes a `PeerError`.

Speaks one request at a time and keeps nothing of a body. Readiness is waited for apart from reading
(`read_into`, `splice_to` never block), so that a caller can tell the time spent waiting for the peer from its own.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from gevent import socket

from app.peers.errors import PeerError, Reason
from app.peers.http_message import HeadReader, MessageError, ResponseHead
from app.peers.splice import splice

_RECEIVE_BYTES = 16 * 1024
#: What the system says when nobody is there, as against somebody who stops talking.
_REFUSALS = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


class NeverAnswered(PeerError):
    """The connection ended before the first byte of an answer: a pooled one was dead, it may be tried on a new one."""

    def __init__(self, peer: str) -> None:
        super().__init__("closed", peer, "closed the connection instead of an answer")


class PeerConnection:
    """A connected socket and the peer's name. After a `PeerError` it can only be closed."""

    def __init__(self, peer: str, host: str, port: int, timeout_s: float) -> None:
        """Connect. `host` must be an address in text: names are never looked up here. Raises `PeerError`."""
        self.peer = peer
        try:
            family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET
        except ValueError as error:
            raise PeerError("protocol", peer, f"{host!r} is no IP address") from error
        with _mapped(peer):
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            try:
                self._socket.settimeout(timeout_s)
                self._socket.connect((host, port))
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except BaseException:
                self._socket.close()
                raise

    def request(self, message: bytes, deadline: float) -> tuple[ResponseHead, bytes]:
        """Send a whole request; return the answer's head and what came behind it, until `deadline` (monotonic).

        Raises `PeerError`, as `NeverAnswered` if the connection ended without a byte.
        """
        reader = HeadReader()
        try:
            with _mapped(self.peer):
                self._socket.settimeout(_left_until(deadline))
                self._socket.sendall(message)
                while True:
                    self._socket.settimeout(_left_until(deadline))
                    piece = self._socket.recv(_RECEIVE_BYTES)
                    if not piece:
                        raise PeerError("closed", self.peer, "closed the connection within an answer's head")
                    answer = reader.feed(piece)
                    if answer is not None:
                        return answer
        except PeerError as error:
            if error.reason == "closed" and reader.empty:
                raise NeverAnswered(self.peer) from error
            raise
        except MessageError as error:
            raise PeerError("protocol", self.peer, f"sent {error}") from error

    @property
    def usable(self) -> bool:
        """Whether an idle connection is still open and silent, as far as this side can know."""
        try:
            self._socket.settimeout(0.0)
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # its end, or bytes that nobody asked for

    def read_into(self, buffer: memoryview) -> int | None:
        """Bytes read now, at least 1, or None if there are none yet. Raises `PeerError` at the connection's end."""
        try:
            with _mapped(self.peer):
                count = os.readv(self._socket.fileno(), [buffer])
        except BlockingIOError:
            return None
        return self._more_than_nothing(count)

    def splice_to(self, pipe: int, limit: int) -> int | None:
        """Move up to `limit` bytes into a pipe in the kernel; None if nothing is there or the pipe is full.

        Raises `PeerError` at the connection's end, `SpliceRefused` where splice does not work.
        """
        try:
            with _mapped(self.peer):
                count = splice(self._socket.fileno(), pipe, limit)
        except BlockingIOError:
            return None
        return self._more_than_nothing(count)

    def _more_than_nothing(self, count: int) -> int:
        if count == 0:
            raise PeerError("closed", self.peer, "closed the connection before the body's end")
        return count

    def wait_readable(self, timeout_s: float) -> None:
        """Let others run until there is something to read, or the connection's end, or the time is up."""
        try:
            socket.wait_read(self._socket.fileno(), timeout_s)
        except TimeoutError:
            return

    def close(self) -> None:
        """Idempotent."""
        self._socket.close()


def _left_until(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@contextmanager
def _mapped(peer: str) -> Iterator[None]:
    """Turn what the system says of the network into a `PeerError`; what is no network error passes."""
    try:
        yield
    except BlockingIOError:
        raise
    except TimeoutError as error:
        raise PeerError("timeout", peer, "did not answer in time") from error
    except OSError as error:
        reason: Reason = "refused" if error.errno in _REFUSALS else "closed"
        raise PeerError(reason, peer, error.strerror or "broke the connection") from error
