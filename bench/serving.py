"""What serving costs: latency of small requests, alone and beside eight bodies, and GB/s and CPU-s/GB of those bodies.

Method: two nodes (`rykte serve`, layout stores) on loopback, one of them with the image; this process is the only
client. Small requests go over one kept-alive connection, to the holder and to the other node; a row is the median and
the 99th percentile of `--requests`. Bodies come from the holder's page cache and are read by child processes that
throw them away, one row for one of them and one for eight; CPU is that of the holder's worker, from /proc, small
requests included. Run it on a quiet machine: `python -m bench.serving`.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.nodes import LoopbackNode, cpu_seconds, wait_for
from tests.images import TestImage, build_image, write_layout

NAME = "docker.io/library/bench:v1"
STREAMS = 8
#: Opens a connection, asks, and throws away what comes: address, port, path, bytes.
READER = r"""
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
connection.sendall(b"GET " + sys.argv[3].encode() + b" HTTP/1.1\r\nHost: bench\r\n\r\n")
left, buffer = int(sys.argv[4]), bytearray(1 << 20)
while left > 0:
    received = connection.recv_into(buffer)
    assert received, "ended short"
    left -= received
"""


@contextmanager
def nodes_with(image: TestImage) -> Iterator[tuple[LoopbackNode, LoopbackNode]]:
    """Two ready nodes: one that holds the image, and one that knows that it does."""
    with tempfile.TemporaryDirectory(prefix="rykte-bench-") as directory:
        holder, other = (LoopbackNode.make(number, Path(directory)) for number in (1, 2))
        write_layout(holder.layout, {NAME: image})
        write_layout(other.layout, {})
        try:
            holder.start()
            wait_for("the holder is ready", holder.is_ready)
            other.start(holder)
            wait_for("the other node is ready", other.is_ready)
            wait_for("the other node knows the holder", partial(other.knows_holders, NAME))
            yield holder, other
        finally:
            other.stop()
            holder.stop()


def latency(node: LoopbackNode, request: str, count: int) -> tuple[float, float]:
    """Median and 99th percentile of the time to the whole answer, in milliseconds."""
    times = []
    with socket.create_connection((node.host, node.registry_port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        message = f"{request} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
        for _ in range(count):
            begun = time.perf_counter()
            connection.sendall(message)
            _read_answer(connection, has_body=not request.startswith("HEAD"))
            times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def streams(node: LoopbackNode, path: str, size: int, count: int, meanwhile: Callable[[], None]) -> float:
    """Seconds until all readers have their body; `meanwhile` runs beside them."""
    command = [sys.executable, "-c", READER, node.host, str(node.registry_port), path, str(size)]
    begun = time.perf_counter()
    readers = [subprocess.Popen(command) for _ in range(count)]
    meanwhile()
    if sum(reader.wait() for reader in readers):
        raise SystemExit("a body ended short")
    return time.perf_counter() - begun


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--size", type=int, default=500, help="MB of the blob")
    options = parser.parse_args()
    size = options.size * 1_000_000
    image = build_image([os.urandom(1_000_000) * options.size])
    blob = f"/v2/library/bench/blobs/{image.layers[0].digest}?ns=docker.io"
    here = {
        "HEAD of a tag that is here": "HEAD /v2/library/bench/manifests/v1?ns=docker.io",
        "GET of a manifest that is here": f"GET /v2/library/bench/manifests/{image.digest}?ns=docker.io",
        "HEAD of a blob that is here": f"HEAD {blob}",
        "404 of a digest": f"GET /v2/library/bench/blobs/sha256:{'0' * 64}?ns=docker.io",
        "404 of a tag": "GET /v2/library/bench/manifests/nope?ns=docker.io",
    }
    at_a_peer = {
        "HEAD of a tag that a peer has": here["HEAD of a tag that is here"],
        "GET of a manifest that a peer has": here["GET of a manifest that is here"],
        "HEAD of a blob that a peer has": here["HEAD of a blob that is here"],
    }
    with nodes_with(image) as (node, other):
        worker = node.processes()[1]
        streams(node, blob, size, 1, lambda: None)  # the page cache is warm from here on
        print("| request | p50 ms | p99 ms |\n| --- | --- | --- |")
        for asked, rows in ((node, here), (other, at_a_peer)):
            for name, request in rows.items():
                print("| {} | {:.2f} | {:.2f} |".format(name, *latency(asked, request, options.requests)))
        print("\n| bodies | GB/s | CPU-s/GB | HEAD beside them p50 ms | p99 ms |\n| --- | --- | --- | --- | --- |")
        for count in (1, STREAMS):
            print(_row_of_bodies(node, worker, blob, size, count, options.requests // 5))


def _row_of_bodies(node: LoopbackNode, worker: int, blob: str, size: int, count: int, requests: int) -> str:
    beside: list[tuple[float, float]] = []
    before = cpu_seconds(worker)
    seconds = streams(node, blob, size, count, lambda: beside.append(latency(node, f"HEAD {blob}", requests)))
    gigabytes = count * size / 1e9
    cost = (cpu_seconds(worker) - before) / gigabytes
    return "| {} | {:.2f} | {:.2f} | {:.2f} | {:.2f} |".format(count, gigabytes / seconds, cost, *beside[0])


def _read_answer(connection: socket.socket, *, has_body: bool) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    left = (lengths[0] if has_body and lengths else 0) - len(body)
    while left > 0:
        left -= len(connection.recv(left))


if __name__ == "__main__":
    main()
