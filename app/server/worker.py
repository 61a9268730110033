"""Our gunicorn worker: the life of a node in one readable place, `_live`.

gunicorn's arbiter keeps it running and watches that its hub turns; everything else is done here. It listens by
itself, and late: a port that gunicorn had bound in the master would make clients wait for the boot, while one that
is not open yet refuses them at once, and containerd goes on. Stops the same orderly way on SIGTERM, SIGINT, SIGQUIT
and when its master is gone.

Start: metrics port → node → registry port. Stop: out of the gossip, still serving → registry port closed, requests
under way finished → the rest ended short by FIN → metrics port → node.
"""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import gevent
from gevent.event import Event
from gunicorn.arbiter import Arbiter
from gunicorn.workers.ggevent import GeventWorker

from app.address import Address
from app.server.connection import WsgiApp
from app.server.listener import Listener
from app.server.ports import Port

#: What is left of gunicorn's graceful time-out for the node's own end: the arbiter kills at that time-out sharp.
_STOP_RESERVE_S = 1.5
_HEARTBEAT_S = 1.0
_ADMIN_CONNECTIONS = 64

# not structlog, which costs the master 7 MB: this module is loaded there
log = logging.getLogger(__name__)


class StartError(Exception):
    """The node can't be built or started. The text is all that an operator sees: it names the value and the remedy."""


class Service(Protocol):
    """What the worker runs. All methods are called from one greenlet, in this order, each once."""

    @property
    def registry_app(self) -> WsgiApp: ...
    @property
    def admin_app(self) -> WsgiApp: ...
    @property
    def registry_addr(self) -> Address: ...
    @property
    def metrics_addr(self) -> Address: ...
    @property
    def drain_s(self) -> float:
        """How long requests under way may go on at the end."""

    def start(self) -> None:
        """Called when the metrics port answers; returns when the registry can. Raises `StartError`."""

    def leave(self) -> None:
        """Out of the gossip; the registry goes on serving."""

    def stop(self) -> None:
        """Free everything; the last call, also after a `start` that failed or was never made."""


class Application:
    """The WSGI callable of `wsgi.py`: the registry, and the service behind it for the worker.

    A stock server that is given this answers requests, but starts no node.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return self.service.registry_app(environ, start_response)


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn is untyped
    """Runs the `Service` that the loaded `Application` carries."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stopping = Event()

    def handle_exit(self, _sig: int, _frame: object) -> None:
        """Stop in an orderly way (SIGTERM). Called in the middle of anything: it only notes the wish."""
        self.alive = False
        self._stopping.set()

    def handle_quit(self, sig: int, frame: object) -> None:
        """Do the same on SIGINT and SIGQUIT: gunicorn would exit inside the handler, and cut every body by it."""
        self.handle_exit(sig, frame)

    def load_wsgi(self) -> None:
        """See `gunicorn.workers.base.Worker`: builds the node, which may refuse its settings."""
        with _boot_errors():
            super().load_wsgi()

    def run(self) -> None:
        """See `gunicorn.workers.base.Worker`; returns when all has ended."""
        # until the registry answers, a failure is one to boot: the arbiter gives up instead of trying for ever
        self.booted = False
        with _boot_errors():
            self._live(self.wsgi.service)

    def _live(self, service: Service) -> None:
        heart = gevent.spawn(self._beat)
        listeners: list[Listener] = []
        try:
            admin = Port("--metrics-addr", service.metrics_addr, "TCP")
            listeners.append(self._listen(admin, service.admin_app, _ADMIN_CONNECTIONS))
            if self._stopping.is_set():
                return
            service.start()
            port = Port("--registry-addr", service.registry_addr, "TCP")
            listeners.append(self._listen(port, service.registry_app, self.worker_connections))
            self.booted = True
            log.info("serving on %s, metrics on %s", port.shown, admin.shown)
            self._stopping.wait()
            self._retire(service, listeners[1:])
        finally:
            for listener in reversed(listeners):
                listener.cut()
            service.stop()
            heart.kill()

    def _retire(self, service: Service, registry: list[Listener]) -> None:
        """Leave the cluster, then finish what is under way, within the time that the arbiter grants."""
        deadline = time.monotonic() + self.cfg.graceful_timeout - _STOP_RESERVE_S
        service.leave()
        for listener in registry:
            log.info("draining: %d requests under way", listener.busy)
            listener.drain(max(0.0, min(service.drain_s, deadline - time.monotonic())))

    def _listen(self, port: Port, app: WsgiApp, max_connections: int) -> Listener:
        try:
            return Listener(port.address, app, self.cfg, max_connections=max_connections)
        except OSError as error:
            raise StartError(port.problem(error)) from error

    def _beat(self) -> None:
        """Tell the arbiter that the hub turns: it ends a worker that has not said so for `timeout` seconds."""
        while True:
            self.tmp.notify()
            if os.getppid() != self.ppid and self.alive:
                log.warning("the master process is gone: stopping")
                self.handle_exit(0, None)
            gevent.sleep(_HEARTBEAT_S)


@contextmanager
def _boot_errors() -> Iterator[None]:
    """Say why the node can't start, in one line, and end the worker so that the arbiter does too."""
    try:
        yield
    except StartError as error:
        log.error("can't start: %s", error)
        sys.exit(Arbiter.WORKER_BOOT_ERROR)
