"""The OCI error table."""

import json

import pytest

from app.key import InvalidName
from app.registry.errors import Fault, OciError, invalid, unknown
from app.source import Kind


def test_the_body_is_the_specs_document() -> None:
    """One error with code, message and detail."""
    body = json.loads(OciError(Fault.BLOB_UNKNOWN, "sha256:…").body())
    assert body == {
        "errors": [{"code": "BLOB_UNKNOWN", "message": "blob not held here nor by a peer", "detail": "sha256:…"}]
    }


@pytest.mark.parametrize("fault", list(Fault))
def test_no_status_makes_containerd_repeat_the_request(fault: Fault) -> None:
    """Every row is an error, and neither 408 nor 429, which containerd asks again five times at once."""
    assert 400 <= fault.status < 600
    assert fault.status not in (408, 429)


@pytest.mark.parametrize(
    ("what", "fault"),
    [
        ("digest", Fault.DIGEST_INVALID),
        ("tag", Fault.MANIFEST_UNKNOWN),
        ("repository", Fault.NAME_INVALID),
        ("registry", Fault.NAME_INVALID),
    ],
)
def test_what_could_not_be_parsed_has_its_row(what: str, fault: Fault) -> None:
    """An impossible tag is unknown, all else is invalid."""
    assert invalid(InvalidName(what, "?"), Kind.MANIFEST).fault is fault


def test_unknown_is_by_kind() -> None:
    """Manifests and blobs have codes of their own."""
    assert unknown(Kind.MANIFEST).fault is Fault.MANIFEST_UNKNOWN
    assert unknown(Kind.BLOB).fault is Fault.BLOB_UNKNOWN
