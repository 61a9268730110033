"""Rykte processes on loopback with layout stores: what the demonstration and the benchmarks run against."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests


class NodeFailed(Exception):
    """A node ended or did not get ready; the text has the end of its log."""


@dataclass
class LoopbackNode:
    """One `rykte serve` process on an address of 127.0.0.0/8 and where it answers."""

    name: str
    host: str
    registry_port: int
    metrics_port: int
    gossip_port: int
    layout: Path
    log: Path
    options: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @classmethod
    def make(cls, number: int, root: Path, host: str = "") -> "LoopbackNode":
        """A node at `host` (default: 127.0.0.<number>) with its files under `root`.

        Its ports are the default ones, or the next that are free.
        """
        host = host or f"127.0.0.{number}"
        registry, metrics, gossip = (free_port(host, wanted) for wanted in (5000, 9090, 7946))
        return cls(f"node-{number}", host, registry, metrics, gossip, root / f"node-{number}", root / f"{number}.log")

    @property
    def registry(self) -> str:
        return f"http://{self.host}:{self.registry_port}"

    @property
    def metrics(self) -> str:
        return f"http://{self.host}:{self.metrics_port}"

    def command(self, seed: "LoopbackNode | None") -> list[str]:
        """The command line; `seed` is the node to join, None for a lone one."""
        join = ["--bootstrap", "none"]
        if seed is not None:
            join = ["--bootstrap", "static", "--bootstrap-peers", f"{seed.host}:{seed.gossip_port}"]
        return [
            *(sys.executable, "-m", "app", "serve", "--node-name", self.name, "--advertise-addr", self.host),
            *("--registry-addr", f"{self.host}:{self.registry_port}"),
            *("--metrics-addr", f"{self.host}:{self.metrics_port}"),
            *("--gossip-addr", f"{self.host}:{self.gossip_port}"),
            *("--store", "layout", "--layout-path", str(self.layout)),
            *join,
            *self.options,
        ]

    def start(self, seed: "LoopbackNode | None" = None) -> None:
        """Start the process; returns at once."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command(seed), stdout=log, stderr=subprocess.STDOUT)

    def processes(self) -> tuple[int, int]:
        """The process ids of the running node's master and worker."""
        assert self.process is not None
        master = self.process.pid
        worker = Path(f"/proc/{master}/task/{master}/children").read_text().split()[0]
        return master, int(worker)

    def is_ready(self) -> bool:
        """Whether the node says that it can answer. Raises `NodeFailed` if its process has ended."""
        if self.process is None or self.process.poll() is not None:
            raise NodeFailed(f"{self.name} has ended; the end of its log:\n{self.log.read_text()[-2000:]}")
        try:
            return requests.get(f"{self.metrics}/readyz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def nodes_alive(self) -> set[str]:
        """Names of the nodes that this one believes alive, itself included."""
        answer = requests.get(f"{self.metrics}/api/v1/members", timeout=2).json()
        return {member["node"] for member in answer["members"] if member["state"] == "alive"}

    def knows_holders(self, name: str) -> bool:
        """Whether this node's directory names a holder of the image."""
        answer = requests.get(f"{self.metrics}/api/v1/holders", params={"ref": name}, timeout=5)
        return answer.status_code == 200 and bool(answer.json()["holders"])

    def sample(self, metric: str) -> float:
        """The sum of a metric's samples whose line begins with `metric` (name, or name and first labels)."""
        lines = requests.get(f"{self.metrics}/metrics", timeout=5).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric))

    def stop(self) -> None:
        """Ask the process to end and wait for it; kill it if it does not within 15 s."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


def cpu_seconds(*pids: int) -> float:
    """User and system time of these processes so far."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or the next port above it, at which both TCP and UDP are free on `host`."""
    for port in range(wanted, wanted + 200):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tcp.bind((host, port))
                udp.bind((host, port))
            except OSError:
                continue
            return port
    raise NodeFailed(f"no free port from {wanted} to {wanted + 199} on {host}: end what listens there")


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float = 20.0) -> float:
    """Poll until the condition holds; the seconds that took. Raises `NodeFailed` after `timeout_s`."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > timeout_s:
            raise NodeFailed(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - begun
