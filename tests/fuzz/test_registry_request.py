"""Invariant: whatever a client sends is parsed into a value that can't be wrong, or is refused with an OCI error."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from app.key import Digest, Key
from app.registry.errors import OciError
from app.registry.path import parse_query
from app.registry.ranges import Unsatisfiable, requested_span
from app.source import Query

DIGEST = Digest.of(b"content")
WORDS = [
    "/",
    "//",
    "..",
    "manifests",
    "blobs",
    "library",
    "nginx",
    "latest",
    "A",
    "_",
    ":",
    "@",
    "%2F",
    "\x00",
    "ü",
    " ",
]
DIGESTS = [f"sha256:{'0' * 64}", f"sha512:{'f' * 128}", "sha256:", "sha256:0"]
PIECES = st.sampled_from([*WORDS, *DIGESTS])
PATHS = st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=8).map("/".join))
NS = st.lists(
    st.one_of(st.text(), st.sampled_from(["docker.io", "r.test:5000", "[::1]", "a/b", "a:b:c", ""])), max_size=3
)
NUMBERS = st.integers(min_value=0, max_value=10**20).map(str)
RANGES = st.one_of(
    st.text(),
    st.builds("bytes={}-{}".format, st.one_of(st.just(""), NUMBERS), st.one_of(st.just(""), NUMBERS)),
    st.lists(st.builds("{}-{}".format, NUMBERS, NUMBERS), min_size=1, max_size=3).map(lambda r: "bytes=" + ",".join(r)),
)


def parsed(path: str, ns: list[str]) -> tuple[Query | None, OciError | None]:
    try:
        return parse_query(path, ns, default_registry="docker.io"), None
    except OciError as error:
        return None, error


@given(path=PATHS, ns=NS)
@example(path=f"a/manifests/sha256:{'0' * 64}", ns=[])
@example(path="a/blobs/../../etc/passwd", ns=["docker.io"])
def test_a_path_is_a_query_or_an_oci_error(path: str, ns: list[str]) -> None:
    """A query parses to itself again, so that nothing unchecked is in it; an error has a body that is JSON."""
    query, refusal = parsed(path, ns)
    if refusal is not None:
        assert 400 <= refusal.fault.status < 500
        assert json.loads(refusal.body())["errors"][0]["code"] == refusal.fault.code
        return
    assert query is not None
    key = query.key
    assert Key.parse(key.registry, key.repository, str(key.reference)) == key
    assert path == f"{key.repository}/{query.kind.value}/{key.reference}"
    assert not {"..", "", "."} & set(key.repository.split("/"))


@given(header=RANGES, if_range=st.one_of(st.none(), st.text()), size=st.integers(min_value=0, max_value=10**7))
@example(header="bytes=-0", if_range=None, size=0)
@example(header="bytes=0-0", if_range=None, size=0)
def test_a_range_lies_within_the_content(header: str, if_range: str | None, size: int) -> None:
    """A span is never empty and never reaches beyond the end; nothing but `Unsatisfiable` is raised."""
    try:
        span = requested_span(header, if_range, DIGEST, size)
    except Unsatisfiable:
        return
    assert span is None or 0 <= span.start < span.stop <= size
