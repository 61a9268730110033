"""Manifests and layout indexes: any bytes give an answer within bounds or `MalformedManifest`, nothing else."""

import json

from hypothesis import given
from hypothesis import strategies as st

from app.content.layout.index import REF_NAME, parse_index
from app.content.store import Descriptor
from app.content.walk import MalformedManifest, media_type_of, walk
from app.key import Digest
from tests.images import build_image

TARGET = Descriptor(Digest.of(b"target"), 1, "")
_DIGESTS = [str(Digest.of(b"target")), str(Digest.of(b"other")), "sha256:short", "", 7]
_TYPES = ["application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json", "", "x", None]

_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_descriptor = _anything | st.fixed_dictionaries(
    {
        "digest": st.sampled_from(_DIGESTS),
        "size": st.integers(-1, 10) | _anything,
        "mediaType": st.sampled_from(_TYPES),
        "annotations": _anything | st.dictionaries(st.just(REF_NAME), st.text(max_size=20) | _anything),
    }
)
_document = _anything | st.fixed_dictionaries(
    {},
    optional={
        "mediaType": st.sampled_from(_TYPES) | _anything,
        "manifests": st.lists(_descriptor, max_size=4) | _anything,
        "config": _descriptor,
        "layers": st.lists(_descriptor, max_size=4) | _anything,
        "subject": _anything,
    },
)
_content = st.binary(max_size=200) | _document.map(lambda document: json.dumps(document).encode())


@given(_content, _content)
def test_walk(content: bytes, child: bytes) -> None:
    """A walk names each digest once, the target first, or refuses; whatever the child looks like that it reaches."""
    contents = {Digest.of(b"target"): content, Digest.of(b"other"): child}
    try:
        named = walk(TARGET, contents.get).named
    except MalformedManifest:
        return
    digests = [found.digest for found in named]
    assert digests[0] == TARGET.digest
    assert len(digests) == len(set(digests)) <= 10_000


@given(_content)
def test_media_type(content: bytes) -> None:
    """A media type is a text, whatever the bytes."""
    assert isinstance(media_type_of(content), str)


@given(_content, st.none() | st.just("registry.test/app"))
def test_index(content: bytes, name: str | None) -> None:
    """An index gives names that are full and targets that are descriptors, or is refused."""
    try:
        names = parse_index(content, name)
    except MalformedManifest:
        return
    assert all("/" in full and isinstance(target, Descriptor) for full, target in names.targets.items())
    assert names.targets.keys().isdisjoint(names.refused)


@given(st.integers(0, 400))
def test_cut_manifest(length: int) -> None:
    """A manifest that is cut off anywhere is no manifest."""
    content = build_image([b"a", b"b"]).manifest.content
    assert media_type_of(content[: min(length, len(content) - 1)]) == ""
