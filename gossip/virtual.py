"""A virtual clock and a virtual network: what a simulation runs on. Knows nothing of membership.

Everything that happens is a callback at a time; the same seed gives the same times, so the same run. Not modelled:
bandwidth, and bytes lost within a stream (a lossy stream is a slow one).
"""

import heapq
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from random import Random
from typing import Protocol

from gossip.errors import Unreachable, UsageError

Address = tuple[str, int]

#: A lossy stream repeats a segment after this (Linux' smallest retransmission timeout).
RETRANSMIT_S = 0.2


class VirtualClock:
    """Time that passes only in `run` and `run_until`; starts at 0."""

    def __init__(self) -> None:
        self.now = 0.0
        self._future: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._trace = blake2b(digest_size=16)
        self._inside = False

    def schedule(self, at: float, callback: Callable[[], None]) -> None:
        """Call back at this time, or now if it has passed; equal times in the order of scheduling."""
        heapq.heappush(self._future, (max(at, self.now), next(self._order), callback))

    def run(self, duration_s: float) -> None:
        """Let that much time pass."""
        self.run_until(lambda: False, duration_s)

    def run_until(self, predicate: Callable[[], bool], timeout_s: float) -> bool:
        """Let time pass until `predicate` holds, asked after every event; False if it never did within `timeout_s`."""
        if self._inside:
            raise UsageError("the clock runs already: what lets time pass can't be called from inside an event")
        deadline = self.now + timeout_s
        self._inside = True
        try:
            while not predicate():
                if not self._future or self._future[0][0] > deadline:
                    self.now = deadline
                    return False
                self.now, _, callback = heapq.heappop(self._future)
                callback()
            return True
        finally:
            self._inside = False

    def record(self, *what: object) -> None:
        """Add something that happened, and when, to the trace; its `repr` must not depend on the process."""
        self._trace.update(repr((self.now, what)).encode())

    def trace(self) -> str:
        """A digest of everything recorded so far, in order."""
        return self._trace.hexdigest()


class Endpoint(Protocol):
    """One node on the network. The methods are what happens to it; a stream's number is its own."""

    address: Address

    def datagram(self, data: bytes, source: Address) -> None: ...
    def next_stream(self) -> int: ...
    def accepted(self, stream: int, peer: Address) -> None: ...
    def opened(self, stream: int) -> None: ...
    def received(self, stream: int, data: bytes) -> None: ...
    def closed(self, stream: int, reason: str) -> None: ...


@dataclass(slots=True)
class _End:
    """Where what one side of a stream writes comes out."""

    peer: Endpoint
    peer_stream: int
    last_arrival: float = 0.0


@dataclass(slots=True)
class Conditions:
    """How the network is; may be changed while time passes."""

    latency_s: tuple[float, float] = (0.0002, 0.001)
    """One way, uniform."""
    loss: float = 0.0
    """Share of the datagrams that vanish; on a stream, of the pieces that come late."""
    muted: list[str] = field(default_factory=list)
    """Hosts whose datagrams, in and out, vanish; their streams work."""


class VirtualNetwork:
    """Carries datagrams and streams between endpoints."""

    def __init__(self, clock: VirtualClock, rng: Random, conditions: Conditions) -> None:
        self.conditions = conditions
        self.bytes_sent: dict[str, int] = {}
        self._clock = clock
        self._rng = rng
        self._endpoints: dict[Address, Endpoint] = {}
        self._streams: dict[Address, dict[int, _End]] = {}
        self._group: dict[str, int] = {}

    def attach(self, endpoint: Endpoint) -> None:
        """Put an endpoint on the network. Raises `Unreachable` if its address is taken."""
        host, port = endpoint.address
        if endpoint.address in self._endpoints:
            raise Unreachable(f"{host}:{port} is taken; choose another port or stop who uses it")
        self._endpoints[endpoint.address] = endpoint
        self._streams[endpoint.address] = {}

    def detach(self, endpoint: Endpoint) -> None:
        """Take it off, as a killed process goes: its streams break. Idempotent."""
        if self._endpoints.get(endpoint.address) is endpoint:
            for stream in list(self._streams[endpoint.address]):
                self.close(endpoint, stream, "connection reset")
            del self._endpoints[endpoint.address], self._streams[endpoint.address]

    def partition(self, *groups: Collection[str]) -> None:
        """Cut the network into these groups of hosts; all hosts not named are one more group."""
        self._group = {host: number for number, hosts in enumerate(groups, 1) for host in hosts}

    def heal(self) -> None:
        """Undo `partition`."""
        self._group = {}

    def send(self, source: Address, to: Address, data: bytes) -> None:
        """A datagram on its way: whether it is lost is decided now, who is there when it arrives."""
        self._count(source, data)
        muted, loss = self.conditions.muted, self.conditions.loss
        if muted and (source[0] in muted or to[0] in muted):
            return
        if not self._connected(source, to) or (loss and self._rng.random() < loss):
            return

        def arrive() -> None:
            endpoint = self._endpoints.get(to)
            if endpoint is not None:
                endpoint.datagram(data, source)

        self._clock.schedule(self._clock.now + self._latency_s(), arrive)

    def connect(self, endpoint: Endpoint, stream: int, to: Address, timeout_s: float) -> None:
        """Open a stream: accepted, refused where nobody listens, timed out where nothing arrives."""
        now = self._clock.now
        if not self._connected(endpoint.address, to):
            self._clock.schedule(now + timeout_s, lambda: endpoint.closed(stream, "timed out"))
            return
        latency_s = self._stream_latency_s()

        def arrive() -> None:
            peer = self._endpoints.get(to)
            if peer is None:
                self._clock.schedule(now + 2 * latency_s, lambda: endpoint.closed(stream, "connection refused"))
            elif self._endpoints.get(endpoint.address) is endpoint:
                peer_stream = peer.next_stream()
                self._streams[to][peer_stream] = _End(endpoint, stream)
                self._streams[endpoint.address][stream] = _End(peer, peer_stream)
                self._clock.schedule(now + 2 * latency_s, lambda: endpoint.opened(stream))
                peer.accepted(peer_stream, endpoint.address)  # last: it may close the stream at once

        self._clock.schedule(now + latency_s, arrive)

    def write(self, endpoint: Endpoint, stream: int, data: bytes) -> None:
        """Bytes on a stream; on one that is closed they are dropped."""
        end = self._streams.get(endpoint.address, {}).get(stream)
        if end is not None:
            self._count(endpoint.address, data)
            self._deliver(endpoint, end, lambda: end.peer.received(end.peer_stream, data))

    def close(self, endpoint: Endpoint, stream: int, reason: str = "") -> None:
        """End a stream in order (no reason) or by breaking it; unknown ones are ignored."""
        end = self._streams.get(endpoint.address, {}).pop(stream, None)
        if end is not None:
            self._deliver(endpoint, end, lambda: end.peer.closed(end.peer_stream, reason))

    def _deliver(self, endpoint: Endpoint, end: _End, happen: Callable[[], None]) -> None:
        """Let something arrive behind what was sent before; what meets a partition never does."""
        if self._connected(endpoint.address, end.peer.address):
            end.last_arrival = max(end.last_arrival, self._clock.now + self._stream_latency_s())
            self._clock.schedule(end.last_arrival, happen)

    def _connected(self, here: Address, there: Address) -> bool:
        return self._group.get(here[0], 0) == self._group.get(there[0], 0)

    def _stream_latency_s(self) -> float:
        late = self.conditions.loss and self._rng.random() < self.conditions.loss
        return self._latency_s() + (RETRANSMIT_S if late else 0.0)

    def _latency_s(self) -> float:
        low, high = self.conditions.latency_s
        return low + (high - low) * self._rng.random()

    def _count(self, source: Address, data: bytes) -> None:
        self.bytes_sent[source[0]] = self.bytes_sent.get(source[0], 0) + len(data)
