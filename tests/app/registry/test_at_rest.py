"""Small content is hashed before it is first served."""

from pathlib import Path

from app.content.blob import BlobFiles
from app.key import Digest
from app.registry.at_rest import AtRest
from app.verify import SMALL_BYTES
from tests.fake_store import MemoryBlob
from tests.images import replace_file, write_blob


class CountingBlob(MemoryBlob):
    """Says how often it was read."""

    reads = 0

    def pread(self, count: int, offset: int) -> bytes:
        self.reads += 1
        return super().pread(count, offset)


def test_right_and_wrong_bytes_are_told_apart() -> None:
    """Also over several slices, and with the other algorithm."""
    content = bytes(range(256)) * 5000
    for algorithm in ("sha256", "sha512"):
        assert AtRest().trusts(Digest.of(content, algorithm), MemoryBlob(content))
        assert not AtRest().trusts(Digest.of(content, algorithm), MemoryBlob(content[:-1] + b"x"))


def test_what_was_right_is_not_read_again() -> None:
    """Once per digest, and wrong content is looked at each time."""
    at_rest = AtRest()
    blob = CountingBlob(b"content")
    assert at_rest.trusts(Digest.of(b"content"), blob)
    reads = blob.reads
    assert at_rest.trusts(Digest.of(b"content"), blob)
    assert blob.reads == reads
    assert not at_rest.trusts(Digest.of(b"other"), blob)
    assert not at_rest.trusts(Digest.of(b"other"), blob)
    assert blob.reads > reads + 1


def test_a_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    """What was right in the file before says nothing of the one that has its name now, whatever its size."""
    at_rest, files, content = AtRest(), BlobFiles(tmp_path), b"content"
    digest = write_blob(tmp_path, content)
    for found in (content, b"CONTENT", b"x", content):
        replace_file(files.directory(digest.algorithm) / digest.hex, found)
        blob = files.open(digest, len(found))
        assert at_rest.trusts(digest, blob) is (found == content)
        blob.close()


def test_big_content_is_not_looked_at() -> None:
    """It would keep the client waiting."""
    blob = CountingBlob(bytes(SMALL_BYTES + 1))
    assert AtRest().trusts(Digest.of(b"something else"), blob)
    assert blob.reads == 0


def test_the_memory_is_bounded() -> None:
    """The digest that was not asked for longest is forgotten, and looked at again."""
    at_rest = AtRest(remembered=2)
    blobs = [CountingBlob(bytes([n])) for n in range(3)]
    digests = [Digest.of(bytes([n])) for n in range(3)]
    at_rest.trusts(digests[0], blobs[0])
    at_rest.trusts(digests[1], blobs[1])
    at_rest.trusts(digests[0], blobs[0])
    at_rest.trusts(digests[2], blobs[2])
    before = [blob.reads for blob in blobs]
    for n in (0, 2, 1):
        assert at_rest.trusts(digests[n], blobs[n])
    assert [blob.reads > count for blob, count in zip(blobs, before, strict=True)] == [False, True, False]
