"""Range headers against a content's size."""

import pytest

from app.key import Digest
from app.registry.ranges import Unsatisfiable, etag, requested_span
from app.source import Span

DIGEST = Digest.of(b"x")


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-99", Span(0, 100)),
        ("bytes=10-19", Span(10, 20)),
        ("bytes=10-", Span(10, 100)),
        ("bytes=99-", Span(99, 100)),
        ("bytes=10-1000", Span(10, 100)),
        ("bytes=-1", Span(99, 100)),
        ("bytes=-100", Span(0, 100)),
        ("bytes=-101", Span(0, 100)),
        ("BYTES=5-6", Span(5, 7)),
    ],
)
def test_one_range_is_answered_exactly(header: str, span: Span) -> None:
    """First and last byte are inclusive in the header; what lies beyond the end is cut off."""
    assert requested_span(header, None, DIGEST, 100) == span


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=0-",
        "bytes=0-1,5-6",
        "bytes=-1,-2",
        "items=0-5",
        "bytes",
        "bytes=",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=-0",
        "bytes=--5",
        "bytes=1-2-3",
        f"bytes={'9' * 5000}-",
    ],
)
def test_everything_else_is_answered_whole(header: str | None) -> None:
    """No range, from the first byte on, several ranges, other units, and what can't be read."""
    assert requested_span(header, None, DIGEST, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=4096-"])
def test_a_range_beyond_the_end_is_not_satisfiable(header: str) -> None:
    """RFC 9110 §15.5.17."""
    with pytest.raises(Unsatisfiable):
        requested_span(header, None, DIGEST, 100)


@pytest.mark.parametrize(
    ("if_range", "applies"),
    [
        (etag(DIGEST), True),
        (f" {etag(DIGEST)} ", True),
        (f"W/{etag(DIGEST)}", False),
        (str(DIGEST), False),
        ('"other"', False),
        ("Wed, 21 Oct 2015 07:28:00 GMT", False),
    ],
)
def test_if_range_counts_only_with_the_strong_tag_of_this_content(if_range: str, applies: bool) -> None:
    """RFC 9110 §13.1.5: a weak tag, another one or a date means the whole content."""
    assert (requested_span("bytes=10-19", if_range, DIGEST, 100) is not None) == applies


def test_empty_content_has_no_ranges() -> None:
    """A suffix of nothing is the whole of nothing; a first byte there is none."""
    assert requested_span("bytes=-5", None, DIGEST, 0) is None
    with pytest.raises(Unsatisfiable):
        requested_span("bytes=0-0", None, DIGEST, 0)
