"""Paths and `ns` become queries, or OCI errors."""

import pytest

from app.registry.errors import Fault, OciError
from app.registry.path import parse_query
from app.source import Kind

DIGEST = f"sha256:{'0' * 64}"
DIGEST_512 = f"sha512:{'a' * 128}"


def fault_of(path: str, *ns: str) -> Fault:
    with pytest.raises(OciError) as caught:
        parse_query(path, ns, default_registry="docker.io")
    return caught.value.fault


@pytest.mark.parametrize(
    ("path", "kind", "repository", "reference"),
    [
        ("library/nginx/manifests/1.27", Kind.MANIFEST, "library/nginx", "1.27"),
        (f"nginx/manifests/{DIGEST}", Kind.MANIFEST, "nginx", DIGEST),
        (f"a/b/c/d/blobs/{DIGEST}", Kind.BLOB, "a/b/c/d", DIGEST),
        (f"a/blobs/{DIGEST_512}", Kind.BLOB, "a", DIGEST_512),
        ("a/manifests/manifests/blobs", Kind.MANIFEST, "a/manifests", "blobs"),
        (f"blobs/manifests/blobs/{DIGEST}", Kind.BLOB, "blobs/manifests", DIGEST),
    ],
)
def test_a_path_names_kind_repository_and_reference(path: str, kind: Kind, repository: str, reference: str) -> None:
    """Names may have slashes, and components that look like endpoints."""
    query = parse_query(path, [], default_registry="docker.io")
    assert (query.kind, query.key.repository, str(query.key.reference)) == (kind, repository, reference)
    assert query.key.registry == "docker.io"


@pytest.mark.parametrize(
    ("ns", "registry"),
    [("other.invalid:5000", "other.invalid:5000"), ("GHCR.io", "ghcr.io"), ("[::1]:5000", "[::1]:5000")],
)
def test_ns_names_the_registry(ns: str, registry: str) -> None:
    """The registry is a host with its port, in lower case."""
    assert parse_query("a/manifests/v1", [ns], default_registry="docker.io").key.registry == registry


@pytest.mark.parametrize("ns", [("",), ("a b",), ("host:0",), ("host:99999",), ("../etc",), ("a", "b"), ("a", "a")])
def test_an_invalid_or_repeated_ns_is_refused(ns: tuple[str, ...]) -> None:
    """What could mean two things, or nothing, is no registry."""
    assert fault_of("a/manifests/v1", *ns) is Fault.NAME_INVALID


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("UPPER/manifests/v1", Fault.NAME_INVALID),
        ("a//b/manifests/v1", Fault.NAME_INVALID),
        ("../../etc/manifests/v1", Fault.NAME_INVALID),
        (f"a/manifests/sha256:{'0' * 63}", Fault.DIGEST_INVALID),
        (f"a/blobs/sha256:{'G' * 64}", Fault.DIGEST_INVALID),
        (f"a/blobs/md5:{'0' * 32}", Fault.DIGEST_INVALID),
        ("a/blobs/v1", Fault.DIGEST_INVALID),
        ("a/manifests/.v1", Fault.MANIFEST_UNKNOWN),
        (f"a/manifests/{'t' * 129}", Fault.MANIFEST_UNKNOWN),
        ("a/tags/list", Fault.NO_ENDPOINT),
        (f"a/referrers/{DIGEST}", Fault.NO_ENDPOINT),
        ("a/manifests/", Fault.NO_ENDPOINT),
        ("manifests/v1", Fault.NO_ENDPOINT),
        ("_catalog", Fault.NO_ENDPOINT),
        ("", Fault.NO_ENDPOINT),
    ],
)
def test_what_is_no_query_is_an_oci_error(path: str, fault: Fault) -> None:
    """Each kind of mistake has its row in the table."""
    assert fault_of(path) is fault


def test_header_values_are_carried_along() -> None:
    """The asker's node and Accept header are part of the query."""
    query = parse_query("a/manifests/v1", [], default_registry="r.io", accept="*/*", forwarded_by="node-2")
    assert (query.accept, query.forwarded_by) == ("*/*", "node-2")
