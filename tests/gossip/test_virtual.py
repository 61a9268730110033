"""The virtual clock and network: time, loss, partitions, and streams that keep their order."""

from itertools import count
from random import Random

import pytest

from gossip.errors import Unreachable, UsageError
from gossip.virtual import RETRANSMIT_S, Conditions, VirtualClock, VirtualNetwork


def test_callbacks_run_at_their_time_and_in_order() -> None:
    """Time stands at each callback's own; equal times keep the order of scheduling; the past is now."""
    clock, ran = VirtualClock(), list[tuple[str, float]]()
    clock.schedule(2.0, lambda: ran.append(("b", clock.now)))
    clock.schedule(2.0, lambda: ran.append(("c", clock.now)))
    clock.schedule(1.0, lambda: clock.schedule(0.0, lambda: ran.append(("a", clock.now))))
    clock.run(5.0)
    assert ran == [("a", 1.0), ("b", 2.0), ("c", 2.0)]
    assert clock.now == 5.0


def test_run_until() -> None:
    """Time stops at the event that made the condition true; without one it passes to the limit and says so."""
    clock, ran = VirtualClock(), list[int]()
    for second in (1, 2, 3):
        clock.schedule(second, lambda second=second: ran.append(second))  # type: ignore[misc]
    assert clock.run_until(lambda: 2 in ran, 10.0)
    assert (clock.now, ran) == (2.0, [1, 2])
    assert not clock.run_until(lambda: False, 10.0)
    assert (clock.now, ran) == (12.0, [1, 2, 3])


def test_clock_does_not_run_inside_itself() -> None:
    """Letting time pass from inside a callback is a mistake that is named."""
    clock = VirtualClock()
    clock.schedule(1.0, lambda: clock.run(1.0))
    with pytest.raises(UsageError, match="inside an event"):
        clock.run(2.0)
    clock.run(1.0)


def test_trace_depends_on_what_and_when() -> None:
    """Equal records at equal times give equal traces, anything else another one."""

    def trace(at: float, what: str) -> str:
        clock = VirtualClock()
        clock.run(at)
        clock.record("node", what)
        return clock.trace()

    assert trace(1.0, "a") == trace(1.0, "a")
    assert len({trace(1.0, "a"), trace(1.0, "b"), trace(2.0, "a")}) == 3


class Node:
    """An endpoint that writes down what happens to it; `closing` makes it refuse streams at once."""

    def __init__(self, world: "World", host: str, *, closing: bool = False) -> None:
        self.address = (host, 1)
        self.log: list[tuple[object, ...]] = []
        self._world = world
        self._closing = closing
        self._numbers = count(-1, -1)

    def datagram(self, data: bytes, source: tuple[str, int]) -> None:
        self.log.append(("datagram", data, source[0]))

    def next_stream(self) -> int:
        return next(self._numbers)

    def accepted(self, stream: int, peer: tuple[str, int]) -> None:
        self.log.append(("accepted", stream, peer[0]))
        if self._closing:
            self._world.network.close(self, stream)

    def opened(self, stream: int) -> None:
        self.log.append(("opened", stream))

    def received(self, stream: int, data: bytes) -> None:
        self.log.append(("received", stream, data))

    def closed(self, stream: int, reason: str) -> None:
        self.log.append(("closed", stream, reason))


class World:
    """A clock, a network with a latency of 10 to 20 ms, and nodes `a` and `b` on it."""

    def __init__(self, *, closing: bool = False) -> None:
        self.clock = VirtualClock()
        self.conditions = Conditions(latency_s=(0.01, 0.02))
        self.network = VirtualNetwork(self.clock, Random(1), self.conditions)
        self.a, self.b = Node(self, "a"), Node(self, "b", closing=closing)
        self.network.attach(self.a)
        self.network.attach(self.b)

    def send(self) -> list[tuple[object, ...]]:
        """`a` sends `b` a datagram; what `b` gets of it."""
        before = len(self.b.log)
        self.network.send(self.a.address, self.b.address, b"data")
        self.clock.run(1.0)
        return self.b.log[before:]

    def connect(self) -> None:
        """`a` opens stream 1 to `b`."""
        self.network.connect(self.a, 1, self.b.address, 3.0)
        self.clock.run(0.1)


@pytest.fixture
def world() -> World:
    return World()


def test_datagram_takes_its_time(world: World) -> None:
    """A datagram arrives after the latency, with its sender, and is counted there."""
    world.network.send(world.a.address, world.b.address, b"data")
    world.clock.run(0.0099)
    assert world.b.log == []
    world.clock.run(0.0102)
    assert world.b.log == [("datagram", b"data", "a")]
    assert world.network.bytes_sent == {"a": 4}


def test_datagrams_that_vanish(world: World) -> None:
    """Loss, a muted host, a partition and a receiver that is gone swallow datagrams; undone, they arrive again."""
    world.conditions.loss = 1.0
    assert world.send() == []
    world.conditions.loss = 0.0
    world.conditions.muted.append("b")
    assert world.send() == []
    world.conditions.muted.clear()
    world.network.partition(["a"])
    assert world.send() == []
    world.network.heal()
    assert world.send() != []
    world.network.detach(world.b)
    assert world.send() == []


def test_partition_keeps_groups_together(world: World) -> None:
    """Hosts of one group, and all that are not named, still reach each other."""
    world.network.partition(["a", "b"], ["c"])
    assert world.send() != []
    world.network.partition(["c"])
    assert world.send() != []


def test_stream_keeps_its_order(world: World) -> None:
    """Pieces arrive in the order of writing, whatever their latencies; the end comes last, to the other side."""
    world.connect()
    for number in range(50):
        world.network.write(world.a, 1, b"%d" % number)
    world.network.close(world.a, 1)
    world.network.write(world.a, 1, b"after the end")
    world.clock.run(1.0)
    assert world.a.log == [("opened", 1)]
    assert world.b.log == [
        ("accepted", -1, "a"),
        *(("received", -1, b"%d" % number) for number in range(50)),
        ("closed", -1, ""),
    ]


def test_lossy_stream_is_late_but_whole(world: World) -> None:
    """What is lost on a stream comes after a retransmission."""
    world.connect()
    world.conditions.loss = 1.0
    world.network.write(world.a, 1, b"late")
    world.clock.run(RETRANSMIT_S)
    assert len(world.b.log) == 1
    world.clock.run(0.1)
    assert world.b.log[-1] == ("received", -1, b"late")


def test_stream_to_nobody(world: World) -> None:
    """Where nobody listens a stream is refused at once, through a partition it times out."""
    world.network.detach(world.b)
    world.connect()
    assert world.a.log == [("closed", 1, "connection refused")]
    world.network.partition(["a"])
    world.network.connect(world.a, 2, world.b.address, 3.0)
    world.clock.run(2.9)
    assert len(world.a.log) == 1
    world.clock.run(0.2)
    assert world.a.log[-1] == ("closed", 2, "timed out")


def test_stream_breaks_with_its_owner(world: World) -> None:
    """When a node vanishes the other side of its streams hears of a reset."""
    world.connect()
    world.network.detach(world.b)
    world.network.detach(world.b)
    world.clock.run(1.0)
    assert world.a.log[-1] == ("closed", 1, "connection reset")


def test_stream_closed_while_it_is_accepted() -> None:
    """A node that turns callers away may close the stream in the very call that tells of it."""
    world = World(closing=True)
    world.connect()
    assert ("closed", 1, "") in world.a.log


def test_address_taken(world: World) -> None:
    """Two endpoints at one address are an error that names it."""
    with pytest.raises(Unreachable, match="a:1 is taken"):
        world.network.attach(Node(world, "a"))
