"""The sockets of the gevent driver: one UDP socket and one TCP listener on the same address and port, and streams.

Greenlets: one that hears datagrams, one that accepts, and those of the open streams (`tcp`). `stop` ends them all;
every other call returns at once, without a switch.
"""

from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

import gevent
from gevent import Greenlet, socket

from gossip.errors import Unreachable
from gossip.swim.effects import Address, Notice
from gossip.swim.settings import Settings
from gossip.tcp import Spawn, StreamUser, TcpStream, family_of

#: memberlist asks for as much: a burst of a large cluster waits in the kernel instead of being lost. The kernel
#: gives at most net.core.rmem_max.
_RECEIVE_BUFFER_BYTES = 2 << 20
_MAX_DATAGRAM_BYTES = 64 << 10
_BACKLOG = 128
#: Datagrams handled in one go before other greenlets have their turn.
_BATCH = 64
#: Pause after a connection could not be accepted: out of descriptors, trying at once only burns the processor.
_ACCEPT_PAUSE_S = 0.1

Notify = Callable[[Notice], None]


class TransportUser(StreamUser, Protocol):
    """Who is told what arrives. Calls must not switch greenlets. Accepted streams have negative numbers."""

    def datagram_received(self, data: bytes, sender: Address) -> None:
        """A datagram as it came."""

    def stream_accepted(self, number: int, peer: Address) -> None:
        """Somebody connected."""


class Transport:
    """Bound from construction on; hears nothing before `start`."""

    def __init__(self, bind: Address, settings: Settings, user: TransportUser, spawn: Spawn, notify: Notify) -> None:
        """Raises `Unreachable` if the address can't be had; nothing is left open then."""
        self._settings = settings
        self._user = user
        self._spawn = spawn
        self._notify = notify
        self._streams: dict[int, TcpStream] = {}
        self._numbers = count(-1, -1)
        self._greenlets: list[Greenlet[..., Any]] = []
        self._tcp = _bound(bind, socket.SOCK_STREAM)
        try:
            self._udp = _bound(bind, socket.SOCK_DGRAM)
        except Unreachable:
            self._tcp.close()
            raise
        self._tcp.listen(_BACKLOG)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        self._udp.setblocking(False)

    def start(self) -> None:
        """Begin to hear."""
        self._greenlets += [self._spawn(self._hear_datagrams), self._spawn(self._accept)]

    def stop(self) -> None:
        """Close everything and wait until no greenlet is left. Idempotent."""
        gevent.killall(self._greenlets)
        self._greenlets.clear()
        while self._streams:  # the end of one, told while another is stopped, may have opened a further one
            next(iter(self._streams.values())).stop()
        self._udp.close()
        self._tcp.close()

    def send(self, to: Address, data: bytes) -> None:
        """Send a datagram, or lose it, as any network may: full buffers and missing routes are not told."""
        try:
            self._udp.sendto(data, to)
        except BlockingIOError:
            pass
        except OSError as error:
            self._notify(Notice("debug", "datagram not sent", (("host", to[0]), ("error", str(error)))))

    def open_stream(self, number: int, to: Address, timeout_s: float) -> None:
        """Connect within `timeout_s`; `stream_opened` or `stream_ended` follows."""
        self._add_stream(number, to).open(timeout_s)

    def write_stream(self, number: int, data: bytes) -> None:
        """Queue bytes; on a stream that is gone they are lost."""
        if stream := self._streams.get(number):
            stream.write(data)

    def close_stream(self, number: int) -> None:
        """Flush, then close."""
        if stream := self._streams.get(number):
            stream.close()

    def hear_waiting(self) -> None:
        """Hand over the datagrams that have arrived, at most a batch."""
        for _ in range(_BATCH):
            try:
                data, sender = self._udp.recvfrom(_MAX_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            self._user.datagram_received(data, sender[:2])

    def _add_stream(self, number: int, peer: Address) -> TcpStream:
        def gone(number: int) -> None:
            self._streams.pop(number, None)

        stream = TcpStream(number, peer, self._user, self._settings.stream_timeout_s, self._spawn, gone)
        self._streams[number] = stream
        return stream

    def _hear_datagrams(self) -> None:
        while True:
            socket.wait_read(self._udp.fileno())
            self.hear_waiting()
            gevent.sleep(0)  # a flood must not keep the hub

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._tcp.accept()
            except OSError as error:
                self._notify(Notice("warning", "connection not accepted", (("error", str(error)),)))
                gevent.sleep(_ACCEPT_PAUSE_S)
                continue
            # The core counts those it talks with; this also counts those that are still being flushed.
            if sum(number < 0 for number in self._streams) >= self._settings.stream_limit:
                connection.close()
                continue
            stream = self._add_stream(next(self._numbers), peer[:2])
            stream.adopt(connection)
            self._user.stream_accepted(stream.number, stream.peer)


def _bound(address: Address, kind: int) -> socket.socket:
    bound = socket.socket(family_of(address[0]), kind)
    try:
        if kind == socket.SOCK_STREAM:
            # Connections of an earlier life that linger in TIME_WAIT don't keep the port.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if bound.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        protocol = "TCP" if kind == socket.SOCK_STREAM else "UDP"
        raise Unreachable(
            f"gossip can't listen on {address[0]} port {address[1]} ({protocol}): {error.strerror or error}; "
            "free the port, or choose another gossip address"
        ) from error
    return bound
