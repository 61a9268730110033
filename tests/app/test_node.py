"""Nodes put together as the server does it: three in this process, with layout stores, on loopback."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.config.config import Config
from app.node import Node, log_notice
from app.server.listener import Listener
from app.server.worker import StartError
from gossip.membership import MemberState
from gossip.swim.effects import Notice
from tests.app.server.test_connection import settings
from tests.fake_agent import RPC_PORT, FakeAgents
from tests.gossip.loopback import fresh_host, wait
from tests.gossip.wire.sealing import KEYS
from tests.http_client import Answer, Client
from tests.images import TestImage, build_image, write_layout

NAME = "registry.example/team/app:1.0"
REGISTRY_PORT, GOSSIP_PORT = 5000, 7946
#: A body that is verified before it leaves, and one that is spliced.
IMAGE = build_image(layers=[b"small", bytes(range(256)) * 4096 * 5])


class Running:
    """A node that has been started, with its registry port open as the worker opens it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        node.start()
        self.registry = Listener(node.registry_addr, node.registry_app, settings(), max_connections=16)

    @property
    def name(self) -> str:
        return self.node.membership.local().name

    def ask(self, path: str, *, method: str = "GET") -> Answer:
        with Client(self.node.registry_addr) as client:
            return client.get(f"/v2/team/app/{path}?ns=registry.example", method=method)

    def counted(self, name: str, **labels: str) -> float:
        return self.node.metrics.registry.get_sample_value(name, labels) or 0.0

    def state_of(self, other: "Running") -> MemberState | None:
        states = {member.name: member.state for member in self.node.membership.members()}
        return states.get(other.name)

    def stop(self) -> None:
        self.registry.cut()
        self.node.stop()


def make_node(directory: Path, number: int, image: TestImage | None = None, *, seed: str = "", **more: str) -> Node:
    """A node with a layout that holds the image or nothing, at an address of its own."""
    layout = directory / str(number)
    write_layout(layout, {} if image is None else {NAME: image})
    host = fresh_host()
    join = {"bootstrap": "static", "bootstrap_peers": f"{seed}:{GOSSIP_PORT}"} if seed else {}
    return Node(
        Config.from_options(
            {
                "node_name": f"node-{number}",
                "registry_addr": f"{host}:{REGISTRY_PORT}",
                "metrics_addr": f"{host}:9090",
                "gossip_addr": f"{host}:{GOSSIP_PORT}",
                "store": "layout",
                "layout_path": str(layout),
                **join,
                **more,
            }
        )
    )


@contextmanager
def cluster(directory: Path, images: list[TestImage | None]) -> Iterator[list[Running]]:
    """A running node for each of the images, the first one the others' seed; all are stopped at the end."""
    running: list[Running] = []
    try:
        for number, image in enumerate(images, 1):
            seed = running[0].node.registry_addr[0] if running else ""
            running.append(Running(make_node(directory, number, image, seed=seed)))
        yield running
    finally:
        for each in running:
            each.stop()


def everybody_is_seen(nodes: list[Running]) -> bool:
    return all(each.state_of(other) is MemberState.ALIVE for each in nodes for other in nodes)


def test_three_nodes_find_each_other_and_pull_through_one(tmp_path: Path) -> None:
    """What only the first holds, all of it comes through the second, byte for byte, and is counted on both."""
    with cluster(tmp_path, [IMAGE, None, None]) as nodes:
        first, second, _ = nodes
        wait(lambda: everybody_is_seen(nodes))
        wait(lambda: second.ask("manifests/1.0", method="HEAD").status == 200)

        assert second.ask("manifests/1.0").body == IMAGE.top.content
        for blob in (IMAGE.config, *IMAGE.layers):
            assert second.ask(f"blobs/{blob.digest}").body == blob.content

        hits = {"registry": "registry.example", "kind": "blob", "outcome": "hit"}
        assert first.counted("rykte_mirror_requests_total", **hits, source="local") >= 3
        # its own store has no image of that registry, and no option names it
        assert second.counted("rykte_mirror_requests_total", **hits | {"registry": "other"}, source="peer") == 3
        sent = second.counted("rykte_sent_bytes_total", source="peer", to="client")
        assert sent == sum(len(each.content) for each in IMAGE.blobs.values())
        assert first.counted("rykte_sent_bytes_total", source="local", to="peer") == sent
        assert second.counted("rykte_mirror_last_success_timestamp_seconds") > 0
        wait(lambda: second.counted("rykte_directory_filters") == 2)  # the third's is known too, and empty


def test_what_a_node_says_of_its_cluster(tmp_path: Path) -> None:
    """The admin app of the second knows the members, the first one's filter, and who really has the image."""
    with cluster(tmp_path, [IMAGE, None]) as nodes:
        first, second = nodes
        admin = second.node.admin_app.test_client()  # type: ignore[attr-defined]  # it is a Flask app
        holders = {"query_string": {"ref": NAME}}
        wait(lambda: bool(admin.get("/api/v1/holders", **holders).json["holders"]))
        (holder,) = admin.get("/api/v1/holders", **holders).json["holders"]
        assert (holder["node"], holder["confirmed"]) == ("node-1", True)
        assert [row["node"] for row in admin.get("/api/v1/members").json["members"]] == ["node-1", "node-2"]
        wait(lambda: admin.get("/readyz").status_code == 200)
        assert 'rykte_members{state="alive"} 2.0' in admin.get("/metrics").text
        assert first.node.not_alive() is None


def test_a_node_that_leaves_is_asked_no_more_and_serves_on(tmp_path: Path) -> None:
    """The others take it for left, not for failed; requests on its way out are answered."""
    with cluster(tmp_path, [IMAGE, None]) as nodes:
        first, second = nodes
        wait(lambda: second.ask("manifests/1.0", method="HEAD").status == 200)
        assert second.node.peers.idle_connections == 1
        second.node.health.failed(first.name)

        first.node.leave()

        wait(lambda: second.counted("rykte_gossip_events_total", event="left") == 1)
        assert second.state_of(first) is MemberState.LEFT
        assert second.ask("manifests/1.0", method="HEAD").status == 404
        assert first.ask("manifests/1.0", method="HEAD").status == 200
        assert first.node.not_ready() == "starting or stopping"
        # its name never comes back: nothing is kept for it
        assert second.node.peers.idle_connections == 0
        assert not second.node.health.resting(first.name)


def test_a_node_is_not_ready_before_it_has_started(tmp_path: Path) -> None:
    """It can be asked all the same, and freed without ever having been started."""
    node = make_node(tmp_path, 1)
    assert node.not_ready() == "starting or stopping"
    assert node.not_alive() is None
    node.stop()


def test_a_lone_node_is_ready(tmp_path: Path) -> None:
    """Nobody else is expected."""
    with cluster(tmp_path, [IMAGE]) as (node,):
        wait(lambda: node.node.not_ready() is None)
        assert node.ask("manifests/1.0").body == IMAGE.top.content


def test_a_node_that_can_t_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    """One error for the operator, whichever part refused; what had been started already is freed by `stop`."""
    with cluster(tmp_path, [None]) as (running,):
        taken = make_node(tmp_path, 2, gossip_addr=f"{running.node.registry_addr[0]}:{GOSSIP_PORT}")
        no_layout = make_node(tmp_path, 3)
        (tmp_path / "3" / "oci-layout").unlink()
        for node in (taken, no_layout):
            with pytest.raises(StartError):
                node.start()
            node.stop()


def test_nodes_with_keys_are_a_cluster_of_their_own(tmp_path: Path) -> None:
    """Who holds the key finds the others; who has another one, or none, is alone. No key is in what a node tells."""
    files = [tmp_path / "first", tmp_path / "other"]
    for number, path in enumerate(files):
        path.write_text(f"{KEYS[number].text()}\n")
    nodes: list[Running] = []
    try:
        for number, options in enumerate([{"file": 0}, {"file": 0}, {"file": 1}, {}], 1):
            more = {"gossip_key_file": str(files[options["file"]])} if options else {}
            seed = nodes[0].node.registry_addr[0] if nodes else ""
            nodes.append(Running(make_node(tmp_path, number, seed=seed, **more)))
        first, second, *outside = nodes
        wait(lambda: first.state_of(second) is second.state_of(first) is MemberState.ALIVE)
        assert [first.state_of(stranger) for stranger in outside] == [None, None]
        status = first.node.admin_app.test_client().get("/api/v1/status")  # type: ignore[attr-defined]
        assert KEYS[0].text() not in status.text
    finally:
        for each in nodes:
            each.stop()


def test_a_bad_key_file_keeps_a_node_from_starting(tmp_path: Path) -> None:
    """The operator gets the line and the remedy; plain gossip by mistake would be worse."""
    path = tmp_path / "keys"
    path.write_text(f"{KEYS[0].text()}\nno key\n")
    node = make_node(tmp_path, 1, gossip_key_file=str(path))
    with pytest.raises(StartError, match=f"--gossip-key-file '{path}', line 2: .*rykte keygen"):
        node.start()
    node.stop()


def make_node_with_agent(
    directory: Path, number: int, network: FakeAgents, image: TestImage | None = None, *, seed: str = "", **more: str
) -> Node:
    """A node on the Serf engine, with an agent at its address."""
    host = fresh_host()
    network.agent(f"agent-{number}", host)
    addresses = {"gossip_addr": f"{host}:{GOSSIP_PORT}", "registry_addr": f"{host}:{REGISTRY_PORT}"}
    given = {"engine": "serf", "serf_rpc_addr": f"{host}:{RPC_PORT}", **addresses, **more}
    return make_node(directory, number, image, seed=seed, **given)


@pytest.fixture
def agents() -> Iterator[FakeAgents]:
    network = FakeAgents()
    yield network
    network.stop()


def test_two_nodes_on_agents_pull_from_each_other(tmp_path: Path, agents: FakeAgents) -> None:
    """Under the agents' names, with the nodes' own to see; one that leaves is asked no more, and its agent lives."""
    first = Running(make_node_with_agent(tmp_path, 1, agents, IMAGE))
    second = Running(make_node_with_agent(tmp_path, 2, agents, seed=first.node.registry_addr[0]))
    try:
        wait(lambda: everybody_is_seen([first, second]))
        wait(lambda: second.ask("manifests/1.0", method="HEAD").status == 200)
        assert second.ask(f"blobs/{IMAGE.layers[1].digest}").body == IMAGE.layers[1].content
        admin = second.node.admin_app.test_client()  # type: ignore[attr-defined]  # it is a Flask app
        assert [row["node"] for row in admin.get("/api/v1/members").json["members"]] == ["node-1", "node-2"]
        first.node.leave()
        wait(lambda: second.counted("rykte_gossip_events_total", event="left") == 1)
        assert second.ask("manifests/1.0", method="HEAD").status == 404
        assert agents.running[first.node.registry_addr[0]].tags == {"bye": "1"}
    finally:
        second.stop()
        first.stop()


def test_a_node_without_its_agent_can_t_start(tmp_path: Path, agents: FakeAgents) -> None:
    """The operator hears which address was asked, and by which option to change it."""
    node = make_node_with_agent(tmp_path, 1, agents)
    agents.stop()
    with pytest.raises(StartError, match=rf"{node.registry_addr[0]}:{RPC_PORT}.*--serf-rpc-addr"):
        node.start()
    node.stop()


def test_a_node_without_keys_does_not_pay_for_them() -> None:
    """The cipher's library takes megabytes; only a key loads it."""
    code = (
        "import sys, app.node; from gossip.wire.keyring import Key;"
        "print('cryptography' in sys.modules); Key(bytes(32)); print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_an_agent_that_gossips_another_address(tmp_path: Path, agents: FakeAgents) -> None:
    """The others will ask for this node there, so it is said."""
    with capture_logs() as lines:
        running = Running(make_node_with_agent(tmp_path, 1, agents, advertise_addr="127.0.0.9"))
    running.stop()
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert (warning["agent"], warning["advertise_addr"]) == (running.node.registry_addr[0], "127.0.0.9")


def test_another_agent_needs_a_restart(tmp_path: Path, agents: FakeAgents) -> None:
    """The node is not alive any more, and says what to do."""
    running = Running(make_node_with_agent(tmp_path, 1, agents))
    host = running.node.registry_addr[0]
    agents.running[host].kill()
    agents.agent("another", host)
    wait(lambda: running.node.not_alive() is not None)
    assert "restart the process" in str(running.node.not_alive())
    running.stop()


def test_the_engine_s_words_go_to_the_log() -> None:
    """With their level and their fields."""
    with capture_logs() as lines:
        log_notice(Notice("warning", "queue full", (("dropped", 3),)))
    assert lines == [{"event": "gossip: queue full", "log_level": "warning", "dropped": 3}]
