"""The answering half of a store: an inventory over content that can be read, and word of its changes.

A store owns one, keeps its inventory current, and passes questions on to it.
"""

from typing import Protocol

import structlog

from app.content.changes import Added, Change, Removed, Skipped, Tagged, Untagged
from app.content.inventory import Inventory
from app.content.store import Blob, Descriptor, Image, NotFound, StoreError, StoreWatcher
from app.content.walk import MAX_MANIFEST_BYTES, media_type_of
from app.key import Digest, Key
from app.metrics import Metrics

log = structlog.get_logger()


class ContentReader(Protocol):
    """Where content's bytes are: files, or a daemon that has to be asked."""

    def holds(self, digest: Digest, size: int) -> bool:
        """False if it is known not to be there with this size. Asks no daemon."""

    def open(self, digest: Digest, size: int) -> Blob:
        """Raises `NotFound`, also for another size, and `StoreUnavailable`."""

    def read(self, digest: Digest, limit: int) -> bytes | None:
        """The content, or its first `limit` bytes; None if it is not there. Raises `StoreUnavailable`."""


class Holdings:
    """See above. `reader` may be replaced while it runs."""

    def __init__(self, reader: ContentReader, metrics: Metrics | None) -> None:
        self.inventory = Inventory()
        self.reader = reader
        self._watcher: StoreWatcher | None = None
        self._metrics = metrics

    # -- questions, as ContentStore promises them -----------------------------

    def images(self) -> list[Image]:
        return self.inventory.images()

    def digests(self) -> list[Digest]:
        return self.inventory.digests()

    def stat(self, digest: Digest) -> Descriptor:
        size = self.inventory.size(digest)
        if not self.reader.holds(digest, size):
            self._lose(digest, f"it is not there with its {size} bytes")
            raise NotFound(f"{digest} is not in this store any more")
        media_type = self.inventory.media_type(digest)
        if media_type is None:
            media_type = self._guess(digest, size)
        return Descriptor(digest, size, media_type)

    def open(self, digest: Digest) -> Blob:
        try:
            return self.reader.open(digest, self.inventory.size(digest))
        except NotFound as error:
            self._lose(digest, str(error))
            raise

    def resolve(self, key: Key) -> Image:
        return self.inventory.resolve(key)

    def repositories(self, digest: Digest) -> frozenset[tuple[str, str]]:
        return self.inventory.repositories(digest)

    # -- what the store calls -------------------------------------------------

    def attach(self, watcher: StoreWatcher) -> None:
        """Tell it what is here, and from now on what changes."""
        for digest in self.digests():
            watcher.added(digest)
        for image in self.images():
            watcher.tagged(image)
        self._watcher = watcher

    def detach(self) -> None:
        """Tell nobody anything any more."""
        self._watcher = None

    def announce(self) -> None:
        """Walk what has come and tell everybody what has changed; call this after every change of the inventory.

        Yields only where `reader.read` does.
        """
        self.inventory.settle(lambda digest: self.reader.read(digest, MAX_MANIFEST_BYTES + 1))
        for change in self.inventory.drain():
            self._tell(change)
        if self._metrics is not None:
            self._metrics.store_skipped_images.set(len(self.inventory.skipped()))

    def count_listing(self, result: str) -> None:
        """`ok` or `failed`."""
        if self._metrics is not None:
            self._metrics.store_listings.labels(result).inc()

    # -- inside ---------------------------------------------------------------

    def _guess(self, digest: Digest, size: int) -> str:
        """The media type of what no image names yet: a pull commits manifests before it makes the name."""
        media_type = ""
        if size <= MAX_MANIFEST_BYTES:
            try:
                # a layer shows in its first bytes that it is no JSON
                if (self.reader.read(digest, 64) or b"").lstrip().startswith(b"{"):
                    media_type = media_type_of(self.reader.read(digest, MAX_MANIFEST_BYTES) or b"")
            except StoreError:
                return ""
        self.inventory.guess(digest, media_type)
        return media_type

    def _lose(self, digest: Digest, reason: str) -> None:
        if digest in self.inventory:
            log.warning("content lost", digest=str(digest), reason=reason)
            self.inventory.drop(digest)
            self.announce()

    def _tell(self, change: Change) -> None:
        if isinstance(change, Skipped):
            log.warning("image skipped", image=change.name, reason=change.reason)
        if self._watcher is None:
            return
        match change:
            case Added(digest):
                self._watcher.added(digest)
            case Removed(digest):
                self._watcher.removed(digest)
            case Tagged(image):
                self._watcher.tagged(image)
            case Untagged(name):
                self._watcher.untagged(name)
