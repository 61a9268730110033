"""HTTP to other mirrors: HEAD, GET and POST on kept-alive connections, and what may never be asked of anybody else.

The host is always the member's own gossip address, the port comes from its tag `http`: no peer can point this node
at a third machine. Every request says on whose behalf it is made (`access.FORWARDED_BY`), so that it is never forwarded
again, and passes `access.sign`, the one place where authentication is added.
"""

import time
from collections.abc import Callable, Iterable, Mapping

import gevent
from gevent import Greenlet

from app.access import FORWARDED_BY, sign
from app.address import Address, host_port
from app.peers.connection import NeverAnswered, PeerConnection
from app.peers.errors import Declined, PeerError
from app.peers.http_message import MessageError, ResponseHead, write_request
from app.peers.idle_pool import IdlePool
from app.peers.stream import PeerStream
from app.tags import registry_port
from gossip.membership import Member

#: A dead node costs this once, before the gossip knows ; a live one in the same cluster answers in 1 ms.
CONNECT_TIMEOUT_S = 0.5
#: How long an idle connection is kept; must be shorter than the registry's own keep-alive.
IDLE_S = 4.0
#: A race asks three peers at once; a peer seldom has more than this many requests of ours at a time.
IDLE_PER_PEER = 4
IDLE_IN_ALL = 256

_BINARY = {"Content-Type": "application/octet-stream"}


def address_of(member: Member) -> Address:
    """Where a member's registry listens. Raises `PeerError` if its tag `http` is no port."""
    port = registry_port(member)
    if port is None:
        raise PeerError("protocol", member.name, f"its tag http={member.tags.get('http', '')[:20]!r} is no port")
    return member.host, port


class Peers:
    """The client side of HTTP between mirrors. Used from one hub; methods switch greenlets and raise `PeerError`."""

    def __init__(
        self,
        node_name: str,
        *,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        sign: Callable[[dict[str, str]], None] = sign,
        idle_s: float = IDLE_S,
        idle_per_peer: int = IDLE_PER_PEER,
        idle_in_all: int = IDLE_IN_ALL,
    ) -> None:
        self._node_name = node_name
        self._connect_timeout_s = connect_timeout_s
        self._sign = sign
        self._idle: IdlePool[PeerConnection] = IdlePool(per_peer=idle_per_peer, in_all=idle_in_all, idle_s=idle_s)
        self._reaper: Greenlet[..., None] | None = None
        self._closed = False

    def head(self, member: Member, path: str, headers: Mapping[str, str], timeout_s: float) -> ResponseHead:
        """Ask for a head only. The whole exchange, connecting included, takes at most `timeout_s`."""
        connection, head, rest = self._exchange("HEAD", member, path, headers, b"", timeout_s)
        if rest:
            connection.close()
            raise PeerError("protocol", member.name, "sent a body in answer to HEAD")
        self._settle(member.name, connection, reusable=head.keeps_alive)
        return head

    def get(self, member: Member, path: str, headers: Mapping[str, str], first_byte_timeout_s: float) -> PeerStream:
        """Ask for a body; return once its head is there, whatever its status. The stream is the caller's to close."""
        connection, head, rest = self._exchange("GET", member, path, headers, b"", first_byte_timeout_s)
        length = head.content_length
        if length is None or len(rest) > length:
            connection.close()
            raise PeerError("protocol", member.name, "sent a body without a length, or a longer one than it said")
        return PeerStream(member, head, connection, rest, length, self._settle)

    def post(self, member: Member, path: str, body: bytes, limit: int, timeout_s: float = 5.0) -> bytes:
        """Send `body`, return the answer's body, at most `limit` bytes of it. Any status but 200 is a `PeerError`.

        May be sent twice if a pooled connection was dead, so only for what may be repeated.
        """
        deadline = time.monotonic() + timeout_s
        connection, head, rest = self._exchange("POST", member, path, _BINARY, body, timeout_s)
        length = head.content_length
        if head.status != 200:
            connection.close()
            raise Declined(member.name, head.status, f"does not answer {path}")
        if length is None or not len(rest) <= length <= limit:
            connection.close()
            raise PeerError("protocol", member.name, f"answered {path} with {length} bytes, the limit is {limit}")
        stream = PeerStream(member, head, connection, rest, length, self._settle)
        try:
            return stream.read_all(deadline)
        finally:
            stream.close()

    def forget(self, member: Member) -> None:
        """The member left or failed: close what is idle. Running exchanges end by themselves."""
        for connection in self._idle.forget(member.name):
            connection.close()

    def close(self) -> None:
        """Close what is idle and keep nothing from now on. Idempotent."""
        self._closed = True
        _close_all(self._idle.clear())
        if self._reaper is not None:
            self._reaper.kill()
            self._reaper = None

    @property
    def idle_connections(self) -> int:
        """How many are kept now."""
        return len(self._idle)

    def _exchange(
        self, method: str, member: Member, path: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> tuple[PeerConnection, ResponseHead, bytes]:
        """One request and its answer's head; a pooled connection found dead is replaced once."""
        message = self._message(method, member, path, headers, body)
        deadline = time.monotonic() + timeout_s
        pooled = self._pooled(member.name)
        if pooled is not None:
            try:
                return self._ask(pooled, message, deadline)
            except NeverAnswered:
                pass  # the peer closed it while it was idle: nothing was read, nothing is lost
        connect_s = min(self._connect_timeout_s, max(0.001, deadline - time.monotonic()))
        return self._ask(PeerConnection(member.name, *address_of(member), connect_s), message, deadline)

    def _ask(
        self, connection: PeerConnection, message: bytes, deadline: float
    ) -> tuple[PeerConnection, ResponseHead, bytes]:
        try:
            head, rest = connection.request(message, deadline)
        except BaseException:  # also when this greenlet is killed: the answer would meet the next request
            connection.close()
            raise
        return connection, head, rest

    def _message(self, method: str, member: Member, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        signed = {**headers, FORWARDED_BY: self._node_name}
        self._sign(signed)
        try:
            return write_request(method, host_port(*address_of(member)), path, signed, body)
        except MessageError as error:
            raise PeerError("protocol", member.name, f"can't be asked: {error}") from error

    def _pooled(self, name: str) -> PeerConnection | None:
        while (connection := self._idle.take(name, time.monotonic())) is not None:
            if connection.usable:
                return connection
            connection.close()
        return None

    def _settle(self, name: str, connection: PeerConnection, *, reusable: bool) -> None:
        """An exchange is over: keep the connection, or close it."""
        if not reusable or self._closed:
            connection.close()
            return
        _close_all(self._idle.put(name, connection, time.monotonic()))
        if self._reaper is None:
            self._reaper = gevent.spawn(self._reap)

    def _reap(self) -> None:
        """Close what has been idle too long; lives only as long as there is something idle."""
        while (expiry := self._idle.next_expiry()) is not None:
            gevent.sleep(max(0.01, expiry - time.monotonic()))
            _close_all(self._idle.expire(time.monotonic()))
        self._reaper = None


def _close_all(connections: Iterable[PeerConnection]) -> None:
    for connection in connections:
        connection.close()
