"""A listening port: who comes in, and how they are sent away."""

import resource
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from app.server.connection import WsgiApp
from app.server.listener import Listener
from tests.app.server.test_connection import settings
from tests.http_client import Client


@contextmanager
def listening(app: WsgiApp, max_connections: int = 10) -> Iterator[Listener]:
    listener = Listener(("127.0.0.1", 0), app, settings(), max_connections=max_connections)
    try:
        yield listener
    finally:
        listener.cut()


class Gate:
    """An app whose answers wait until the gate is opened; `entered` says that somebody waits."""

    def __init__(self) -> None:
        self.entered = Event()
        self.open = Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "8")])
        yield b"half"
        self.entered.set()
        self.open.wait()
        yield b"half"


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def test_clients_are_served_side_by_side() -> None:
    """One that waits does not hold the others."""
    gate = Gate()
    apps: dict[str, WsgiApp] = {"/wait": gate, "/": hello}
    with (
        listening(lambda environ, start: apps[environ["PATH_INFO"]](environ, start)) as listener,
        Client(listener.address) as waiting,
        Client(listener.address) as other,
    ):
        waiting.send("GET /wait HTTP/1.1", "Host: t")
        gate.entered.wait()
        assert other.get("/").body == b"hello"
        assert listener.busy == 1
        gate.open.set()
        assert waiting.answer().body == b"halfhalf"


def test_beyond_the_limit_one_is_told_so() -> None:
    """503 after the request has been read, and the end: the client goes to the next host at once."""
    gate = Gate()
    with listening(gate, max_connections=1) as listener, Client(listener.address) as first:
        first.send("GET / HTTP/1.1", "Host: t")
        gate.entered.wait()
        with Client(listener.address) as second:
            refused = second.get("/")
            assert (refused.status, refused.headers["connection"]) == (503, "close")
            assert second.ended()
        gate.open.set()
        assert first.answer().body == b"halfhalf"


def test_whoever_is_idle_for_longest_makes_room() -> None:
    """Connections that are held open, many times the limit, keep nobody out, and go one by one."""
    with listening(hello, max_connections=2) as listener, ExitStack() as opened:
        held = [opened.enter_context(Client(listener.address)) for _ in range(200)]
        held[-2].get("/")
        assert opened.enter_context(Client(listener.address)).get("/").body == b"hello"
        assert all(each.ended() for each in held[:-2])
        assert held[-1].ended()
        assert held[-2].get("/").body == b"hello"


def test_without_descriptors_idle_connections_make_room() -> None:
    """Who comes when the process may open nothing more is served as soon as an idle connection has been ended."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with listening(hello) as listener, Client(listener.address) as idle, socket.socket() as coming:
        assert idle.get("/").body == b"hello"
        coming.settimeout(10)
        with socket.socket() as next_one:
            used_up = next_one.fileno()
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (used_up, hard))
            coming.connect(listener.address)
            assert idle.ended()
            coming.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
            assert coming.recv(15) == b"HTTP/1.1 200 OK"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_draining_ends_the_idle_and_waits_for_the_busy() -> None:
    """What is under way is finished; nobody new comes in."""
    gate = Gate()
    with listening(gate) as listener, Client(listener.address) as busy, Client(listener.address) as idle:
        busy.send("GET / HTTP/1.1", "Host: t")
        gate.entered.wait()
        draining = gevent.spawn(listener.drain, 10)
        assert idle.ended()
        with pytest.raises(ConnectionRefusedError):
            Client(listener.address)
        gate.open.set()
        assert busy.answer().body == b"halfhalf"
        assert busy.ended()
        busy.socket.close()
        draining.get()


def test_a_drain_has_an_end() -> None:
    """A client that takes too long is left to the cut, and that ends it short by FIN."""
    gate = Gate()
    with listening(gate) as listener, Client(listener.address) as client:
        client.send("GET / HTTP/1.1", "Host: t")
        gate.entered.wait()
        listener.drain(0.01)
        assert listener.busy == 1
        cutting = gevent.spawn(listener.cut)
        got = client.answer()
        assert (got.body, got.whole) == (b"half", False)
        gate.open.set()
        cutting.get()


def test_cutting_twice_is_cutting_once() -> None:
    """Idempotent, also with nobody there."""
    with listening(hello) as listener:
        listener.cut()
        with pytest.raises(ConnectionRefusedError):
            Client(listener.address)


def test_a_busy_port_is_an_error() -> None:
    """The caller says which option asked for it."""
    with listening(hello) as listener, pytest.raises(OSError, match="in use"):
        Listener(listener.address[:2], hello, settings(), max_connections=1)
