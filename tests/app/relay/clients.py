"""A relay on its bench: peers that misbehave on one side, a client's socket on the other."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import gevent
from gevent import socket

from app.content.store import Descriptor
from app.key import Digest
from app.metrics import Metrics
from app.peers.client import Peers
from app.relay.paced import Patience
from app.relay.source import PeerSource
from app.resolver.health import PeerHealth
from app.resolver.resolver import Holders
from app.source import Body, Interrupted, Kind, Query, Span
from gossip.membership import Member
from tests.fake_peers import query_for

LONG = 20.0
MIB = 1024 * 1024
PATIENT: dict[str, object] = {"first_byte_s": LONG, "progress_s": LONG, "progress_bytes": 256 * 1024}


class FixedFinder:
    """Answers each search with the next of the given holders; None when there are no more."""

    def __init__(self, *answers: Holders | None) -> None:
        self.answers = list(answers)
        self.queries: list[Query] = []

    def find(self, query: Query) -> Holders | None:
        self.queries.append(query)
        return self.answers.pop(0) if self.answers else None


def holders(content: bytes, members: Sequence[Member], *, size: int | None = None) -> Holders:
    """The first member as the winner, the rest behind it."""
    descriptor = Descriptor(Digest.of(content), len(content) if size is None else size, "")
    return Holders(members[0], tuple(members[1:]), descriptor, None)


class RelayBench:
    """A `PeerSource` whose searches are scripted; use as a context."""

    def __init__(self, *found: Holders | None, **options: object) -> None:
        """`options` are those of `PeerSource`, and those of `Patience`: long unless a test says otherwise."""
        self.finder = FixedFinder(*found)
        self.metrics = Metrics()
        self.health = PeerHealth(time.monotonic)
        self.peers = Peers("node-x", connect_timeout_s=LONG, idle_s=LONG)
        deadlines = {name: options.pop(name) for name in PATIENT if name in options}
        self.source = PeerSource(
            self.finder,
            self.peers,
            self.health,
            metrics=self.metrics,
            patience=Patience(**(PATIENT | deadlines)),  # type: ignore[arg-type]  # the test's own options
            **options,  # type: ignore[arg-type]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.peers.close()

    def open(self, content: bytes, kind: Kind = Kind.BLOB, span: Span | None = None) -> Body:
        """Find the content and open it, the whole unless a span is given."""
        found = self.source.find(query_for(content, kind))
        assert found is not None
        return found.open(span or Span(0, found.descriptor.size))

    def count(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    @property
    def succeeded(self) -> bool:
        """Whether a whole body was counted as a success."""
        return self.count("rykte_mirror_last_success_timestamp_seconds") > 0


def receive(body: Body) -> tuple[bytes, BaseException | None]:
    """Send the body to a client's socket; return what arrives there, and what `send_to` raised."""
    ours, client = socket.socketpair()
    received = bytearray()

    def read() -> None:
        while piece := client.recv(65536):
            received.extend(piece)

    reader = gevent.spawn(read)
    failure: BaseException | None = None
    try:
        body.send_to(ours)
    except (Interrupted, OSError) as error:
        failure = error
    finally:
        body.close()
        ours.close()
    reader.get(timeout=LONG)
    client.close()
    return bytes(received), failure


def iterate(body: Body) -> tuple[bytes, BaseException | None]:
    """The same by the portable way."""
    received = bytearray()
    failure: BaseException | None = None
    try:
        for piece in body:
            received.extend(piece)
    except (Interrupted, OSError) as error:
        failure = error
    finally:
        body.close()
    return bytes(received), failure
