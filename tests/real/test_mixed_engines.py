"""Whole `rykte serve` processes of both engines in one cluster: two on `swim`, one on `serf` with a stock agent."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bench.client import pull
from bench.nodes import LoopbackNode
from tests.gossip.loopback import PORT, fresh_host
from tests.images import TestImage, build_image, write_layout
from tests.real.lab.waiting import eventually
from tests.real.serf_agent import SerfAgent

#: An agent tells its stream of members up to 3 s late, and finds a dead one after some 5 s.
SEEN_S = 20


def name_of(number: int) -> str:
    return f"registry.test/team/app-{number}:1.0"


class Mixed:
    """Three nodes, each with an image that no other has. The third is beside an agent, at the agent's address."""

    def __init__(self, folder: Path, agent: SerfAgent) -> None:
        self.agent = agent
        hosts = (fresh_host(), fresh_host(), agent.host)
        self.nodes = [LoopbackNode.make(number, folder, host=host) for number, host in enumerate(hosts, 1)]
        self.images: list[TestImage] = []
        for number, node in enumerate(self.nodes, 1):
            self.images.append(build_image(layers=[b"a layer of %d" % number * 1000]))
            write_layout(node.layout, {name_of(number): self.images[-1]})
        self.nodes[2].options = ("--engine", "serf", "--serf-rpc-addr", f"{agent.host}:{agent.rpc_port}")

    def start(self) -> None:
        for node in self.nodes:
            node.start(None if node is self.nodes[0] else self.nodes[0])
        for node in self.nodes:
            eventually(node.is_ready, SEEN_S, f"{node.name} is ready")

    def all_know_all(self) -> None:
        """Wait until each node sees every node alive and knows a holder of every image."""
        names = {node.name for node in self.nodes}
        for node in self.nodes:
            eventually(partial(self._sees, node, names), SEEN_S, f"{node.name} sees everybody alive")
            for number in (1, 2, 3):
                eventually(partial(node.knows_holders, name_of(number)), SEEN_S, f"{node.name} knows who has {number}")

    def pull_all(self) -> None:
        """Each node gives every image, its own and the others', whole (the client compares digests)."""
        for node in self.nodes:
            for number, image in enumerate(self.images, 1):
                got = sum(content.size for content in pull(node.registry, name_of(number)))
                assert got == sum(len(blob.content) for blob in image.blobs.values())

    @staticmethod
    def _sees(node: LoopbackNode, names: set[str]) -> bool:
        return node.nodes_alive() == names


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    """Started, formed, and ended without a rest."""
    with SerfAgent("agent", fresh_host(), PORT) as agent:
        mixed = Mixed(tmp_path, agent)
        try:
            mixed.start()
            yield mixed
        finally:
            for node in mixed.nodes:
                node.stop()


def test_one_cluster_of_both_engines(mixed: Mixed) -> None:
    """All know all content and pull it from each other; new content is told both ways; the goodbye is understood."""
    mixed.all_know_all()
    mixed.pull_all()
    late = build_image(layers=[b"late" * 500])
    for number, node in enumerate(mixed.nodes, 1):
        write_layout(node.layout, {name_of(number): mixed.images[number - 1], f"registry.test/late-{number}:1": late})
        for other in mixed.nodes:
            eventually(partial(other.knows_holders, f"registry.test/late-{number}:1"), SEEN_S, f"late of {node.name}")
    first, _, third = mixed.nodes
    third.stop()
    eventually(lambda: not first.knows_holders(name_of(3)), SEEN_S, "node-3 is no holder any more")
    assert mixed.agent.members()["agent"] == ("alive", {"bye": "1"})
    third.start(first)
    eventually(third.is_ready, SEEN_S, "node-3 is ready again")
    mixed.all_know_all()


def test_the_agent_is_killed_and_restarted(mixed: Mixed) -> None:
    """The mirror beside it serves on, and recovers by itself: members, tags and filters are all there again."""
    mixed.all_know_all()
    first, _, third = mixed.nodes
    mixed.agent.kill()
    eventually(lambda: "agent lost" in third.log.read_text(), SEEN_S, "the loss is logged")
    assert sum(content.size for content in pull(third.registry, name_of(3))) > 10_000
    assert sum(content.size for content in pull(third.registry, name_of(1))) > 10_000
    eventually(lambda: third.name not in first.nodes_alive(), SEEN_S, "the others find the agent failed")
    mixed.agent.start()
    eventually(lambda: "agent is back" in third.log.read_text(), SEEN_S, "the return is logged")
    mixed.all_know_all()
    mixed.pull_all()
    assert mixed.agent.members()["agent"][1]["node"] == third.name


def test_a_mirror_that_crashes_beside_its_agent(mixed: Mixed) -> None:
    """Its agent lives on with its tags; started again, it is one member still, with the content of the new start."""
    mixed.all_know_all()
    first, _, third = mixed.nodes
    for pid in third.processes():
        os.kill(pid, signal.SIGKILL)
    third.stop()
    write_layout(third.layout, {"registry.test/other:1": build_image(layers=[b"other" * 500])})
    third.start(first)
    eventually(third.is_ready, SEEN_S, "node-3 is ready again")
    eventually(partial(first.knows_holders, "registry.test/other:1"), SEEN_S, "node-1 knows the new content")
    assert first.nodes_alive() == {node.name for node in mixed.nodes}
