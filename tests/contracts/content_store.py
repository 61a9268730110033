"""What every content store promises, as tests: subclass `ContentStoreSuite` and give it a harness.

A store learns of changes by itself, so the tests wait on the watcher it talks to, with a deadline, never by sleeping.
"""

import os
from collections.abc import Callable
from typing import Protocol

import pytest
from gevent.event import Event

from app.content.changes import Added, Change, Removed, Tagged, Untagged
from app.content.store import ContentStore, Descriptor, Image, NotFound, is_known_in
from app.key import Digest, Key
from app.media_types import OCI_INDEX, OCI_MANIFEST
from tests.images import TestBlob, TestImage, build_image, build_index

PATIENCE_S = 15.0
NAME = "registry.test:5000/team/app"


class RecordingWatcher:
    """A `StoreWatcher` that remembers what it was told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.told: list[Change] = []
        self._news = Event()

    def added(self, digest: Digest) -> None:
        self._note(Added(digest))

    def removed(self, digest: Digest) -> None:
        self._note(Removed(digest))

    def tagged(self, image: Image) -> None:
        self._note(Tagged(image))

    def untagged(self, name: str) -> None:
        self._note(Untagged(name))

    def wait(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Return as soon as the condition holds; it is asked again whenever the store says something."""
        while not condition():
            self._news.clear()
            assert self._news.wait(timeout_s), f"not within {timeout_s} s; told: {self.told[-20:]}"

    def digests(self) -> set[Digest]:
        """What should be there by what was told."""
        present: set[Digest] = set()
        for change in self.told:
            if isinstance(change, Added):
                present.add(change.digest)
            elif isinstance(change, Removed):
                present.remove(change.digest)
        return present

    def tags(self) -> dict[str, Digest]:
        """What each name should point at by what was told."""
        names: dict[str, Digest] = {}
        for change in self.told:
            if isinstance(change, Tagged):
                names[change.image.name] = change.image.target.digest
            elif isinstance(change, Untagged):
                del names[change.name]
        return names

    def _note(self, change: Change) -> None:
        self.told.append(change)
        self._news.set()


class StoreHarness(Protocol):
    """The store under test, not started yet, and its owner's side of it."""

    store: ContentStore

    def put_blob(self, content: bytes) -> Digest: ...

    def drop_blob(self, digest: Digest) -> None:
        """The bytes go, as by garbage collection."""

    def put_name(self, name: str, target: Descriptor) -> None:
        """Make the name or move it. What it points at may be absent."""

    def drop_name(self, name: str) -> None:
        """The name goes, its content stays."""

    def skipped(self) -> int:
        """How many names the store could not walk."""


class ContentStoreSuite:
    """The tests. A subclass defines the fixture `harness`, which also stops the store."""

    @pytest.fixture
    def watcher(self) -> RecordingWatcher:
        return RecordingWatcher()

    @pytest.fixture
    def started(self, harness: StoreHarness, watcher: RecordingWatcher) -> StoreHarness:
        """An empty store that runs."""
        harness.store.start(watcher)
        assert harness.store.wait_listed(PATIENCE_S)
        return harness

    def _put_image(self, harness: StoreHarness, watcher: RecordingWatcher, name: str, image: TestImage) -> None:
        for blob in image.blobs.values():
            harness.put_blob(blob.content)
        harness.put_name(name, image.target)
        watcher.wait(lambda: watcher.tags().get(name) == image.digest and image.blobs.keys() <= watcher.digests())

    def test_tells_what_is_there_already(self, harness: StoreHarness, watcher: RecordingWatcher) -> None:
        """What the store holds when it starts is told like what comes later, and then its listing is done."""
        image = build_image([b"early"])
        for blob in image.blobs.values():
            harness.put_blob(blob.content)
        harness.put_name(f"{NAME}:1", image.target)
        harness.store.start(watcher)
        assert harness.store.wait_listed(PATIENCE_S)
        assert watcher.digests() == image.blobs.keys()
        assert watcher.tags() == {f"{NAME}:1": image.digest}
        assert set(harness.store.digests()) == image.blobs.keys()
        assert [found.name for found in harness.store.images()] == [f"{NAME}:1"]
        assert harness.store.problem() is None

    def test_blob_lands(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """A blob that lands later is told and can be read, whole and in parts, to its end and not beyond."""
        digest = started.put_blob(b"some content")
        watcher.wait(lambda: digest in watcher.digests())
        assert started.store.stat(digest) == Descriptor(digest, 12, "")
        blob = started.store.open(digest)
        assert blob.size == 12
        assert blob.pread(100, 0) == b"some content"
        assert blob.pread(4, 5) == b"cont"
        assert blob.pread(4, 12) == b""
        assert blob.pread(4, 50) == b""
        descriptor = blob.fileno()
        assert descriptor is None or os.pread(descriptor, 100, 0) == b"some content"
        blob.close()
        blob.close()

    def test_empty_blob(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """Content of no bytes is content like any other."""
        digest = started.put_blob(b"")
        watcher.wait(lambda: digest in watcher.digests())
        assert started.store.stat(digest).size == 0
        blob = started.store.open(digest)
        assert blob.pread(10, 0) == b""
        blob.close()

    def test_media_types(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """A manifest's media type is known before an image names it; a config has none until then."""
        image = build_index({"linux/amd64": build_image([b"a"]), "linux/arm64": build_image([b"b"], "linux/arm64")})
        for blob in image.blobs.values():
            started.put_blob(blob.content)
        watcher.wait(lambda: image.blobs.keys() <= watcher.digests())
        assert started.store.stat(image.digest).media_type == OCI_INDEX
        assert [started.store.stat(manifest.digest).media_type for manifest in image.manifests] == [OCI_MANIFEST] * 2
        assert started.store.stat(image.config.digest).media_type == ""

    def test_image(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """An image can be resolved, its content has media types and is known to belong to its repository only."""
        image = build_image([b"one", b"two"])
        self._put_image(started, watcher, f"{NAME}:1", image)
        key = Key.parse("registry.test:5000", "team/app", "1")
        assert started.store.resolve(key).target == image.target
        for blob in image.blobs.values():
            assert started.store.stat(blob.digest) == blob.descriptor
            assert is_known_in(started.store.repositories(blob.digest), key)
            assert not is_known_in(started.store.repositories(blob.digest), Key.parse("other.test", "team/app", "1"))
        with pytest.raises(NotFound):
            started.store.resolve(Key.parse("registry.test:5000", "team/app", "2"))

    def test_other_platforms_absent(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """Of an index only what is here is served: the other platforms' manifests usually are not."""
        here, elsewhere = build_image([b"here"]), build_image([b"elsewhere"], "linux/arm64")
        index = build_index({"linux/amd64": here, "linux/arm64": elsewhere})
        for blob in (index.top, *here.blobs.values()):
            started.put_blob(blob.content)
        started.put_name(f"{NAME}:1", index.target)
        watcher.wait(lambda: f"{NAME}:1" in watcher.tags() and len(watcher.digests()) == 1 + len(here.blobs))
        assert set(started.store.digests()) == {index.digest, *here.blobs}
        assert started.store.repositories(here.layers[0].digest)
        with pytest.raises(NotFound):
            started.store.stat(elsewhere.digest)

    def test_platform_comes_later(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """When a missing platform's content lands after all, it belongs to the image."""
        here, later = build_image([b"here"]), build_image([b"later"], "linux/arm64")
        index = build_index({"linux/amd64": here, "linux/arm64": later})
        for blob in (index.top, *here.blobs.values()):
            started.put_blob(blob.content)
        started.put_name(f"{NAME}:1", index.target)
        watcher.wait(lambda: f"{NAME}:1" in watcher.tags())
        for blob in later.blobs.values():
            started.put_blob(blob.content)
        watcher.wait(lambda: later.blobs.keys() <= watcher.digests())
        key = Key.parse("registry.test:5000", "team/app", "1")
        assert is_known_in(started.store.repositories(later.layers[0].digest), key)

    def test_name_without_content(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """A name is not shown before its manifest is here, and is as soon as it is."""
        image = build_image([b"slow"])
        started.put_name(f"{NAME}:1", image.target)
        marker = build_image([b"marker"])
        self._put_image(started, watcher, f"{NAME}:marker", marker)
        assert [found.name for found in started.store.images()] == [f"{NAME}:marker"]
        with pytest.raises(NotFound):
            started.store.resolve(Key.parse("registry.test:5000", "team/app", "1"))
        for blob in image.blobs.values():
            started.put_blob(blob.content)
        watcher.wait(lambda: watcher.tags().get(f"{NAME}:1") == image.digest)

    def test_name_moves(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """A name that points elsewhere is told again and resolves to the new target, no earlier than before."""
        key = Key.parse("registry.test:5000", "team/app", "1")
        old, new = build_image([b"old"]), build_image([b"new"])
        self._put_image(started, watcher, f"{NAME}:1", old)
        before = started.store.resolve(key).updated_at
        self._put_image(started, watcher, f"{NAME}:1", new)
        assert started.store.resolve(key).target == new.target
        assert started.store.resolve(key).updated_at >= before
        assert not started.store.repositories(old.layers[0].digest)

    def test_name_goes(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """A name that is removed is gone at once; its content can be served as long as it is there."""
        image = build_image([b"stays"])
        self._put_image(started, watcher, f"{NAME}:1", image)
        self._put_image(started, watcher, f"{NAME}:2", image)
        started.drop_name(f"{NAME}:1")
        watcher.wait(lambda: f"{NAME}:1" not in watcher.tags())
        with pytest.raises(NotFound):
            started.store.resolve(Key.parse("registry.test:5000", "team/app", "1"))
        assert [found.name for found in started.store.images()] == [f"{NAME}:2"]
        assert started.store.stat(image.digest) == image.target

    def test_blob_goes(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """A blob that was collected is told, not found any more, and readable for who had it open as a file."""
        digest = started.put_blob(b"short-lived")
        watcher.wait(lambda: digest in watcher.digests())
        blob = started.store.open(digest)
        started.drop_blob(digest)
        watcher.wait(lambda: digest not in watcher.digests())
        if blob.fileno() is not None:
            assert blob.pread(100, 0) == b"short-lived"
        blob.close()
        assert digest not in started.store.digests()
        with pytest.raises(NotFound):
            started.store.stat(digest)
        with pytest.raises(NotFound):
            started.store.open(digest)

    def test_manifest_goes(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """A name whose manifest was collected is no longer shown, and is again when the manifest comes back."""
        image = build_image([b"layer"])
        self._put_image(started, watcher, f"{NAME}:1", image)
        started.drop_blob(image.digest)
        watcher.wait(lambda: f"{NAME}:1" not in watcher.tags())
        with pytest.raises(NotFound):
            started.store.resolve(Key.parse("registry.test:5000", "team/app", "1"))
        started.put_blob(image.manifest.content)
        watcher.wait(lambda: watcher.tags().get(f"{NAME}:1") == image.digest)

    def test_broken_image_hides_no_other(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """Images that can't be walked are counted and not shown; their content and all other images are served."""
        broken = TestBlob(b'{"layers": 7}', OCI_MANIFEST)
        started.put_blob(broken.content)
        started.put_name(f"{NAME}:broken", broken.descriptor)
        started.put_name("localhost/no-tag-at-all", broken.descriptor)
        good = build_image([b"good"])
        self._put_image(started, watcher, f"{NAME}:good", good)
        watcher.wait(lambda: broken.digest in watcher.digests())
        assert [found.name for found in started.store.images()] == [f"{NAME}:good"]
        assert started.skipped() == 2
        started.drop_name(f"{NAME}:broken")
        started.drop_name("localhost/no-tag-at-all")
        self._put_image(started, watcher, f"{NAME}:other", good)
        assert started.skipped() == 0

    def test_what_nobody_has(self, started: StoreHarness) -> None:
        """What is not here is not found, belongs to nobody and is not being downloaded."""
        digest = Digest.of(b"nowhere")
        with pytest.raises(NotFound):
            started.store.stat(digest)
        with pytest.raises(NotFound):
            started.store.open(digest)
        with pytest.raises(NotFound):
            started.store.resolve(Key.parse("registry.test", "no/such", "tag"))
        assert started.store.repositories(digest) == frozenset()
        assert started.store.ingest(digest) is None

    def test_stop(self, started: StoreHarness, watcher: RecordingWatcher) -> None:
        """After `stop`, which may be called twice, the watcher is told nothing more."""
        digest = started.put_blob(b"before")
        watcher.wait(lambda: digest in watcher.digests())
        started.store.stop()
        started.store.stop()
        told = list(watcher.told)
        started.put_blob(b"after")
        assert watcher.told == told
