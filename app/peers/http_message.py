"""HTTP/1.1 as mirrors speak it to each other: write a request, read a response's head. Pure.

Much narrower than RFC 9112 on purpose: a body has a `Content-Length` or there is none, a head is at most
`MAX_HEAD_BYTES`, and whatever could be read in two ways (folded lines, a repeated field that means something here,
chunks, a space before a colon) is refused. A peer is another mirror of ours; what is stranger than this is broken or
hostile, and is asked no further.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

#: Status line and fields together. Ours are some 400 bytes; 16 KiB is what common servers accept as a whole head.
MAX_HEAD_BYTES = 16 * 1024

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_TARGET = re.compile(r"/[\x21-\x7e]*")
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([2-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_RESPONSE_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
#: Fields that decide something here: twice is one too many, even if both say the same.
_ONLY_ONCE = frozenset({"content-length", "content-range", "content-type", "docker-content-digest", "rykte-updated"})


class MessageError(ValueError):
    """Text that is no message as this module knows it; the text says what was wrong and shows no more than needed."""


@dataclass(frozen=True, slots=True)
class ContentRange:
    """`first` and `last` are byte positions, both inclusive as they are on the wire; `total` is the whole's size."""

    first: int
    last: int
    total: int


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A response without its body. Field names are in lower case, values are trimmed."""

    status: int
    headers: Mapping[str, str]
    minor_version: int = 1

    @property
    def content_length(self) -> int | None:
        """Bytes of the body (for HEAD: of the one that GET would give), None if the peer did not say."""
        text = self.headers.get("content-length")
        return None if text is None else int(text)

    @property
    def content_range(self) -> ContentRange | None:
        """None if there is none or it can't be read."""
        match = _CONTENT_RANGE.fullmatch(self.headers.get("content-range", ""))
        return None if match is None else ContentRange(*(int(number) for number in match.groups()))

    @property
    def keeps_alive(self) -> bool:
        """Whether the peer means to read another request on this connection (RFC 9112 §9.3)."""
        options = {option.strip().lower() for option in self.headers.get("connection", "").split(",")}
        return self.minor_version == 1 and "close" not in options


class HeadReader:
    """Collects bytes until they hold a whole head. Never keeps more than `MAX_HEAD_BYTES` and one more piece."""

    def __init__(self) -> None:
        self._collected = bytearray()

    @property
    def empty(self) -> bool:
        """No byte has come yet."""
        return not self._collected

    def feed(self, piece: bytes) -> tuple[ResponseHead, bytes] | None:
        """Add what was received; return the head and the bytes behind it once all of it is there.

        Raises `MessageError`; the reader is of no use afterwards.
        """
        searched = max(0, len(self._collected) - 3)
        self._collected += piece
        end = self._collected.find(b"\r\n\r\n", searched)
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._collected) > MAX_HEAD_BYTES):
            raise MessageError(f"a response head of more than {MAX_HEAD_BYTES} bytes")
        if end < 0:
            return None
        return parse_head(bytes(self._collected[:end])), bytes(self._collected[end + 4 :])


def parse_head(block: bytes) -> ResponseHead:
    """Status line and fields without the empty line at the end. Raises `MessageError`."""
    status_line, *lines = block.decode("latin-1").split("\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise MessageError(f"{status_line[:60]!r} is no HTTP/1.x status line of a final response")
    headers: dict[str, str] = {}
    for line in lines:
        name, value = _parse_field(line)
        if name in headers:
            if name in _ONLY_ONCE:
                raise MessageError(f"the field {name} came twice")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    if "transfer-encoding" in headers:
        raise MessageError("Transfer-Encoding is not spoken between mirrors")
    length = headers.get("content-length")
    if length is not None and not _LENGTH.fullmatch(length):
        raise MessageError(f"Content-Length: {length[:40]!r} is no number of bytes")
    return ResponseHead(int(match[2]), headers, int(match[1]))


def _parse_field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name) or not _RESPONSE_VALUE.fullmatch(value):
        raise MessageError(f"{line[:60]!r} is no header field")
    return name.lower(), value.strip(" \t")


def write_request(method: str, host: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A whole request. `host` is the value of the Host field, `target` path and query.

    Raises `MessageError` for anything that could end a line or be read as another request (RFC 9112 §11.1).
    """
    if not _TARGET.fullmatch(target):
        raise MessageError(f"{target[:60]!r} can't stand in a request line")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise MessageError(f"{name[:40]!r}: {value[:60]!r} is no header field")
        lines.append(f"{name}: {value}")
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
