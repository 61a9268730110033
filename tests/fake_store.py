"""A content store in memory for the tests of everything that needs one. It passes `tests/contracts/content_store.py`.

Tests change it by `put_blob`, `put_image`, `drop_blob` and `drop_image`; its watcher hears of it before they return.
Blobs are memory files, so that whatever needs a real descriptor (sendfile) gets one.
"""

import os
from collections.abc import Iterable

from app.content.blob import FileBlob
from app.content.holdings import Holdings
from app.content.inventory import Content
from app.content.store import Blob, Descriptor, Image, Ingest, NotFound, StoreWatcher
from app.key import Digest, Key
from tests.images import TestImage


class MemoryBlob:
    """Content without a file: `fileno` is None, as where a daemon has to be asked for the bytes."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return len(self._content)

    def fileno(self) -> None:
        return None

    def pread(self, count: int, offset: int) -> bytes:
        return self._content[offset : offset + count]

    def close(self) -> None:
        pass


class MemoryContents:
    """A `ContentReader` over a dictionary."""

    def __init__(self, *, has_files: bool) -> None:
        self._has_files = has_files
        self.contents: dict[Digest, bytes] = {}

    def holds(self, digest: Digest, size: int) -> bool:
        return len(self.contents.get(digest, b"")) == size

    def open(self, digest: Digest, size: int) -> Blob:
        content = self.contents.get(digest)
        if content is None or len(content) != size:
            raise NotFound(f"{digest} is not in this store with {size} bytes")
        if not self._has_files:
            return MemoryBlob(content)
        descriptor = os.memfd_create(digest.hex, os.MFD_CLOEXEC)
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        return FileBlob(descriptor, len(content))

    def read(self, digest: Digest, limit: int) -> bytes | None:
        content = self.contents.get(digest)
        return None if content is None else content[:limit]


class FakeStore:
    """See above. `has_files=False` opens blobs that have no descriptor."""

    def __init__(self, *, has_files: bool = True) -> None:
        self.trouble: str | None = None
        self.ingests: dict[Digest, Ingest] = {}
        self._memory = MemoryContents(has_files=has_files)
        self._holdings = Holdings(self._memory, None)
        self._is_listed = False

    # -- what tests do to it --------------------------------------------------

    def put_blob(self, content: bytes, sources: Iterable[tuple[str, str]] = (), algorithm: str = "sha256") -> Digest:
        """`sources` are what containerd's labels would say."""
        digest = Digest.of(content, algorithm)
        self._memory.contents[digest] = content
        self._holdings.inventory.put(digest, Content(len(content), frozenset(sources)))
        self._holdings.announce()
        return digest

    def put_image(self, name: str, image: TestImage, updated_at: float = 0.0) -> Digest:
        """All blobs of the image, then its name."""
        for blob in image.blobs.values():
            self.put_blob(blob.content)
        self.put_name(name, image.target, updated_at)
        return image.digest

    def put_name(self, name: str, target: Descriptor, updated_at: float = 0.0) -> None:
        """A name alone; its content may be here or not."""
        self._holdings.inventory.put_image(Image(name, target, updated_at))
        self._holdings.announce()

    def drop_blob(self, digest: Digest) -> None:
        del self._memory.contents[digest]
        self._holdings.inventory.drop(digest)
        self._holdings.announce()

    def drop_image(self, name: str) -> None:
        """The name alone, as when containerd removes an image: its content goes later, if nobody else needs it."""
        self._holdings.inventory.drop_image(name)
        self._holdings.announce()

    # -- ContentStore ---------------------------------------------------------

    def start(self, watcher: StoreWatcher) -> None:
        self._holdings.attach(watcher)
        self._is_listed = True

    def stop(self) -> None:
        self._holdings.detach()

    def wait_listed(self, timeout_s: float) -> bool:
        return self._is_listed

    def problem(self) -> str | None:
        return self.trouble

    def images(self) -> list[Image]:
        return self._holdings.images()

    def digests(self) -> list[Digest]:
        return self._holdings.digests()

    def stat(self, digest: Digest) -> Descriptor:
        return self._holdings.stat(digest)

    def open(self, digest: Digest) -> Blob:
        return self._holdings.open(digest)

    def resolve(self, key: Key) -> Image:
        return self._holdings.resolve(key)

    def repositories(self, digest: Digest) -> frozenset[tuple[str, str]]:
        return self._holdings.repositories(digest)

    def ingest(self, digest: Digest) -> Ingest | None:
        return self.ingests.get(digest)

    def skipped(self) -> dict[str, str]:
        """Names of images that can't be walked, and why."""
        return dict(self._holdings.inventory.skipped())
