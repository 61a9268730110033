"""Images for tests, built in memory: blobs, manifests, indexes, and an OCI layout directory made of them.

Nothing is random: the same arguments give the same digests.
"""

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.content.store import Descriptor
from app.key import Digest
from app.media_types import OCI_INDEX, OCI_MANIFEST

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class TestBlob:
    """Bytes and what they are."""

    __test__ = False  # no test class, whatever its name

    content: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.digest, len(self.content), self.media_type)

    def as_json(self, **more: Any) -> dict[str, Any]:
        """The descriptor as it stands in a manifest."""
        return as_json(self.descriptor, **more)


@dataclass(frozen=True)
class TestImage:
    """An image: `top` is what its name points at, a manifest or (with more than one platform) an index."""

    __test__ = False

    top: TestBlob
    manifests: tuple[TestBlob, ...]
    configs: tuple[TestBlob, ...]
    layers: tuple[TestBlob, ...]
    blobs: Mapping[Digest, TestBlob] = field(repr=False)

    @property
    def manifest(self) -> TestBlob:
        """The manifest of the first platform."""
        return self.manifests[0]

    @property
    def config(self) -> TestBlob:
        return self.configs[0]

    @property
    def target(self) -> Descriptor:
        return self.top.descriptor

    @property
    def digest(self) -> Digest:
        return self.top.digest


def tar_layer(files: Mapping[str, bytes]) -> bytes:
    """A gzipped tar of these files, which containerd can unpack."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), 1, mtime=0)


def build_image(layers: Iterable[bytes] = (b"layer",), platform: str = "linux/amd64") -> TestImage:
    """An image of one manifest. The layers are taken as they are; `tar_layer` makes some that can be unpacked."""
    blobs = tuple(TestBlob(layer, OCI_LAYER) for layer in layers)
    os_name, _, architecture = platform.partition("/")
    config = TestBlob(
        _json(
            {
                "architecture": architecture,
                "os": os_name,
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(_unpacked(b.content))) for b in blobs]},
            }
        ),
        OCI_CONFIG,
    )
    manifest = build_manifest(config, blobs)
    return TestImage(manifest, (manifest,), (config,), blobs, _by_digest(manifest, config, *blobs))


def build_manifest(config: TestBlob, layers: Iterable[TestBlob], **more: Any) -> TestBlob:
    """A manifest of these. `more` sets further fields, or others than the usual (`mediaType=None` leaves it out)."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.as_json(),
        "layers": [layer.as_json() for layer in layers],
        **more,
    }
    return TestBlob(_json({k: v for k, v in document.items() if v is not None}), OCI_MANIFEST)


def build_index(images: Mapping[str, TestImage]) -> TestImage:
    """One image for several platforms (`os/architecture`)."""
    manifests = []
    for platform, image in images.items():
        os_name, _, architecture = platform.partition("/")
        manifests.append(image.top.as_json(platform={"os": os_name, "architecture": architecture}))
    index = TestBlob(_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}), OCI_INDEX)
    blobs = {digest: blob for image in images.values() for digest, blob in image.blobs.items()}
    return TestImage(
        index,
        tuple(m for image in images.values() for m in image.manifests),
        tuple(c for image in images.values() for c in image.configs),
        tuple(layer for image in images.values() for layer in image.layers),
        {index.digest: index, **blobs},
    )


def as_json(descriptor: Descriptor, **more: Any) -> dict[str, Any]:
    """The descriptor as it stands in a manifest or an index."""
    return {"mediaType": descriptor.media_type, "digest": str(descriptor.digest), "size": descriptor.size, **more}


def write_layout(directory: Path, images: Mapping[str, TestImage]) -> None:
    """An OCI image layout of these images; each name is the `ref.name` of its entry. Blobs that are there stay."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for image in images.values():
        for blob in image.blobs.values():
            write_blob(directory, blob.content)
    write_index(directory, {name: image.target for name, image in images.items()})


def write_blob(directory: Path, content: bytes, algorithm: str = "sha256") -> Digest:
    """Put content into `blobs/` by renaming, as containerd and skopeo do."""
    digest = Digest.of(content, algorithm)
    path = directory / "blobs" / algorithm / digest.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
    return digest


def write_index(directory: Path, names: Mapping[str, Descriptor]) -> None:
    """Replace `index.json` by one with these names. What they point at need not be there."""
    entries = [as_json(target, annotations={REF_NAME: name}) for name, target in names.items()]
    replace_file(directory / "index.json", _json({"schemaVersion": 2, "manifests": entries}))


def replace_file(path: Path, content: bytes) -> None:
    """All or nothing: write beside it, then rename."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


def write_archive(images: Mapping[str, TestImage]) -> bytes:
    """The layout as a tar, which `ctr images import` takes."""
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    for image in images.values():
        files |= {f"blobs/sha256/{digest.hex}": blob.content for digest, blob in image.blobs.items()}
    entries = [
        image.top.as_json(annotations={"io.containerd.image.name": name, REF_NAME: name})
        for name, image in images.items()
    ]
    files["index.json"] = _json({"schemaVersion": 2, "manifests": entries})
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return plain.getvalue()


def _unpacked(layer: bytes) -> bytes:
    return gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer


def _by_digest(*blobs: TestBlob) -> dict[Digest, TestBlob]:
    return {blob.digest: blob for blob in blobs}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
