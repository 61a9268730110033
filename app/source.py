"""Where a request's answer can come from: the own store, or a peer. One contract for both.

`app/registry` asks its sources in order and takes the first that has the content; it knows nothing of
peers, probes or gossip.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from app.content.store import Descriptor
from app.key import Key

if TYPE_CHECKING:
    from gevent.socket import socket  # what a body writes to; whoever only asks stays free of I/O


class Kind(Enum):
    """Which endpoint was asked; its value is the path's word."""

    MANIFEST = "manifests"
    BLOB = "blobs"


@dataclass(frozen=True, slots=True)
class Query:
    """One parsed request.

    `accept` is the client's Accept header, to be passed on; `forwarded_by` the node name of the mirror that asks on
    behalf of its own client, None for a client of ours.
    """

    kind: Kind
    key: Key
    accept: str = ""
    forwarded_by: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `stop` (exclusive) of a content."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


class SourceGone(Exception):
    """The content that was found can't be had after all; no byte of it was given. Answer 404."""


class Interrupted(Exception):
    """Bytes were given and no more are to be had: end the body short by FIN. The text says why."""


class Body(Protocol):
    """The bytes of an answer, to be sent once, then closed. Exactly `length` bytes, or `Interrupted`."""

    @property
    def length(self) -> int: ...

    @property
    def sent(self) -> int:
        """How many of them have been given out so far, also after a failure."""

    def send_to(self, client: "socket") -> None:
        """Write all bytes to the client's socket, kernel to kernel where possible, with fair turns for the hub.

        Raises `Interrupted` when the source breaks, `OSError` when the client does.
        """

    def __iter__(self) -> Iterator[bytes]:
        """The portable way to the same bytes, for servers that give no socket. Raises `Interrupted`."""

    def close(self) -> None:
        """Free files, sockets and pipes. Idempotent; also called when nothing was sent."""


class Content(Protocol):
    """Content that a source has."""

    @property
    def descriptor(self) -> Descriptor: ...

    @property
    def updated_at(self) -> float | None:
        """When a tag was last moved at its holder, seconds since the epoch; None for a digest."""

    def open(self, span: Span) -> Body:
        """The body of these bytes. Raises `SourceGone`. What is small enough is verified before this returns."""


class Source(Protocol):
    """One place to look."""

    @property
    def name(self) -> str:
        """`local` or `peer`: the metric's label."""

    def find(self, query: Query) -> Content | None:
        """None if it is not to be had here; never raises for a peer's or the store's faults."""
