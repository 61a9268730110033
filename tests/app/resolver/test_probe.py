"""What is asked of a peer, and what each answer is taken for."""

from dataclasses import replace

import pytest

from app.content.store import Descriptor
from app.key import Digest, Key
from app.peers.errors import Declined, PeerError
from app.peers.http_message import ResponseHead
from app.resolver.probe import Fault, Full, Hit, Miss, check_announced, headers_of, path_of, range_header, read_answer
from app.source import Kind, Query

DIGEST = Digest.of(b"content")
OTHER = Digest.of(b"other")
BLOB = Key("registry.test:5000", "library/app", DIGEST)
TAG = Key.parse("docker.io", "library/app", "1.0")
HEADERS = {"content-length": "7", "docker-content-digest": str(DIGEST), "content-type": "application/x; charset=y"}


def test_paths() -> None:
    """The registry travels in `ns`, its colon escaped."""
    assert path_of(Kind.BLOB, BLOB) == f"/v2/library/app/blobs/{DIGEST}?ns=registry.test%3A5000"
    assert path_of(Kind.MANIFEST, TAG) == "/v2/library/app/manifests/1.0?ns=docker.io"
    assert path_of(Kind.BLOB, Key.parse("[::1]:80", "a", str(DIGEST))).endswith("?ns=%5B%3A%3A1%5D%3A80")


@pytest.mark.parametrize("accept", ["*/*", "application/vnd.oci.image.index.v1+json, application/json;q=0.5"])
def test_accept_goes_on(accept: str) -> None:
    """What the client can read decides what the peer gives."""
    assert headers_of(Query(Kind.MANIFEST, TAG, accept)) == {"Accept": accept}


@pytest.mark.parametrize("accept", ["", "a/b\r\nX: y", "a/b\x00", "ü", "a" * 3000])
def test_odd_accept_stays(accept: str) -> None:
    """What does not look like one is not passed on."""
    assert headers_of(Query(Kind.MANIFEST, TAG, accept)) == {}


@pytest.mark.parametrize(
    ("status", "kind"), [(404, Miss), (401, Miss), (416, Miss), (503, Full), (500, Fault), (301, Fault), (206, Fault)]
)
def test_other_statuses(status: int, kind: type) -> None:
    """A no, a not now, or nonsense."""
    assert isinstance(read_answer(BLOB, ResponseHead(status, {})), kind)


def test_a_yes_for_a_digest() -> None:
    """The descriptor is what the head says, the media type without its parameters."""
    answer = read_answer(BLOB, ResponseHead(200, HEADERS))
    assert answer == Hit(Descriptor(DIGEST, 7, "application/x"), None)


def test_a_yes_for_a_digest_need_not_repeat_it() -> None:
    """Who asked knows it."""
    answer = read_answer(BLOB, ResponseHead(200, {"content-length": "0"}))
    assert answer == Hit(Descriptor(DIGEST, 0, ""), None)


@pytest.mark.parametrize(
    ("text", "updated_at"),
    [("1700000000.25", 1700000000.25), ("12", 12.0), ("", None), ("nan", None), ("1e9", None), ("-1", None)],
)
def test_a_yes_for_a_tag(text: str, updated_at: float | None) -> None:
    """It says what the tag points at, and since when."""
    answer = read_answer(TAG, ResponseHead(200, HEADERS | {"rykte-updated": text}))
    assert isinstance(answer, Hit)
    assert (answer.descriptor.digest, answer.updated_at) == (DIGEST, updated_at)


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        (BLOB, {"docker-content-digest": str(DIGEST)}),
        (BLOB, HEADERS | {"docker-content-digest": str(OTHER)}),
        (BLOB, HEADERS | {"docker-content-digest": "sha256:short"}),
        (TAG, {"content-length": "7"}),
        (TAG, HEADERS | {"docker-content-digest": "md5:0"}),
    ],
)
def test_a_yes_that_does_not_fit_together(key: Key, headers: dict[str, str]) -> None:
    """It is that peer's failure, not an answer."""
    assert isinstance(read_answer(key, ResponseHead(200, headers)), Fault)


@pytest.mark.parametrize("text", ["", "html", "text/", "a/b c", "ü/b", "a/" + "b" * 300])
def test_an_odd_media_type_is_not_passed_on(text: str) -> None:
    """Unknown is better than nonsense."""
    answer = read_answer(BLOB, ResponseHead(200, HEADERS | {"content-type": text}))
    assert isinstance(answer, Hit)
    assert answer.descriptor.media_type == ""


def test_range_header() -> None:
    """None for the whole: it is to be answered with 200."""
    assert range_header(0, 10, 10) == {}
    assert range_header(0, 9, 10) == {"Range": "bytes=0-8"}
    assert range_header(3, 10, 10) == {"Range": "bytes=3-9"}


SIZED = Descriptor(DIGEST, 10, "")
WHOLE = ResponseHead(200, {"content-length": "10"})
PART = ResponseHead(206, {"content-length": "7", "content-range": "bytes 3-9/10"})


def test_announced_as_asked() -> None:
    """The whole by 200, a part by 206."""
    check_announced("a", SIZED, 0, 10, WHOLE)
    check_announced("a", SIZED, 3, 10, PART)


@pytest.mark.parametrize(
    ("start", "head"),
    [
        (0, replace(WHOLE, headers={"content-length": "11"})),
        (0, replace(WHOLE, headers={})),
        (0, replace(WHOLE, headers={"content-length": "10", "docker-content-digest": str(OTHER)})),
        (0, ResponseHead(206, {"content-length": "10", "content-range": "bytes 0-9/10"})),
        (0, ResponseHead(302, {"content-length": "10"})),
        (3, WHOLE),
        (3, replace(PART, headers={"content-length": "7"})),
        (3, replace(PART, headers={"content-length": "7", "content-range": "bytes 2-8/10"})),
        (3, replace(PART, headers={"content-length": "7", "content-range": "bytes 3-9/11"})),
        (3, replace(PART, headers={"content-length": "7", "content-range": "bytes 3-8/10"})),
        (3, replace(PART, headers={"content-length": "6", "content-range": "bytes 3-8/10"})),
    ],
)
def test_announced_otherwise(start: int, head: ResponseHead) -> None:
    """One byte to the left would be a wrong layer."""
    with pytest.raises(PeerError) as caught:
        check_announced("a", SIZED, start, 10, head)
    assert caught.value.reason == "changed"


@pytest.mark.parametrize("status", [404, 416, 500, 503])
def test_declined(status: int) -> None:
    """The status is kept: 503 is worth another question."""
    with pytest.raises(Declined) as caught:
        check_announced("a", SIZED, 0, 10, ResponseHead(status, {}))
    assert caught.value.status == status
