"""The peers as a `Source`: find a holder, and choose the way its body takes."""

from dataclasses import replace

from app.content.store import Descriptor
from app.metrics import Metrics
from app.relay.paced import Patience
from app.relay.spliced_body import RunningRelays, SplicedBody
from app.relay.succession import Finder, GetClient, Succession
from app.relay.unbroken import Unbroken
from app.relay.verified_body import BufferedBody, ByteBudget, HeldBody, fetch_verified
from app.resolver.health import PeerHealth
from app.resolver.resolver import Holders
from app.source import Body, Content, Kind, Query, Span
from app.verify import SMALL_BYTES

#: The buffers of small bodies together; beyond it they stream with their end held back.
BUFFERS_BYTES = 32 * 1024 * 1024


class PeerSource:
    """What the other nodes have. Holds no state but the count of relays and the budget of their buffers."""

    name = "peer"

    def __init__(
        self,
        resolver: Finder,
        peers: GetClient,
        health: PeerHealth,
        *,
        metrics: Metrics,
        small_bytes: int = SMALL_BYTES,
        buffers_bytes: int = BUFFERS_BYTES,
        patience: Patience | None = None,
    ) -> None:
        self._resolver = resolver
        self._peers = peers
        self._health = health
        self._metrics = metrics
        self._small_bytes = small_bytes
        self._budget = ByteBudget(buffers_bytes)
        self._patience = patience or Patience()
        self._running = RunningRelays()

    @property
    def buffer_bytes_left(self) -> int:
        """What of the buffers' budget is free."""
        return self._budget.left

    @property
    def running_relays(self) -> int:
        """How many large bodies are on their way."""
        return self._running.count

    def find(self, query: Query) -> Content | None:
        """Ask the peers. What another mirror asks for is never asked on: there would be no end to it."""
        if query.forwarded_by is not None:
            return None
        holders = self._resolver.find(query)
        return None if holders is None else PeerContent(self, query, holders)

    def open(self, query: Query, holders: Holders, span: Span) -> Body:
        """The body of `span` by the way that suits its size. Raises `SourceGone`."""
        descriptor = holders.descriptor
        succession = Succession(
            replace(query, key=replace(query.key, reference=descriptor.digest)),
            holders,
            finder=self._resolver,
            peers=self._peers,
            health=self._health,
            metrics=self._metrics,
            patience=self._patience,
        )
        try:
            return self._body(query.kind, succession, span)
        except BaseException:
            succession.close()
            raise

    def _body(self, kind: Kind, succession: Succession, span: Span) -> Body:
        size = succession.descriptor.size
        whole = span == Span(0, size)
        small = size <= self._small_bytes
        if whole and small and self._budget.take(size):
            return self._buffered(succession)
        source = Unbroken(succession, span, self._metrics)
        if whole and (small or kind is Kind.MANIFEST):
            return HeldBody(source, succession, self._health, self._metrics)
        return SplicedBody(source, self._running, self._metrics, whole=whole)

    def _buffered(self, succession: Succession) -> BufferedBody:
        try:
            content = fetch_verified(succession, self._metrics)
        except BaseException:
            self._budget.give_back(succession.descriptor.size)
            raise
        return BufferedBody(content, self._budget, self._metrics)


class PeerContent:
    """A `Content` that a peer said to have."""

    def __init__(self, source: PeerSource, query: Query, holders: Holders) -> None:
        self._source = source
        self._query = query
        self._holders = holders

    @property
    def descriptor(self) -> Descriptor:
        return self._holders.descriptor

    @property
    def updated_at(self) -> float | None:
        return self._holders.updated_at

    def open(self, span: Span) -> Body:
        return self._source.open(self._query, self._holders, span)
