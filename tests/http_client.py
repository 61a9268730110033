"""A client that speaks HTTP by hand, so that tests see what really comes over the wire."""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from gevent import socket


@dataclass(frozen=True)
class Answer:
    """A status, headers in lower case, and the body; `whole` is False if it ended before its Content-Length."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool


class Client:
    """One connection. Raises `ConnectionResetError` where the server resets it; waits 10 s at most for anything."""

    def __init__(self, address: tuple[Any, ...]) -> None:
        self.socket = socket.create_connection(address[:2], timeout=10)
        self._held = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, *lines: str, body: bytes = b"") -> None:
        """A request's lines, the empty one added."""
        self.socket.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode() + body)

    def get(self, path: str, *headers: str, method: str = "GET") -> Answer:
        """Ask and read the answer."""
        self.send(f"{method} {path} HTTP/1.1", "Host: test", *headers)
        return self.answer(has_body=method != "HEAD")

    def answer(self, *, has_body: bool = True) -> Answer:
        """The next answer; fails where the connection ends before its head is complete."""
        status, headers = self.head()
        length = int(headers.get("content-length", 0)) if has_body else 0
        body = self.read(length)
        return Answer(status, headers, body, len(body) == length)

    def head(self) -> tuple[int, dict[str, str]]:
        """The next answer's status and headers."""
        while b"\r\n\r\n" not in self._held:
            received = self.socket.recv(65536)
            if not received:
                raise EOFError(f"the connection ended after {bytes(self._held)!r}")
            self._held += received
        head, _, rest = bytes(self._held).partition(b"\r\n\r\n")
        self._held = bytearray(rest)
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(status.split()[1]), headers

    def read(self, count: int) -> bytes:
        """So many bytes, fewer where the connection ends."""
        while len(self._held) < count:
            received = self.socket.recv(65536)
            if not received:
                break
            self._held += received
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def ended(self) -> bool:
        """Whether nothing follows: waits for the server's end of the connection."""
        return not self._held and self.socket.recv(1) == b""
