"""Images of any size made from a seed, never whole in memory."""

import hashlib
import json
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

MEBIBYTE = 1 << 20
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Layer:
    """An uncompressed tar with one file of `file_size` bytes that no compression would shrink."""

    seed: str
    file_size: int

    def chunks(self) -> Iterator[bytes]:
        """The same bytes each time."""
        entry = tarfile.TarInfo(f"data/{self.seed}")
        entry.size = self.file_size
        yield entry.tobuf(tarfile.USTAR_FORMAT)
        source = random.Random(self.seed)
        left = self.file_size
        while left:
            chunk = source.randbytes(min(MEBIBYTE, left))
            left -= len(chunk)
            yield chunk
        yield bytes(-self.file_size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)

    @cached_property
    def digest(self) -> str:
        hasher = hashlib.sha256()
        for chunk in self.chunks():
            hasher.update(chunk)
        return f"sha256:{hasher.hexdigest()}"

    @property
    def size(self) -> int:
        padded = -(-self.file_size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        return padded + 3 * tarfile.BLOCKSIZE


@dataclass(frozen=True)
class Document:
    """A small JSON content."""

    content: bytes

    def chunks(self) -> Iterator[bytes]:
        yield self.content

    @cached_property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def size(self) -> int:
        return len(self.content)


@dataclass(frozen=True)
class Image:
    """A single-platform OCI image."""

    layers: tuple[Layer, ...]

    @classmethod
    def of(cls, seed: str, *layer_sizes: int) -> "Image":
        """Different seeds share no content."""
        return cls(tuple(Layer(f"{seed}-{number}", size) for number, size in enumerate(layer_sizes)))

    @cached_property
    def config(self) -> Document:
        rootfs = {"type": "layers", "diff_ids": [layer.digest for layer in self.layers]}
        return _document({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs})

    @cached_property
    def manifest(self) -> Document:
        return _document(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": _descriptor(_CONFIG_TYPE, self.config),
                "layers": [_descriptor(_LAYER_TYPE, layer) for layer in self.layers],
            }
        )

    @property
    def digest(self) -> str:
        """The manifest's."""
        return self.manifest.digest

    @property
    def digests(self) -> tuple[str, ...]:
        """Of all its contents: manifest, config, layers."""
        return (self.manifest.digest, self.config.digest, *(layer.digest for layer in self.layers))


def _document(value: dict[str, object]) -> Document:
    return Document(json.dumps(value, separators=(",", ":")).encode())


def _descriptor(media_type: str, content: Document | Layer) -> dict[str, object]:
    return {"mediaType": media_type, "digest": content.digest, "size": content.size}
