"""The answering half of a store: what it loses, guesses and tells."""

import gzip
import random

import pytest
import structlog

from app.content.changes import Added, Removed, Tagged, Untagged
from app.content.holdings import Holdings
from app.content.inventory import Content
from app.content.store import Image, NotFound, StoreUnavailable
from app.content.walk import MAX_MANIFEST_BYTES
from app.key import Digest
from app.media_types import OCI_MANIFEST
from app.metrics import Metrics
from tests.contracts.content_store import RecordingWatcher
from tests.fake_store import MemoryContents
from tests.images import TestBlob, TestImage, build_image


class CountingContents(MemoryContents):
    """Counts what is read, and can be away."""

    def __init__(self) -> None:
        super().__init__(has_files=False)
        self.read_bytes = 0
        self.is_away = False

    def read(self, digest: Digest, limit: int) -> bytes | None:
        if self.is_away:
            raise StoreUnavailable("away")
        content = super().read(digest, limit)
        self.read_bytes += len(content or b"")
        return content


@pytest.fixture
def reader() -> CountingContents:
    return CountingContents()


@pytest.fixture
def holdings(reader: CountingContents) -> Holdings:
    return Holdings(reader, None)


def _put(holdings: Holdings, reader: CountingContents, *blobs: TestBlob) -> None:
    for blob in blobs:
        reader.contents[blob.digest] = blob.content
        holdings.inventory.put(blob.digest, Content(len(blob.content)))
    holdings.announce()


def _image(holdings: Holdings, reader: CountingContents, name: str = "reg.test/app:1") -> TestImage:
    image = build_image([b"layer"])
    _put(holdings, reader, *image.blobs.values())
    holdings.inventory.put_image(Image(name, image.target, 0.0))
    holdings.announce()
    return image


def test_watcher_hears_what_is_there(holdings: Holdings, reader: CountingContents) -> None:
    """A watcher is told what is there when it is attached, then the changes, and nothing once detached."""
    image = _image(holdings, reader)
    watcher = RecordingWatcher()
    holdings.attach(watcher)
    assert watcher.told == [*map(Added, image.blobs), Tagged(Image("reg.test/app:1", image.target, 0.0))]
    holdings.inventory.drop(image.digest)
    holdings.announce()
    assert watcher.told[-2:] == [Untagged("reg.test/app:1"), Removed(image.digest)]
    holdings.detach()
    _put(holdings, reader, image.manifest)
    assert watcher.told[-1] == Removed(image.digest)


def test_lost_at_stat(holdings: Holdings, reader: CountingContents) -> None:
    """What is found to have another size when it is asked for leaves the inventory, with one word in the log."""
    image = _image(holdings, reader)
    watcher = RecordingWatcher()
    holdings.attach(watcher)
    layer = image.layers[0]
    reader.contents[layer.digest] = b"shorter"[:3]
    with structlog.testing.capture_logs() as logs, pytest.raises(NotFound):
        holdings.stat(layer.digest)
    assert [entry["digest"] for entry in logs] == [str(layer.digest)]
    assert watcher.told[-1] == Removed(layer.digest)
    with structlog.testing.capture_logs() as logs, pytest.raises(NotFound):
        holdings.stat(layer.digest)
    assert logs == []


def test_lost_at_open(holdings: Holdings, reader: CountingContents) -> None:
    """The same when it is opened; the name that points at it goes too."""
    image = _image(holdings, reader)
    watcher = RecordingWatcher()
    holdings.attach(watcher)
    del reader.contents[image.digest]
    with pytest.raises(NotFound):
        holdings.open(image.digest)
    assert watcher.told[-2:] == [Untagged("reg.test/app:1"), Removed(image.digest)]


def test_guessing_is_done_once(holdings: Holdings, reader: CountingContents) -> None:
    """A manifest that nobody names yet is read once for its media type, a layer in its first bytes only."""
    image = build_image([gzip.compress(random.Random(1).randbytes(100_000))])
    _put(holdings, reader, image.manifest, image.layers[0])
    assert holdings.stat(image.digest).media_type == OCI_MANIFEST
    assert holdings.stat(image.layers[0].digest).media_type == ""
    first = reader.read_bytes
    assert first < 2 * len(image.manifest.content) + 200
    holdings.stat(image.digest)
    holdings.stat(image.layers[0].digest)
    assert reader.read_bytes == first


def test_large_content_is_not_guessed(holdings: Holdings, reader: CountingContents) -> None:
    """What is too large for a manifest is not read at all."""
    blob = TestBlob(b"{" + b" " * MAX_MANIFEST_BYTES, "")
    _put(holdings, reader, blob)
    assert holdings.stat(blob.digest).media_type == ""
    assert reader.read_bytes == 0


def test_guess_while_away(holdings: Holdings, reader: CountingContents) -> None:
    """While content can't be read its media type is unknown, and is looked for again later."""
    image = build_image()
    _put(holdings, reader, image.manifest)
    reader.is_away = True
    assert holdings.stat(image.digest).media_type == ""
    reader.is_away = False
    assert holdings.stat(image.digest).media_type == OCI_MANIFEST


def test_skipped_is_logged_once_and_counted(reader: CountingContents) -> None:
    """A skipped image is one line in the log, with its name and the reason, and shows in the metrics."""
    metrics = Metrics()
    holdings = Holdings(reader, metrics)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            holdings.inventory.put_image(Image("no-registry", build_image().target, 0.0))
            holdings.announce()
    (entry,) = logs
    assert (entry["event"], entry["image"]) == ("image skipped", "no-registry")
    assert "no-registry" in entry["reason"]
    assert metrics.registry.get_sample_value("rykte_store_skipped_images") == 1
    holdings.count_listing("failed")
    assert metrics.registry.get_sample_value("rykte_store_listings_total", {"result": "failed"}) == 1
