"""One HTTP request from inside a namespace."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage

from tests.real.lab.network import Namespace


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: HTTPMessage
    body: bytes


def ask(
    namespace: Namespace,
    port: int,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
    timeout_s: float = 30.0,
) -> Answer:
    """Ask the namespace's own loopback. Raises `OSError` where nobody listens."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    connection.sock = namespace.connect(port, timeout_s=timeout_s)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()
