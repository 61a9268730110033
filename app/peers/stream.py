"""A body that a peer is sending: counts what is left, and gives the connection back when all of it was taken."""

import time
from typing import Protocol

from app.peers.connection import PeerConnection
from app.peers.errors import PeerError
from app.peers.http_message import ResponseHead
from gossip.membership import Member


class Settle(Protocol):
    """What becomes of a connection when its exchange is over."""

    def __call__(self, name: str, connection: PeerConnection, *, reusable: bool) -> None: ...


class PeerStream:
    """The answer to a GET whose head has come. Reading never blocks (`wait_readable` does) and raises `PeerError`."""

    def __init__(
        self, member: Member, head: ResponseHead, connection: PeerConnection, early: bytes, length: int, settle: Settle
    ) -> None:
        """`early` is what came of the body together with the head, `length` all of the body's bytes."""
        self.member = member
        self.head = head
        self._connection = connection
        self._early = early
        self._left = length - len(early)
        self._settle = settle
        self._open = True

    @property
    def left(self) -> int:
        """Bytes still to come, those that came with the head not counted."""
        return self._left

    def take_early(self) -> bytes:
        """What came together with the head, once."""
        early, self._early = self._early, b""
        return early

    def read_into(self, buffer: memoryview) -> int | None:
        """Read body bytes only; None if there are none yet."""
        return self._counted(self._connection.read_into(buffer[: self._left]))

    def splice_to(self, pipe: int, limit: int) -> int | None:
        """Move body bytes only, at most `limit`, into a pipe; None if none are there yet, or the pipe is full."""
        return self._counted(self._connection.splice_to(pipe, min(limit, self._left)))

    def _counted(self, count: int | None) -> int | None:
        if count is not None:
            self._left -= count
        return count

    def wait_readable(self, timeout_s: float) -> None:
        """Let others run until there is something to read or the time is up."""
        self._connection.wait_readable(timeout_s)

    def read_all(self, deadline: float) -> bytes:
        """The whole body, in memory: for those whose length the caller has bounded. `deadline` is monotonic."""
        early = self.take_early()
        body = bytearray(len(early) + self._left)
        body[: len(early)] = early
        view = memoryview(body)
        while self._left:
            if self.read_into(view[-self._left :]) is None:
                if time.monotonic() >= deadline:
                    raise PeerError("timeout", self.member.name, f"still owes {self._left} bytes of its answer")
                self.wait_readable(deadline - time.monotonic())
        return bytes(body)

    def close(self) -> None:
        """Give the connection back if all of the body was read and the peer keeps it open, else close it."""
        if self._open:
            self._open = False
            reusable = self._left == 0 and self.head.keeps_alive
            self._settle(self.member.name, self._connection, reusable=reusable)
