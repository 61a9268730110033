"""The containerd store against real containerds: the suite of all stores, and what only a daemon can do to it."""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.content.containerd.store import ContainerdStore
from app.content.store import Descriptor, NotFound, StoreUnavailable, is_known_in
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


def _start(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    harness.store.start(watcher)
    assert harness.store.wait_listed(PATIENCE_S)


def _well(store: ContainerdStore) -> bool:
    return store.problem() is None


def test_restart(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """While containerd is down its content is served and the problem told; back again, it is followed by itself."""
    image = build_image([b"before"])
    harness.containerd.put_image(NAMESPACE, f"{NAME}:before", image)
    _start(harness, watcher)
    told = list(watcher.told)
    harness.containerd.stop()
    eventually(lambda: not _well(harness.store), PATIENCE_S, "the problem is told")
    assert str(harness.containerd.socket) in str(harness.store.problem())
    assert harness.store.stat(image.digest) == image.target
    blob = harness.store.open(image.digest)
    assert blob.pread(1 << 20, 0) == image.manifest.content
    blob.close()
    assert harness.store.resolve(Key.parse("registry.test:5000", "team/app", "before")).target == image.target

    harness.containerd.start()
    eventually(lambda: _well(harness.store), PATIENCE_S, "the store has recovered")
    assert watcher.told == told, "nothing was withdrawn meanwhile"
    after = build_image([b"after"])
    harness.containerd.put_image(NAMESPACE, f"{NAME}:after", after)
    watcher.wait(lambda: watcher.tags().get(f"{NAME}:after") == after.digest)


def test_changes_while_away(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """Names that went while nobody listened are gone after the listing that follows a reconnect."""
    image = build_image([b"layer"])
    harness.containerd.put_image(NAMESPACE, f"{NAME}:1", image)
    harness.containerd.put_image(NAMESPACE, f"{NAME}:2", image)
    _start(harness, watcher)
    harness.store.stop()
    harness.containerd.drop_name(NAMESPACE, f"{NAME}:1")
    late = RecordingWatcher()
    harness.store.start(late)
    late.wait(lambda: late.tags() == {f"{NAME}:2": image.digest})


def test_no_containerd(release: Release, tmp_path: Path, watcher: RecordingWatcher) -> None:
    """Without a containerd the store says what is missing and waits; when one comes, it is there."""
    containerd = LocalContainerd(release, tmp_path / "containerd")
    store = ContainerdStore(containerd.socket, NAMESPACE)
    try:
        store.start(watcher)
        eventually(lambda: "does not exist" in str(store.problem()), PATIENCE_S, "the missing socket is told")
        assert not store.wait_listed(0.0)
        containerd.start()
        assert store.wait_listed(PATIENCE_S)
        assert store.problem() is None
    finally:
        store.stop()
        containerd.close()


def test_garbage_collection(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """An image that is removed loses its name at once, and each digest when its file is collected, without an event."""
    image, kept = build_image([b"to be removed"]), build_image([b"kept"])
    archive = write_archive({f"{NAME}:gone": image, f"{NAME}:kept": kept})
    harness.containerd.ctr(NAMESPACE, "images", "import", "--no-unpack", "-", stdin=archive)
    _start(harness, watcher)
    assert image.blobs.keys() <= watcher.digests()
    harness.drop_name(f"{NAME}:gone")
    watcher.wait(lambda: watcher.tags().keys() == {f"{NAME}:kept"})
    watcher.wait(lambda: watcher.digests().isdisjoint(image.blobs))
    assert kept.blobs.keys() <= watcher.digests()


def test_imported_image(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """An image from an archive, whose content has no label of where it is from, belongs to the repository it names."""
    _start(harness, watcher)
    image = build_image([tar_layer({"hello": b"world"})])
    archive = write_archive({f"{NAME}:imported": image})
    harness.containerd.ctr(NAMESPACE, "images", "import", "--no-unpack", "-", stdin=archive)
    watcher.wait(lambda: watcher.tags().get(f"{NAME}:imported") == image.digest)
    watcher.wait(lambda: image.blobs.keys() <= watcher.digests())
    key = Key.parse("registry.test:5000", "team/app", "imported")
    for digest in image.blobs:
        assert is_known_in(harness.store.repositories(digest), key)


def test_source_labels(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """Content that containerd has pulled is known by its label before an image names it, on every port of the host."""
    label = {"containerd.io/distribution.source.registry.test": "team/app,team/other", "containerd.io/gc.root": "test"}
    _start(harness, watcher)
    digest = harness.containerd.put_blob(NAMESPACE, b"labelled", label)
    watcher.wait(lambda: digest in watcher.digests())
    eventually(lambda: harness.store.repositories(digest), PATIENCE_S, "the label is read")
    pairs = harness.store.repositories(digest)
    assert pairs == {("registry.test", "team/app"), ("registry.test", "team/other")}
    assert is_known_in(pairs, Key.parse("registry.test:5000", "team/other", "1"))
    assert not is_known_in(pairs, Key.parse("registry.example", "team/other", "1"))


def test_image_ids(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """The names that CRI gives to image ids, bare digests, are no images, and nothing to complain of."""
    image = build_image([b"layer"])
    harness.containerd.put_image(NAMESPACE, f"{NAME}:1", image)
    harness.put_name(str(image.config.digest), image.target)
    _start(harness, watcher)
    harness.put_name(str(image.layers[0].digest), image.target)
    harness.put_name(f"{NAME}:2", image.target)
    watcher.wait(lambda: f"{NAME}:2" in watcher.tags())
    assert watcher.tags().keys() == {f"{NAME}:1", f"{NAME}:2"}
    assert harness.store.skipped() == 0


def test_other_namespace(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """Content of another namespace lies in the same files; it is served only when ours has it too."""
    _start(harness, watcher)
    foreign, shared = build_image([b"foreign"]), build_image([b"shared"])
    harness.containerd.put_image("other", f"{NAME}:foreign", foreign)
    harness.containerd.put_image("other", f"{NAME}:shared", shared)
    harness.containerd.put_image(NAMESPACE, f"{NAME}:shared", shared)
    watcher.wait(lambda: watcher.tags().keys() == {f"{NAME}:shared"} and watcher.digests() == shared.blobs.keys())
    with pytest.raises(NotFound):
        harness.store.open(foreign.digest)


def test_truncated_file(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """A file that has not the size containerd knows is not served, and no longer in the inventory."""
    image = build_image([b"a layer that a broken disk will shorten"])
    harness.containerd.put_image(NAMESPACE, f"{NAME}:1", image)
    _start(harness, watcher)
    layer = image.layers[0].digest
    path = harness.containerd.content / "blobs/sha256" / layer.hex
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(7)
    with pytest.raises(NotFound):
        harness.store.open(layer)
    assert layer not in watcher.digests()
    assert layer not in harness.store.digests()


def test_ingest(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """A download under way is found by its digest, with what is there of how much, and only in our namespace."""
    harness.put_blob(b"so that the content root is there")
    _start(harness, watcher)
    digest, foreign = Digest.of(b"wanted"), Digest.of(b"wanted elsewhere")
    harness.containerd.begin_ingest(NAMESPACE, f"layer-{digest}", 1000, b"x" * 400)
    harness.containerd.begin_ingest("other", f"layer-{foreign}", 1000, b"x" * 400)
    found = harness.store.ingest(digest)
    assert found is not None
    assert (found.digest, found.offset, found.total) == (digest, 400, 1000)
    assert Path(found.path).read_bytes() == b"x" * 400
    assert harness.store.ingest(foreign) is None


@pytest.mark.parametrize("given", ["absent/content", "wrong"])
def test_unreadable_files(given: str, containerd: LocalContainerd, tmp_path: Path, watcher: RecordingWatcher) -> None:
    """Where the content root is not to be found, or is another's, content is read through containerd, byte for byte."""
    (tmp_path / "wrong").mkdir()
    layer = bytes(range(256)) * 20_000  # more than one message
    image = build_image([layer])
    containerd.put_image(NAMESPACE, f"{NAME}:1", image)
    store = ContainerdStore(containerd.socket, NAMESPACE, tmp_path / given)
    try:
        store.start(watcher)
        assert store.wait_listed(PATIENCE_S)
        assert watcher.tags() == {f"{NAME}:1": image.digest}
        assert store.stat(image.manifest.digest) == image.target
        blob = store.open(image.layers[0].digest)
        assert blob.fileno() is None
        content = b""
        while piece := blob.pread(1 << 30, len(content)):
            content += piece
        assert content == layer
        assert blob.pread(10, 4_000_001) == layer[4_000_001:4_000_011]
        with pytest.raises(NotFound):
            store.open(Digest.of(b"nowhere"))
        containerd.delete_blob(NAMESPACE, image.layers[0].digest)
        containerd.collect_garbage(NAMESPACE)
        with pytest.raises(StoreUnavailable, match="deleted"):
            blob.pread(10, 0)
        watcher.wait(lambda: image.layers[0].digest not in watcher.digests())
        assert store.ingest(image.digest) is None
    finally:
        store.stop()


def test_frozen(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """A containerd that does not answer keeps neither content from being served nor the store from stopping."""
    image = build_image([b"layer"])
    harness.containerd.put_image(NAMESPACE, f"{NAME}:1", image)
    _start(harness, watcher)
    harness.containerd.freeze()
    try:
        blob = harness.store.open(image.layers[0].digest)
        assert blob.pread(100, 0) == b"layer"
        blob.close()
        harness.store.stop()
    finally:
        harness.containerd.thaw()


def test_landing_latency(harness: ContainerdHarness, watcher: RecordingWatcher, release: Release) -> None:
    """Prints how long after its file a blob is in the inventory; forty blobs, one after the other."""
    harness.put_blob(b"so that the content root is there")
    _start(harness, watcher)
    waits_ms = []
    for number in range(40):
        digest = Digest.of(b"blob %d" % number)
        path = harness.containerd.content / "blobs/sha256" / digest.hex
        assert harness.put_blob(b"blob %d" % number) == digest
        watcher.wait(lambda digest=digest: digest in watcher.digests())
        waits_ms.append((time.time() - path.stat().st_ctime) * 1000)
    waits_ms.sort()
    print(f"{release.label}: landed after p50 {statistics.median(waits_ms):.1f} ms, max {waits_ms[-1]:.1f} ms")
    assert len(watcher.digests()) == 41


def test_metrics(harness: ContainerdHarness, watcher: RecordingWatcher) -> None:
    """Listings and skipped images are counted."""
    harness.put_name("localhost/no-tag", Descriptor(Digest.of(b"x"), 1, "text/plain"))
    _start(harness, watcher)
    assert harness.metrics.registry.get_sample_value("rykte_store_listings_total", {"result": "ok"}) >= 1
    assert harness.metrics.registry.get_sample_value("rykte_store_skipped_images") == 1
