"""Any bytes from a peer end as a head, as a wish for more, or as `MessageError`; never as anything else."""

from hypothesis import example, given
from hypothesis import strategies as st

from app.peers.http_message import HeadReader, MessageError, ResponseHead

FRAGMENTS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"\r\n", b"\r\n\r\n", b"Content-Length: ", b"12", b":", b" ", b"\x00", b"close", b"\xff"]
)


def outcome(pieces: list[bytes]) -> tuple[ResponseHead, bytes] | str | None:
    """What the reader makes of these pieces; the rest is joined to what is behind the head."""
    reader = HeadReader()
    for position, piece in enumerate(pieces):
        try:
            found = reader.feed(piece)
        except MessageError:
            return "refused"
        if found is not None:
            return found[0], found[1] + b"".join(pieces[position + 1 :])
    return None


@given(st.lists(FRAGMENTS | st.binary(max_size=20), max_size=20))
@example([b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r", b"\nabc"])
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    """Cut in any way, the same bytes have the same meaning."""
    joined = b"".join(pieces)
    whole = outcome([joined])
    assert outcome(pieces) == whole
    assert outcome([bytes([byte]) for byte in joined]) == whole
