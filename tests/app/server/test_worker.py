"""The life of a node in the worker, in this process: the order of start and stop, and what a failure leaves."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config as GunicornConfig

from app.server.sockets import listen
from app.server.worker import Application, Worker
from tests.app.server.test_connection import settings
from tests.fake_service import FakeService, blob_of
from tests.http_client import Client

#: More than a connection's buffers hold, so that a client that does not read keeps the body under way.
BIG = 32 * 1024 * 1024


@dataclass
class Running:
    """A worker whose `run` goes on in a greenlet."""

    worker: Worker
    service: FakeService
    greenlet: "gevent.Greenlet[[], Any]"

    def stop(self) -> None:
        """What SIGTERM does."""
        self.worker.handle_exit(signal.SIGTERM, None)

    def client(self, port: str = "registry") -> Client:
        return Client(self.service.registry_addr if port == "registry" else self.service.metrics_addr)


def free_address() -> tuple[str, int]:
    listener = listen(("127.0.0.1", 0))
    address: tuple[str, int] = listener.getsockname()
    listener.close()
    return address


def make_service(**more: Any) -> FakeService:
    return FakeService(free_address(), free_address(), **more)


@contextmanager
def running(service: FakeService, settings: GunicornConfig | None = None) -> Iterator[Running]:
    worker = make_worker(service, settings)
    greenlet = gevent.spawn(worker.run)
    try:
        yield Running(worker, service, greenlet)
    finally:
        worker.handle_exit(signal.SIGTERM, None)
        gevent.joinall([greenlet], timeout=20)
        worker.tmp.close()


def make_worker(service: FakeService, config: GunicornConfig | None = None) -> Worker:
    worker = Worker(1, os.getppid(), [], None, 15, config or settings(), None)
    worker.wsgi = Application(service)
    return worker


def answering(connect: Callable[[], Client]) -> Client:
    """A connection as soon as there is somebody to connect to."""
    with gevent.Timeout(10):
        while True:
            try:
                return connect()
            except ConnectionRefusedError:
                gevent.sleep(0.005)


class Held(FakeService):
    """A service whose start waits until it is let."""

    def start(self) -> None:
        self.go = Event()
        self.go.wait()
        super().start()


def test_metrics_first_and_the_registry_when_it_can_answer() -> None:
    """A client of the registry is refused until then, never made to wait."""
    service = Held(free_address(), free_address())
    with running(service) as node, answering(lambda: node.client("metrics")) as admin:
        assert admin.get("/livez").status == 200
        assert admin.get("/readyz").status == 503
        with pytest.raises(ConnectionRefusedError):
            node.client()
        assert not node.worker.booted
        service.go.set()
        with answering(node.client) as client:
            assert client.get("/v2/").status == 200
        assert admin.get("/readyz").status == 200
        assert node.worker.booted


def test_each_port_knows_its_own_paths_only() -> None:
    """Metrics are not for the registry's clients, nor content for those of the metrics port."""
    with running(make_service()) as node, answering(node.client) as client, node.client("metrics") as admin:
        for path in ("/metrics", "/livez", "/readyz", "/api/v1/status"):
            assert client.get(path).status == 404
            assert admin.get(path).status in (200, 503)
        for path in ("/v2/", f"/v2/a/blobs/{node.service.digest}"):
            assert client.get(path).status == 200
            assert admin.get(path).status == 404


@pytest.mark.parametrize("handler", ["handle_exit", "handle_quit"])
def test_every_signal_stops_in_the_same_order(handler: str) -> None:
    """Out of the gossip while the registry still serves, then the ports, then the node."""
    served_while_leaving: list[int] = []

    class Asking(FakeService):
        def leave(self) -> None:
            with Client(self.registry_addr) as client:
                served_while_leaving.append(client.get("/v2/").status)
            super().leave()

    service = Asking(free_address(), free_address())
    with running(service) as node:
        answering(node.client).socket.close()
        getattr(node.worker, handler)(signal.SIGINT, None)
        node.greenlet.get(timeout=10)
        assert service.diary == ["start", "leave", "stop"]
        assert served_while_leaving == [200]
        for port in ("registry", "metrics"):
            with pytest.raises(ConnectionRefusedError):
                node.client(port)


def test_a_body_under_way_is_finished() -> None:
    """The registry port is closed, the metrics port answers, and the client gets all that it was promised."""
    with running(make_service(blob=blob_of(BIG))) as node, answering(node.client) as client:
        client.send(f"GET /v2/a/blobs/{node.service.digest} HTTP/1.1", "Host: t")
        client.head()
        node.stop()
        with gevent.Timeout(10):
            while "leave" not in node.service.diary:
                gevent.sleep(0.005)
        with node.client("metrics") as admin:
            assert admin.get("/readyz").status == 503
        assert client.read(BIG) == node.service.blob
        assert client.ended()
        client.socket.close()
        node.greenlet.get(timeout=10)
        assert node.service.diary == ["start", "leave", "stop"]


def test_a_body_that_takes_too_long_is_ended_short() -> None:
    """By FIN: containerd goes on elsewhere from the byte that it has."""
    with running(make_service(blob=blob_of(BIG), drain_s=0.05)) as node, answering(node.client) as client:
        client.send(f"GET /v2/a/blobs/{node.service.digest} HTTP/1.1", "Host: t")
        client.head()
        node.stop()
        node.greenlet.get(timeout=10)
        got = client.read(BIG)
        assert len(got) < BIG
        assert node.service.blob.startswith(got)


def test_an_idle_client_does_not_hold_the_end() -> None:
    """Its kept-alive connection is ended at once, though the drain may be long."""
    with running(make_service(drain_s=600)) as node, answering(node.client) as client:
        assert client.get("/v2/").status == 200
        node.stop()
        assert client.ended()
        node.greenlet.get(timeout=10)


@pytest.mark.parametrize("trouble", [{"fail": "no such socket"}, {"crash": "a bug"}])
def test_a_start_that_fails_is_a_failure_to_boot(trouble: dict[str, str]) -> None:
    """What was made is freed, no port stays open, and the arbiter will not try again."""
    service = make_service(**trouble)
    worker = make_worker(service)
    if "fail" in trouble:
        with pytest.raises(SystemExit) as caught:
            worker.run()
        assert caught.value.code == Arbiter.WORKER_BOOT_ERROR
    else:
        with pytest.raises(RuntimeError, match="a bug"):
            worker.run()
    worker.tmp.close()
    assert not worker.booted
    assert service.diary == ["start", "stop"]
    with pytest.raises(ConnectionRefusedError):
        Client(service.metrics_addr)


@pytest.mark.parametrize("port", ["registry_addr", "metrics_addr"])
def test_a_port_taken_meanwhile_is_a_failure_to_boot(port: str) -> None:
    """Between the master's check and the listening somebody else may have come."""
    service = make_service()
    worker = make_worker(service)
    taken = listen(getattr(service, port))
    with pytest.raises(SystemExit) as caught:
        worker.run()
    taken.close()
    worker.tmp.close()
    assert caught.value.code == Arbiter.WORKER_BOOT_ERROR
    assert service.diary[-1] == "stop"


def test_a_stop_before_the_start_starts_nothing() -> None:
    """The signal may come while the parts are being imported."""
    service = make_service()
    worker = make_worker(service)
    worker.handle_exit(signal.SIGTERM, None)
    worker.run()
    worker.tmp.close()
    assert service.diary == ["stop"]


def test_a_stop_during_the_start_is_kept() -> None:
    """It is not lost while the node comes up."""
    service = Held(free_address(), free_address())
    with running(service) as node:
        answering(lambda: node.client("metrics")).socket.close()
        node.stop()
        service.go.set()
        node.greenlet.get(timeout=10)
        assert service.diary == ["start", "leave", "stop"]


def test_a_worker_without_its_master_stops() -> None:
    """In an orderly way, as if it had been told to."""
    service = make_service()
    worker = Worker(1, os.getppid() + 1, [], None, 15, settings(), None)
    worker.wsgi = Application(service)
    worker.run()
    worker.tmp.close()
    assert service.diary[-1] == "stop"


def test_the_application_is_the_registry() -> None:
    """A stock WSGI server that is given it serves the registry."""
    service = make_service()
    started: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/v2/",
        "SERVER_NAME": "t",
        "SERVER_PORT": "1",
        "wsgi.url_scheme": "http",
    }
    body = Application(service)(environ, lambda status, headers, exc_info=None: started.append(status))
    assert b"".join(body) == b"{}"
    assert started == ["200 OK"]
