"""What is read as a response head and what is refused, whole and byte by byte; what may be written as a request."""

import pytest

from app.peers.http_message import (
    MAX_HEAD_BYTES,
    ContentRange,
    HeadReader,
    MessageError,
    ResponseHead,
    parse_head,
    write_request,
)

GOOD = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\ncontent-range: bytes 10-14/20\r\nX-Empty:\r\n\r\n"


def read_bytewise(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """Feed single bytes until there is a head."""
    reader = HeadReader()
    for position in range(len(data)):
        found = reader.feed(data[position : position + 1])
        if found is not None:
            return found
    return None


def test_reads_a_head_and_what_is_behind_it() -> None:
    """Status, fields in lower case, and the body bytes that came along."""
    found = HeadReader().feed(GOOD + b"hello")
    assert found is not None
    head, rest = found
    assert (head.status, head.content_length, head.content_range) == (206, 5, ContentRange(10, 14, 20))
    assert head.headers["x-empty"] == ""
    assert rest == b"hello"


def test_reads_the_same_byte_by_byte() -> None:
    """How the bytes are cut makes no difference."""
    found = read_bytewise(GOOD)
    assert found is not None
    assert found[0] == parse_head(GOOD[:-4])
    assert found[1] == b""


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 100 Continue",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1  200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 200 OK\r\n folded: yes",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5",
        b"HTTP/1.1 200 OK\r\nno colon",
        b"HTTP/1.1 200 OK\r\n: nameless",
        b"HTTP/1.1 200 OK\r\nA: bare\rreturn",
        b"HTTP/1.1 200 OK\r\nA: bare\nfeed",
        b"HTTP/1.1 200 OK\r\nA: nul\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1" + b"0" * 40,
        b"HTTP/1.1 200 OK\r\nContent-Length:",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nDocker-Content-Digest: a\r\nDocker-Content-Digest: b",
    ],
)
def test_refuses_what_could_be_read_in_two_ways(block: bytes) -> None:
    """Anything out of the narrow form is an error of the one kind, whole or byte by byte."""
    with pytest.raises(MessageError):
        parse_head(block)
    with pytest.raises(MessageError):
        read_bytewise(block + b"\r\n\r\n")


def test_refuses_a_giant_head_at_once() -> None:
    """A head in one piece is measured before it is read."""
    with pytest.raises(MessageError, match="more than"):
        HeadReader().feed(b"HTTP/1.1 200 OK\r\nA: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n")


def test_refuses_a_head_that_does_not_end() -> None:
    """Memory is bounded: the reader gives up at the limit, not at the end."""
    with pytest.raises(MessageError, match="more than"):
        read_bytewise(b"A: b\r\n" * MAX_HEAD_BYTES)


def test_takes_a_head_of_exactly_the_limit() -> None:
    """The limit itself is allowed."""
    start = b"HTTP/1.1 200 OK\r\nA: "
    head = start + b"a" * (MAX_HEAD_BYTES - len(start)) + b"\r\n\r\n"
    assert HeadReader().feed(head) is not None


@pytest.mark.parametrize(
    ("block", "kept"),
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, close", False),
        (b"HTTP/1.0 200 OK", False),
    ],
)
def test_knows_whether_the_connection_stays(block: bytes, kept: bool) -> None:
    """RFC 9112 §9.3, HTTP/1.0 taken for closing."""
    assert parse_head(block).keeps_alive is kept


@pytest.mark.parametrize("text", ["bytes */20", "bytes 1-2", "bytes 1-2/*", "items 1-2/3", "bytes 1-2/3x", ""])
def test_an_odd_content_range_is_none(text: str) -> None:
    """What can't be read is not guessed."""
    assert ResponseHead(206, {"content-range": text}).content_range is None


def test_writes_a_request() -> None:
    """The exact bytes of a HEAD."""
    assert write_request("HEAD", "10.0.0.1:5000", "/v2/?ns=a", {"Accept": "x/y"}) == (
        b"HEAD /v2/?ns=a HTTP/1.1\r\nHost: 10.0.0.1:5000\r\nAccept: x/y\r\n\r\n"
    )


def test_writes_a_body_with_its_length() -> None:
    """POST says its length, also of nothing."""
    assert write_request("POST", "h", "/", {}, b"abc").endswith(b"Content-Length: 3\r\n\r\nabc")
    assert write_request("POST", "h", "/", {}).endswith(b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize("target", ["", "v2", "/a b", "/a\r\nX: y", "/\x00", "/ü"])
def test_refuses_a_target_that_ends_the_line(target: str) -> None:
    """No request can be smuggled into a path."""
    with pytest.raises(MessageError, match="request line"):
        write_request("GET", "h", target, {})


@pytest.mark.parametrize(("name", "value"), [("A", "b\r\nC: d"), ("A", "b\n"), ("A:", "b"), ("A b", "c"), ("A", "ü")])
def test_refuses_a_field_that_is_two(name: str, value: str) -> None:
    """Nor into a header."""
    with pytest.raises(MessageError, match="no header field"):
        write_request("GET", "h", "/", {name: value})
