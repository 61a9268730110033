"""The whole lab: an upstream registry and nodes on one switch; started together, taken away together."""

import atexit
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Self

from tests.real.lab import leftovers
from tests.real.lab.containerd import Containerd, Release
from tests.real.lab.network import Switch
from tests.real.lab.node import Node
from tests.real.lab.runname import RunName
from tests.real.lab.rykte import Rykte
from tests.real.lab.upstream import NAME, Upstream
from tests.real.lab.waiting import eventually

_SUBNET = "10.77.0"
_DIRECT_HOSTS = f"""\
server = "http://{NAME}"

[host."http://{NAME}"]
  capabilities = ["pull", "resolve"]
"""


class Lab:
    """Used as a context: on leaving, and at the latest at the process's exit, nothing of it is left on the machine.

    Only one lab at a time in a process; any number in different ones.
    """

    def __init__(self, release: Release, nodes: Sequence[str]) -> None:
        self.name = RunName.own()
        self.release = release
        leftovers.sweep()
        leftovers.remove(self.name)  # an earlier lab of this process that could not be closed
        atexit.register(self.close)
        self.directory = leftovers.directory_of(self.name)
        self.directory.mkdir()
        self._hosts = self.directory / "hosts"
        self._hosts.write_text(f"127.0.0.1 localhost\n{_SUBNET}.250 {NAME.partition(':')[0]}\n")
        self._switch = Switch.create(self.name)
        self.upstream = Upstream(
            self.directory / "upstream", self._switch.plug_in("upstream", f"{_SUBNET}.250"), self._hosts
        )
        self.nodes: dict[str, Node] = {}
        for node in nodes:
            self.add_node(node)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_node(self, name: str) -> Node:
        """A new node, nothing on it started. It knows the first three nodes as its seeds."""
        address = f"{_SUBNET}.{11 + len(self.nodes)}"
        namespace = self._switch.plug_in(name, address)
        home = self.directory / name
        containerd = Containerd(self.release, home, namespace, self._hosts)
        seeds = [f"{_SUBNET}.{number}" for number in (11, 12, 13)]
        node = Node(name, namespace, containerd, Rykte(name, home, namespace, self._hosts, containerd, seeds))
        self.nodes[name] = node
        return node

    def start_upstream(self) -> None:
        """Returns when it answers; does nothing if it does."""
        self.upstream.process.start()
        eventually(self.upstream.answers, 10, "the upstream registry answers")

    def start_containerds(self, *names: str) -> None:
        """Start those of these nodes (of all, if none is named) that do not run; returns when they answer."""
        nodes = [self.nodes[name] for name in names or self.nodes]
        for node in nodes:
            node.containerd.process.start()
        for node in nodes:
            eventually(node.containerd.answers, 20, f"containerd of {node.name} answers")

    def without_mirrors(self) -> None:
        """Let all containerds ask the upstream registry directly."""
        for node in self.nodes.values():
            directory = node.containerd.certs / NAME
            directory.mkdir(exist_ok=True)
            (directory / "hosts.toml").write_text(_DIRECT_HOSTS)

    def start_mirrors(self, *names: str) -> None:
        """Start Rykte on these nodes (on all, if none is named); returns when all that run know of each other."""
        for name in names or self.nodes:
            rykte = self.nodes[name].rykte
            if not rykte.process.is_running():
                rykte.add_to_containerd()
                rykte.process.start()
        running = {node.name: node for node in self.nodes.values() if node.rykte.process.is_running()}
        for node in running.values():
            eventually(node.rykte.is_ready, 20, f"rykte of {node.name} is ready")
            sees_all = partial(_sees, node, set(running))
            eventually(sees_all, 30, f"{node.name} sees {sorted(running)} alive")

    def heal(self) -> None:
        """Links whole and fast, the upstream registry and all containerds running."""
        for node in self.nodes.values():
            node.namespace.mend()
            node.namespace.full_speed()
        self.start_upstream()
        self.start_containerds()

    def logs(self) -> dict[str, str]:
        """The ends of all programs' logs, by title."""
        found = {"upstream": self.upstream.process.tail(25)}
        for node in self.nodes.values():
            found |= node.logs
        return found

    def close(self) -> None:
        """Take all of it away. May be called more than once."""
        atexit.unregister(self.close)
        for node in self.nodes.values():
            node.rykte.process.stop()
        for node in self.nodes.values():
            node.containerd.process.stop()
        self.upstream.process.stop()
        leftovers.remove(self.name)


def _sees(node: Node, names: set[str]) -> bool:
    return node.rykte.alive_members() == names
