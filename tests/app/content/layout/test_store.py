"""The layout store: the suite of all stores on a real directory, and what only layouts do."""

import os
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from app.content.layout.store import LayoutStore
from app.content.store import Descriptor, NotFound, StoreUnavailable
from app.key import Digest, Key
from app.metrics import Metrics
from tests.contracts.content_store import NAME, PATIENCE_S, ContentStoreSuite, RecordingWatcher
from tests.images import build_image, write_blob, write_index, write_layout


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


def test_no_directory(tmp_path: Path, watcher: RecordingWatcher) -> None:
    """A path that is none is refused with the path and the option to set."""
    with pytest.raises(StoreUnavailable, match="--layout-path"):
        LayoutStore(tmp_path / "absent").start(watcher)


def test_no_layout(tmp_path: Path, watcher: RecordingWatcher) -> None:
    """A directory that is no layout is refused with a way to make one."""
    with pytest.raises(StoreUnavailable, match=r"no file oci-layout.*skopeo"):
        LayoutStore(tmp_path).start(watcher)


@pytest.mark.parametrize("name", ["", "nginx", "registry.test/", "registry.test/UPPER"])
def test_no_name(tmp_path: Path, name: str) -> None:
    """A name for the bare tags that is none is refused."""
    with pytest.raises(StoreUnavailable, match="registry/repository"):
        LayoutStore(tmp_path, name)


def test_bare_tags(tmp_path: Path, watcher: RecordingWatcher) -> None:
    """With a name, bare tags are tags of it; full names stay what they are."""
    image = build_image()
    write_layout(tmp_path, {"1.27": image, "other.test/x:1": image})
    store = _started(LayoutStore(tmp_path, "registry.test/team/app"), watcher)
    assert watcher.tags().keys() == {"registry.test/team/app:1.27", "other.test/x:1"}
    assert store.resolve(Key.parse("registry.test", "team/app", "1.27")).target == image.target
    store.stop()


def test_bare_tags_without_name(tmp_path: Path, watcher: RecordingWatcher) -> None:
    """Without one, the image of a bare tag is counted as skipped and its digests are served."""
    image = build_image()
    write_layout(tmp_path, {"1.27": image})
    store = _started(LayoutStore(tmp_path), watcher)
    assert store.images() == []
    assert store.skipped() == 1
    assert set(store.digests()) == image.blobs.keys()
    store.stop()


def test_sha512(harness: LayoutHarness, watcher: RecordingWatcher) -> None:
    """Content under the other registered algorithm is served as well."""
    _started(harness.store, watcher)
    digest = write_blob(harness.directory, b"long hash", "sha512")
    watcher.wait(lambda: digest in watcher.digests())
    blob = harness.store.open(digest)
    assert blob.pread(100, 0) == b"long hash"
    blob.close()


def test_hollow_blob(harness: LayoutHarness, watcher: RecordingWatcher) -> None:
    """An empty file that should not be empty is not served; once it has its bytes, it is."""
    digest = Digest.of(b"late")
    path = harness.directory / "blobs/sha256" / digest.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    _started(harness.store, watcher)
    assert digest not in harness.store.digests()
    path.write_bytes(b"late")
    watcher.wait(lambda: digest in watcher.digests())


def test_changed_file(harness: LayoutHarness, watcher: RecordingWatcher) -> None:
    """A file whose size has changed since it was looked at is not opened."""
    digest = harness.put_blob(b"whole")
    _started(harness.store, watcher)
    (harness.directory / "blobs/sha256" / digest.hex).write_bytes(b"half")
    with pytest.raises(NotFound):
        harness.store.open(digest)


def test_half_written_index(harness: LayoutHarness, watcher: RecordingWatcher) -> None:
    """While index.json is being written the names of before stand, the problem is told, and then the new ones count."""
    old, new = build_image([b"old"]), build_image([b"new"])
    write_layout(harness.directory, {f"{NAME}:1": old})
    _started(harness.store, watcher)
    index = harness.directory / "index.json"
    index.write_bytes(index.read_bytes()[:20])
    marker = harness.put_blob(b"lands meanwhile")
    watcher.wait(lambda: marker in watcher.digests())
    assert "index.json" in str(harness.store.problem())
    assert watcher.tags() == {f"{NAME}:1": old.digest}
    write_layout(harness.directory, {f"{NAME}:1": new})
    watcher.wait(lambda: watcher.tags() == {f"{NAME}:1": new.digest})
    gevent.idle()
    assert harness.store.problem() is None


def test_index_absent(harness: LayoutHarness, watcher: RecordingWatcher) -> None:
    """A layout without an index serves its blobs, says what is missing, and is not listed until it is there."""
    (harness.directory / "index.json").unlink()
    digest = harness.put_blob(b"blob")
    harness.store.start(watcher)
    watcher.wait(lambda: digest in watcher.digests())
    assert not harness.store.wait_listed(0)
    assert "index.json" in str(harness.store.problem())
    write_index(harness.directory, {})
    assert harness.store.wait_listed(PATIENCE_S)


def test_index_that_is_a_pipe(harness: LayoutHarness, watcher: RecordingWatcher) -> None:
    """It is said, and opening it does not stop the process until somebody writes."""
    (harness.directory / "index.json").unlink()
    os.mkfifo(harness.directory / "index.json")
    digest = harness.put_blob(b"blob")
    harness.store.start(watcher)
    watcher.wait(lambda: digest in watcher.digests())
    assert not harness.store.wait_listed(0)
    assert "no regular file" in str(harness.store.problem())


def test_layout_replaced(harness: LayoutHarness, watcher: RecordingWatcher) -> None:
    """A directory that is moved away and made anew is followed; meanwhile its content is gone."""
    old, new = build_image([b"old"]), build_image([b"new"])
    write_layout(harness.directory, {f"{NAME}:1": old})
    _started(harness.store, watcher)
    harness.directory.rename(harness.directory.with_name("aside"))
    watcher.wait(lambda: not watcher.digests())
    assert "no directory" in str(harness.store.problem())
    write_layout(harness.directory, {f"{NAME}:2": new})
    watcher.wait(lambda: watcher.tags() == {f"{NAME}:2": new.digest})


def test_metrics(harness: LayoutHarness, watcher: RecordingWatcher) -> None:
    """Looks and skipped names are counted."""
    write_layout(harness.directory, {"bare": build_image()})
    _started(harness.store, watcher)
    registry = harness.metrics.registry
    assert registry.get_sample_value("rykte_store_listings_total", {"result": "ok"}) >= 1
    assert registry.get_sample_value("rykte_store_skipped_images") == 1
