"""Content read through containerd, over a stand-in for its API."""

import pytest

from app.content.containerd.remote import RemoteContents
from app.content.inventory import Content
from app.content.store import NotFound, StoreUnavailable
from app.key import Digest


class FakeApi:
    """Answers like `ContainerdApi`, from a dictionary."""

    def __init__(self, *contents: bytes) -> None:
        self.contents = {Digest.of(content): content for content in contents}
        self.largest_read = 0

    def content(self, digest: Digest) -> Content:
        return Content(len(self._get(digest)))

    def read(self, digest: Digest, count: int, offset: int) -> bytes:
        content = self._get(digest)
        assert count > 0, "containerd reads to the end when it is asked for nothing"
        assert offset + count <= len(content), "containerd refuses a range beyond the end"
        self.largest_read = max(self.largest_read, count)
        return content[offset : offset + count]

    def _get(self, digest: Digest) -> bytes:
        if digest not in self.contents:
            raise NotFound(str(digest))
        return self.contents[digest]


def test_read() -> None:
    """A blob is read in ranges within its bounds, and ends."""
    api = FakeApi(b"0123456789")
    blob = RemoteContents(api).open(Digest.of(b"0123456789"), 10)
    assert (blob.size, blob.fileno()) == (10, None)
    assert [blob.pread(3, 4), blob.pread(99, 8), blob.pread(1, 10), blob.pread(1, 99)] == [b"456", b"89", b"", b""]
    blob.close()
    blob.close()


def test_bounded() -> None:
    """However much is asked for at once, only so much is held in memory."""
    content = bytes(9 << 20)
    api = FakeApi(content)
    blob = RemoteContents(api).open(Digest.of(content), len(content))
    assert 0 < len(blob.pread(1 << 40, 0)) == api.largest_read <= 4 << 20


def test_gone() -> None:
    """What is not there, or has another size, is not found; what goes while it is open breaks off with a reason."""
    api = FakeApi(b"abc")
    reader = RemoteContents(api)
    digest = Digest.of(b"abc")
    with pytest.raises(NotFound):
        reader.open(Digest.of(b"nowhere"), 3)
    with pytest.raises(NotFound, match="3 bytes"):
        reader.open(digest, 4)
    blob = reader.open(digest, 3)
    api.contents.clear()
    with pytest.raises(StoreUnavailable, match="deleted"):
        blob.pread(3, 0)
    assert reader.read(digest, 10) is None


def test_whole_read() -> None:
    """Manifests are read whole up to a limit, also one of no bytes."""
    reader = RemoteContents(FakeApi(b"0123456789", b""))
    assert reader.read(Digest.of(b"0123456789"), 4) == b"0123"
    assert reader.read(Digest.of(b"0123456789"), 40) == b"0123456789"
    assert reader.read(Digest.of(b""), 40) == b""
    assert reader.holds(Digest.of(b"anything"), 1)
