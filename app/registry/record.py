"""One request for content from its parsing to the end of its body: its metrics and its line in the log.

A body ends long after the handler has returned, or never begins when the client has gone; so the record travels with
the body, and is closed exactly once.
"""

import time
from collections.abc import Callable, Collection, Iterator

import structlog
from gevent.socket import socket

from app.key import Tag
from app.metrics import Metrics
from app.source import Body, Interrupted, Kind, Query

log = structlog.get_logger()


class Recorder:
    """Begins records."""

    def __init__(self, metrics: Metrics, registries: Callable[[], Collection[str]]) -> None:
        """`registries` are those that get a label of their own; the rest is `other`."""
        self._metrics = metrics
        self._registries = registries

    def begin(self, query: Query, method: str) -> "Record":
        """The request counts as being in flight until the record is closed."""
        registry = query.key.registry if query.key.registry in self._registries() else "other"
        return Record(self._metrics, query, method, registry)


class Record:
    """What became of one request."""

    def __init__(self, metrics: Metrics, query: Query, method: str, registry: str) -> None:
        self._metrics = metrics
        self._query = query
        self._method = method
        self._registry = registry
        self._source = "none"
        self._outcome = "miss"
        self._begun = time.perf_counter()
        self._closed = False
        metrics.requests_inflight.inc()

    def refused(self) -> None:
        """Not looked for: a filter or a rule about tags said no."""
        self._outcome = "refused"

    def found(self, source: str) -> None:
        """This source has it."""
        self._outcome = "hit"
        self._source = source

    def missed(self) -> None:
        """Nobody has it, or nobody can give it after all."""
        self._outcome = "miss"
        self._source = "none"

    def first_byte(self) -> None:
        """The answer begins to leave."""
        self._observe("first_byte")

    def close(self, sent: int = 0, problem: str | None = None) -> None:
        """The answer has ended, whole if there is no `problem`, after `sent` bytes of body. Idempotent."""
        if self._closed:
            return
        self._closed = True
        metrics = self._metrics
        metrics.requests_inflight.dec()
        metrics.mirror_requests.labels(self._registry, self._label(), self._outcome, self._source).inc()
        if sent:
            metrics.sent_bytes.labels(self._source, "client" if self._query.forwarded_by is None else "peer").inc(sent)
        if problem is None:
            self._observe("last_byte")
        self._log(sent, problem)

    def _label(self) -> str:
        if self._query.kind is Kind.BLOB:
            return "blob"
        return "tag" if isinstance(self._query.key.reference, Tag) else "manifest"

    def _observe(self, until: str) -> None:
        elapsed = time.perf_counter() - self._begun
        self._metrics.request_latency.labels(self._label(), self._source, until).observe(elapsed)

    def _log(self, sent: int, problem: str | None) -> None:
        fields: dict[str, object] = {
            "method": self._method,
            "key": str(self._query.key),
            "outcome": self._outcome,
            "source": self._source,
            "bytes": sent,
            "ms": round((time.perf_counter() - self._begun) * 1000, 1),
        }
        if self._query.forwarded_by is not None:
            fields["asked_by"] = self._query.forwarded_by
        if problem is not None:
            fields["problem"] = problem
        # what is not to be had here is the normal case of a cold cluster, and comes by the thousand
        (log.info if self._outcome == "hit" else log.debug)("request", **fields)


class RecordedBody:
    """A body that closes its record when it ends, in whatever way."""

    def __init__(self, body: Body, record: Record) -> None:
        self._body = body
        self._record = record
        self._problem: str | None = "the client went away before the body began"

    @property
    def length(self) -> int:
        return self._body.length

    @property
    def sent(self) -> int:
        return self._body.sent

    def send_to(self, client: socket) -> None:
        """See `Body`. The first byte is taken to leave now: what had to be waited for, `open` has waited for."""
        self._record.first_byte()
        try:
            self._body.send_to(client)
        except BaseException as error:
            self._problem = _reason(error)
            raise
        self._problem = None

    def __iter__(self) -> Iterator[bytes]:
        self._record.first_byte()
        try:
            yield from self._body
        except BaseException as error:
            self._problem = _reason(error)
            raise
        self._problem = None

    def close(self) -> None:
        """See `Body`."""
        try:
            self._body.close()
        finally:
            self._record.close(self._body.sent, self._problem)


def _reason(error: BaseException) -> str:
    if isinstance(error, Interrupted):
        return f"ended short: {error}"
    if isinstance(error, OSError | GeneratorExit):
        return "the client went away"
    return f"failed: {error!r}"
