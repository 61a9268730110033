"""The own store as a source."""

import pytest
from structlog.testing import capture_logs

from app.content.store import Blob, Descriptor, Image, StoreUnavailable
from app.key import Digest, Key
from app.media_types import OCI_MANIFEST
from app.metrics import Metrics
from app.registry.local import LocalSource
from app.source import Kind, Query, SourceGone, Span
from app.verify import SMALL_BYTES
from tests.fake_store import FakeStore, MemoryBlob
from tests.images import build_image


def query(kind: Kind, reference: str) -> Query:
    return Query(kind, Key.parse("docker.io", "library/nginx", reference))


class BrokenStore(FakeStore):
    """A store whose owner can't be asked."""

    def stat(self, digest: Digest) -> Descriptor:
        raise StoreUnavailable("the socket is gone")

    def resolve(self, key: Key) -> Image:
        raise StoreUnavailable("the socket is gone")


class ShrunkenStore(FakeStore):
    """A store whose files are shorter than it knows."""

    def open(self, digest: Digest) -> Blob:
        return MemoryBlob(b"short")


def test_a_tag_is_resolved_with_its_time() -> None:
    """The descriptor is that of the manifest in the store."""
    store, image = FakeStore(), build_image()
    store.put_image("docker.io/library/nginx:1.27", image, updated_at=12.5)
    content = LocalSource(store, Metrics()).find(query(Kind.MANIFEST, "1.27"))
    assert content is not None
    assert content.descriptor == Descriptor(image.digest, len(image.manifest.content), OCI_MANIFEST)
    assert content.updated_at == 12.5


def test_a_digest_has_no_time() -> None:
    """It can't be moved."""
    store = FakeStore()
    content = LocalSource(store, Metrics()).find(query(Kind.BLOB, str(store.put_blob(b"layer"))))
    assert content is not None
    assert content.updated_at is None


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_not_there_is_not_found(kind: Kind) -> None:
    """Neither a tag nor a digest."""
    source = LocalSource(FakeStore(), Metrics())
    assert source.find(query(kind, "nope")) is None
    assert source.find(query(kind, str(Digest.of(b"nope")))) is None


def test_a_blob_is_no_manifest() -> None:
    """A layer asked for at the manifest endpoint is not found: its type would be a guess."""
    store = FakeStore()
    digest = store.put_blob(b'{"not": "a manifest"}')
    assert LocalSource(store, Metrics()).find(query(Kind.MANIFEST, str(digest))) is None


def test_a_store_in_trouble_has_nothing() -> None:
    """And says so in the log."""
    source = LocalSource(BrokenStore(), Metrics())
    with capture_logs() as logs:
        assert source.find(query(Kind.MANIFEST, "v1")) is None
        assert source.find(query(Kind.BLOB, str(Digest.of(b"x")))) is None
    assert [line["reason"] for line in logs] == ["the socket is gone"] * 2


def test_a_body_has_the_bytes_asked_for() -> None:
    """A span of the content."""
    store = FakeStore()
    content = LocalSource(store, Metrics()).find(query(Kind.BLOB, str(store.put_blob(b"0123456789"))))
    assert content is not None
    body = content.open(Span(3, 7))
    assert b"".join(body) == b"3456"
    body.close()


def test_content_that_went_meanwhile_is_gone() -> None:
    """Between finding and opening containerd may collect it."""
    store = FakeStore()
    digest = store.put_blob(b"layer")
    content = LocalSource(store, Metrics()).find(query(Kind.BLOB, str(digest)))
    assert content is not None
    store.drop_blob(digest)
    with pytest.raises(SourceGone):
        content.open(Span(0, 5))


def test_a_small_file_of_another_size_is_not_found() -> None:
    """What the store knew of it is not what could be served."""
    store = ShrunkenStore()
    source = LocalSource(store, Metrics())
    assert source.find(query(Kind.BLOB, str(store.put_blob(b"a longer layer")))) is None


def test_a_large_file_of_another_size_is_gone() -> None:
    """Content-Length has been decided by what the store knew; large files are not looked at before they are opened."""
    store = ShrunkenStore()
    content = LocalSource(store, Metrics()).find(query(Kind.BLOB, str(store.put_blob(bytes(SMALL_BYTES + 1)))))
    assert content is not None
    with pytest.raises(SourceGone, match="5 bytes"):
        content.open(Span(0, 14))


def test_damaged_content_is_not_found_and_counted() -> None:
    """A HEAD and a GET get the same answer, and the log tells the operator what to do."""
    store, metrics = FakeStore(), Metrics()
    digest = store.put_blob(b"right")
    store._memory.contents[digest] = b"wrong"
    with capture_logs() as logs:
        assert LocalSource(store, metrics).find(query(Kind.BLOB, str(digest))) is None
    assert [line["log_level"] for line in logs] == ["error", "debug"]
    assert metrics.registry.get_sample_value("rykte_verification_failures_total", {"source": "local"}) == 1


def test_content_that_changes_after_it_was_found_is_gone() -> None:
    """The file is looked at again when it is opened, if it is another one by then."""
    store = FakeStore()
    digest = store.put_blob(b"right")
    content = LocalSource(store, Metrics()).find(query(Kind.BLOB, str(digest)))
    assert content is not None
    store._memory.contents[digest] = b"wrong!"
    with pytest.raises(SourceGone):
        content.open(Span(0, 5))
