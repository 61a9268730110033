"""Encryption with stock agents: `serf agent -encrypt` and `serf keys` against engines and whole nodes of ours."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bench.nodes import LoopbackNode
from gossip.membership import MemberState
from gossip.wire.keyring import Key, Keyring
from tests.gossip.loopback import PORT, fresh_host, wait
from tests.gossip.wire.sealing import KEYS
from tests.images import write_layout
from tests.real.lab.waiting import eventually
from tests.real.serf_agent import SerfAgent
from tests.real.serf_cluster import Cluster, RykteNode

OLD, NEW, OTHER = KEYS[:3]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """An agent with a key, and three engines with it."""
    with SerfAgent("agent", fresh_host(), PORT, key=OLD.text()) as agent:
        cluster = Cluster(agent, [RykteNode(f"rykte{number}", Keyring([OLD])) for number in (1, 2, 3)])
        try:
            cluster.form()
            yield cluster
        finally:
            cluster.stop()


def rings(cluster: Cluster) -> set[tuple[Key, ...]]:
    return {node.keyring.keys for node in cluster.nodes if node.keyring is not None}


def everybody_hears(cluster: Cluster, what: str) -> None:
    """An event of the agent's reaches every node, one of a node's the agent and the other nodes."""
    sender, *others = cluster.nodes
    cluster.agent.ask("event", "-coalesce=false", "agents", what)
    sender.membership.broadcast("ours", what.encode())
    wait(lambda: all(("agents", what.encode()) in node.recorder.payloads for node in cluster.nodes))
    wait(lambda: all(("ours", what.encode()) in node.recorder.payloads for node in others))
    wait(lambda: what in cluster.agent.payloads("ours").splitlines())


def assert_untroubled(cluster: Cluster) -> None:
    """Neither side has complained about the other, and nobody was suspected."""
    assert cluster.agent.complaints() == []
    assert "Suspect" not in cluster.agent.log()
    assert [notice for node in cluster.nodes for notice in node.notices.kept if notice.level != "info"] == []
    assert {what for node in cluster.nodes for what, _ in node.recorder.told} == {"joined"}


def test_one_cluster(cluster: Cluster) -> None:
    """Joins, events both ways, reachability and a leave, all encrypted, as in a plain cluster."""
    everybody_hears(cluster, "news")
    assert "Successfully contacted all live nodes" in cluster.agent.ask("reachability")
    assert_untroubled(cluster)
    leaver, *others = cluster.nodes
    assert leaver.membership.leave(5.0)
    leaver.membership.stop()
    wait(lambda: cluster.agent.statuses()[leaver.name] == "left")
    wait(lambda: all(node.state_of(leaver.name) is MemberState.LEFT for node in others))


def test_serf_keys(cluster: Cluster) -> None:
    """`serf keys` lists, installs, uses and removes on all four members, with events after each step."""
    old, new = OLD.text(), NEW.text()
    assert cluster.agent.keys() == {old: "4/4"}
    for arguments, held, ring in (
        (f"-install={new}", {old: "4/4", new: "4/4"}, (OLD, NEW)),
        (f"-use={new}", {old: "4/4", new: "4/4"}, (NEW, OLD)),
        (f"-remove={old}", {new: "4/4"}, (NEW,)),
    ):
        cluster.agent.ask("keys", arguments)
        assert rings(cluster) == {ring}
        assert cluster.agent.keys() == held
        everybody_hears(cluster, arguments[:4])
    assert_untroubled(cluster)


def test_serf_keys_refusals(cluster: Cluster) -> None:
    """What an agent refuses our nodes refuse too: the primary removed, an unknown key used."""
    assert cluster.agent.refuses("keys", f"-remove={OLD.text()}")
    assert cluster.agent.refuses("keys", f"-use={NEW.text()}")
    assert cluster.agent.keys() == {OLD.text(): "4/4"}
    assert rings(cluster) == {(OLD,)}


@pytest.mark.parametrize("key", [OTHER, None])
def test_strangers_stay_outside(cluster: Cluster, key: Key | None) -> None:
    """Another key or none: our node is refused by the agent, an agent by our nodes, from either end."""
    first = cluster.nodes[0]
    stranger = RykteNode("stranger", Keyring([key]) if key else None)
    stranger.membership.start(stranger.recorder)
    with SerfAgent("outsider", fresh_host(), PORT, key=key.text() if key else "") as outsider:
        try:
            assert stranger.membership.join([cluster.agent.address]) == 0
            assert cluster.agent.refuses("join", f"{stranger.host}:{PORT}")
            assert outsider.refuses("join", f"{first.host}:{PORT}")
            assert first.membership.join([outsider.address]) == 0
            assert set(outsider.statuses()) == {"outsider"}
            assert [member.name for member in stranger.membership.members()] == ["stranger"]
        finally:
            stranger.membership.stop()
    everybody = {"agent", *(node.name for node in cluster.nodes)}
    assert set(cluster.agent.statuses()) == everybody
    assert "stream refused" in first.notices.events()


def write(path: Path, *keys: Key) -> None:
    path.write_text("# rotated by the test\n" + "".join(f"{key.text()}\n" for key in keys))


def test_whole_nodes_rotate_by_their_files(tmp_path: Path) -> None:
    """Two `rykte serve` and an agent exchange their key, the nodes by file, with nobody failed and no key in a log."""
    path = tmp_path / "keys"
    write(path, OLD)
    nodes = [LoopbackNode.make(number, tmp_path, host=fresh_host()) for number in (1, 2)]
    names = {node.name for node in nodes} | {"agent"}
    with SerfAgent("agent", fresh_host(), PORT, key=OLD.text()) as agent:
        try:
            for node in nodes:
                node.options = ("--gossip-key-file", str(path))
                write_layout(node.layout, {})
                node.start(None if node is nodes[0] else nodes[0])
            for node in nodes:
                eventually(node.is_ready, 20, f"{node.name} is ready")
            agent.ask("join", f"{nodes[0].host}:{nodes[0].gossip_port}")
            eventually(lambda: agent.keys() == {OLD.text(): "3/3"}, 20, "all three answer with the old key")
            write(path, OLD, NEW)
            agent.ask("keys", f"-install={NEW.text()}")
            eventually(partial(said, nodes, 1), 20, "both have read the second key")
            write(path, NEW, OLD)
            agent.ask("keys", f"-use={NEW.text()}")
            eventually(partial(said, nodes, 2), 20, "both seal with the new key")
            write(path, NEW)
            eventually(partial(said, nodes, 3), 20, "both have dropped the old key")
            agent.ask("keys", f"-remove={OLD.text()}")
            assert agent.keys() == {NEW.text(): "3/3"}
            path.write_text("no key\n")
            eventually(partial(said, nodes, 1, "can't be used"), 20, "both say that the file is bad")
            assert agent.keys() == {NEW.text(): "3/3"}
            assert set(agent.statuses().values()) == {"alive"}
            assert [node.nodes_alive() for node in nodes] == [names, names]
            assert "Suspect" not in agent.log()
        finally:
            for node in nodes:
                node.stop()
    logs = "".join(node.log.read_text() for node in nodes)
    assert not any(key.text() in logs for key in KEYS)


def said(nodes: list[LoopbackNode], times: int, words: str = "gossip keys read again") -> bool:
    return all(node.log.read_text().count(words) == times for node in nodes)


def test_a_bad_key_file_is_told_at_the_start(tmp_path: Path) -> None:
    """`rykte serve` ends with the line and the remedy instead of gossiping in plain."""
    path = tmp_path / "keys"
    path.write_text(f"{OLD.text()}\n\n{NEW.text()[:10]}\n")
    node = LoopbackNode.make(1, tmp_path, host=fresh_host())
    node.options = ("--gossip-key-file", str(path))
    write_layout(node.layout, {})
    node.start()
    assert node.process is not None
    assert node.process.wait(timeout=30) != 0
    told = node.log.read_text()
    assert f"--gossip-key-file '{path}', line 3: " in told
    assert "rykte keygen" in told
    assert NEW.text()[:10] not in told
