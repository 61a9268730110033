"""Content in files: `<root>/blobs/<algorithm>/<hex>`, the layout that containerd and the OCI image layout share.

A path is only ever made from a parsed digest. Files are read where they lie; nothing here writes.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from app.content.store import NotFound, StoreUnavailable
from app.key import Digest, InvalidName

ALGORITHMS = ("sha256", "sha512")

# What content of no bytes hashes to. Any other digest with an empty file is a file that was never written.
_EMPTY = frozenset(Digest.of(b"", algorithm) for algorithm in ALGORITHMS)


def is_hollow(digest: Digest, size: int) -> bool:
    """Whether content of this size can't be what the digest says: it is empty and the digest is not that of nothing."""
    return size == 0 and digest not in _EMPTY


class FileBlob:
    """An open content file. The descriptor stays good when its owner deletes the file."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor: int | None = descriptor
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    def fileno(self) -> int:
        """Raises `ValueError` after `close`: the number may be another file's by then."""
        if self._descriptor is None:
            raise ValueError("this blob is closed")
        return self._descriptor

    def pread(self, count: int, offset: int) -> bytes:
        """Bytes that the file has grown since it was opened are not part of the content."""
        try:
            return os.pread(self.fileno(), max(0, min(count, self._size - offset)), offset)
        except OSError as error:
            raise StoreUnavailable(f"can't read content: {error}") from error

    def close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


class BlobFiles:
    """The files of one content root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._prefix = {algorithm: f"{root}/blobs/{algorithm}/" for algorithm in ALGORITHMS}

    def directory(self, algorithm: str) -> Path:
        return Path(self._prefix[algorithm])

    def size(self, digest: Digest) -> int | None:
        """Bytes in the file, None if there is none (that we may look at). One stat(2)."""
        try:
            status = os.stat(self._path(digest))  # noqa: PTH116 - on the request path, and thrice as fast as pathlib
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def holds(self, digest: Digest, size: int) -> bool:
        """Whether there is such a file of exactly this size."""
        return self.size(digest) == size

    def open(self, digest: Digest, size: int) -> FileBlob:
        """Raises `NotFound` if there is no such file of exactly this size, `StoreUnavailable` if we may not read it."""
        try:
            # O_NONBLOCK: what is no regular file is refused below, and must not hold us until then
            descriptor = os.open(self._path(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise NotFound(f"{digest} has no file below {self.root}") from error
        except OSError as error:
            raise StoreUnavailable(f"can't open {digest} below {self.root}: {error.strerror}") from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            os.close(descriptor)
            raise NotFound(f"{digest} has {status.st_size} bytes in its file, not the {size} it should have")
        return FileBlob(descriptor, size)

    def read(self, digest: Digest, limit: int) -> bytes | None:
        """The content, or its first `limit` bytes; None if there is no file. Raises `StoreUnavailable`."""
        if (size := self.size(digest)) is None:
            return None
        try:
            blob = self.open(digest, size)
        except NotFound:
            return None
        try:
            return blob.pread(limit, 0)
        finally:
            blob.close()

    def scan(self) -> Iterator[tuple[Digest, int]]:
        """All files with a digest for a name, and their sizes. Directories that are missing are empty.

        Raises `StoreUnavailable` for a directory that may not be listed.
        """
        for algorithm, prefix in self._prefix.items():
            try:
                names = os.listdir(prefix)  # noqa: PTH208 - as above
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreUnavailable(f"can't list {prefix}: {error.strerror}") from error
            for name in names:
                digest = parse_file_name(algorithm, name)
                if digest is not None and (size := self.size(digest)) is not None:
                    yield digest, size

    def _path(self, digest: Digest) -> str:
        return self._prefix[digest.algorithm] + digest.hex


def parse_file_name(algorithm: str, name: str) -> Digest | None:
    """The digest that a file in a blobs directory is named after; None for temporary files and the like."""
    try:
        return Digest.parse(f"{algorithm}:{name}")
    except InvalidName:
        return None
