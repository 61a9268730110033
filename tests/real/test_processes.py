"""Whole `rykte serve` processes, three of them, and a stock `serf agent` in one cluster."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bench.client import pull
from bench.nodes import LoopbackNode
from tests.gossip.loopback import fresh_host
from tests.images import build_image, write_layout
from tests.real.lab.waiting import eventually
from tests.real.serf_agent import SerfAgent

IMAGE = "registry.test/team/app:1.0"
GOSSIP_PORT = 7946


class Cluster:
    """The first node holds an image; the others and the agent have joined it."""

    def __init__(self, agent: SerfAgent, nodes: list[LoopbackNode]) -> None:
        self.agent = agent
        self.nodes = nodes

    def statuses(self) -> dict[str, str]:
        """The agent's view, by the nodes' own names."""
        return {tags.get("node", name): status for name, (status, tags) in self.agent.members().items()}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Started, formed, and ended without a rest."""
    nodes = [LoopbackNode.make(number, tmp_path, host=fresh_host()) for number in (1, 2, 3)]
    for node in nodes:
        write_layout(node.layout, {IMAGE: build_image(layers=[b"a layer" * 1000])} if node is nodes[0] else {})
    with SerfAgent("agent", fresh_host(), GOSSIP_PORT) as agent:
        try:
            for node in nodes:
                node.start(None if node is nodes[0] else nodes[0])
            for node in nodes:
                eventually(node.is_ready, 20, f"{node.name} is ready")
            agent.ask("join", f"{nodes[0].host}:{nodes[0].gossip_port}")
            yield Cluster(agent, nodes)
        finally:
            for node in nodes:
                node.stop()


def test_one_cluster_with_a_stock_agent(cluster: Cluster):
    """All see each other alive, a pull between nodes works beside the agent, and SIGTERM shows as `left` there."""
    names = {node.name for node in cluster.nodes}
    everybody = dict.fromkeys({*names, "agent"}, "alive")
    eventually(lambda: cluster.statuses() == everybody, 20, "the agent sees all nodes alive")
    for node in cluster.nodes:
        eventually(partial(sees, node, {*names, "agent"}), 20, f"{node.name} sees the agent")
    eventually(partial(cluster.nodes[1].knows_holders, IMAGE), 10, "node-2 knows who has the image")
    assert sum(content.size for content in pull(cluster.nodes[1].registry, IMAGE)) > 7000
    cluster.nodes[2].stop()
    eventually(lambda: cluster.statuses()["node-3"] == "left", 10, "the agent shows node-3 as left")
    assert cluster.statuses() == {**everybody, "node-3": "left"}


def sees(node: LoopbackNode, names: set[str]) -> bool:
    return node.nodes_alive() == names
