"""A metrics port that answers what a test tells it to."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from gevent.pywsgi import WSGIServer

STATUS: dict[str, Any] = {
    "node": "n1",
    "version": "0.1.0",
    "ready": True,
    "reason": None,
    "uptime_s": 3725.4,
    "store": {"kind": "containerd", "images": 40, "keys": 165, "problem": None},
    "members": {"alive": 3, "failed": 1},
    "engine": "swim",
    "addresses": {"registry": "0.0.0.0:5000", "metrics": "0.0.0.0:9090", "gossip": "0.0.0.0:7946"},
}
MEMBERS: dict[str, Any] = {
    "members": [
        {
            "name": "n2-x",
            "node": "n2",
            "host": "10.0.0.2",
            "port": 7946,
            "http": "5000",
            "state": "alive",
            "zone": "a",
            "keys": 165,
            "age_s": 61.5,
        },
        {
            "name": "n1-x",
            "node": "n1",
            "host": "fd00::1",
            "port": 7946,
            "http": None,
            "state": "failed",
            "zone": "",
            "keys": None,
            "age_s": None,
        },
    ]
}
HOLDERS: dict[str, Any] = {
    "key": "docker.io/library/nginx:1",
    "holders": [
        {"node": "n2", "host": "10.0.0.2", "state": "alive", "confirmed": True},
        {"node": "n1", "host": "10.0.0.1", "state": "suspect", "confirmed": False},
    ],
}


class NodeApi:
    """Answers every request in the same way, and remembers what was asked."""

    def __init__(self) -> None:
        self.status = "200 OK"
        self.body = b"{}"
        self.headers = [("Content-Type", "application/json"), ("Connection", "close")]
        self.asked: list[tuple[str, str]] = []
        self._server = WSGIServer(("127.0.0.1", 0), self._answer, log=None, error_log=None)
        self._server.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def answers(self, document: object, status: str = "200 OK") -> None:
        """From now on, this."""
        self.status, self.body = status, document if isinstance(document, bytes) else json.dumps(document).encode()

    def stop(self) -> None:
        self._server.stop(timeout=1)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.asked.append((environ["PATH_INFO"], environ["QUERY_STRING"]))
        start_response(self.status, self.headers)
        return [self.body]
