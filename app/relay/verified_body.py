"""Bodies that are checked before the client has them: small ones in memory, others with their end held back."""

from collections.abc import Iterator

import structlog
from gevent.socket import socket

from app.key import Digest
from app.metrics import Metrics
from app.peers.errors import PeerError
from app.relay.paced import PacedStream
from app.relay.succession import NobodyLeft, Succession
from app.relay.unbroken import Unbroken
from app.resolver.health import PeerHealth
from app.server.sockets import SLICE_BYTES, wait_writable
from app.source import Interrupted, SourceGone
from app.verify import TailGuard, WrongContent

log = structlog.get_logger()

#: Hashing takes the hub's time: 128 KiB are some 60 us of SHA-256.
_PIECE_BYTES = 128 * 1024


class ByteBudget:
    """Bytes that may be in use together; who gets none goes another way."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def take(self, count: int) -> bool:
        """True: they are yours until you give them back."""
        if count > self.left:
            return False
        self.left -= count
        return True

    def give_back(self, count: int) -> None:
        """What `take` gave."""
        self.left += count


def fetch_verified(succession: Succession, metrics: Metrics) -> bytearray:
    """The whole content, its bytes checked. A holder that breaks or lies costs only a failover.

    Each holder starts at the first byte, so that wrong bytes are one peer's. Raises `SourceGone`.
    """
    descriptor = succession.descriptor
    while True:
        try:
            stream = succession.open(0, descriptor.size)
        except NobodyLeft as error:
            raise SourceGone(f"no holder of {descriptor.digest} gives it right") from error
        try:
            content = _read_whole(stream, descriptor.size)
            if Digest.of(content, descriptor.digest.algorithm) != descriptor.digest:
                metrics.verification_failures.labels("peer").inc()
                raise PeerError("corrupt", stream.peer, "sent bytes that do not have the digest")
        except PeerError as error:
            succession.failed(0, error)
            continue
        succession.close()
        return content


def _read_whole(stream: PacedStream, size: int) -> bytearray:
    content = bytearray(size)
    early = stream.take_early()
    filled = len(early)
    content[:filled] = early
    with memoryview(content) as view:
        while filled < size:
            filled += stream.move(lambda source: source.read_into(view[filled:]))  # noqa: B023  # called at once
    return content


class BufferedBody:
    """A `Body` that is in memory and right."""

    def __init__(self, content: bytearray, budget: ByteBudget, metrics: Metrics) -> None:
        """Gives `len(content)` bytes back to the budget when closed."""
        self._content: bytearray | None = content
        self.length = len(content)
        self.sent = 0
        self._budget = budget
        self._metrics = metrics

    def send_to(self, client: socket) -> None:
        for piece in self._pieces():
            wait_writable(client)
            client.sendall(piece)

    def __iter__(self) -> Iterator[bytes]:
        return map(bytes, self._pieces())

    def _pieces(self) -> Iterator[memoryview]:
        view = memoryview(self._content or b"")
        for start in range(0, self.length, SLICE_BYTES):
            piece = view[start : start + SLICE_BYTES]
            yield piece
            self.sent += len(piece)
        self._metrics.last_success.set_to_current_time()

    def close(self) -> None:
        if self._content is not None:
            self._content = None
            self._budget.give_back(self.length)


class HeldBody:
    """A `Body` that is hashed as it flows: its last piece leaves only if the whole is right."""

    def __init__(self, source: Unbroken, succession: Succession, health: PeerHealth, metrics: Metrics) -> None:
        """`source` must be of the whole content."""
        self._source = source
        self._digest = succession.descriptor.digest
        self._health = health
        self._metrics = metrics
        self.length = source.span.length
        self.sent = 0

    def send_to(self, client: socket) -> None:
        for piece in self:
            client.sendall(piece)
            wait_writable(client)

    def __iter__(self) -> Iterator[bytes]:
        guard = TailGuard(self._digest)
        for piece in self._source.pieces(_PIECE_BYTES):
            if free := guard.feed(piece):
                yield free
                self.sent += len(free)
        yield (tail := self._checked(guard))
        self.sent += len(tail)
        self._metrics.last_success.set_to_current_time()

    def _checked(self, guard: TailGuard) -> bytes:
        try:
            return guard.finish()
        except WrongContent as error:
            self._metrics.verification_failures.labels("peer").inc()
            self._metrics.relay_interrupted.inc()
            for name in self._source.givers:
                self._health.gave_wrong_bytes(name, self._digest)
            log.warning("wrong bytes from peers, body ends short", peers=self._source.givers, digest=str(self._digest))
            raise Interrupted(str(error)) from error

    def close(self) -> None:
        self._source.close()
