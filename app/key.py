"""What is asked for, as values that can't be wrong: digest, tag, key.

Pure; every part of `app` may import it. Grammar: OCI distribution spec (names, tags) and OCI image spec
(digests). Text from outside is parsed here once, or refused with `InvalidName`, which says what was wrong.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Self

_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
_REGISTRY = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9a-fA-F:.]+\])(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
_MAX_NAME = 255


class InvalidName(ValueError):
    """Text that is no digest, tag, repository or registry; nothing was looked up. `kind` says which it should be."""

    def __init__(self, kind: str, text: str) -> None:
        shown = text if len(text) <= 100 else f"{text[:100]}…"
        super().__init__(f"{shown!r} is no valid {kind}")
        self.kind = kind
        self.text = text


@dataclass(frozen=True)
class Digest:
    """A content digest of one of the two registered algorithms, `sha256` or `sha512`, in lower-case hex."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `InvalidName` for an unknown algorithm, a wrong length or a character that is no lower-case hex."""
        algorithm, colon, hexadecimal = text.partition(":")
        if not colon or len(hexadecimal) != _HEX_LENGTHS.get(algorithm) or hexadecimal.strip("0123456789abcdef"):
            raise InvalidName("digest", text)
        return cls(algorithm, hexadecimal)

    @classmethod
    def of(cls, content: bytes | bytearray, algorithm: str = "sha256") -> Self:
        """The digest of these bytes."""
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @property
    def fingerprint(self) -> int:
        """The first 8 bytes, big endian: what filters and deltas carry."""
        return int(self.hex[:16], 16)


@dataclass(frozen=True)
class Tag:
    """A tag by the distribution spec's grammar."""

    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `InvalidName`."""
        if not _TAG.fullmatch(text):
            raise InvalidName("tag", text)
        return cls(text)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Key:
    """One thing that can be asked of a registry: `registry/repository` and a digest or a tag.

    `registry` is a host with an optional port, in lower case, as containerd sends it in `ns`.
    """

    registry: str
    repository: str
    reference: Digest | Tag

    @classmethod
    def parse(cls, registry: str, repository: str, reference: str) -> Self:
        """Parse the three parts as they stand in a request. Raises `InvalidName`."""
        return cls(parse_registry(registry), parse_repository(repository), parse_reference(reference))

    @property
    def image_name(self) -> str:
        """The name as containerd keeps it: `host/repo:tag` or `host/repo@digest`."""
        separator = "@" if isinstance(self.reference, Digest) else ":"
        return f"{self.registry}/{self.repository}{separator}{self.reference}"

    def __str__(self) -> str:
        return self.image_name

    @cached_property
    def fingerprint(self) -> int:
        """A digest's own first 8 bytes; for a tag those of the SHA-256 of the normalised reference."""
        if isinstance(self.reference, Digest):
            return self.reference.fingerprint
        return Digest.of(self.image_name.encode()).fingerprint


def parse_registry(text: str) -> str:
    """A host, perhaps with a port, in lower case. Raises `InvalidName`."""
    match = _REGISTRY.fullmatch(text) if len(text) <= _MAX_NAME else None
    if match is None or (match["port"] is not None and not 0 < int(match["port"]) < 65536):
        raise InvalidName("registry", text)
    return text.lower()


def parse_repository(text: str) -> str:
    """A repository name, slashes allowed. Raises `InvalidName`."""
    if len(text) > _MAX_NAME or not _REPOSITORY.fullmatch(text):
        raise InvalidName("repository", text)
    return text


def parse_reference(text: str) -> Digest | Tag:
    """A digest if there is a colon, else a tag. Raises `InvalidName`."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)


def parse_image_name(text: str) -> Key:
    """`host/repo:tag` or `host/repo@digest` as containerd keeps it, the host always there. Raises `InvalidName`."""
    registry, slash, rest = text.partition("/")
    name, at, digest = rest.partition("@")
    repository, colon, tag = name.rpartition(":") if ":" in name else (name, "", "")
    if not slash or not (colon or at) or "/" in tag:
        raise InvalidName("image name (registry/repository:tag)", text)
    # name:tag@digest names the digest; the tag in it is a remark
    reference = Digest.parse(digest) if at else Tag.parse(tag)
    return Key(parse_registry(registry), parse_repository(repository), reference)
