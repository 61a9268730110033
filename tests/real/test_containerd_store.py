"""The containerd store against real containerds: the suite of all stores, and what only a daemon can do to it."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.content.containerd import ContainerdStore
from app.content.store import Descriptor
from app.key import Digest, Key
from app.metrics import Metrics
from tests.contracts.content_store import NAME, PATIENCE_S, ContentStoreSuite, RecordingWatcher
from tests.images import build_image, tar_layer, write_archive
from tests.real.containerd import LocalContainerd
from tests.real.lab.containerd import Release
from tests.real.lab.waiting import eventually

NAMESPACE = "k8s.io"


class ContainerdHarness:
    """A containerd that runs, and a store over it."""

    def __init__(self, containerd: LocalContainerd) -> None:
        self.containerd = containerd
        self.metrics = Metrics()
        self.store = ContainerdStore(containerd.socket, NAMESPACE, metrics=self.metrics)

    def put_blob(self, content: bytes) -> Digest:
        return self.containerd.put_blob(NAMESPACE, content)

    def drop_blob(self, digest: Digest) -> None:
        # a manifest that is named is never garbage, so it has to be deleted; its file goes with the collection
        self.containerd.delete_blob(NAMESPACE, digest)
        self.containerd.collect_garbage(NAMESPACE)

    def put_name(self, name: str, target: Descriptor) -> None:
        self.containerd.put_name(NAMESPACE, name, target)

    def drop_name(self, name: str) -> None:
        self.containerd.drop_name(NAMESPACE, name)

    def skipped(self) -> int:
        return self.store.skipped()


@pytest.fixture
def containerd(release: Release, tmp_path: Path) -> Iterator[LocalContainerd]:
    containerd = LocalContainerd(release, tmp_path / "containerd")
    try:
        containerd.start()
        yield containerd
    finally:
        containerd.close()


@pytest.fixture
def harness(containerd: LocalContainerd) -> Iterator[ContainerdHarness]:
    harness = ContainerdHarness(containerd)
    yield harness
    harness.store.stop()


@pytest.fixture
def watcher() -> RecordingWatcher:
    return RecordingWatcher()


class TestContainerdStore(ContentStoreSuite):
    """The suite."""
