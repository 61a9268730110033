"""A request's path and `ns` become a query, or an OCI error. Pure.

End-1 to end-3 of the OCI distribution spec; `ns` is containerd's name for the registry that the client means
(host, with the port if it has one).
"""

from collections.abc import Sequence

from app.key import InvalidName, Key, Tag
from app.registry.errors import Fault, OciError, invalid
from app.source import Kind, Query

_KINDS = {kind.value: kind for kind in Kind}


def parse_query(
    path: str, ns: Sequence[str], *, default_registry: str, accept: str = "", forwarded_by: str | None = None
) -> Query:
    """The query that `path` asks: what stands behind `/v2/`, percent-decoded, no query string.

    `ns` holds every value of that parameter; none at all means `default_registry`, more than one is refused, as it
    could mean one thing to us and another to a filter in front of us. Raises `OciError`.
    """
    # a repository may itself contain "manifests" or "blobs": only the last two components are the endpoint's
    name, kind, reference = _split(path)
    if len(ns) > 1:
        raise OciError(Fault.NAME_INVALID, "ns is given more than once")
    try:
        key = Key.parse(ns[0] if ns else default_registry, name, reference)
    except InvalidName as error:
        raise invalid(error, kind) from error
    if kind is Kind.BLOB and isinstance(key.reference, Tag):
        raise OciError(Fault.DIGEST_INVALID, f"{reference[:100]!r} is no digest")
    return Query(kind, key, accept, forwarded_by)


def _split(path: str) -> tuple[str, Kind, str]:
    parts = path.rsplit("/", 2)
    if len(parts) != 3 or parts[1] not in _KINDS or not parts[2]:
        raise OciError(Fault.NO_ENDPOINT, f"/v2/{path[:100]}")
    return parts[0], _KINDS[parts[1]], parts[2]
