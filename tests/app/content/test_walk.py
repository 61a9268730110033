"""Walking images: what is named, what is refused, and that nothing a manifest says can run away."""

import json
from dataclasses import replace

import pytest

from app.content.store import Descriptor
from app.content.walk import MAX_MANIFEST_BYTES, MalformedManifest, NotingReader, media_type_of, walk
from app.key import Digest
from app.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.images import OCI_LAYER, TestBlob, TestImage, build_image, build_index, build_manifest


def _walk(top: TestBlob, *blobs: TestBlob) -> dict[Digest, str]:
    contents = {blob.digest: blob.content for blob in (top, *blobs)}
    return {found.digest: found.media_type for found in walk(top.descriptor, contents.get).named}


def _top(**document: object) -> TestBlob:
    return TestBlob(json.dumps(document).encode(), "")


def test_manifest() -> None:
    """A manifest names its config and layers, with their media types, and itself first."""
    image = build_image([b"one", b"two"])
    found = walk(image.target, {image.digest: image.manifest.content}.get).named
    assert found == (image.target, image.config.descriptor, *(layer.descriptor for layer in image.layers))


def test_index() -> None:
    """An index names its manifests and what those name that are here; others are named and not followed."""
    here, absent = build_image([b"here"]), build_image([b"absent"], "linux/arm64")
    index = build_index({"linux/amd64": here, "linux/arm64": absent})
    assert _walk(index.top, here.manifest).keys() == {index.digest, absent.digest, *here.blobs}


@pytest.mark.parametrize("present", [False, True])
def test_attestations(present: bool) -> None:
    """An attestation beside the platforms, as BuildKit puts it into an index, is content like theirs, here or not."""
    image = build_image()
    statement = TestBlob(b'{"_type": "https://in-toto.io/Statement/v0.1"}', "application/vnd.in-toto+json")
    attestation = build_manifest(image.config, [statement])
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": str(image.digest)}
    unknown = {"os": "unknown", "architecture": "unknown"}
    top = _top(manifests=[image.top.as_json(), attestation.as_json(platform=unknown, annotations=about)])
    named = _walk(top, image.manifest, *[attestation] * present).keys()
    assert named == {top.digest, *image.blobs, attestation.digest, *[statement.digest] * present}


def test_docker_types() -> None:
    """A Docker manifest list and its manifests, of schema 2, are walked like an index, with their own media types."""
    image = build_image()
    manifest = replace(
        build_manifest(image.config, image.layers, mediaType=DOCKER_MANIFEST), media_type=DOCKER_MANIFEST
    )
    top = _top(mediaType=DOCKER_LIST, manifests=[manifest.as_json()])
    found = _walk(top, manifest)
    assert (found[top.digest], found[manifest.digest]) == (DOCKER_LIST, DOCKER_MANIFEST)
    assert found.keys() == {top.digest, manifest.digest, image.config.digest, image.layers[0].digest}


def test_other_algorithm() -> None:
    """Content may be named by SHA-512."""
    layer = Digest.of(b"layer", "sha512")
    top = _top(
        config=build_image().config.as_json(), layers=[{"digest": str(layer), "size": 5, "mediaType": OCI_LAYER}]
    )
    assert layer in _walk(top)


def test_shared_layers() -> None:
    """What several manifests name is named once."""
    one, two = build_image([b"base", b"one"]), build_image([b"base", b"two"], "linux/arm64")
    index = build_index({"linux/amd64": one, "linux/arm64": two})
    named = walk(index.target, {digest: blob.content for digest, blob in index.blobs.items()}.get).named
    assert len(named) == len({found.digest for found in named}) == len(index.blobs)


def test_nested_indexes() -> None:
    """Indexes of indexes are followed to four levels and refused beyond."""
    image = build_image([b"deep"])
    levels = [image]
    for _ in range(4):
        levels.append(build_index({"linux/amd64": levels[-1]}))
    assert _walk(levels[3].top, *levels[3].blobs.values()).keys() == levels[3].blobs.keys()
    with pytest.raises(MalformedManifest, match="deeper than 4"):
        _walk(levels[4].top, *levels[4].blobs.values())


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"manifests": []}, OCI_INDEX),
        ({"manifests": [], "mediaType": OCI_INDEX}, OCI_INDEX),
        ({"manifests": [], "mediaType": DOCKER_LIST}, DOCKER_LIST),
        ({"config": build_image().config.as_json(), "layers": []}, OCI_MANIFEST),
        ({"config": build_image().config.as_json(), "layers": None}, OCI_MANIFEST),
        ({"config": build_image().config.as_json(), "layers": [], "mediaType": DOCKER_MANIFEST}, DOCKER_MANIFEST),
        (
            {"config": build_image().config.as_json(), "layers": [], "mediaType": "application/x-own"},
            "application/x-own",
        ),
        ({"manifests": [], "layers": []}, ""),
        ({"layers": []}, ""),
        ({"some": "signature payload"}, ""),
        ([], ""),
    ],
)
def test_media_type(document: object, expected: str) -> None:
    """A manifest's own word counts, else its shape; what is no manifest has no media type and is no error."""
    assert media_type_of(json.dumps(document).encode()) == expected


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08", b"{", b"null", b"[" * 100_000, b"\xff\xfe"])
def test_media_type_of_anything(content: bytes) -> None:
    """Bytes of any kind give an empty media type, never an error."""
    assert media_type_of(content) == ""


def test_own_media_type_wins() -> None:
    """A manifest is what it says it is, not what the index that names it says."""
    image = build_image()
    top = _top(manifests=[{**image.manifest.as_json(), "mediaType": ""}])
    assert _walk(top, image.manifest)[image.digest] == OCI_MANIFEST


def test_foreign_children_are_leaves() -> None:
    """What an index names under a media type that is no manifest's is not read."""
    artifact = TestBlob(b"no JSON at all", "application/x-artifact")
    assert _walk(_top(manifests=[artifact.as_json()]), artifact)[artifact.digest] == "application/x-artifact"


def test_subject_is_not_followed() -> None:
    """The image that an attestation is about is not part of the attestation."""
    subject = build_image([b"subject"])
    config = TestBlob(b"{}", "application/vnd.oci.empty.v1+json")
    attestation = build_manifest(config, [], subject=subject.top.as_json())
    assert _walk(attestation, subject.top).keys() == {attestation.digest, config.digest}


def _config() -> dict[str, object]:
    return build_image().config.as_json()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "no JSON object"),
        ({}, "neither an index nor a manifest"),
        ({"layers": 7, "config": _config()}, "neither an index nor a manifest"),
        ({"layers": []}, "neither an index nor a manifest"),
        ({"manifests": [], "config": _config(), "layers": []}, "both an index and a manifest"),
        ({"manifests": [], "mediaType": OCI_MANIFEST}, "does not fit its shape"),
        ({"config": _config(), "layers": [], "mediaType": OCI_INDEX}, "does not fit its shape"),
        ({"manifests": [], "mediaType": 7}, "does not fit its shape"),
        ({"manifests": ["x"]}, "no descriptor"),
        ({"manifests": [{"size": 1}]}, "without digest"),
        ({"manifests": [{**_config(), "mediaType": 1}]}, "without digest or media type"),
        ({"manifests": [{**_config(), "size": -1}]}, "of no size"),
        ({"manifests": [{**_config(), "size": True}]}, "of no size"),
        ({"manifests": [{**_config(), "size": "1"}]}, "of no size"),
        ({"manifests": [{**_config(), "digest": "sha256:../../etc/passwd"}]}, "is no valid digest"),
        ({"manifests": [{**_config(), "digest": "md5:00"}]}, "is no valid digest"),
        ({"manifests": [_config()] * 1_001}, "more than 1000"),
    ],
)
def test_malformed(document: object, reason: str) -> None:
    """Each way of being no manifest is refused by the one error, which says which."""
    top = TestBlob(json.dumps(document).encode(), OCI_INDEX)
    with pytest.raises(MalformedManifest, match=reason):
        _walk(top)


def test_too_large() -> None:
    """More bytes than a manifest may have are not parsed."""
    top = TestBlob(b" " * (MAX_MANIFEST_BYTES + 1), OCI_INDEX)
    with pytest.raises(MalformedManifest, match="bytes"):
        _walk(top)


def test_too_many_contents() -> None:
    """Many manifests, each within its bound, are refused when together they name too much."""

    def manifest(number: int) -> TestBlob:
        layers = [TestBlob(b"%d/%d" % (number, layer), OCI_LAYER) for layer in range(999)]
        return build_manifest(TestBlob(b"%d" % number, ""), layers)

    manifests = [manifest(number) for number in range(11)]
    with pytest.raises(MalformedManifest, match="more than 10000"):
        _walk(_top(manifests=[blob.as_json() for blob in manifests]), *manifests)


def test_broken_child() -> None:
    """A child that is here and is no manifest makes the image malformed, and the text names the child."""
    child = TestBlob(b"garbage", OCI_MANIFEST)
    with pytest.raises(MalformedManifest, match=str(child.digest)):
        _walk(_top(manifests=[child.as_json()]), child)


def test_reader_errors_pass() -> None:
    """What goes wrong in reading is the reader's to say."""

    def read(digest: Digest) -> bytes | None:
        raise ConnectionError("the daemon is gone")

    with pytest.raises(ConnectionError):
        walk(Descriptor(Digest.of(b"x"), 1, OCI_MANIFEST), read)


def test_noting_reader() -> None:
    """Only what neither the reader nor the known contents have is noted as missing."""
    image: TestImage = build_image()
    known, unknown = Digest.of(b"known"), Digest.of(b"unknown")
    reader = NotingReader({image.digest: image.manifest.content}.get, {known})
    assert reader(image.digest) == image.manifest.content
    assert reader(known) is None
    assert reader(unknown) is None
    assert reader.missing == {unknown}
