"""What relaying costs: GB/s and CPU-s/GB of the relay's process for each way of a body, and the latency of a HEAD race.

Method: three processes on loopback. A peer answers GET with sendfile from page cache and HEAD from memory; the relay is
this process (the product's own Resolver, Peers and PeerSource, one hub); a client opens 1 or 8 connections and throws
away what it reads. CPU is the relay's process time, client and peer not counted. Each row is the median of `--rounds`
runs, the ways in turn. Run it on a quiet machine: `python -m bench.relay`.
"""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402  - nothing may be imported before the patch
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from random import Random  # noqa: E402

from gevent import socket  # noqa: E402
from gevent.server import StreamServer  # noqa: E402

from app.key import Digest, Key  # noqa: E402
from app.metrics import Metrics  # noqa: E402
from app.peers.client import Peers  # noqa: E402
from app.relay.source import PeerSource  # noqa: E402
from app.resolver.health import PeerHealth  # noqa: E402
from app.resolver.resolver import Resolver  # noqa: E402
from app.source import Body, Kind, Query, Span  # noqa: E402
from gossip.membership import Member, MemberState  # noqa: E402

#: The peer and the client are programs of their own, so that their CPU time is not the relay's.
PEER = r"""
import os, socket, sys, tempfile, threading
size = int(sys.argv[1])
file = tempfile.TemporaryFile()
file.write(os.urandom(1 << 20) * (size >> 20))
file.flush()
def serve(connection):
    with connection:
        while request := connection.recv(65536):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            offset = 0 if request.startswith(b"GET") else size
            while offset < size:
                offset += os.sendfile(connection.fileno(), file.fileno(), offset, size - offset)
def answer(connection):
    try:
        serve(connection)
    except ConnectionError:
        pass  # the relay's pool was closed at the end of a part
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=answer, args=(connection,), daemon=True).start()
"""
CLIENT = r"""
import socket, sys, threading, time
port, streams, size = map(int, sys.argv[1:])
def read():
    buffer, left = bytearray(1 << 20), size
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while left:
            count = connection.recv_into(buffer)
            if not count:
                raise SystemExit("short body")
            left -= count
threads = [threading.Thread(target=read) for _ in range(streams)]
began = time.perf_counter()
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(time.perf_counter() - began)
"""


class OneDirectory:
    """Everybody may hold everything."""

    def __init__(self, members: list[Member]) -> None:
        self._members = members

    def candidates(self, _fingerprint: int) -> list[Member]:
        return self._members


@contextmanager
def peer_process(size: int) -> Iterator[int]:
    """A peer; its port."""
    process = subprocess.Popen([sys.executable, "-c", PEER, str(size)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def spliced(body: Body, client: socket.socket) -> None:
    """As the product does on Linux."""
    body.send_to(client)


def copied(body: Body, client: socket.socket) -> None:
    """As the product does where there is no splice."""
    body._copy(client, 512 * 1024)  # type: ignore[attr-defined]


def iterated(body: Body, client: socket.socket) -> None:
    """As any WSGI server does."""
    for piece in body:
        client.sendall(piece)


WAYS: dict[str, Callable[[Body, socket.socket], None]] = {"splice": spliced, "copy": copied, "iterate": iterated}


class Bench:
    """The relay's side."""

    def __init__(self, ports: list[int]) -> None:
        tags = [{"http": str(port)} for port in ports]
        members = [Member(f"peer-{n}", "127.0.0.1", 1, MemberState.ALIVE, tag) for n, tag in enumerate(tags)]
        self._metrics, self._health = Metrics(), PeerHealth(time.monotonic)
        self._peers = Peers("bench", idle_in_all=64, idle_per_peer=16)
        self.resolver = Resolver(
            OneDirectory(members),
            self._peers,
            self._health,
            metrics=self._metrics,
            rng=Random(1),
            clock=time.monotonic,
        )
        self._source = PeerSource(self.resolver, self._peers, self._health, metrics=self._metrics)
        self.query = Query(Kind.BLOB, Key("registry.test", "bench", Digest("sha256", "0" * 64)))

    def transfer(self, way: Callable[[Body, socket.socket], None], streams: int, size: int) -> tuple[float, float]:
        """Seconds on the client's wall and of this process's CPU."""

        def handle(client: socket.socket, _address: object) -> None:
            content = self._source.find(self.query)
            assert content is not None
            body = content.open(Span(0, size))
            try:
                way(body, client)
            finally:
                body.close()

        server = StreamServer(("127.0.0.1", 0), handle)
        server.start()
        arguments = [sys.executable, "-c", CLIENT, str(server.server_port), str(streams), str(size)]
        cpu = time.process_time()
        client = subprocess.run(arguments, check=True, capture_output=True, text=True)
        spent = time.process_time() - cpu
        server.stop(timeout=5)
        return float(client.stdout), spent

    def race_us(self, count: int) -> list[float]:
        """Microseconds of each of so many searches."""
        found = []
        for _ in range(count):
            began = time.perf_counter()
            assert self.resolver.find(self.query) is not None
            found.append((time.perf_counter() - began) * 1e6)
        return found

    def close(self) -> None:
        self.resolver.stop()
        self._peers.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=500)
    options = parser.parse_args()
    size = options.megabytes << 20
    print("| way | streams | GB/s | relay CPU-s/GB |\n|---|---|---|---|")
    with peer_process(size) as port:
        bench = Bench([port])
        for streams in (1, 8):
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
            for _ in range(options.rounds):
                for name, way in WAYS.items():
                    runs[name].append(bench.transfer(way, streams, size))
            for name, spent in runs.items():
                gigabytes = streams * size / 1e9
                wall = statistics.median(run[0] for run in spent)
                cpu = statistics.median(run[1] for run in spent)
                print(f"| {name} | {streams} | {gigabytes / wall:.2f} | {cpu / gigabytes:.2f} |")
        bench.close()
    with peer_process(1 << 20) as a, peer_process(1 << 20) as b, peer_process(1 << 20) as c:
        bench = Bench([a, b, c])
        bench.race_us(50)
        times = sorted(bench.race_us(2000))
        print(f"\nHEAD race of 3 on warm connections: p50 {times[1000]:.0f} us, p99 {times[1980]:.0f} us")
        bench.close()


if __name__ == "__main__":
    main()
