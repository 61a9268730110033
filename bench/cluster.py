"""How fast a cluster learns, notices a death and says good-bye, and what it costs, by its size.

Method: the simulated driver (`gossip.simulate`: virtual clock, 0.2 to 1 ms one way, no loss), LAN settings, seed 1.
Nodes join the first three in a storm and then rest for 30 s of virtual time. Broadcasts of 280 bytes start at five
nodes, 2 s apart; the figures are medians. `idle` is what one node sends per second, datagrams and streams, in two
quiet minutes without the headers of IP, UDP and TCP. `failed` is from a kill until the first and until all others hold
the node for failed; `left` from the call of leave until all know it. `CPU` is this process's time per node and
minute of the idle phase, both ends of the network included.

Usage: python -m bench.cluster [SIZE ...]
"""

import statistics
import sys
import time
from collections.abc import Callable

from gossip.membership import Member
from gossip.simulate import SimulatedMembership, Simulation

PAYLOAD_BYTES = 280
IDLE_S = 120.0


class Watch:
    """A listener that notes when it heard of what."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.heard: dict[str, float] = {}

    def joined(self, member: Member) -> None:
        """Not watched."""

    def updated(self, member: Member) -> None:
        """Not watched."""

    def left(self, member: Member) -> None:
        """A good-bye."""
        self.heard.setdefault(f"left {member.name}", self._simulation.now)

    def failed(self, member: Member) -> None:
        """A death."""
        self.heard.setdefault(f"failed {member.name}", self._simulation.now)

    def received(self, topic: str, payload: bytes) -> None:  # noqa: ARG002 - the topic says it all
        """A broadcast."""
        self.heard.setdefault(topic, self._simulation.now)

    def lost(self) -> None:
        """Never, here."""


class Run:
    """One cluster of a size, measured."""

    def __init__(self, size: int) -> None:
        self._simulation = Simulation(seed=1)
        self._watches = [Watch(self._simulation) for _ in range(size)]
        self._nodes = [self._simulation.node(f"n{number}") for number in range(size)]
        self._size = size

    def row(self) -> str:
        """The line of the table."""
        formed = self._form()
        cost_s, idle_bytes = self._rest()
        half, most, everybody = self._broadcasts()
        left = self._all_heard("left n5", lambda: self._nodes[5].begin_leave(5.0, lambda _told: None), 5)
        first, failed = self._killed(6)
        return (
            f"{self._size:6} {formed:9.2f} {half:7.3f} {most:7.3f} {everybody:7.3f} {left:7.2f} {first:8.1f} "
            f"{failed:7.1f} {idle_bytes:9.0f} {cost_s:8.3f}"
        )

    def _form(self) -> float:
        seeds = [node.address for node in self._nodes[:3]]
        for node, watch in zip(self._nodes, self._watches, strict=True):
            node.start(watch)
            self._join(node, [seed for seed in seeds if seed != node.address])
        formed = self._until(lambda: all(len(node.members()) == self._size for node in self._nodes), 0.05)
        self._simulation.run(30)
        return formed

    def _join(self, node: SimulatedMembership, seeds: list[tuple[str, int]]) -> None:
        """Join, and try again half a second after a failure: in a storm the seeds turn away some of the callers."""

        def done(reached: int) -> None:
            if not reached:
                self._simulation.schedule(self._simulation.now + 0.5, lambda: self._join(node, seeds))

        node.begin_join(seeds, done)

    def _rest(self) -> tuple[float, float]:
        before, started = sum(self._simulation.network.bytes_sent.values()), time.process_time()
        self._simulation.run(IDLE_S)
        sent = sum(self._simulation.network.bytes_sent.values()) - before
        cost_s = (time.process_time() - started) / self._size / (IDLE_S / 60)
        return cost_s, sent / self._size / IDLE_S

    def _broadcasts(self) -> tuple[float, float, float]:
        """Median seconds until half, 99 % and all of the others know."""
        columns: list[tuple[float, float, float]] = []
        for number in range(5):
            topic, started = f"news{number}", self._simulation.now
            self._nodes[number].broadcast(topic, bytes(PAYLOAD_BYTES))
            self._simulation.run(2)
            times = sorted(watch.heard[topic] - started for watch in self._watches if topic in watch.heard)
            others = self._size - 1
            missing = [float("inf")] * (others - len(times))
            times += missing
            columns.append((times[others // 2], times[int(others * 0.99) - 1], times[-1]))
        half, most, everybody = (statistics.median(column) for column in zip(*columns, strict=True))
        return half, most, everybody

    def _killed(self, number: int) -> tuple[float, float]:
        what = f"failed {self._nodes[number].name}"
        started = self._simulation.now
        everybody = self._all_heard(what, self._nodes[number].stop, 5, number)
        return min(watch.heard[what] for watch in self._watches if what in watch.heard) - started, everybody

    def _all_heard(self, what: str, act: Callable[[], None], *absent: int) -> float:
        """Seconds from `act` until all but the `absent` have heard."""
        watches = [watch for number, watch in enumerate(self._watches) if number not in absent]
        act()
        return self._until(lambda: all(what in watch.heard for watch in watches), 0.01)

    def _until(self, condition: Callable[[], bool], step_s: float) -> float:
        started = self._simulation.now
        while not condition():
            self._simulation.run(step_s)
            if self._simulation.now - started > 300:
                raise RuntimeError(f"{self._size} nodes did not get there in 300 s")
        return self._simulation.now - started


def main(sizes: list[int]) -> None:
    """Print the table."""
    print(__doc__)
    print(" nodes  formed s  50 % s  99 % s  100 % s  left s  failed: first, all s  idle B/s  CPU s/min")
    for size in sizes:
        print(Run(size).row(), flush=True)


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [10, 50, 100])
