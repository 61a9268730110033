"""What an image consists of: from an index to its manifests, to their configs and layers.

Pure: manifests come in through a function. Covers the OCI image spec (image-index.md, manifest.md) and Docker's
schema 2, which have the same shape. A `subject` is not followed: it is another image's content.
"""

import json
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass

from app.content.store import Descriptor
from app.key import Digest, InvalidName
from app.media_types import DOCKER_MANIFEST, INDEX_TYPES, OCI_INDEX, OCI_MANIFEST

# What registries and containerd accept of a manifest; the distribution spec asks for at least this much.
MAX_MANIFEST_BYTES = 4 << 20
# An index of indexes is legal, and two levels are seen in the wild; the rest is margin.
_MAX_DEPTH = 4
# Docker stops at 127 layers and the largest public indexes have some dozens of platforms.
_MAX_CHILDREN = 1_000
_MAX_NAMED = 10_000

_WALKED = INDEX_TYPES | {OCI_MANIFEST, DOCKER_MANIFEST, ""}

ReadManifest = Callable[[Digest], bytes | None]


class MalformedManifest(Exception):
    """A manifest that is none: no JSON object, neither index nor manifest, or beyond a bound. Nothing was walked."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An index or a manifest, as far as a walk needs it."""

    media_type: str
    children: tuple[Descriptor, ...]
    is_index: bool


@dataclass(frozen=True, slots=True)
class Walk:
    """All content that an image names, the target first, each digest once.

    It is named whether it is here or not: that is the inventory's to know, and changes. What only a manifest that is
    not here would name is not in it.
    """

    named: tuple[Descriptor, ...]


class NotingReader:
    """Reads manifests, and notes those that neither `read` nor `known` had when it was asked for them."""

    def __init__(self, read: ReadManifest, known: Container[Digest]) -> None:
        self.missing: set[Digest] = set()
        self._read = read
        self._known = known

    def __call__(self, digest: Digest) -> bytes | None:
        content = self._read(digest)
        if content is None and digest not in self._known:
            self.missing.add(digest)
        return content


def walk(target: Descriptor, read: ReadManifest) -> Walk:
    """Everything below `target`. `read` gives a manifest's bytes (more than `MAX_MANIFEST_BYTES` is refused) or None.

    A manifest that is not here, as those of other platforms usually are, is named and not followed. Raises
    `MalformedManifest`, and whatever `read` raises.
    """
    named: dict[Digest, Descriptor] = {target.digest: target}
    waiting = deque([(target, 1)])
    while waiting:
        descriptor, depth = waiting.popleft()
        if (content := read(descriptor.digest)) is None:
            continue
        manifest = _parse(content, str(descriptor.digest))
        # the bytes know better than whoever points at them
        named[descriptor.digest] = Descriptor(descriptor.digest, descriptor.size, manifest.media_type)
        for child in manifest.children:
            if child.digest in named:
                continue
            named[child.digest] = child
            if manifest.is_index and child.media_type in _WALKED:
                if depth == _MAX_DEPTH:
                    raise MalformedManifest(f"{descriptor.digest} is nested deeper than {_MAX_DEPTH} levels")
                waiting.append((child, depth + 1))
        if len(named) > _MAX_NAMED:
            raise MalformedManifest(f"{target.digest} names more than {_MAX_NAMED} contents")
    return Walk(tuple(named.values()))


def media_type_of(content: bytes) -> str:
    """The media type of these bytes if they are an index or a manifest, else an empty text. Never raises."""
    try:
        return _parse(content, "content").media_type
    except MalformedManifest:
        return ""


def _parse(content: bytes, what: str) -> Manifest:
    if len(content) > MAX_MANIFEST_BYTES:
        raise MalformedManifest(f"{what} has more than {MAX_MANIFEST_BYTES} bytes, too many for a manifest")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedManifest(f"{what} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedManifest(f"{what} is no JSON object")
    is_index = isinstance(document.get("manifests"), list)
    layers = document.get("layers", "absent")
    if layers is None:  # no layers, as Go writes an empty list that nobody made; clients take it for one
        layers = []
    is_manifest = isinstance(document.get("config"), dict) and isinstance(layers, list)
    # both at once is read as one thing by some and as the other by others (CVE-2021-41190)
    if is_index and ("config" in document or "layers" in document):
        raise MalformedManifest(f"{what} is both an index and a manifest")
    if not is_index and not is_manifest:
        raise MalformedManifest(f"{what} is neither an index nor a manifest")
    media_type = document.get("mediaType") or (OCI_INDEX if is_index else OCI_MANIFEST)
    if not isinstance(media_type, str) or (media_type in _WALKED and is_index != (media_type in INDEX_TYPES)):
        raise MalformedManifest(f"{what} has the media type {media_type!r:.100}, which does not fit its shape")
    children = document["manifests"] if is_index else [document["config"], *layers]
    if len(children) > _MAX_CHILDREN:
        raise MalformedManifest(f"{what} has {len(children)} children, more than {_MAX_CHILDREN}")
    return Manifest(media_type, tuple(parse_descriptor(child, what) for child in children), is_index)


def parse_descriptor(document: object, what: str) -> Descriptor:
    """A descriptor as it stands in a document called `what`. Raises `MalformedManifest`."""
    if not isinstance(document, dict):
        raise MalformedManifest(f"{what} has a child that is no descriptor")
    digest, size, media_type = document.get("digest"), document.get("size"), document.get("mediaType", "")
    if not isinstance(digest, str) or not isinstance(media_type, str):
        raise MalformedManifest(f"{what} has a child without digest or media type")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise MalformedManifest(f"{what} has a child of no size")
    try:
        return Descriptor(Digest.parse(digest), size, media_type)
    except InvalidName as error:
        raise MalformedManifest(f"{what} has a child whose digest {error}") from error
