"""A node's Rykte: `rykte serve` as an operator would start it, and what its ports answer."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.real.lab.command import run
from tests.real.lab.containerd import Containerd
from tests.real.lab.http import Answer, ask
from tests.real.lab.network import Namespace
from tests.real.lab.process import Process
from tests.real.lab.upstream import NAME

REGISTRY_PORT = 5000
METRICS_PORT = 9090
COMMAND = Path(sys.executable).with_name("rykte")


class Rykte:
    """The mirror of one node."""

    def __init__(
        self, node: str, home: Path, namespace: Namespace, hosts: Path, containerd: Containerd, seeds: Sequence[str]
    ) -> None:
        self._namespace = namespace
        self._containerd = containerd
        command: list[str | Path] = [COMMAND, "serve", "--node-name", node, "--advertise-addr", namespace.address]
        command += ["--store", "containerd", "--containerd-socket", containerd.socket]
        command += ["--bootstrap", "static", "--bootstrap-peers", ",".join(seeds)]
        command += ["--log-level", "debug", "--log-format", "json"]
        self.process = Process(command, namespace, hosts, home / "rykte.log")

    def add_to_containerd(self) -> None:
        """Write the node's hosts.toml: the mirror first, then the registry itself."""
        words = ["--certs-dir", str(self._containerd.certs), "--registry", f"http://{NAME}"]
        run(str(COMMAND), "mirror", "add", *words, "--mirror", f"http://127.0.0.1:{REGISTRY_PORT}")

    def is_ready(self) -> bool:
        try:
            return ask(self._namespace, METRICS_PORT, "GET", "/readyz", timeout_s=2).status == 200
        except OSError:
            return False

    def registry(self, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """What the mirror answers for the upstream's name."""
        return ask(self._namespace, REGISTRY_PORT, method, f"/v2/{path}?ns={NAME}", headers=headers)

    def api(self, question: str) -> Any:
        """The JSON answer of `/api/v1/<question>`."""
        answer = ask(self._namespace, METRICS_PORT, "GET", f"/api/v1/{question}", timeout_s=5)
        if answer.status != 200:
            raise RuntimeError(f"/api/v1/{question}: {answer.status} {answer.body[:300]!r}")
        return json.loads(answer.body)

    def alive_members(self) -> set[str]:
        """Node names of the members that it takes for alive; empty while it does not answer."""
        try:
            members = self.api("members")["members"]
        except OSError:
            return set()
        return {member["node"] for member in members if member["state"] == "alive"}

    def holders(self, reference: str) -> set[str]:
        """Node names of those that may hold it by their filters, itself included."""
        return {holder["node"] for holder in self.api(f"holders?ref={reference}")["holders"]}

    def sample(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels; 0.0 if it has none."""
        body = ask(self._namespace, METRICS_PORT, "GET", "/metrics", timeout_s=5).body.decode()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        total = 0.0
        for line in body.splitlines():
            head, _, value = line.rpartition(" ")
            if head.partition("{")[0] == name and all(label in head for label in wanted):
                total += float(value)
        return total
