"""What a node costs when nothing happens, and how fast it is there.

Method: three nodes (`rykte serve`, layout stores of `--images` images) on loopback. Start: from exec to the first
answer on the registry port, median of `--starts`. Idle: CPU seconds of all processes of a node over `--seconds`, from
/proc, and resident memory of both processes at the end. Run it on a quiet machine: `python -m bench.footprint`.
"""

import argparse
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.nodes import LoopbackNode, NodeFailed, cpu_seconds, wait_for
from tests.images import TestImage, build_image, write_layout

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_megabytes(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def answers(node: LoopbackNode) -> bool:
    """Whether the registry port answers `GET /v2/`."""
    try:
        with socket.create_connection((node.host, node.registry_port), timeout=1) as connection:
            connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return connection.recv(12) == b"HTTP/1.1 200"
    except OSError:
        return False


def start_seconds(node: LoopbackNode) -> float:
    """From exec to the first answer; the node is stopped again."""
    begun = time.monotonic()
    node.start()
    while not answers(node):
        if time.monotonic() - begun > 20:
            raise NodeFailed(f"{node.name} does not answer; see {node.log}")
        time.sleep(0.002)
    seconds = time.monotonic() - begun
    node.stop()
    return seconds


def idle(nodes: list[LoopbackNode], seconds: int) -> Iterator[str]:
    """Let the nodes form a cluster and rest; what that costs, a line each."""
    for node in nodes:
        node.start(None if node is nodes[0] else nodes[0])
    for node in nodes:
        wait_for(f"{node.name} is ready", node.is_ready)
    time.sleep(5)  # joining and the first exchange are no idling
    pids = [node.processes() for node in nodes]
    before = [cpu_seconds(*each) for each in pids]
    time.sleep(seconds)
    rates = [(cpu_seconds(*each) - old) * 60 / seconds for each, old in zip(pids, before, strict=True)]
    yield f"idle CPU                {statistics.median(rates):.3f} CPU-s/min and node"
    master, worker = (statistics.median(map(resident_megabytes, each)) for each in zip(*pids, strict=True))
    yield f"idle RSS                {master:.0f} MB master, {worker:.0f} MB worker"


def stop_seconds(node: LoopbackNode) -> float:
    """From SIGTERM to the end of its process."""
    begun = time.monotonic()
    node.stop()
    return time.monotonic() - begun


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.footprint", description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rykte-bench-") as directory:
        nodes = [LoopbackNode.make(number, Path(directory)) for number in (1, 2, 3)]
        for node in nodes:
            names = range(options.images)
            images = {f"registry.example/bench/{node.name}-{i}:v1": _image(node, i) for i in names}
            write_layout(node.layout, images)
        starts = [start_seconds(nodes[0]) for _ in range(options.starts)]
        print(f"start to first answer   {statistics.median(starts):.3f} s (median of {len(starts)})", flush=True)
        try:
            print(f"at rest with {options.images} images a node:")
            for line in idle(nodes, options.seconds):
                print(line, flush=True)
        finally:
            stops = [stop_seconds(node) for node in nodes]
        print(f"SIGTERM to gone         {statistics.median(stops):.2f} s")


def _image(node: LoopbackNode, number: int) -> TestImage:
    return build_image(layers=[f"{node.name} {number} {layer}".encode() for layer in range(3)])


if __name__ == "__main__":
    main()
