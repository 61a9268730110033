"""Which bytes of a content a request asks for. Pure.

RFC 9110 §14.2: a server may answer any Range with the whole content, and should where that is cheaper or safer.
We do so for several ranges at once, for units other than bytes, for what can't be parsed, and for `bytes=0-`:
containerd (2.1 and later, fetching in parallel) takes a 206 to `bytes=0-` for a promise that every later range will
be answered too, and fails the pull when one is not, while after a 200 it keeps to one stream that it can resume at
the next host.
"""

from werkzeug.http import parse_range_header

from app.key import Digest
from app.source import Span


class Unsatisfiable(Exception):
    """The range lies beyond the content: answer 416 with `Content-Range: bytes */<size>`."""


def etag(digest: Digest) -> str:
    """The entity tag of a content: its digest in quotes, a strong one, as the bytes can't differ."""
    return f'"{digest}"'


def requested_span(range_header: str | None, if_range: str | None, digest: Digest, size: int) -> Span | None:
    """The bytes to answer with 206, or None for the whole content with 200. Raises `Unsatisfiable`."""
    if not range_header or (if_range and if_range.strip() != etag(digest)):
        # no Last-Modified is ever sent, so that a date in If-Range matches nothing (RFC 9110 §13.1.5)
        return None
    parsed = parse_range_header(range_header)
    if parsed is None or parsed.units != "bytes" or len(parsed.ranges) != 1:
        return None
    start, stop = parsed.ranges[0]
    if start < 0:
        start = max(0, size + start)
        if size == 0:
            return None
    elif start == 0 and stop is None:
        return None
    elif start >= size:
        raise Unsatisfiable(range_header)
    return Span(start, size if stop is None else min(stop, size))
