"""The other driver: hundreds of `Swim` nodes in one process, on a virtual clock and a network that can be made to fail.

Every run of a seed is the same run, event by event; `Simulation.trace` is the proof. What `gossip.udp` does with
sockets and the real clock is done here on `gossip.virtual`; side by side the two show what a driver is.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from random import Random

from gossip.membership import Member, MembershipListener
from gossip.reporting import report
from gossip.swim.effects import (
    Address,
    CloseStream,
    Effect,
    JoinFinished,
    LeaveFinished,
    Notice,
    OpenStream,
    SendDatagram,
    WriteStream,
)
from gossip.swim.protocol import LocalNode, Swim
from gossip.swim.settings import LAN, Settings
from gossip.virtual import Conditions, VirtualClock, VirtualNetwork
from gossip.wire.keyring import Keyring
from gossip.wire.sealing import Sealer

#: A tick held up by a stall comes after the datagrams that waited with it: a real driver reads its socket first.
_AFTER_DATAGRAMS_S = 1e-6


class Simulation(VirtualClock):
    """A clock with a network and the nodes on it."""

    def __init__(self, seed: int, conditions: Conditions | None = None) -> None:
        super().__init__()
        self.seed = seed
        self.network = VirtualNetwork(self, Random(seed), conditions or Conditions())  # noqa: S311 - repeatable on purpose
        self._hosts = count(1)

    def node(
        self,
        name: str,
        tags: Mapping[str, str] | None = None,
        *,
        host: str = "",
        port: int = 7946,
        settings: Settings = LAN,
        notify: Callable[[Notice], None] = lambda _notice: None,
        keyring: Keyring | None = None,
    ) -> "SimulatedMembership":
        """A node that has not been started; without `host` it gets one of its own."""
        local = LocalNode(name, host or self._next_host(), port, dict(tags or {}))
        return SimulatedMembership(self, local, settings, notify, keyring)

    def _next_host(self) -> str:
        number = next(self._hosts)
        return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class SimulatedMembership:
    """One node: a `Membership` whose blocking methods let the simulation run until they are through.

    From inside an event (a listener's, a scheduled callback) use `begin_join` and `begin_leave`, which don't block.
    """

    def __init__(
        self,
        simulation: Simulation,
        local: LocalNode,
        settings: Settings,
        notify: Callable[[Notice], None],
        keyring: Keyring | None,
    ) -> None:
        self.name = local.name
        self.address: Address = (local.host, local.port)
        identity = f"{simulation.seed}/{local.name}"
        nonces = Random(f"{identity}/nonces")  # noqa: S311 - repeatable
        sealer = None if keyring is None else Sealer(keyring, nonces.randbytes)
        self.swim = Swim(settings, local, Random(identity), sealer)  # noqa: S311 - repeatable
        self._simulation = simulation
        self._network = simulation.network
        self._notify = notify
        self._listener: MembershipListener | None = None
        self._accepted = count(-1, -1)
        self._tick_at = float("inf")
        self._stalled_until = 0.0
        self._tokens = count(1)
        self._joins: dict[int, Callable[[int], None]] = {}
        self._leaves: list[Callable[[bool], None]] = []

    def start(self, listener: MembershipListener) -> None:
        """Take part, alone at first. Raises `Unreachable` if the address is taken."""
        self._network.attach(self)
        self._listener = listener
        self._input(lambda swim, now: swim.start(now))

    def join(self, addresses: Sequence[Address]) -> int:
        """Contact these and return how many answered. Runs the simulation."""
        finished: list[int] = []
        self.begin_join(addresses, finished.append)
        self._simulation.run_until(lambda: bool(finished), float("inf"))
        return finished[0]

    def begin_join(self, addresses: Sequence[Address], done: Callable[[int], None]) -> None:
        """Contact these; `done` hears how many answered."""
        token = next(self._tokens)
        self._joins[token] = done
        self._input(lambda swim, now: swim.join(token, addresses, now))

    def broadcast(self, topic: str, payload: bytes) -> None:
        """Tell every member. Raises `UsageError` over the limit."""
        self._input(lambda swim, now: swim.broadcast(topic, payload, now))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Replace the local tags. Raises `UsageError` over the limit."""
        self._input(lambda swim, now: swim.set_tags(tags, now))

    def members(self) -> tuple[Member, ...]:
        """All members known."""
        return self.swim.members()

    def local(self) -> Member:
        """The local member."""
        return self.swim.local()

    def leave(self, timeout_s: float) -> bool:
        """Say good-bye and wait until it has been told. Runs the simulation."""
        finished: list[bool] = []
        self.begin_leave(timeout_s, finished.append)
        self._simulation.run_until(lambda: bool(finished), float("inf"))
        return finished[0]

    def begin_leave(self, timeout_s: float, done: Callable[[bool], None]) -> None:
        """Say good-bye; `done` hears whether it was told in time."""
        self._leaves.append(done)
        self._input(lambda swim, now: swim.leave(timeout_s, now))

    def stop(self) -> None:
        """Vanish, as by kill -9: streams break, datagrams find nobody. Idempotent."""
        self._listener = None
        self._network.detach(self)

    def stall(self, duration_s: float) -> None:
        """Take the processor away: what comes in waits, and nothing goes out."""
        self._stalled_until = self._simulation.now + duration_s

    # What happens to the node (`gossip.virtual.Endpoint`).

    def datagram(self, data: bytes, source: Address) -> None:
        """A datagram arrives."""
        self._happen(lambda swim, now: swim.receive_datagram(data, source, now))

    def next_stream(self) -> int:
        """A number for a stream that somebody opens to this node."""
        return next(self._accepted)

    def accepted(self, stream: int, peer: Address) -> None:
        """Somebody connects."""
        self._happen(lambda swim, now: swim.stream_accepted(stream, peer, now))

    def opened(self, stream: int) -> None:
        """A stream of ours is connected."""
        self._happen(lambda swim, now: swim.stream_opened(stream, now))

    def received(self, stream: int, data: bytes) -> None:
        """Bytes arrive on a stream."""
        self._happen(lambda swim, now: swim.receive_stream(stream, data, now))

    def closed(self, stream: int, reason: str) -> None:
        """The other side ended a stream, or it could not be opened."""
        self._happen(lambda swim, now: swim.stream_closed(stream, reason, now))
        if reason:
            self._network.close(self, stream)

    # The driver proper: every input, then its effects, then the next tick.

    def _happen(self, act: Callable[[Swim, float], None]) -> None:
        """Something comes in: now, or when the stall is over."""
        if self._simulation.now < self._stalled_until:
            self._simulation.schedule(self._stalled_until, lambda: self._happen(act))
        elif self._listener is not None:
            self._input(act)

    def _input(self, act: Callable[[Swim, float], None]) -> None:
        act(self.swim, self._simulation.now)
        for effect in self.swim.effects():
            self._simulation.record(self.name, effect)
            self._carry_out(effect)
        deadline = self.swim.next_deadline()
        if deadline is not None and deadline < self._tick_at:
            self._set_tick(deadline)

    def _set_tick(self, when: float) -> None:
        self._tick_at = when
        self._simulation.schedule(when, lambda: self._tick(when))

    def _tick(self, when: float) -> None:
        if when != self._tick_at or self._listener is None:
            return  # an earlier one was set since, or the node is gone
        if self._simulation.now < self._stalled_until:
            self._set_tick(self._stalled_until + _AFTER_DATAGRAMS_S)
            return
        self._tick_at = float("inf")
        self._input(lambda swim, now: swim.tick(now))

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case SendDatagram(to, data):
                self._network.send(self.address, to, data)
            case OpenStream(stream, to, timeout_s):
                self._network.connect(self, stream, to, timeout_s)
            case WriteStream(stream, data):
                self._network.write(self, stream, data)
            case CloseStream(stream):
                self._network.close(self, stream)
            case JoinFinished(token, reached):
                self._joins.pop(token)(reached)
            case LeaveFinished(told):
                waiting, self._leaves = self._leaves, []
                for done in waiting:
                    done(told)
            case Notice():
                self._notify(effect)
            case _:
                if self._listener is not None:  # not stopped while these effects were carried out
                    report(self._listener, effect)
