"""Content files: sizes, reading, and what is no content file."""

import os
from pathlib import Path

import pytest

from app.content.blob import BlobFiles, is_hollow, parse_file_name
from app.content.store import NotFound, StoreUnavailable
from app.key import Digest
from tests.images import write_blob


@pytest.fixture
def files(tmp_path: Path) -> BlobFiles:
    return BlobFiles(tmp_path)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_read(files: BlobFiles, algorithm: str) -> None:
    """A file is found under its digest, with its size, and read from any offset, also by its descriptor."""
    digest = write_blob(files.root, b"0123456789", algorithm)
    assert files.size(digest) == 10
    assert files.holds(digest, 10)
    blob = files.open(digest, 10)
    assert (blob.size, blob.pread(3, 4), blob.pread(99, 8), blob.pread(1, 10), blob.pread(1, 11)) == (
        10,
        b"456",
        b"89",
        b"",
        b"",
    )
    assert os.pread(blob.fileno(), 10, 0) == b"0123456789"
    blob.close()


def test_closed(files: BlobFiles) -> None:
    """A closed blob gives no descriptor, which could be another file's by then; closing twice is nothing."""
    blob = files.open(write_blob(files.root, b"x"), 1)
    blob.close()
    blob.close()
    with pytest.raises(ValueError, match="closed"):
        blob.fileno()
    with pytest.raises(ValueError, match="closed"):
        blob.pread(1, 0)


def test_deleted_while_open(files: BlobFiles) -> None:
    """An open blob outlives its file."""
    digest = write_blob(files.root, b"still here")
    blob = files.open(digest, 10)
    (files.directory("sha256") / digest.hex).unlink()
    assert blob.pread(10, 0) == b"still here"
    blob.close()
    assert files.size(digest) is None
    with pytest.raises(NotFound):
        files.open(digest, 10)


def test_grown_while_open(files: BlobFiles) -> None:
    """What is appended to an open file is not part of the content."""
    digest = write_blob(files.root, b"abc")
    blob = files.open(digest, 3)
    with (files.directory("sha256") / digest.hex).open("ab") as file:
        file.write(b"def")
    assert blob.pread(100, 0) == b"abc"
    blob.close()


def test_wrong_size(files: BlobFiles) -> None:
    """A file of another size than expected is not opened, and nothing is left open."""
    digest = write_blob(files.root, b"abc")
    assert not files.holds(digest, 4)
    with pytest.raises(NotFound, match="3 bytes"):
        files.open(digest, 4)


def test_no_regular_file(files: BlobFiles) -> None:
    """A directory or a pipe in the place of a content is none, and does not block."""
    directory, pipe = Digest.of(b"directory"), Digest.of(b"pipe")
    (files.directory("sha256") / directory.hex).mkdir(parents=True)
    os.mkfifo(files.directory("sha256") / pipe.hex)
    for digest in (directory, pipe):
        assert files.size(digest) is None
        with pytest.raises(NotFound):
            files.open(digest, 0)
    assert list(files.scan()) == []


def test_unreadable(files: BlobFiles) -> None:
    """A file that can't be opened for another reason than absence is the environment's fault: a loop of links here."""
    digest = Digest.of(b"loop")
    files.directory("sha256").mkdir(parents=True)
    (files.directory("sha256") / digest.hex).symlink_to(digest.hex)
    with pytest.raises(StoreUnavailable, match=digest.hex):
        files.open(digest, 1)


def test_bounded_read(files: BlobFiles) -> None:
    """`read` gives no more than its limit, and None for what is not there."""
    digest = write_blob(files.root, b"0123456789")
    assert files.read(digest, 4) == b"0123"
    assert files.read(digest, 100) == b"0123456789"
    assert files.read(Digest.of(b"nowhere"), 4) is None


def test_scan(files: BlobFiles) -> None:
    """A scan gives files whose names are digests, of both algorithms, and skips everything else."""
    expected = {write_blob(files.root, b"a"): 1, write_blob(files.root, b"bb", "sha512"): 2}
    for name in ("temporary", "A" * 64, "0" * 63, ".hidden"):
        (files.directory("sha256") / name).write_bytes(b"x")
    assert dict(files.scan()) == expected


def test_scan_of_nothing(tmp_path: Path) -> None:
    """Directories that do not exist yet are empty; one that can't be listed is an error."""
    files = BlobFiles(tmp_path / "absent")
    assert list(files.scan()) == []
    (tmp_path / "absent/blobs").mkdir(parents=True)
    (tmp_path / "absent/blobs/sha256").write_bytes(b"a file where a directory should be")
    with pytest.raises(StoreUnavailable, match="can't list"):
        list(files.scan())


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_hollow(algorithm: str) -> None:
    """Only the digest of nothing can have an empty file."""
    assert not is_hollow(Digest.of(b"", algorithm), 0)
    assert is_hollow(Digest.of(b"x", algorithm), 0)
    assert not is_hollow(Digest.of(b"x", algorithm), 1)


def test_file_names() -> None:
    """A name is a digest in lower-case hex of the right length, or nothing."""
    digest = Digest.of(b"x")
    assert parse_file_name("sha256", digest.hex) == digest
    assert parse_file_name("sha512", digest.hex) is None
    assert parse_file_name("sha256", "../../etc/passwd") is None
