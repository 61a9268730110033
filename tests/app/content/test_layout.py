"""The layout store: the suite of all stores on a real directory, and what only layouts do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.content.layout import LayoutStore
from app.content.store import Descriptor, StoreUnavailable
from app.key import Digest, Key
from app.metrics import Metrics
from tests.contracts.content_store import PATIENCE_S, ContentStoreSuite, RecordingWatcher
from tests.images import TestBlob, build_image, replace_file, write_blob, write_index, write_layout


class LayoutHarness:
    """A layout directory and its owner."""

    def __init__(self, directory: Path, name: str | None = None) -> None:
        self.directory = directory
        write_layout(directory, {})
        self.metrics = Metrics()
        self.store = LayoutStore(directory, name, metrics=self.metrics)
        self._names: dict[str, Descriptor] = {}

    def put_blob(self, content: bytes) -> Digest:
        return write_blob(self.directory, content)

    def drop_blob(self, digest: Digest) -> None:
        (self.directory / "blobs" / digest.algorithm / digest.hex).unlink()

    def put_name(self, name: str, target: Descriptor) -> None:
        self._names[name] = target
        write_index(self.directory, self._names)

    def drop_name(self, name: str) -> None:
        del self._names[name]
        write_index(self.directory, self._names)

    def skipped(self) -> int:
        return self.store.skipped()


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[LayoutHarness]:
    harness = LayoutHarness(tmp_path / "layout")
    yield harness
    harness.store.stop()


class TestLayoutStore(ContentStoreSuite):
    """The suite."""


@pytest.fixture
def watcher() -> RecordingWatcher:
    return RecordingWatcher()


def _started(store: LayoutStore, watcher: RecordingWatcher) -> LayoutStore:
    store.start(watcher)
    assert store.wait_listed(PATIENCE_S)
    return store
