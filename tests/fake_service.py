"""A `Service` for the worker's tests: the real apps over a store in memory, and a diary of what was called.

Run as a program it is a whole server. Its one argument is a JSON object: the ports `registry`, `metrics` and `gossip`.
Further members: `drain_s`, `fail` (start raises StartError with this text), `crash` (start raises something else),
`refuse` (loading raises StartError), `start_s` (start takes so long), `blob_bytes` (size of the one blob). The diary is
written to standard output.
"""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

import gevent

from app.admin import create_admin
from app.key import Digest
from app.log import adopt_logging, configure
from app.metrics import Metrics
from app.registry.local import LocalSource
from app.registry.views import create_app
from app.server.master import serve
from app.server.worker import Application, StartError
from tests.fake_store import FakeStore

HOST = "127.0.0.1"


def blob_of(size: int) -> bytes:
    """Bytes that differ from block to block, so that a piece in the wrong place shows."""
    block = b"".join(number.to_bytes(4, "big") for number in range(16384))
    return (block * (size // len(block) + 1))[:size]


@dataclass
class FakeService:
    """See above. `diary` is told each step."""

    registry_addr: tuple[str, int]
    metrics_addr: tuple[str, int]
    drain_s: float = 5.0
    fail: str = ""
    crash: str = ""
    start_s: float = 0.0
    blob: bytes = b"a layer"
    diary: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        metrics = Metrics()
        store = FakeStore()
        self.digest: Digest = store.put_blob(self.blob)
        self._ready = False
        self.registry_app = create_app(
            [LocalSource(store, metrics)],
            metrics=metrics,
            default_registry="docker.io",
            admits=lambda _key: True,
            registries=lambda: ["docker.io"],
            exchange=None,
            node_name="fake",
        )
        self.admin_app = create_admin(
            registry=metrics.registry,
            alive=lambda: None,
            ready=lambda: None if self._ready else "starting or stopping",
            status=dict,
            members=dict,
            holders=lambda _reference: {},
        )

    def start(self) -> None:
        self._note("start")
        gevent.sleep(self.start_s)
        if self.fail:
            raise StartError(self.fail)
        if self.crash:
            raise RuntimeError(self.crash)
        self._ready = True

    def leave(self) -> None:
        self._ready = False
        self._note("leave")

    def stop(self) -> None:
        self._note("stop")

    def _note(self, step: str) -> None:
        self.diary.append(step)
        print(step, flush=True)


@dataclass
class FakeConfig:
    """The attributes that `serve` looks at."""

    registry_addr: tuple[str, int]
    metrics_addr: tuple[str, int]
    gossip_addr: tuple[str, int]
    drain_timeout_s: float
    engine: str = "swim"


def main(argument: str) -> int:
    """Serve as the product's command does."""
    wishes: dict[str, Any] = json.loads(argument)
    config = FakeConfig(
        (HOST, wishes["registry"]), (HOST, wishes["metrics"]), (HOST, wishes["gossip"]), wishes.get("drain_s", 5.0)
    )
    adopt_logging("debug" if wishes.get("debug") else "info", "json")

    def load() -> Application:
        configure("info", "json")
        if "refuse" in wishes:
            raise StartError(wishes["refuse"])
        service = FakeService(
            config.registry_addr,
            config.metrics_addr,
            config.drain_timeout_s,
            wishes.get("fail", ""),
            wishes.get("crash", ""),
            wishes.get("start_s", 0.0),
            blob_of(wishes.get("blob_bytes", 1000)),
        )
        return Application(service)

    return serve(config, load)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
