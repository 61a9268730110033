"""The registry's answers, through Flask's test client, over a store in memory and fake peers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from app.access import Denied
from app.admission import Admission
from app.content.store import Descriptor
from app.directory.errors import DirectoryError, UnknownQuestion
from app.key import Digest, Key
from app.media_types import OCI_MANIFEST
from app.metrics import Metrics
from app.registry.exchange import Exchange
from app.registry.local import LocalSource
from app.registry.views import create_app
from app.source import Body, Content, Interrupted, Query, Source, SourceGone, Span
from tests.fake_store import FakeStore
from tests.images import TestImage, build_image

NAME = "docker.io/library/nginx:1.27"
FORWARDED = {"Rykte-Forwarded-By": "node-2"}


@dataclass
class FakeBody:
    """Bytes that may break off after `breaks_after`."""

    content: bytes
    breaks_after: int | None = None
    sent: int = 0
    closed: int = 0

    @property
    def length(self) -> int:
        return len(self.content)

    def send_to(self, client: Any) -> None:
        for chunk in self:
            client.sendall(chunk)

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self.content), 2):
            if self.breaks_after is not None and start >= self.breaks_after:
                raise Interrupted("no holder is left")
            self.sent += len(self.content[start : start + 2])
            yield self.content[start : start + 2]

    def close(self) -> None:
        self.closed += 1


@dataclass
class FakeContent:
    """A peer's content."""

    descriptor: Descriptor
    content: bytes
    updated_at: float | None = None
    gone: bool = False
    breaks_after: int | None = None
    bodies: list[FakeBody] = field(default_factory=list)

    def open(self, span: Span) -> Body:
        if self.gone:
            raise SourceGone("the peer left")
        self.bodies.append(FakeBody(self.content[span.start : span.stop], self.breaks_after))
        return self.bodies[-1]


@dataclass
class FakePeers:
    """A source that has what it is given, and remembers what it was asked."""

    name: str = "peer"
    contents: dict[str, FakeContent] = field(default_factory=dict)
    asked: list[Query] = field(default_factory=list)

    def put(self, content: bytes, media_type: str = "", **more: Any) -> FakeContent:
        digest = Digest.of(content)
        self.contents[str(digest)] = FakeContent(Descriptor(digest, len(content), media_type), content, **more)
        return self.contents[str(digest)]

    def find(self, query: Query) -> Content | None:
        self.asked.append(query)
        return self.contents.get(str(query.key.reference))


class FakeExchange:
    """Echoes, or refuses."""

    def answer(self, what: str, body: bytes) -> bytes:
        if what == "echo":
            return body[::-1]
        if what == "denied":
            raise Denied("not yours to ask")
        if what == "bad":
            raise DirectoryError("that makes no sense")
        raise UnknownQuestion(f"{what!r} is no question")


class Client(FlaskClient):
    """Reads and closes each answer, as a server would, unless it is told not to."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        return super().open(*args, **{"buffered": True, **kwargs})


@dataclass
class Registry:
    """An app, what it is made of, and a client."""

    store: FakeStore = field(default_factory=FakeStore)
    peers: FakePeers = field(default_factory=FakePeers)
    metrics: Metrics = field(default_factory=Metrics)
    image: TestImage = field(default_factory=lambda: build_image([b"layer one", b"layer two"]))

    def client(self, **more: Any) -> FlaskClient:
        self.store.put_image(NAME, self.image, updated_at=1700000000.25)
        sources: list[Source] = [LocalSource(self.store, self.metrics), self.peers]
        exchange: Exchange = FakeExchange()
        settings: dict[str, Any] = {
            "metrics": self.metrics,
            "default_registry": "docker.io",
            "admits": Admission().admits_key,
            "registries": lambda: {"docker.io"},
            "exchange": exchange,
            "node_name": "node-1",
            **more,
        }
        app = create_app(sources, **settings)
        app.test_client_class = Client
        return app.test_client()

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def registry() -> Registry:
    return Registry()


def blob_path(content: bytes, repository: str = "library/nginx") -> str:
    return f"/v2/{repository}/blobs/{Digest.of(content)}"


def error_code(answer: TestResponse) -> str:
    assert answer.content_type == "application/json"
    return str(json.loads(answer.data)["errors"][0]["code"])


# -- what containerd asks -----------------------------------------------------


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_the_version_endpoint_says_v2(registry: Registry, path: str) -> None:
    """End-1 of the spec, without a redirect."""
    answer = registry.client().get(path)
    assert answer.status_code == 200
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


def test_head_of_a_tag_names_digest_size_and_type(registry: Registry) -> None:
    """The three headers that containerd resolves a tag by, and no body."""
    answer = registry.client().head("/v2/library/nginx/manifests/1.27?ns=docker.io")
    manifest = registry.image.manifest
    assert answer.status_code == 200
    assert answer.headers["Docker-Content-Digest"] == str(manifest.digest)
    assert answer.headers["Content-Length"] == str(len(manifest.content))
    assert answer.headers["Content-Type"] == OCI_MANIFEST
    assert answer.data == b""


@pytest.mark.parametrize("by", ["tag", "digest"])
def test_a_manifest_is_given_with_its_type(registry: Registry, by: str) -> None:
    """By tag and by digest, the same bytes."""
    reference = "1.27" if by == "tag" else str(registry.image.digest)
    answer = registry.client().get(f"/v2/library/nginx/manifests/{reference}")
    assert answer.data == registry.image.manifest.content
    assert answer.content_type == OCI_MANIFEST
    assert answer.headers["ETag"] == f'"{registry.image.digest}"'


def test_a_blob_is_an_octet_stream(registry: Registry) -> None:
    """A layer, whole."""
    answer = registry.client().get(blob_path(b"layer one"))
    assert answer.data == b"layer one"
    assert answer.content_type == "application/octet-stream"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Length"] == "9"


def test_a_sha512_digest_is_served(registry: Registry) -> None:
    """The other registered algorithm."""
    digest = registry.store.put_blob(b"long hash", algorithm="sha512")
    assert registry.client().get(f"/v2/a/blobs/{digest}").data == b"long hash"


def test_a_manifest_may_be_asked_for_as_a_blob(registry: Registry) -> None:
    """containerd does so after a 404 for a manifest by digest."""
    client = registry.client()
    assert client.head(f"/v2/library/nginx/blobs/{registry.image.digest}").status_code == 200
    assert client.head(f"/v2/library/nginx/manifests/{Digest.of(b'layer one')}").status_code == 404


@pytest.mark.parametrize("coding", ["gzip", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5"])
def test_nothing_is_compressed(registry: Registry, coding: str) -> None:
    """Whatever the client would accept: a digest is of the bytes as they are."""
    answer = registry.client().get(blob_path(b"layer one"), headers={"Accept-Encoding": coding})
    assert "Content-Encoding" not in answer.headers
    assert answer.data == b"layer one"


@pytest.mark.parametrize(
    ("header", "status", "data", "content_range"),
    [
        ("bytes=0-", 200, b"layer one", None),
        ("bytes=6-", 206, b"one", "bytes 6-8/9"),
        ("bytes=0-4", 206, b"layer", "bytes 0-4/9"),
        ("bytes=-3", 206, b"one", "bytes 6-8/9"),
        ("bytes=0-0,2-3", 200, b"layer one", None),
        ("bytes=9-", 416, None, "bytes */9"),
    ],
)
def test_ranges(registry: Registry, header: str, status: int, data: bytes | None, content_range: str | None) -> None:
    """206 exactly as asked, 200 for the whole, 416 beyond the end."""
    answer = registry.client().get(blob_path(b"layer one"), headers={"Range": header})
    assert answer.status_code == status
    assert answer.headers.get("Content-Range") == content_range
    if data is not None:
        assert answer.data == data
        assert answer.headers["Content-Length"] == str(len(data))


def test_head_knows_no_ranges(registry: Registry) -> None:
    """RFC 9110 §14.2: the length is that of the whole."""
    answer = registry.client().head(blob_path(b"layer one"), headers={"Range": "bytes=6-"})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, "9")


def test_a_client_that_has_it_is_told_so(registry: Registry) -> None:
    """If-None-Match with the digest's tag: 304 and no body."""
    path = blob_path(b"layer one")
    answer = registry.client().get(path, headers={"If-None-Match": f'"{Digest.of(b"layer one")}"'})
    assert (answer.status_code, answer.data) == (304, b"")
    assert registry.counted("rykte_requests_inflight") == 0


# -- who is asked -------------------------------------------------------------


def test_what_is_not_here_comes_from_a_peer(registry: Registry) -> None:
    """The sources are asked in their order."""
    registry.peers.put(b"a peer's layer")
    client = registry.client()
    assert client.get(blob_path(b"layer one")).data == b"layer one"
    assert registry.peers.asked == []
    assert client.get(blob_path(b"a peer's layer"), headers={"Accept": "*/*"}).data == b"a peer's layer"
    assert [query.accept for query in registry.peers.asked] == ["*/*"]


def test_a_mirrors_request_is_never_forwarded(registry: Registry) -> None:
    """No loops: it is answered from the own store only."""
    registry.peers.put(b"a peer's layer")
    client = registry.client()
    assert client.get(blob_path(b"a peer's layer"), headers=FORWARDED).status_code == 404
    assert client.get(blob_path(b"a peer's layer"), headers={"Rykte-Forwarded-By": ""}).status_code == 404
    assert client.get(blob_path(b"layer one"), headers=FORWARDED).status_code == 200
    assert registry.peers.asked == []


def test_a_source_that_lost_it_is_passed_over(registry: Registry) -> None:
    """Found, but not to be had: the next source, and then 404."""
    client = registry.client()
    registry.peers.put(b"lost", gone=True)
    broken = registry.store.put_blob(b"shared")
    registry.store._memory.contents[broken] = b"SHARED"
    registry.peers.put(b"shared")
    assert client.get(blob_path(b"shared")).data == b"shared"
    assert error_code(client.get(blob_path(b"lost"))) == "BLOB_UNKNOWN"


def test_damaged_content_is_not_served(registry: Registry) -> None:
    """A rotten file looks as if it were not there, and is counted."""
    registry.store.put_blob(b"good bytes")
    registry.store._memory.contents[Digest.of(b"good bytes")] = b"bad  bytes"
    assert registry.client().get(blob_path(b"good bytes")).status_code == 404
    assert registry.counted("rykte_verification_failures_total", source="local") == 1


def test_the_time_of_a_tag_is_told_to_mirrors_only(registry: Registry) -> None:
    """It decides between two answers; containerd has no use for it."""
    client = registry.client()
    path = "/v2/library/nginx/manifests/1.27"
    assert client.head(path, headers=FORWARDED).headers["Rykte-Updated"] == "1700000000.250000"
    assert "Rykte-Updated" not in client.head(path).headers
    by_digest = client.head(f"/v2/library/nginx/manifests/{registry.image.digest}", headers=FORWARDED)
    assert "Rykte-Updated" not in by_digest.headers


@pytest.mark.parametrize("headers", [{}, FORWARDED])
def test_a_mutable_tag_is_answered_to_nobody(registry: Registry, headers: dict[str, str]) -> None:
    """It follows the upstream registry; its digest is served all the same."""
    client = registry.client()
    registry.store.put_image("docker.io/library/nginx:latest", registry.image)
    assert client.get("/v2/library/nginx/manifests/latest", headers=headers).status_code == 404
    assert client.get(f"/v2/library/nginx/manifests/{registry.image.digest}", headers=headers).status_code == 200
    assert registry.peers.asked == []


def test_tags_can_be_left_to_the_upstream(registry: Registry) -> None:
    """Without tag resolution only digests are answered."""
    client = registry.client(admits=Admission(resolve_tags=False).admits_key)
    assert client.get("/v2/library/nginx/manifests/1.27").status_code == 404
    assert client.get(blob_path(b"layer one")).status_code == 200


def test_what_is_filtered_is_not_there(registry: Registry) -> None:
    """A key that is not admitted is 404, and no source is asked."""
    client = registry.client(admits=lambda key: key.registry != "private.io")
    answer = client.get(blob_path(b"layer one") + "?ns=private.io")
    assert error_code(answer) == "BLOB_UNKNOWN"
    assert client.get(blob_path(b"layer one") + "?ns=docker.io").status_code == 200
    assert (
        registry.counted("rykte_mirror_requests_total", registry="other", kind="blob", outcome="refused", source="none")
        == 1
    )


def test_the_default_registry_is_meant_without_ns(registry: Registry) -> None:
    """`--default-registry` names it."""
    seen: list[Key] = []
    client = registry.client(
        default_registry="ghcr.io",
        admits=lambda key: seen.append(key) is None,  # type: ignore[func-returns-value]
    )
    client.get(blob_path(b"layer one"))
    client.get(blob_path(b"layer one") + "?ns=quay.io%3A5000")
    assert [key.registry for key in seen] == ["ghcr.io", "quay.io:5000"]


# -- what is refused ----------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/library/nginx/manifests/nope", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/library/nginx/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/library/nginx/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        ("/v2/library/nginx/blobs/sha256:zz", 400, "DIGEST_INVALID"),
        ("/v2/Library/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/a/manifests/v1?ns=", 400, "NAME_INVALID"),
        ("/v2/a/manifests/v1?ns=a&ns=b", 400, "NAME_INVALID"),
        ("/v2/a/manifests/v1?ns=%00", 400, "NAME_INVALID"),
        ("/v2/a/tags/list", 404, "UNSUPPORTED"),
        ("/v2/_catalog", 404, "UNSUPPORTED"),
        ("/v2//a/manifests/v1", 404, "UNSUPPORTED"),
        ("/metrics", 404, "UNSUPPORTED"),
        ("/livez", 404, "UNSUPPORTED"),
        ("/", 404, "UNSUPPORTED"),
        ("/v1/", 404, "UNSUPPORTED"),
        ("/_rykte/v1/", 404, "UNSUPPORTED"),
    ],
)
def test_refusals_are_oci_errors(registry: Registry, path: str, status: int, code: str) -> None:
    """Each with its row of the table, never a redirect nor a page of HTML."""
    answer = registry.client().get(path)
    assert (answer.status_code, error_code(answer)) == (status, code)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/v2/", "/v2/a/manifests/v1", "/v2/a/blobs/uploads/"])
def test_writes_are_refused(registry: Registry, method: str, path: str) -> None:
    """405 with what is allowed."""
    answer = registry.client().open(path, method=method)
    assert (answer.status_code, error_code(answer)) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_an_unexpected_failure_is_an_oci_error_too(registry: Registry) -> None:
    """A bug is logged and answered by 500, and the request is no longer in flight."""

    def broken(_key: Key) -> bool:
        raise RuntimeError("a bug")

    with capture_logs() as logs:
        answer = registry.client(admits=broken).get(blob_path(b"layer one"))
    assert (answer.status_code, error_code(answer)) == (500, "UNKNOWN")
    assert "request failed" in [line["event"] for line in logs]
    assert registry.counted("rykte_requests_inflight") == 0


# -- what is counted ----------------------------------------------------------


def test_hits_and_misses_are_counted_by_source(registry: Registry) -> None:
    """Registry, kind, outcome and source; a registry that nobody knows is `other`."""
    registry.peers.put(b"a peer's layer")
    client = registry.client()
    client.get(blob_path(b"layer one"))
    client.get(blob_path(b"a peer's layer"), headers={})
    client.get("/v2/library/nginx/manifests/nope?ns=quay.io")
    client.get("/v2/library/nginx/manifests/1.27")
    name = "rykte_mirror_requests_total"
    assert registry.counted(name, registry="docker.io", kind="blob", outcome="hit", source="local") == 1
    assert registry.counted(name, registry="docker.io", kind="blob", outcome="hit", source="peer") == 1
    assert registry.counted(name, registry="other", kind="tag", outcome="miss", source="none") == 1
    assert registry.counted(name, registry="docker.io", kind="tag", outcome="hit", source="local") == 1
    assert registry.counted("rykte_sent_bytes_total", source="peer", to="client") == len(b"a peer's layer")


def test_a_range_that_can_not_be_had_is_a_hit(registry: Registry) -> None:
    """The content was there; the client asked beyond its end."""
    registry.client().get(blob_path(b"layer one"), headers={"Range": "bytes=9-"})
    hit = {"registry": "docker.io", "kind": "blob", "outcome": "hit", "source": "local"}
    assert registry.counted("rykte_mirror_requests_total", **hit) == 1


def test_what_was_found_and_then_lost_is_a_miss(registry: Registry) -> None:
    """Found at a peer that could not give it."""
    registry.peers.put(b"lost", gone=True)
    registry.client().get(blob_path(b"lost"))
    miss = {"registry": "docker.io", "kind": "blob", "outcome": "miss", "source": "none"}
    assert registry.counted("rykte_mirror_requests_total", **miss) == 1
    assert registry.counted("rykte_requests_inflight") == 0


def test_a_request_is_in_flight_until_its_body_has_ended(registry: Registry) -> None:
    """Not only until the handler has returned, as the exporter's own families count."""
    with registry.client() as client:
        answer = client.get(blob_path(b"layer one"), buffered=False)
        assert registry.counted("rykte_requests_inflight") == 1
        assert answer.data == b"layer one"
        answer.close()
    assert registry.counted("rykte_requests_inflight") == 0
    until = {"kind": "blob", "source": "local"}
    assert registry.counted("rykte_request_latency_seconds_count", **until, until="first_byte") == 1
    assert registry.counted("rykte_request_latency_seconds_count", **until, until="last_byte") == 1


def test_a_client_that_goes_away_ends_its_request(registry: Registry) -> None:
    """The body is closed though nothing was read; no last byte is counted."""
    content = registry.peers.put(b"a peer's layer")
    client = registry.client()
    with capture_logs() as logs:
        client.get(blob_path(b"a peer's layer"), buffered=False).close()
    assert content.bodies[0].closed == 1
    assert registry.counted("rykte_requests_inflight") == 0
    assert [line["problem"] for line in logs if line["event"] == "request"] == [
        "the client went away before the body began"
    ]


def test_a_body_that_ends_short_is_said_so(registry: Registry) -> None:
    """The bytes that went out are counted, and the line in the log says why there were no more."""
    registry.peers.put(b"a peer's layer", breaks_after=4)
    client = registry.client()
    with capture_logs() as logs:
        answer = client.get(blob_path(b"a peer's layer"), buffered=False)
        with pytest.raises(Interrupted):
            answer.get_data()
        answer.close()
    [line] = [line for line in logs if line["event"] == "request"]
    assert (line["bytes"], line["problem"]) == (4, "ended short: no holder is left")
    assert registry.counted("rykte_sent_bytes_total", source="peer", to="client") == 4
    assert registry.counted("rykte_request_latency_seconds_count", kind="blob", source="peer", until="last_byte") == 0


def test_a_request_is_one_line_in_the_log(registry: Registry) -> None:
    """Hits at info, misses at debug; who asked is said when it was a mirror."""
    client = registry.client()
    with capture_logs() as logs:
        client.get("/v2/library/nginx/manifests/1.27", headers=FORWARDED)
        client.get("/v2/library/nginx/manifests/nope")
    hit, miss = (line for line in logs if line["event"] == "request")
    assert (hit["log_level"], hit["outcome"], hit["source"], hit["asked_by"]) == ("info", "hit", "local", "node-2")
    assert (hit["bytes"], hit["key"]) == (len(registry.image.manifest.content), NAME)
    assert (miss["log_level"], miss["outcome"], miss["bytes"]) == ("debug", "miss", 0)


def test_the_exporters_families_are_bounded(registry: Registry) -> None:
    """Grouped by endpoint, and unknown methods share one label."""
    client = registry.client()
    for method in ("GET", "AAA", "BBB"):
        client.open("/v2/a/manifests/v1", method=method)
    labels = {
        sample.labels["method"]
        for family in registry.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "flask_http_request_total"
    }
    assert labels == {"GET", "OTHER"}


# -- what mirrors say to each other -------------------------------------------


def test_an_exchange_is_bytes_for_bytes(registry: Registry) -> None:
    """POST under the version's path."""
    answer = registry.client().post("/_rykte/v1/directory/echo", data=b"\x00abc")
    assert (answer.status_code, answer.data) == (200, b"cba\x00")
    assert answer.content_type == "application/octet-stream"


@pytest.mark.parametrize(
    ("method", "what", "body", "status"),
    [
        ("POST", "bad", b"", 400),
        ("POST", "nope", b"", 404),
        ("POST", "denied", b"", 403),
        ("GET", "echo", b"", 405),
        ("POST", "echo", b"x" * (1024 * 1024 + 1), 413),
    ],
)
def test_a_bad_exchange_is_refused(registry: Registry, method: str, what: str, body: bytes, status: int) -> None:
    """Nonsense, what this version does not know, the wrong method and too much."""
    answer = registry.client().open(f"/_rykte/v1/directory/{what}", method=method, data=body)
    assert answer.status_code == status


def test_without_an_exchange_there_is_no_endpoint(registry: Registry) -> None:
    """A registry alone has nothing to tell."""
    assert registry.client(exchange=None).post("/_rykte/v1/directory/echo").status_code == 404
