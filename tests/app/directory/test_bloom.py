"""The filter forgets nothing, is wrong as rarely as its size promises, and has stable bytes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.directory.bloom import HASHES, MAX_LOG2, MIN_LOG2, Bloom, log2_for, positions
from app.directory.errors import DirectoryError, UnknownVersion

FINGERPRINTS = st.integers(0, 2**64 - 1)


@given(st.sets(FINGERPRINTS, max_size=50), st.integers(MIN_LOG2, MAX_LOG2))
def test_every_key_is_found(keys: set[int], log2: int) -> None:
    """A filter never denies a key that was added."""
    filter_ = Bloom.of(keys, log2)
    assert all(key in filter_ for key in keys)


def test_false_positives_are_as_rare_as_theory_says() -> None:
    """At 16 bits a key 4.6 in 10,000 strangers are found, (1 - e^(-11/16))^11; half as many again would be a flaw."""
    rng = random.Random(7)
    filter_ = Bloom.of((rng.getrandbits(64) for _ in range(1024)), 14)
    strangers = sum(rng.getrandbits(64) in filter_ for _ in range(50_000))
    assert strangers / 50_000 < 1.5 * 4.6e-4


def test_keys_that_share_their_low_halves_differ() -> None:
    """Positions depend on both halves of the fingerprint, and lie within the largest filter."""
    low, high = positions(0x00000000_12345678), positions(0x00000001_12345678)
    assert low[0] == high[0]
    assert low[1:] != high[1:]
    assert len(low) == HASHES
    assert all(0 <= at < 1 << MAX_LOG2 for at in (*low, *high))


def test_a_degenerate_fingerprint_still_has_many_positions() -> None:
    """With a step of zero the enhanced part spreads the positions."""
    assert len(set(positions(0))) >= HASHES - 1


@pytest.mark.parametrize(
    ("keys", "members", "log2"),
    [
        (0, 3, 14),
        (1024, 500, 14),
        (1025, 500, 15),
        (819, 501, 14),
        (820, 501, 15),
        (16_384, 500, 18),
        (16_385, 500, 18),
        (1_000_000, 5000, 18),
    ],
)
def test_sizes(keys: int, members: int, log2: int) -> None:
    """16 bits a key up to 500 members, 20 above; from 2^14 to 2^18 bits."""
    assert log2_for(keys, members) == log2


def test_the_number_of_keys_is_estimated() -> None:
    """Within two per cent at a usual fill, and exactly for an empty filter."""
    rng = random.Random(3)
    assert abs(Bloom.of((rng.getrandbits(64) for _ in range(1000)), 14).estimated_keys() - 1000) < 20
    assert Bloom(14).estimated_keys() == 0


def test_a_full_filter_is_estimated_too() -> None:
    """All bits set is no error: the estimate is merely large."""
    filter_ = Bloom(14)
    filter_.bits[:] = b"\xff" * len(filter_.bits)
    assert filter_.estimated_keys() > 10_000


def test_golden_bytes() -> None:
    """The bits of one key: a change here is a new version of the format."""
    filter_ = Bloom.of([0x0123456789ABCDEF], 14)
    encoded = filter_.encode()
    assert encoded[:3] == bytes([1, 14, 11])
    set_bits = [at for at in range(1 << 14) if encoded[3 + at // 8] >> at % 8 & 1]
    # from 0xDEF (the start modulo 2^14) in steps of 0x567, 0x568, 0x56A, 0x56D, ... modulo 2^14
    assert set_bits == [1178, 3567, 4950, 6334, 7720, 9109, 10502, 11900, 13304, 14715, 16134]


@given(st.sets(FINGERPRINTS, max_size=20), st.integers(MIN_LOG2, MAX_LOG2))
def test_round_trip(keys: set[int], log2: int) -> None:
    """What was encoded is decoded to an equal filter."""
    filter_ = Bloom.of(keys, log2)
    assert Bloom.decode(filter_.encode()) == filter_


def test_merge() -> None:
    """The merged filter has the keys of both; another size is refused and changes nothing."""
    one, other = Bloom.of([1, 2], 14), Bloom.of([3], 14)
    one.merge(other)
    assert one == Bloom.of([1, 2, 3], 14)
    with pytest.raises(DirectoryError, match="2\\^15"):
        one.merge(Bloom(15))
    assert one == Bloom.of([1, 2, 3], 14)


@pytest.mark.parametrize(
    "data",
    [
        bytes([2, 14, 11]) + bytes(2048),
        bytes([1, 14, 7]) + bytes(2048),
        bytes([1, 13, 11]) + bytes(1024),
        bytes([1, 19, 11]) + bytes(65536),
        bytes([1, 255, 11]),
    ],
)
def test_other_parameters_are_an_unknown_version(data: bytes) -> None:
    """A version, a number of hashes or a size that is not ours is refused as such."""
    with pytest.raises(UnknownVersion):
        Bloom.decode(data)


@pytest.mark.parametrize("data", [b"", b"\x01\x0e", bytes([1, 14, 11]) + bytes(2047), bytes([1, 14, 11]) + bytes(2049)])
def test_wrong_lengths_are_refused(data: bytes) -> None:
    """Neither too few nor too many bytes."""
    with pytest.raises(DirectoryError):
        Bloom.decode(data)
