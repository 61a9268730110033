"""No cut of the bytes lets wrong content out whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.key import Digest
from app.verify import TailGuard, WrongContent

PIECES = st.lists(st.binary(max_size=40), max_size=10)


@given(PIECES, st.sampled_from(["sha256", "sha512"]))
def test_right_bytes_come_out_as_they_went_in(pieces: list[bytes], algorithm: str) -> None:
    """All of them, in order, the last piece at the end."""
    content = b"".join(pieces)
    guard = TailGuard(Digest.of(content, algorithm))
    out = [guard.feed(piece) for piece in pieces]
    assert b"".join(out) + guard.finish() == content


@given(PIECES, st.binary(min_size=1, max_size=40))
def test_wrong_bytes_never_come_out_whole(pieces: list[bytes], last: bytes) -> None:
    """The last piece that is not empty stays inside."""
    guard = TailGuard(Digest.of(b"something else entirely, longer than any of the pieces together" * 20))
    out = b"".join(guard.feed(piece) for piece in [*pieces, last, b""])
    assert out == b"".join(pieces)
    with pytest.raises(WrongContent):
        guard.finish()


def test_an_empty_body() -> None:
    """Nothing goes in, nothing comes out, and that can be right or wrong."""
    assert TailGuard(Digest.of(b"")).finish() == b""
    with pytest.raises(WrongContent, match="not sha256:"):
        TailGuard(Digest.of(b"x")).finish()
