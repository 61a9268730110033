"""Which image names name a digest, and as what (pure)."""

from collections.abc import Iterable, KeysView

from app.content.store import Descriptor
from app.key import Digest


class Naming:
    """Grows with the images that are linked and shrinks with those that are unlinked, to nothing."""

    def __init__(self) -> None:
        self._media_types: dict[Digest, dict[str, str]] = {}  # -> {image name: media type}

    def link(self, name: str, named: Iterable[Descriptor]) -> None:
        for descriptor in named:
            self._media_types.setdefault(descriptor.digest, {})[name] = descriptor.media_type

    def unlink(self, name: str, named: Iterable[Descriptor]) -> None:
        """Take back what `link` did with the same arguments."""
        for descriptor in named:
            naming = self._media_types[descriptor.digest]
            del naming[name]
            if not naming:
                del self._media_types[descriptor.digest]

    def names(self, digest: Digest) -> KeysView[str]:
        """A view: copy it before linking."""
        return self._media_types.get(digest, {}).keys()

    def media_type(self, digest: Digest) -> str | None:
        """As the first image that names it says; None if none does."""
        naming = self._media_types.get(digest)
        return next(iter(naming.values())) if naming else None


class Waiting:
    """Which image names wait for a digest to come."""

    def __init__(self) -> None:
        self._names: dict[Digest, set[str]] = {}

    def add(self, name: str, digests: Iterable[Digest]) -> None:
        for digest in digests:
            self._names.setdefault(digest, set()).add(name)

    def discard(self, name: str, digests: Iterable[Digest]) -> None:
        for digest in digests:
            if (names := self._names.get(digest)) is not None:
                names.discard(name)
                if not names:
                    del self._names[digest]

    def pop(self, digest: Digest) -> set[str]:
        """Those that waited for this one, and wait for it no more."""
        return self._names.pop(digest, set())
