"""Who names a digest and who waits for it."""

from app.content.naming import Naming, Waiting
from app.content.store import Descriptor
from app.key import Digest

A, B = Digest.of(b"a"), Digest.of(b"b")


def test_names_and_media_type() -> None:
    """A digest is named by every image linked to it, its media type is that of the first."""
    naming = Naming()
    assert naming.media_type(A) is None
    naming.link("one", [Descriptor(A, 1, "first"), Descriptor(B, 1, "b")])
    naming.link("two", [Descriptor(A, 1, "second")])
    assert set(naming.names(A)) == {"one", "two"}
    assert naming.media_type(A) == "first"
    naming.unlink("one", [Descriptor(A, 1, "first"), Descriptor(B, 1, "b")])
    assert set(naming.names(A)) == {"two"}
    assert naming.media_type(A) == "second"
    assert not naming.names(B)
    assert naming.media_type(B) is None


def test_waiting() -> None:
    """Names wait until the digest comes or they no longer care; then nothing of them is left."""
    waiting = Waiting()
    waiting.add("one", [A, B])
    waiting.add("two", [A])
    waiting.discard("one", [B, Digest.of(b"never waited for")])
    assert waiting.pop(B) == set()
    assert waiting.pop(A) == {"one", "two"}
    assert waiting.pop(A) == set()
