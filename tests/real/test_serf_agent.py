"""Three Rykte engines and a stock `serf agent` in one cluster: neither kind can tell the other from its own."""

import time
from collections.abc import Iterator

import gevent
import pytest

from gossip.membership import MemberState
from tests.gossip.loopback import PORT, fresh_host, wait
from tests.real.serf_agent import SerfAgent
from tests.real.serf_cluster import Cluster, RykteNode

#: Probes go round the cluster ten times, and a push/pull happens on every node.
CALM_S = 35.0


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with SerfAgent("agent", fresh_host(), PORT, {"role": "stock"}) as agent:
        cluster = Cluster(agent, [RykteNode(f"rykte{number}") for number in (1, 2, 3)])
        try:
            cluster.form()
            yield cluster
        finally:
            cluster.stop()


def test_members_and_tags(cluster: Cluster) -> None:
    """Joins are seen both ways, with tags, and changed tags follow within a gossip round or two."""
    first, agent = cluster.nodes[0], cluster.agent
    for node in cluster.nodes:
        assert agent.members()[node.name] == ("alive", {"node": node.name, "zone": "a"})
        assert dict(node.recorder.members["agent"].tags) == {"role": "stock"}
        assert (node.recorder.members["agent"].host, node.recorder.members["agent"].port) == agent.address
    first.membership.set_tags({"node": first.name, "zone": "b"})
    wait(lambda: agent.members()[first.name][1]["zone"] == "b")
    agent.ask("tags", "-set", "role=changed")
    wait(lambda: all(node.recorder.members["agent"].tags["role"] == "changed" for node in cluster.nodes))


def test_events_both_ways(cluster: Cluster) -> None:
    """An agent's user event reaches every node, a node's broadcast the agent and every other node, unchanged."""
    sender, *others = cluster.nodes
    cluster.agent.ask("event", "-coalesce=false", "deploy", "version 7")
    wait(lambda: all(("deploy", b"version 7") in node.recorder.payloads for node in cluster.nodes))
    for number in range(3):
        sender.membership.broadcast("delta", b"payload %d" % number)
    wait(lambda: len(cluster.agent.payloads("delta").splitlines()) == 3)
    wait(lambda: all(len(set(node.recorder.payloads)) == 4 for node in others))
    assert sorted(cluster.agent.payloads("delta").splitlines()) == ["payload 0", "payload 1", "payload 2"]
    assert [topic for topic, _ in sender.recorder.payloads] == ["deploy"]


def test_reachability(cluster: Cluster) -> None:
    """The agent's own check, a query that every live node must acknowledge, finds all four."""
    assert "Successfully contacted all live nodes" in cluster.agent.ask("reachability")


def test_an_agent_that_crashes(cluster: Cluster) -> None:
    """A killed agent is found failed by everybody; started again under its name it is a member again."""
    cluster.agent.kill()
    wait(lambda: all(node.state_of("agent") is MemberState.FAILED for node in cluster.nodes))
    assert all(node.recorder.count("failed", "agent") == 1 for node in cluster.nodes)
    cluster.agent.start()
    # Nobody tells it to join: our nodes look for members that failed.
    wait(lambda: all(node.state_of("agent") is MemberState.ALIVE for node in cluster.nodes))
    wait(lambda: set(cluster.agent.statuses().values()) == {"alive"} and len(cluster.agent.statuses()) == 4)


def test_a_node_that_crashes(cluster: Cluster) -> None:
    """A node that stops without goodbye is failed in the agent's eyes."""
    gone, *others = cluster.nodes
    gone.membership.stop()
    wait(lambda: cluster.agent.statuses()[gone.name] == "failed")
    wait(lambda: all(node.state_of(gone.name) is MemberState.FAILED for node in others))


def test_a_node_that_leaves(cluster: Cluster) -> None:
    """A graceful leave is `left` in the agent's eyes, not `failed`, and the others see the same."""
    leaver, *others = cluster.nodes
    assert leaver.membership.leave(5.0)
    leaver.membership.stop()
    wait(lambda: cluster.agent.statuses()[leaver.name] == "left")
    wait(lambda: all(node.state_of(leaver.name) is MemberState.LEFT for node in others))
    assert all(node.recorder.count("failed", leaver.name) == 0 for node in others)


def test_an_agent_that_leaves(cluster: Cluster) -> None:
    """The agent's graceful leave is a goodbye here, no failure."""
    cluster.agent.ask("leave")
    wait(lambda: all(node.state_of("agent") is MemberState.LEFT for node in cluster.nodes))
    assert all(node.recorder.count("failed", "agent") == 0 for node in cluster.nodes)


def test_calm(cluster: Cluster) -> None:
    """Over half a minute nobody suspects anybody: no complaint on either side, and every node feels healthy."""
    until = time.monotonic() + CALM_S
    while time.monotonic() < until:
        gevent.sleep(1)
        assert [node.drivers[0].health for node in cluster.nodes] == [0, 0, 0]
    for node in cluster.nodes:
        assert [notice for notice in node.notices.kept if notice.level in ("warning", "error")] == []
        assert {what for what, _ in node.recorder.told} == {"joined"}
    assert cluster.agent.complaints() == []
    assert "Suspect" not in cluster.agent.log()
