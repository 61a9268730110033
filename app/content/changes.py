"""What an inventory says has changed, as values (pure)."""

from dataclasses import dataclass

from app.content.store import Image
from app.key import Digest


@dataclass(frozen=True, slots=True)
class Added:
    """Can be served from now on."""

    digest: Digest


@dataclass(frozen=True, slots=True)
class Removed:
    """Can't be served any more."""

    digest: Digest


@dataclass(frozen=True, slots=True)
class Tagged:
    """The name is new or points elsewhere now."""

    image: Image


@dataclass(frozen=True, slots=True)
class Untagged:
    """The name is gone, or what it points at is."""

    name: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """The image can't be walked. Said once for each name and reason."""

    name: str
    reason: str


Change = Added | Removed | Tagged | Untagged | Skipped
