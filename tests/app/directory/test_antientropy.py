"""What mirrors say to each other can be read by them, and nothing else can do harm."""

import tracemalloc
import zlib

import pytest

from app.directory import antientropy
from app.directory.antientropy import (
    answer_compare,
    answer_filters,
    decode_comparison,
    decode_filters,
    encode_compare,
    encode_wanted,
    vector_hash,
)
from app.directory.bloom import Bloom
from app.directory.delta import Origin
from app.directory.errors import DirectoryError, UnknownVersion
from app.directory.replica import Snapshot, Version

A, B, C = b"a" * 8, b"b" * 8, b"c" * 8
VECTOR = {A: Version(1, 5), B: Version(2, 7)}
HELD = {
    A: Snapshot(A, Version(1, 5), 3, Bloom.of([1, 2], 14)),
    B: Snapshot(B, Version(2, 7), 4, Bloom.of([3], 15)),
}


def ask(known: dict[Origin, Version], everything: bool = False) -> list[Origin]:
    """Whose filters a holder of `HELD` answers with."""
    answer = b"".join(answer_filters(encode_wanted(known, everything), VECTOR, HELD.get))
    found = list(decode_filters(answer))
    assert all(HELD[item.origin] == item for item in found if isinstance(item, Snapshot))
    return [item.origin for item in found if isinstance(item, Snapshot)]


def test_equal_vectors_need_no_vector() -> None:
    """In whatever order they were filled: a few bytes each way."""
    answer = answer_compare(encode_compare(dict(reversed(VECTOR.items()))), VECTOR)
    assert decode_comparison(answer) is None
    assert len(answer) == 2


def test_different_vectors_are_told() -> None:
    """The answer is the vector of the one who was asked."""
    assert decode_comparison(answer_compare(encode_compare({}), VECTOR)) == VECTOR


@pytest.mark.parametrize("other", [{}, {A: Version(1, 5)}, {**VECTOR, B: Version(2, 8)}, {**VECTOR, C: Version(1, 0)}])
def test_every_difference_changes_the_hash(other: dict[Origin, Version]) -> None:
    """A missing origin, another revision, one more origin."""
    assert vector_hash(other) != vector_hash(VECTOR)


def test_golden_bytes() -> None:
    """The comparison's bytes: a change here is a new version of the format."""
    assert encode_compare({A: Version(1, 5)}).hex() == "01bc08eb54d9e7c6f2"
    assert zlib.decompress(encode_wanted({A: Version(1, 5)}, everything=True)[2:]) == A + b"\0\0\0\1\0\0\0\5"
    assert encode_wanted({}, everything=True)[:2] == b"\1\1"
    answer = b"".join(answer_filters(encode_wanted({}, everything=True), {A: VECTOR[A]}, HELD.get))
    plain = zlib.decompress(answer[1:])
    assert answer[0] == 1
    assert plain[:22] == A + b"\0\0\0\1" + b"\0\0\0\5" + b"\0\0\0\3" + b"\x08\x03"
    assert plain[22:] == Bloom.of([1, 2], 14).encode()


def test_a_joiner_gets_everything_in_one_answer() -> None:
    """All that the other has, except what the joiner knows to be as new."""
    assert ask({}, everything=True) == [A, B]
    assert ask({A: Version(1, 5)}, everything=True) == [B]


def test_only_what_is_newer_is_sent() -> None:
    """And nothing that was not asked for."""
    assert ask({A: Version(1, 4)}) == [A]
    assert ask({A: Version(1, 5), B: Version(3, 0)}) == []
    assert ask({C: Version(0, 0)}) == []
    assert ask({}) == []


def test_a_filter_that_went_meanwhile_is_left_out() -> None:
    """Between two pieces a member may leave."""
    answer = b"".join(answer_filters(encode_wanted({}, everything=True), VECTOR, lambda origin: None))
    assert list(decode_filters(answer)) == []


def test_a_large_answer_is_read_piece_by_piece() -> None:
    """A thousand filters of 2 KiB come out in order, without being in memory at once."""
    vector = {number.to_bytes(8, "big"): Version(1, 1) for number in range(1000)}
    filter_ = Bloom.of(range(500), 14)
    answer = b"".join(
        answer_filters(
            encode_wanted({}, everything=True), vector, lambda origin: Snapshot(origin, Version(1, 1), 1, filter_)
        )
    )
    tracemalloc.start()
    origins = [item.origin for item in decode_filters(answer) if isinstance(item, Snapshot)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert origins == list(vector)
    assert peak < 1_000_000


def test_an_answer_ends_where_it_would_be_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What did not fit is still missing at the one who asked, and comes with the next answer."""
    monkeypatch.setattr(antientropy, "MAX_ANSWER_BYTES", 5 * 65536)
    noise = [Bloom(18) for _ in range(40)]
    for number, filter_ in enumerate(noise):
        filter_.bits[:] = b"".join(zlib.crc32(b"%d %d" % (number, i)).to_bytes(4, "big") for i in range(8192))
    vector = {number.to_bytes(8, "big"): Version(1, 1) for number in range(40)}
    pieces = answer_filters(
        encode_wanted({}, everything=True),
        vector,
        lambda origin: Snapshot(origin, Version(1, 1), 1, noise[int.from_bytes(origin, "big")]),
    )
    answer = b"".join(pieces)
    assert len(answer) <= 5 * 65536
    assert 1 <= len(list(decode_filters(answer))) < 40


def test_a_filter_of_another_release_is_skipped() -> None:
    """Version N beside N+1: what is not understood is named, the others are taken."""
    body = b"".join(
        antientropy._FILTER.pack(origin, 1, 5, 3, len(filter_)) + filter_
        for origin, filter_ in [(A, b"\x02 the next version"), (B, Bloom.of([3], 14).encode())]
    )
    first, second = decode_filters(b"\x01" + zlib.compress(body))
    assert isinstance(first, UnknownVersion)
    assert isinstance(second, Snapshot)
    assert second.origin == B


@pytest.mark.parametrize("data", [b"\x02", b"\x02whatever"])
def test_the_next_version_is_told_apart(data: bytes) -> None:
    """Requests and answers of a later version are refused as unknown."""
    for read in (
        lambda: answer_compare(data, VECTOR),
        lambda: list(answer_filters(data, VECTOR, HELD.get)),
        lambda: decode_comparison(data),
        lambda: list(decode_filters(data)),
    ):
        with pytest.raises(UnknownVersion, match="version 2"):
            read()


def test_a_bad_request_is_refused_before_the_first_piece() -> None:
    """So that it can be answered by an error."""
    with pytest.raises(DirectoryError):
        answer_filters(b"\x01\x00 no zlib", VECTOR, HELD.get)


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_truncated_answer_is_refused(cut: int) -> None:
    """What came before the cut was whole, the rest is an error."""
    answer = b"".join(answer_filters(encode_wanted({}, everything=True), VECTOR, HELD.get))
    with pytest.raises(DirectoryError):
        list(decode_filters(answer[:-cut]))


def test_trailing_junk_is_refused() -> None:
    """After the list nothing may follow."""
    for good in (encode_wanted(VECTOR, everything=False), encode_wanted({}, everything=True)):
        with pytest.raises(DirectoryError, match="follow"):
            answer_filters(good + b"x", VECTOR, HELD.get)
    with pytest.raises(DirectoryError):
        decode_comparison(b"\x01\x01x")
    with pytest.raises(DirectoryError):
        answer_compare(encode_compare(VECTOR) + b"x", VECTOR)


def test_a_decompression_bomb_is_refused_in_little_memory() -> None:
    """A few kilobytes that would become 64 MiB: reading ends at the limit of a vector."""
    packer = zlib.compressobj(9)
    bomb = b"\x01\x00" + b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    assert len(bomb) < antientropy.MAX_REQUEST_BYTES
    tracemalloc.start()
    with pytest.raises(DirectoryError, match="longer than"):
        answer_filters(bomb, VECTOR, HELD.get)
    with pytest.raises(DirectoryError):
        list(decode_filters(b"\x01" + bomb[2:]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def test_epoch_zero_is_refused() -> None:
    """It stands for "nothing known", and would never be replaced."""
    filter_ = Bloom(14).encode()
    body = antientropy._FILTER.pack(A, 0, 5, 3, len(filter_)) + filter_
    with pytest.raises(DirectoryError, match="epoch 0"):
        list(decode_filters(b"\x01" + zlib.compress(body)))
