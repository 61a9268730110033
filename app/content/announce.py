"""Tells a store's watcher, the log and the metrics what its inventory says has changed."""

import structlog

from app.content.changes import Added, Change, Removed, Skipped, Tagged, Untagged
from app.content.inventory import Inventory
from app.content.store import StoreWatcher
from app.content.walk import ReadManifest
from app.metrics import Metrics

log = structlog.get_logger()


class Announcer:
    """One for each store; `watcher` may be set once, before the first `announce`."""

    def __init__(self, inventory: Inventory, read: ReadManifest, metrics: Metrics | None) -> None:
        self.watcher: StoreWatcher | None = None
        self._inventory = inventory
        self._read = read
        self._metrics = metrics

    def announce(self) -> None:
        """Call this after every change of the inventory. Yields only where the store's reading of manifests does."""
        self._inventory.settle(self._read)
        for change in self._inventory.drain():
            self._tell(change)
        if self._metrics is not None:
            self._metrics.store_skipped_images.set(len(self._inventory.skipped()))

    def listed(self, result: str) -> None:
        """Count a whole listing: `ok` or `failed`."""
        if self._metrics is not None:
            self._metrics.store_listings.labels(result).inc()

    def _tell(self, change: Change) -> None:
        if isinstance(change, Skipped):
            log.warning("image skipped", image=change.name, reason=change.reason)
        if self.watcher is None:
            return
        match change:
            case Added(digest):
                self.watcher.added(digest)
            case Removed(digest):
                self.watcher.removed(digest)
            case Tagged(image):
                self.watcher.tagged(image)
            case Untagged(name):
                self.watcher.untagged(name)
