"""The holders of one content, one after the other: who is asked for the bytes from here on when one fails.

The order: the winner of the race, its other candidates, then whoever a new look at the directory finds; last, once
more, those that broke off (a mirror that was restarted is back in half a second). Nobody is asked more than twice.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Protocol

import structlog

from app.content.store import Descriptor
from app.metrics import Metrics
from app.peers.errors import Declined, PeerError, Reason
from app.peers.stream import PeerStream
from app.relay.paced import PacedStream, Patience
from app.resolver.health import PeerHealth
from app.resolver.probe import check_announced, headers_of, path_of, range_header
from app.resolver.resolver import Holders
from app.source import Query
from gossip.membership import Member

log = structlog.get_logger()

#: A pull that has met this many bad holders is better off upstream.
MAX_ASKED = 16
#: So long may the search for the next holder leave the client without a byte; whom it finds has its own deadlines.
SEARCH_S = 10.0
#: Failures that say nothing of the content: such a peer is worth a second question.
_PASSING: frozenset[Reason] = frozenset({"closed", "stalled", "timeout", "refused"})


class Finder(Protocol):
    """The part of `Resolver` that a relay needs."""

    def find(self, query: Query) -> Holders | None:
        """Who has it now."""


class GetClient(Protocol):
    """The part of `Peers` that a relay needs."""

    def get(self, member: Member, path: str, headers: Mapping[str, str], first_byte_timeout_s: float) -> PeerStream:
        """Raises `PeerError`."""


class NobodyLeft(Exception):
    """Every holder was asked."""


class Succession:
    """Opens one stream at a time, and keeps the count of this node's transfers from each peer."""

    def __init__(
        self,
        query: Query,
        holders: Holders,
        *,
        finder: Finder,
        peers: GetClient,
        health: PeerHealth,
        metrics: Metrics,
        patience: Patience,
    ) -> None:
        """`query` asks for the digest of `holders.descriptor`."""
        self.descriptor: Descriptor = holders.descriptor
        self._query = query
        self._finder = finder
        self._peers = peers
        self._health = health
        self._metrics = metrics
        self._patience = patience
        self._line = self._candidates(holders)
        self._asked: set[str] = set()
        self._worth_asking_again: list[Member] = []
        self._member = holders.winner
        self._stream: PacedStream | None = None
        self._unanswered: list[Reason] = []

    def open(self, start: int, stop: int) -> PacedStream:
        """The bytes `start` to `stop` (exclusive) from the next holder that gives exactly them. Raises `NobodyLeft`.

        The stream before is closed; this one is closed by the next `open` or by `close`.
        """
        self.close()
        give_up = time.monotonic() + SEARCH_S
        for member in self._line:
            if time.monotonic() > give_up:
                break
            self._member = member
            try:
                stream = self._ask(member, start, stop)
            except PeerError as error:
                self.failed(start, error)
                continue
            for reason in self._unanswered:
                self._metrics.relay_failovers.labels(reason).inc()
            self._unanswered.clear()
            return stream
        raise NobodyLeft

    def failed(self, offset: int, error: PeerError) -> None:
        """The holder asked last did not give the bytes from `offset` on. Its stream is closed."""
        self.close()
        self._unanswered.append(error.reason)
        if isinstance(error, Declined):
            passing = error.status == 503
        elif error.reason == "corrupt":
            passing = False
            self._health.gave_wrong_bytes(self._member.name, self.descriptor.digest)
        else:
            passing = error.reason in _PASSING
            self._health.failed(self._member.name)
        if passing:
            self._worth_asking_again.append(self._member)
        log.warning(
            "peer failed, trying the next",
            peer=self._member.name,
            digest=str(self.descriptor.digest),
            offset=offset,
            reason=error.reason,
            error=str(error),
        )

    def close(self) -> None:
        """End the stream that is open, if any. Idempotent."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            self._health.ended(self._member.name)

    def _ask(self, member: Member, start: int, stop: int) -> PacedStream:
        self._health.began(member.name)
        began = time.monotonic()
        try:
            stream = self._peers.get(
                member,
                path_of(self._query.kind, self._query.key),
                headers_of(self._query) | range_header(start, stop, self.descriptor.size),
                self._patience.first_byte_s,
            )
        except BaseException:
            self._health.ended(member.name)
            raise
        self._stream = PacedStream(stream, self._patience)
        self._health.answered(member.name, time.monotonic() - began)
        check_announced(member.name, self.descriptor, start, stop, stream.head)
        return self._stream

    def _candidates(self, holders: Holders) -> Iterator[Member]:
        """Everybody worth asking, lazily: a new look at the directory is taken only when the known ones are used up."""
        yield from self._new(holders)
        fresh = self._finder.find(self._query) if len(self._asked) < MAX_ASKED else None
        if fresh is not None:
            yield from self._new(fresh)
        # A copy: who fails the second time is not asked a third.
        yield from tuple(self._worth_asking_again)

    def _new(self, holders: Holders) -> Iterator[Member]:
        for member in (holders.winner, *holders.others):
            if member.name not in self._asked and len(self._asked) < MAX_ASKED:
                self._asked.add(member.name)
                yield member
