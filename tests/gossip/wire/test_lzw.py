"""LZW against the output of Go's own writer, and against broken and hostile input."""

import pytest

from gossip.errors import WireError
from gossip.wire import lzw
from tests.golden.files import golden

INPUTS = {
    "empty": b"",
    "one": b"a",
    "words": b"TOBEORNOTTOBEORTOBEORNOT",
    "run": b"\x00" * 3000,
    "squares": bytes(n * n // 7 % 256 for n in range(20_000)),  # enough entries to clear the table twice
}


@pytest.mark.parametrize("name", INPUTS)
def test_bytes_are_those_of_go(name: str) -> None:
    """Compressed output equals the reference's, and the reference's output gives the input back."""
    assert lzw.compress(INPUTS[name]) == golden(f"lzw/{name}")
    assert lzw.decompress(golden(f"lzw/{name}"), len(INPUTS[name])) == INPUTS[name]


@pytest.mark.parametrize("length", range(250, 262))
def test_round_trip_where_the_code_grows(length: int) -> None:
    """The step from 9 to 10 bits happens at the same code on both sides, also when the input ends there."""
    data = bytes(range(256)) + bytes(range(255, -1, -2))
    assert lzw.decompress(lzw.compress(data[:length]), length) == data[:length]


def test_output_is_bounded() -> None:
    """One byte over the limit is an error, not a larger result."""
    packed = lzw.compress(b"\x00" * 3000)
    assert len(lzw.decompress(packed, 3000)) == 3000
    with pytest.raises(WireError, match="2999"):
        lzw.decompress(packed, 2999)


def test_a_missing_end_is_an_error() -> None:
    """Data that was cut off is not taken for the whole."""
    packed = lzw.compress(b"TOBEORNOTTOBE")
    for length in range(len(packed) - 1):
        with pytest.raises(WireError, match="without an end code"):
            lzw.decompress(packed[:length], 100)


def test_an_undefined_code_is_an_error() -> None:
    """A code that no writer can have made yet is refused."""
    # clear (256), then 300, nine bits each, least significant first
    with pytest.raises(WireError, match="code 300"):
        lzw.decompress((256 | 300 << 9).to_bytes(3, "little"), 100)


def test_a_writer_that_never_clears_is_read() -> None:
    """Go's writer clears a full table, the format does not demand it: the table then stays as it is."""
    literals = 4096  # more codes than the table has entries
    bits = position = 0
    size, width = 258, 9
    for number in range(literals):
        bits |= (number % 251) << position
        position += width
        size = min(size + (number > 0), 4096)
        if size >= 1 << width and width < 12:
            width += 1
    bits |= 257 << position
    data = bits.to_bytes((position + width + 7) // 8, "little")
    assert lzw.decompress(data, literals) == bytes(number % 251 for number in range(literals))
