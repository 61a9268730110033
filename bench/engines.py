"""What each membership engine costs on a small cluster, and how fast its nodes know of each other.

Method: three nodes (`rykte serve`, layout stores) on loopback, once with `--engine swim`, once with `--engine serf`
and a stock `serf agent` beside each; `--agents` makes the cluster larger by so many agents without a mirror. Idle:
CPU seconds of a node's processes over `--seconds`, from /proc, and resident memory at its end, agent apart. Change:
from a new image in one node's layout until both others' directories name a holder, median and largest of `--changes`.
Goodbye and crash: from SIGTERM to a node, and from SIGKILL to all that a node has, until the others see it alive no
more. Run it on a quiet machine: `python -m bench.engines`.
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.footprint import resident_megabytes
from bench.nodes import LoopbackNode, cpu_seconds, wait_for
from tests.images import build_image, write_layout
from tests.real.serf_agent import SerfAgent

_GOSSIP_PORT = 7946
_DETECTION_S = 30.0


class Cluster:
    """Three nodes of one engine; a context manager that ends them all."""

    def __init__(self, engine: str, folder: Path, others: int) -> None:
        self.nodes = [LoopbackNode.make(number, folder, host=f"127.0.9.{number}") for number in (1, 2, 3)]
        self.agents = [SerfAgent(node.name, node.host, _GOSSIP_PORT) for node in self.nodes if engine == "serf"]
        self._others = [SerfAgent(f"other-{n}", f"127.0.10.{n}", _GOSSIP_PORT) for n in range(1, others + 1)]
        self._stack = ExitStack()
        for node in self.nodes:
            write_layout(node.layout, {})
            node.options = ("--engine", engine, "--serf-rpc-addr", f"{node.host}:7373")
            node.gossip_port = _GOSSIP_PORT

    def __enter__(self) -> "Cluster":
        for agent in self.agents:
            self._stack.enter_context(agent)
        for node in self.nodes:
            self._stack.callback(node.stop)
            node.start(None if node is self.nodes[0] else self.nodes[0])
        names = {each.name for each in (*self.nodes, *self._others)}
        for node in self.nodes:
            wait_for(f"{node.name} is ready", node.is_ready)
        for agent in self._others:
            self._stack.enter_context(agent)
            agent.ask("join", f"{self.nodes[0].host}:{_GOSSIP_PORT}")
        for node in self.nodes:
            wait_for(f"{node.name} sees all", lambda node=node: node.nodes_alive() >= names, _DETECTION_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def idle(self, seconds: int) -> Iterator[str]:
        """CPU and memory of a node at rest, and of its agent."""
        time.sleep(5)  # joining and the first exchange are no idling
        kinds = {"mirror": [node.processes() for node in self.nodes]}
        if self.agents:
            kinds["agent"] = [(agent.pid,) for agent in self.agents]
        before = {kind: [cpu_seconds(*pids) for pids in nodes] for kind, nodes in kinds.items()}
        time.sleep(seconds)
        for kind, nodes in kinds.items():
            used_s = [cpu_seconds(*pids) - old for pids, old in zip(nodes, before[kind], strict=True)]
            rate = statistics.median(used_s) * 60 / seconds
            resident = statistics.median(sum(map(resident_megabytes, pids)) for pids in nodes)
            yield f"{kind:<9} idle     {rate:.2f} CPU-s/min, {resident:.0f} MB resident"

    def changes(self, count: int) -> str:
        """How long until all know of new content."""
        images, seconds = {}, []
        first, *others = self.nodes
        for number in range(count):
            name = f"registry.example/bench/change-{number}:v1"
            images[name] = build_image(layers=[f"{name} {time.time_ns()}".encode()])
            write_layout(first.layout, images)
            begun = time.monotonic()
            for node in others:
                wait_for(f"{node.name} knows {name}", lambda node=node, name=name: node.knows_holders(name))
            seconds.append(time.monotonic() - begun)
            time.sleep(0.5)
        return f"change    known    {statistics.median(seconds):.2f} s median, {max(seconds):.2f} s largest of {count}"

    def goodbye(self) -> str:
        """How long until all know that a node was stopped."""
        last = self.nodes[-1]
        begun = time.monotonic()
        assert last.process is not None
        last.process.terminate()
        seconds = self._gone(last, self.nodes[:-1], begun)
        last.stop()
        return f"goodbye   known    {seconds:.2f} s"

    def crash(self) -> str:
        """How long until the first knows that the second was killed with all that it has."""
        first, second, _ = self.nodes
        begun = time.monotonic()
        for pid in second.processes():
            os.kill(pid, signal.SIGKILL)
        if self.agents:
            self.agents[1].kill()
        return f"crash     known    {self._gone(second, [first], begun):.2f} s"

    @staticmethod
    def _gone(node: LoopbackNode, others: list[LoopbackNode], begun: float) -> float:
        for other in others:
            wait_for(f"{other.name} knows", lambda other=other: node.name not in other.nodes_alive(), _DETECTION_S)
        return time.monotonic() - begun


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--agents", type=int, default=0)
    options = parser.parse_args()
    for engine in ("swim", "serf"):
        print(f"--engine {engine}, 3 nodes and {options.agents} further agents:", flush=True)
        with (
            tempfile.TemporaryDirectory(prefix="rykte-bench-") as directory,
            Cluster(engine, Path(directory), options.agents) as cluster,
        ):
            print(cluster.changes(options.changes), flush=True)
            for line in cluster.idle(options.seconds):
                print(line, flush=True)
            print(cluster.goodbye(), cluster.crash(), sep="\n", flush=True)


if __name__ == "__main__":
    main()
