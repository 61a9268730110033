"""Invariant: whatever bytes a peer sends, a decoder of the directory returns values or raises `DirectoryError`.

And the feed that is given them goes on: no input makes it raise, and its memory stays bounded.
"""

import random
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from app.directory import antientropy, delta
from app.directory.antientropy import What
from app.directory.bloom import MAX_LOG2, MIN_LOG2, Bloom
from app.directory.delta import Delta, origin_of
from app.directory.errors import DirectoryError
from app.directory.feed import Feed
from app.directory.replica import Snapshot, Version
from tests.clusters.directory_cluster import member

HERE, PEER = member("here"), member("peer")
VECTOR = {origin_of("peer"): Version(3, 4)}


def vary(good: bytes) -> st.SearchStrategy[bytes]:
    """Nonsense, and good bytes that were cut, joined with junk, or changed in one place."""

    def change(at: int, value: int) -> bytes:
        changed = bytearray(good)
        changed[at % len(good)] = value
        return bytes(changed)

    return st.one_of(
        st.binary(max_size=600),
        st.integers(0, len(good)).map(lambda length: good[:length]),
        st.binary(min_size=1, max_size=20).map(lambda junk: good + junk),
        st.builds(change, st.integers(0, len(good) - 1), st.integers(0, 255)),
        st.binary(max_size=300).map(lambda body: good[:1] + body),
        st.binary(max_size=300).map(lambda body: good[:1] + zlib.compress(body)),
        st.binary(max_size=300).map(lambda body: good[:2] + zlib.compress(body)),
    )


def held(origin: bytes) -> Snapshot:
    return Snapshot(origin, Version(3, 4), 2, Bloom.of([1, 2, 3], 14))


DELTA = delta.encode(Delta(origin_of("peer"), 3, 2, 10, 8, (1, 2)))
FILTER = Bloom.of(range(0, 2**60, 2**55), 14).encode()
COMPARE = antientropy.encode_compare(VECTOR)
COMPARISON = antientropy.answer_compare(antientropy.encode_compare({}), VECTOR)
WANTED = antientropy.encode_wanted(VECTOR, everything=True)
FILTERS = b"".join(antientropy.answer_filters(antientropy.encode_wanted({}, True), VECTOR, held))


def answer(feed: Feed, what: What, body: bytes) -> bytes:
    return b"".join(feed.answer(what, body))


def returns_or_refuses(decode: Callable[[], object]) -> None:
    with suppress(DirectoryError):
        decode()


@given(vary(DELTA))
def test_deltas(payload: bytes) -> None:
    """A delta, or an error; a delta has no more keys than fit."""
    returns_or_refuses(lambda: delta.decode(payload))


@given(vary(FILTER))
def test_filters(data: bytes) -> None:
    """A filter of one of our sizes, or an error."""
    try:
        filter_ = Bloom.decode(data)
    except DirectoryError:
        return
    assert MIN_LOG2 <= filter_.log2 <= MAX_LOG2
    assert filter_.encode() == data


@given(vary(COMPARE))
def test_comparison_requests(body: bytes) -> None:
    """An answer, or an error."""
    returns_or_refuses(lambda: antientropy.answer_compare(body, VECTOR))


@given(vary(COMPARISON))
def test_comparison_answers(answer: bytes) -> None:
    """A vector, nothing, or an error."""
    returns_or_refuses(lambda: antientropy.decode_comparison(answer))


@given(vary(WANTED))
def test_requests_for_filters(body: bytes) -> None:
    """An answer that can be read, or an error."""
    returns_or_refuses(
        lambda: list(antientropy.decode_filters(b"".join(antientropy.answer_filters(body, VECTOR, held))))
    )


@given(vary(FILTERS))
def test_answers_with_filters(answer: bytes) -> None:
    """Filters, then perhaps an error."""
    returns_or_refuses(lambda: list(antientropy.decode_filters(answer)))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("delta"), vary(DELTA)),
            st.tuples(st.just("answer"), st.one_of(vary(FILTERS), vary(COMPARISON))),
            st.tuples(st.just("question"), st.one_of(vary(WANTED), vary(COMPARE))),
        ),
        max_size=20,
    )
)
def test_the_feed_survives(inputs: list[tuple[str, bytes]]) -> None:
    """Any mix of hostile broadcasts, answers and questions: no error leaves the feed, and it still works."""
    now = 0.0
    feed = Feed(HERE, 1, random.Random(1), now)
    feed.joined(PEER, now)
    for kind, data in inputs:
        now += 1.0
        feed.tick(now)
        if kind == "delta":
            feed.received(data, now)
        elif kind == "answer":
            for what in What:
                list(feed.fetched(PEER, what, data, now))
        else:
            for what in What:
                returns_or_refuses(partial(answer, feed, what, data))
        feed.effects()
    feed.key_added(77, now)
    assert 77 in feed.own
    assert feed.directory.members == 2
