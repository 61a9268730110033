"""One stretch of a content as one stream, whoever gives it: breaks are mended at the exact same byte."""

from collections.abc import Iterator

import structlog

from app.metrics import Metrics
from app.peers.errors import PeerError
from app.relay.paced import PacedStream, Take
from app.relay.succession import NobodyLeft, Succession
from app.source import Interrupted, SourceGone, Span

log = structlog.get_logger()


class Unbroken:
    """The bytes of `span`, in order, each once. `offset` is the next one's position in the content."""

    def __init__(self, succession: Succession, span: Span, metrics: Metrics) -> None:
        """Open the first stream. Raises `SourceGone` if nobody gives one."""
        self._succession = succession
        self._metrics = metrics
        self.span = span
        self.offset = span.start
        #: Who has given bytes so far.
        self.givers: list[str] = []
        try:
            self._stream = self._open()
        except NobodyLeft as error:
            raise SourceGone(f"no holder of {succession.descriptor.digest} gives it") from error

    @property
    def left(self) -> int:
        """Bytes that have not been taken."""
        return self.span.stop - self.offset

    def take_early(self) -> bytes:
        """What came of the body together with a stream's head. To be asked for before each `move`."""
        early = self._stream.take_early()
        self.offset += len(early)
        return early

    def move(self, take: Take) -> int:
        """Let `take` move bytes from the stream; say how many, 0 when another holder has taken over.

        `take` must not read beyond the stream, and what it has moved counts as given: on a break nothing is repeated.
        Raises `Interrupted` when nobody is left.
        """
        try:
            count = self._stream.move(take)
        except PeerError as error:
            self._go_on(error)
            return 0
        self.offset += count
        return count

    def pieces(self, piece_bytes: int) -> Iterator[bytes]:
        """All that is left, in pieces that are never empty; raises as `move`. For those who need the bytes here."""
        view = memoryview(bytearray(min(piece_bytes, self.left)))
        while self.left:
            if piece := self.take_early() or bytes(view[: self.move(lambda stream: stream.read_into(view))]):
                yield piece

    def _go_on(self, error: PeerError) -> None:
        self._succession.failed(self.offset, error)
        try:
            self._stream = self._open()
        except NobodyLeft as nobody:
            self._metrics.relay_interrupted.inc()
            digest = self._succession.descriptor.digest
            log.warning(
                "body ends short, no holder is left", digest=str(digest), offset=self.offset, stop=self.span.stop
            )
            raise Interrupted(f"{digest} ends at byte {self.offset} of {self.span.stop}: {error}") from nobody

    def _open(self) -> PacedStream:
        stream = self._succession.open(self.offset, self.span.stop)
        self.givers.append(stream.peer)
        return stream

    def close(self) -> None:
        """Idempotent."""
        self._succession.close()
