"""The whole server as processes: master, worker, signals, exit codes, and nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app.key import Digest
from tests.fake_service import HOST, blob_of
from tests.http_client import Client

T = TypeVar("T")

BIG = 64 * 1024 * 1024
PATIENCE_S = 20.0


def until(question: Callable[[], T | None]) -> T:
    """The first answer that is not None or False; fails after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := question()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return answer


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Server:
    """A master and its worker; `log` is what they write to standard error, `diary` the service's steps."""

    def __init__(self, directory: Path, **wishes: Any) -> None:
        registry, metrics, gossip = free_ports(3)
        self.wishes = {"registry": registry, "metrics": metrics, "gossip": gossip, **wishes}
        self.directory = directory
        self._started: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.directory / "out").open("wb") as out, (self.directory / "err").open("wb") as err:
            command = [sys.executable, "-m", "tests.fake_service", json.dumps(self.wishes)]
            self._started = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._started is not None
        return self._started

    @property
    def diary(self) -> list[str]:
        return (self.directory / "out").read_text().split()

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "err").read_text().splitlines()]

    def client(self, port: str = "registry") -> Client:
        return Client((HOST, self.wishes[port]))

    def serving(self) -> Client:
        """A connection as soon as the registry takes one."""

        def connect() -> Client | None:
            assert self.process.poll() is None, self.log
            try:
                return self.client()
            except ConnectionRefusedError:
                return None

        return until(connect)

    def worker(self) -> int | None:
        """The worker's process id."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def members(self) -> list[int]:
        """Processes of this server that are alive: all of its session."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return found

    def end(self) -> None:
        if self._started is not None:
            for pid in self.members():
                os.kill(pid, signal.SIGKILL)
            self._started.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers, and ends what is left of them."""
    made: list[Server] = []

    def make(**wishes: Any) -> Server:
        directory = tmp_path / str(len(made))
        directory.mkdir()
        made.append(Server(directory, **wishes))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_twenty_starts_and_stops_leave_nothing(server: Callable[..., Server]) -> None:
    """No orphan, no error in the log, exit code 0, whatever the moment of the signal."""
    node = server()
    for round_ in range(20):
        node.start()
        if round_ % 2:  # SIGTERM at any moment of the boot; on even rounds when it serves
            time.sleep(0.04 * round_ / 2)
        else:
            node.serving().socket.close()
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(PATIENCE_S) in ((0,) if round_ % 2 == 0 else (0, -signal.SIGTERM))
        assert node.members() == []
        assert [line for line in node.log if line["level"] in ("error", "critical")] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_stops_in_order(server: Callable[..., Server], number: signal.Signals) -> None:
    """Leave, drain, stop, exit code 0."""
    node = server()
    node.start()
    node.serving().socket.close()
    node.process.send_signal(number)
    assert node.process.wait(PATIENCE_S) == 0
    assert node.diary == ["start", "leave", "stop"]


def test_ctrl_c_reaches_both_and_stops_in_order(server: Callable[..., Server]) -> None:
    """A terminal sends SIGINT to master and worker at once."""
    node = server()
    node.start()
    node.serving().socket.close()
    os.killpg(node.process.pid, signal.SIGINT)
    assert node.process.wait(PATIENCE_S) == 0
    assert node.diary == ["start", "leave", "stop"]
    assert node.members() == []


def test_a_body_under_way_survives_sigterm(server: Callable[..., Server]) -> None:
    """The client gets all of it, and then the process ends."""
    node = server(blob_bytes=BIG, drain_s=20)
    node.start()
    content = blob_of(BIG)
    with node.serving() as client:
        client.send(f"GET /v2/a/b/blobs/{Digest.of(content)} HTTP/1.1", "Host: t")
        client.head()
        node.process.send_signal(signal.SIGTERM)
        until(lambda: "leave" in node.diary)
        assert client.read(BIG) == content
        assert client.ended()
    assert node.process.wait(PATIENCE_S) == 0


def test_a_body_that_outlives_the_drain_ends_by_fin(server: Callable[..., Server]) -> None:
    """Short and without a reset, so that containerd resumes elsewhere."""
    node = server(blob_bytes=BIG, drain_s=0.2)
    node.start()
    content = blob_of(BIG)
    with node.serving() as client:
        client.send(f"GET /v2/a/b/blobs/{Digest.of(content)} HTTP/1.1", "Host: t")
        client.head()
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(PATIENCE_S) == 0
        got = client.read(BIG)  # a reset would raise
    assert len(got) < BIG
    assert content.startswith(got)


def test_a_killed_worker_is_replaced(server: Callable[..., Server]) -> None:
    """The arbiter starts another one, on the same ports."""
    node = server()
    node.start()
    node.serving().socket.close()
    first = node.worker()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: node.worker() not in (None, first))
    with node.serving() as client:
        assert client.get("/v2/").status == 200
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(PATIENCE_S) == 0


def test_a_worker_whose_master_was_killed_ends_in_order(server: Callable[..., Server]) -> None:
    """It leaves the gossip before it goes."""
    node = server()
    node.start()
    node.serving().socket.close()
    node.process.kill()
    node.process.wait()
    until(lambda: not node.members())
    assert node.diary == ["start", "leave", "stop"]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN])
def test_refused_signals_change_nothing(server: Callable[..., Server], number: signal.Signals) -> None:
    """One line in the log, the same worker."""
    node = server()
    node.start()
    with node.serving() as client:
        worker = node.worker()
        node.process.send_signal(number)
        until(lambda: [line for line in node.log if "refused" in line["event"]])
        assert node.worker() == worker
        assert client.get("/v2/").status == 200
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("option", "port", "kind"),
    [
        ("--registry-addr", "registry", socket.SOCK_STREAM),
        ("--metrics-addr", "metrics", socket.SOCK_STREAM),
        ("--gossip-addr", "gossip", socket.SOCK_STREAM),
        ("--gossip-addr", "gossip", socket.SOCK_DGRAM),
    ],
)
def test_a_busy_port_is_one_clear_line(server: Callable[..., Server], option: str, port: str, kind: int) -> None:
    """Exit code 1, the option, the address and the remedy; no traceback."""
    node = server()
    with closing(socket.socket(socket.AF_INET, kind)) as taken:
        taken.bind((HOST, node.wishes[port]))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        node.start()
        assert node.process.wait(PATIENCE_S) == 1
    [line] = node.log
    assert line["level"] == "error"
    for part in (option, f"{HOST}:{node.wishes[port]}", "in use", "ss -l"):
        assert part in line["event"]
    assert node.diary == []


@pytest.mark.parametrize(("when", "diary"), [("fail", ["start", "stop"]), ("refuse", [])])
def test_a_node_that_can_not_start_is_one_clear_line(
    server: Callable[..., Server], when: str, diary: list[str]
) -> None:
    """Exit code 1, once; the arbiter does not try for ever. Whether building the node fails or starting it."""
    node = server(**{when: "--containerd-socket /run/x.sock: no such file; is containerd running?"})
    node.start()
    assert node.process.wait(PATIENCE_S) == 1
    errors = [line for line in node.log if line["level"] in ("error", "critical")]
    assert [line["event"] for line in errors] == [
        "can't start: --containerd-socket /run/x.sock: no such file; is containerd running?"
    ]
    assert node.diary == diary
    assert node.members() == []


def test_a_bug_at_the_start_is_shown_with_its_place(server: Callable[..., Server]) -> None:
    """Exit code 1 and a traceback: somebody has to mend it."""
    node = server(crash="a bug")
    node.start()
    assert node.process.wait(PATIENCE_S) == 1
    assert any("RuntimeError: a bug" in line.get("exception", "") for line in _lines(node))
    assert node.members() == []


def _lines(node: Server) -> list[dict[str, Any]]:
    """The lines that are events; gunicorn also prints the exception as it is."""
    text = (node.directory / "err").read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
