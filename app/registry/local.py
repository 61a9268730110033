"""The own store as a source."""

from dataclasses import dataclass

import structlog

from app.content.store import Blob, ContentStore, Descriptor, NotFound, StoreError
from app.key import Digest
from app.media_types import MANIFEST_TYPES
from app.metrics import Metrics
from app.registry.at_rest import AtRest
from app.registry.file_body import FileBody
from app.source import Body, Kind, Query, SourceGone, Span
from app.verify import SMALL_BYTES

log = structlog.get_logger()


class LocalSource:
    """Content of the own store; a store that fails has nothing."""

    name = "local"

    def __init__(self, store: ContentStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._at_rest = AtRest()

    def find(self, query: Query) -> "LocalContent | None":
        """See `Source`. A manifest whose media type nobody knows is not found: the client would guess wrong.

        Nor is small content with wrong bytes: a HEAD that says yes before a GET that says no would win races of probes.
        """
        try:
            descriptor, updated_at = self._look_up(query)
        except NotFound:
            return None
        except StoreError as error:
            log.warning("store can't be asked", key=str(query.key), reason=str(error))
            return None
        if query.kind is Kind.MANIFEST and descriptor.media_type not in MANIFEST_TYPES:
            return None
        if descriptor.size <= SMALL_BYTES and not self._is_right(descriptor):
            return None
        return LocalContent(self, descriptor, updated_at)

    def _look_up(self, query: Query) -> tuple[Descriptor, float | None]:
        reference = query.key.reference
        if isinstance(reference, Digest):
            return self._store.stat(reference), None
        image = self._store.resolve(query.key)
        # the file's own size and type, not what the image's owner wrote down when it was named
        return self._store.stat(image.target.digest), image.updated_at

    def open(self, descriptor: Descriptor, span: Span) -> FileBody:
        """The body of a content that was found. Raises `SourceGone`."""
        try:
            blob = self._store.open(descriptor.digest)
        except StoreError as error:
            raise SourceGone(str(error)) from error
        try:
            self._check(descriptor, blob)
        except BaseException:
            blob.close()
            raise
        return FileBody(blob, span)

    def _is_right(self, descriptor: Descriptor) -> bool:
        try:
            self.open(descriptor, Span(0, descriptor.size)).close()
        except SourceGone as gone:
            log.debug("content not found after all", digest=str(descriptor.digest), reason=str(gone))
            return False
        return True

    def _check(self, descriptor: Descriptor, blob: Blob) -> None:
        if blob.size != descriptor.size:
            raise SourceGone(f"{descriptor.digest} has {blob.size} bytes, {descriptor.size} were announced")
        try:
            right = self._at_rest.trusts(descriptor.digest, blob)
        except (StoreError, OSError) as error:
            raise SourceGone(str(error)) from error
        if not right:
            self._metrics.verification_failures.labels(source=self.name).inc()
            log.error("content in the store is damaged: remove and pull it again", digest=str(descriptor.digest))
            raise SourceGone(f"{descriptor.digest} has other bytes")


@dataclass(frozen=True, slots=True)
class LocalContent:
    """See `Content`."""

    source: LocalSource
    descriptor: Descriptor
    updated_at: float | None

    def open(self, span: Span) -> Body:
        """See `Content`."""
        return self.source.open(self.descriptor, span)
