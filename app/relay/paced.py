"""A peer's stream with a deadline on its progress: waiting for bytes ends in time, however they trickle."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.peers.errors import PeerError
from app.peers.stream import PeerStream
from app.relay.progress import ProgressMeter

#: Moves bytes that are there, and says how many; None if there are none.
Take = Callable[[PeerStream], int | None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a peer is waited for: without a deadline a silent peer held a pull for 170 s (measured).

    `first_byte_s` is for the answer's head, connecting included; after it at least `progress_bytes`, or all that is
    left, must come in each `progress_s` seconds of waiting.
    """

    first_byte_s: float = 2.0
    progress_bytes: int = 256 * 1024
    progress_s: float = 2.0


class PacedStream:
    """One holder's answer, from its head to its end."""

    def __init__(self, stream: PeerStream, patience: Patience) -> None:
        self._stream = stream
        self._meter = ProgressMeter(
            floor_bytes=patience.progress_bytes, window_s=patience.progress_s, total=stream.left
        )

    @property
    def peer(self) -> str:
        """The member's name."""
        return self._stream.member.name

    def take_early(self) -> bytes:
        """What came together with the head, once."""
        return self._stream.take_early()

    def move(self, take: Take) -> int:
        """Run `take` until it has moved something; say how much. Raises `PeerError`, `stalled` among its reasons."""
        while (count := take(self._stream)) is None:
            if self._meter.stalled:
                raise PeerError("stalled", self.peer, f"sends too slowly, {self._stream.left} bytes are missing")
            began = time.monotonic()
            self._stream.wait_readable(self._meter.patience_s)
            self._meter.waited(time.monotonic() - began)
        self._meter.received(count)
        return count

    def close(self) -> None:
        """Back to the pool if the whole of it was taken, else closed. Idempotent."""
        self._stream.close()
