"""The delta's bytes are fixed, fit a broadcast, and another version is told apart from nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.directory.delta import MAX_KEYS, TOPIC, Delta, decode, encode, origin_of
from app.directory.errors import DirectoryError, UnknownVersion
from gossip.membership import MAX_PAYLOAD_BYTES

ORIGIN = bytes.fromhex("a1b2c3d4e5f60718")
SMALL = Delta(ORIGIN, epoch=0x5F000001, sequence=7, revision=300, since=298, keys=(0x0123456789ABCDEF, 2**64 - 1))


def deltas() -> st.SearchStrategy[Delta]:
    """Any delta that a node can send."""

    def build(origin: bytes, epoch: int, sequence: int, since: int, claim: int, keys: list[int]) -> Delta:
        return Delta(origin, epoch, sequence, since + claim, since, tuple(keys))

    word = st.integers(1, 2**32 - 1)
    fingerprints = st.lists(st.integers(0, 2**64 - 1), max_size=MAX_KEYS)
    return st.builds(
        build,
        st.binary(min_size=8, max_size=8),
        word,
        word,
        st.integers(0, 2**32 - 256),
        st.integers(0, 255),
        fingerprints,
    )


def test_golden_bytes() -> None:
    """A change here is a new version of the format."""
    assert encode(SMALL).hex() == (
        "01"
        + "a1b2c3d4e5f60718"
        + "5f000001"
        + "00000007"
        + "0000012c"
        + "02"
        + "0123456789abcdef"
        + "ffffffffffffffff"
    )


@given(deltas())
def test_round_trip(sent: Delta) -> None:
    """What was encoded is decoded to the same delta."""
    assert decode(encode(sent)) == sent


def test_the_fullest_delta_leaves_room_for_a_seal() -> None:
    """With its topic and 16 bytes more it fits into a broadcast; one key more would not."""
    full = Delta(ORIGIN, 1, 1, 300, 300 - MAX_KEYS, tuple(range(MAX_KEYS)))
    free = MAX_PAYLOAD_BYTES - len(TOPIC) - len(encode(full)) - 16
    assert 0 <= free < 8
    assert MAX_KEYS >= 50


def test_the_next_version_is_told_apart() -> None:
    """Whatever a later version looks like, it is refused as unknown and not as broken."""
    with pytest.raises(UnknownVersion, match="version 2"):
        decode(b"\x02" + b"whatever comes")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        encode(SMALL)[:-1],
        encode(SMALL) + b"\0",
        encode(SMALL)[:21],
        encode(Delta(ORIGIN, 1, 1, 52, 0, tuple(range(52)))) + bytes(8),
        encode(Delta(ORIGIN, 0, 1, 1, 0)),
        encode(Delta(ORIGIN, 1, 0, 1, 0)),
        encode(Delta(ORIGIN, 1, 1, 1, 0))[:-1] + b"\x02",
    ],
    ids=["empty", "short", "long", "header cut", "too many keys", "epoch 0", "sequence 0", "claims more than there is"],
)
def test_nonsense_is_refused(payload: bytes) -> None:
    """Bytes that no node sends are an error of one type."""
    with pytest.raises(DirectoryError):
        decode(payload)


def test_every_cut_is_refused_or_has_whole_keys() -> None:
    """A truncated delta is either refused or holds fewer whole fingerprints, never a half one."""
    whole = encode(SMALL)
    for length in range(len(whole)):
        try:
            cut = decode(whole[:length])
        except DirectoryError:
            continue
        assert cut.keys == SMALL.keys[: len(cut.keys)]


def test_the_origin_comes_from_the_name() -> None:
    """The first 8 bytes of the name's SHA-256, so that every release makes the same."""
    assert origin_of("node-1-x7q2").hex() == "3e660e4895557df8"
    assert origin_of("node-1") != origin_of("node-2")
    assert origin_of("n\udcff") != origin_of("n\udcfe")  # names are any bytes
