"""What the two message codecs share: the dialect, and the checks that name a field."""

import pytest

from gossip.errors import WireError
from gossip.wire import fields


def test_the_old_raw_format_is_written() -> None:
    """Text and bytes of 32 to 255 bytes take a 16-bit length: the 8-bit one did not exist in the old format."""
    assert fields.pack("x" * 32) == b"\xda\x00\x20" + b"x" * 32
    assert fields.pack(b"x" * 32) == b"\xda\x00\x20" + b"x" * 32
    assert fields.pack({"A": None, "B": 300, "C": True}) == b"\x83\xa1A\xc0\xa1B\xcd\x01\x2c\xa1C\xc3"


def test_unpack_gives_what_follows() -> None:
    """The object, and the bytes behind it; tables ignore those."""
    assert fields.unpack_table(b"\x80rest") == {}
    assert fields.unpack(b"\x05rest") == (5, b"rest")
    assert fields.unpack(b"\x05") == (5, b"")


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\xa5abc", b"\xdd\xff\xff\xff\xff", b"\x91" * 5000, b"\x81\x90\x01"])
def test_what_is_no_object_is_a_wire_error(data: bytes) -> None:
    """Cut off, never used, absurdly long, nested without end, keyed by a list: refused, never another exception."""
    for read in (fields.unpack, fields.unpack_table):
        with pytest.raises(WireError):
            read(data)


def test_containers_are_bounded() -> None:
    """A longer array than allowed is refused before it is read; a table may be longer, but not of containers only."""
    long = fields.pack({"A": [0] * fields.MAX_TABLE_ITEMS})
    assert len(fields.unpack_table(long)[b"A"]) == fields.MAX_TABLE_ITEMS
    with pytest.raises(WireError):
        fields.unpack_fields(long)
    with pytest.raises(WireError, match="arrays and maps"):
        fields.unpack_table(fields.pack({"A": [[]] * (fields.MAX_CONTAINERS // 2), "B": [{}] * fields.MAX_CONTAINERS}))


def test_errors_stay_short() -> None:
    """An error text doesn't grow with what a stranger sent."""
    assert len(fields.shown(b"x" * 10_000)) <= 60
    assert fields.shown([1] * 1000) == "list of 1000"
    assert fields.shown({}) == "dict of 0"
    with pytest.raises(WireError) as caught:
        fields.uint({b"Port": b"x" * 10_000}, b"Port", 16)
    assert len(str(caught.value)) < 120


def test_limits_are_exact() -> None:
    """The largest value passes, the next does not."""
    assert fields.uint({b"Port": 65535}, b"Port", 16) == 65535
    with pytest.raises(WireError, match="65536"):
        fields.uint({b"Port": 65536}, b"Port", 16)
    assert fields.raw({b"Meta": b"four"}, b"Meta", 4) == b"four"
    with pytest.raises(WireError, match="5 bytes"):
        fields.raw({b"Meta": b"fives"}, b"Meta", 4)
