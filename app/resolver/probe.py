"""What a peer is asked for some content, and what its answer to a HEAD means. Pure.

Paths and header values are built from parsed keys only, so nothing that a client sent reaches a peer unread.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from app.access import UPDATED
from app.content.store import Descriptor
from app.key import Digest, InvalidName, Key
from app.peers.errors import Declined, PeerError
from app.peers.http_message import ContentRange, ResponseHead
from app.source import Kind, Query

_ACCEPT = re.compile(r"[A-Za-z0-9!#$&^_.+*/;=, \t-]{1,2048}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")


@dataclass(frozen=True, slots=True)
class Hit:
    """The peer has it. `updated_at` is when it last moved the tag, in seconds since the epoch; None if not said."""

    descriptor: Descriptor
    updated_at: float | None


@dataclass(frozen=True, slots=True)
class Miss:
    """The peer does not have it, or does not give it."""


@dataclass(frozen=True, slots=True)
class Full:
    """The peer is at its limit now."""


@dataclass(frozen=True, slots=True)
class Fault:
    """No answer, or one that can't be believed; `detail` is for the log."""

    detail: str


Answer = Hit | Miss | Full | Fault


def path_of(kind: Kind, key: Key) -> str:
    """Path and query of the distribution spec, with the registry in `ns` as containerd sends it."""
    return f"/v2/{key.repository}/{kind.value}/{key.reference}?ns={quote(key.registry, safe='')}"


def headers_of(query: Query) -> dict[str, str]:
    """What a request for it carries besides what every request to a peer does.

    The client's Accept goes on if it looks like one; a peer answers without it too.
    """
    return {"Accept": query.accept} if _ACCEPT.fullmatch(query.accept) else {}


def read_answer(key: Key, head: ResponseHead) -> Answer:
    """Judge the answer to a HEAD for `key`. Never raises: what does not fit together is a `Fault`."""
    if head.status == 503:
        return Full()
    if 400 <= head.status < 500:
        return Miss()
    if head.status != 200:
        return Fault(f"answered HEAD with {head.status}")
    digest = _digest(key, head)
    if isinstance(digest, Fault):
        return digest
    size = head.content_length
    if size is None:
        return Fault("said 200 without Content-Length")
    return Hit(Descriptor(digest, size, _media_type(head)), _updated_at(head))


def _digest(key: Key, head: ResponseHead) -> Digest | Fault:
    text = head.headers.get("docker-content-digest")
    wanted = key.reference
    if text is None:
        return wanted if isinstance(wanted, Digest) else Fault("said 200 for a tag without Docker-Content-Digest")
    try:
        said = Digest.parse(text)
    except InvalidName as error:
        return Fault(f"sent Docker-Content-Digest: {error}")
    if isinstance(wanted, Digest) and said != wanted:
        return Fault(f"answered for {said} when asked for {wanted}")
    return said


def _media_type(head: ResponseHead) -> str:
    """The type alone, empty if it is none: it is passed on to a client."""
    text = head.headers.get("content-type", "").partition(";")[0].strip()
    return text if _MEDIA_TYPE.fullmatch(text) else ""


def _updated_at(head: ResponseHead) -> float | None:
    text = head.headers.get(UPDATED.lower(), "")
    return float(text) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text) else None


def range_header(start: int, stop: int, size: int) -> dict[str, str]:
    """What to add to a GET for the bytes `start` to `stop` (exclusive) of `size`: nothing for the whole."""
    return {} if (start, stop) == (0, size) else {"Range": f"bytes={start}-{stop - 1}"}


def check_announced(peer: str, descriptor: Descriptor, start: int, stop: int, head: ResponseHead) -> None:
    """Raise `PeerError` unless this head of an answer to GET announces exactly these bytes of this content.

    A 200 in answer to a range is wrong too: it would send again what the client already has.
    """
    if head.status >= 400:
        raise Declined(peer, head.status, "does not give it")
    whole = (start, stop) == (0, descriptor.size)
    wrong = None
    if head.status != (200 if whole else 206):
        wrong = f"{head.status} to a GET of bytes {start}-{stop - 1}"
    elif head.headers.get("docker-content-digest", str(descriptor.digest)) != str(descriptor.digest):
        wrong = f"with content {head.headers['docker-content-digest'][:80]}"
    elif head.content_length != stop - start:
        wrong = f"with {head.content_length} bytes instead of {stop - start}"
    elif not whole and head.content_range != ContentRange(start, stop - 1, descriptor.size):
        wrong = f"with Content-Range {head.headers.get('content-range', '')[:60]!r}"
    if wrong is not None:
        raise PeerError("changed", peer, f"answered {wrong}")
