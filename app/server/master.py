"""gunicorn's settings and the master process: `serve`.

One worker, for three reasons: a node is one member of the gossip with one inventory; one hub serves some 4 GB/s,
beyond what a node's network carries; and a second worker cost memory and gave no throughput (two cores, measured).

The master stays light: it imports gunicorn and the worker class, and neither Flask nor grpc, starts no thread and
binds nothing. What a worker needs is imported and started after the fork, so that nothing is inherited half-way.
"""

import logging
import math
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from app.address import Address
from app.server.gunicorn_log import GunicornLogger
from app.server.ports import Port, port_problems
from app.server.worker import Application, Worker

#: Above the drain's own limit: leaving the gossip, and the node's end.
_GRACE_S = 4
#: A worker whose hub does not turn for so long is replaced.
_HANG_S = 30
_MAX_CONNECTIONS = 1000
#: containerd sends some ten of at most 8 KiB; a thousand slow heads must not fill the memory.
_MAX_HEADER_FIELDS = 32
#: Two for each connection and its blob or peer, and the rest.
_DESCRIPTORS = 16384

# not structlog: it would cost the master 7 MB
log = logging.getLogger(__name__)


class ServerConfig(Protocol):
    """What the server needs to know of the configuration."""

    @property
    def registry_addr(self) -> Address: ...
    @property
    def metrics_addr(self) -> Address: ...
    @property
    def gossip_addr(self) -> Address: ...
    @property
    def engine(self) -> str: ...
    @property
    def drain_timeout_s(self) -> float: ...


def serve(config: ServerConfig, load: Callable[[], Application]) -> int:
    """Run a node until it is told to stop; the exit code: 0 after an orderly end, 1 if it could not start or run.

    `load` is called in the worker process: it imports the node's parts and builds them. Does not return in the worker:
    there it raises `SystemExit`.
    """
    problems = port_problems(_ports(config))
    if problems:
        log.error("can't start: %s", " | ".join(problems))
        return 1
    _raise_descriptor_limit()
    master = os.getpid()
    try:
        Master(_GunicornApplication(config, load)).run()
    except SystemExit as ending:
        if os.getpid() != master:
            raise  # the worker's own end, on its way through the fork's copy of this frame
        return 1 if ending.code else 0
    return 0


class Master(Arbiter):  # type: ignore[misc]  # gunicorn is untyped
    """The arbiter without what would start a second worker or a second set of them: a node has one inventory."""

    def handle_hup(self) -> None:
        """Refuse to reload: the configuration comes from flags and environment, which do not change."""
        log.warning("signal refused: restart the process to change its configuration")

    handle_usr2 = handle_ttin = handle_ttou = handle_hup

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """End the worker and this process. Why a worker could not boot it has said itself."""
        log.debug("stopping, %s", reason or "as told")
        self.stop()
        raise SystemExit(1 if exit_status else 0)


class _QuietLogger(GunicornLogger):
    """gunicorn's log; what it tells of its own housekeeping is of use only when one searches for faults."""

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        super().debug(msg, *args, **kwargs)

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Leave it out: all settings at each start, and a line for each odd connection."""

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        if args and args[-1] == Arbiter.WORKER_BOOT_ERROR:
            super().debug(msg, *args, **kwargs)  # the worker itself has said what is wrong
        else:
            super().error(msg, *args, **kwargs)


class _GunicornApplication(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    def __init__(self, config: ServerConfig, load: Callable[[], Application]) -> None:
        self._config = config
        self._load = load
        super().__init__()

    def load_config(self) -> None:
        """Set everything here: gunicorn's own files, flags and environment are not read."""
        settings: dict[str, Any] = {
            "workers": 1,
            "worker_class": Worker,
            "worker_connections": _MAX_CONNECTIONS,
            "bind": [],
            "max_requests": 0,
            "timeout": _HANG_S,
            "graceful_timeout": math.ceil(self._config.drain_timeout_s) + _GRACE_S,
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108  - the heartbeat file
            "http_parser": "python",
            "limit_request_fields": _MAX_HEADER_FIELDS,
            "forwarded_allow_ips": "",
            "control_socket_disable": True,
            "accesslog": None,
            "logger_class": _QuietLogger,
            "proc_name": "rykte",
            "post_fork": _after_fork,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        """Called in the worker."""
        return self._load()


def _after_fork(_arbiter: Arbiter, _worker: Worker) -> None:
    """Let a signal end the child until the worker has handlers of its own: the inherited ones would swallow it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def _ports(config: ServerConfig) -> list[Port]:
    ours = [
        Port("--registry-addr", config.registry_addr, "TCP"),
        Port("--metrics-addr", config.metrics_addr, "TCP"),
    ]
    if config.engine == "serf":
        return ours  # the agent has the gossip port
    return [*ours, Port("--gossip-addr", config.gossip_addr, "TCP"), Port("--gossip-addr", config.gossip_addr, "UDP")]


def _raise_descriptor_limit() -> None:
    """Each connection may take two or three descriptors, and the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
