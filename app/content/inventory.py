"""What a store holds, in memory: digests with their sizes, image names with what they point at, who names what.

Pure: the store puts in what it learns and drains what has changed. It takes care of three things that are easy to
get wrong: a name is shown only while its manifest is here and the image could be walked; a listing that was under
way while single changes came in neither undoes nor loses any of them; one bad image costs nothing but itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.content.changes import Added, Change, Removed, Skipped, Tagged, Untagged
from app.content.naming import Naming, Waiting
from app.content.store import Descriptor, Image, NotFound, StoreError
from app.content.walk import MalformedManifest, NotingReader, ReadManifest, Walk, walk
from app.key import Digest, InvalidName, Key, parse_image_name

Pairs = frozenset[tuple[str, str]]
_NONE: Pairs = frozenset()


@dataclass(frozen=True, slots=True)
class Content:
    """What a store's owner knows of one content. `sources` are the `(host, repository)` pairs of its labels."""

    size: int
    sources: Pairs = _NONE


@dataclass(slots=True)
class _Entry:
    """One image name. `awaits`: its manifests that are not here; `told`: the target that the watcher knows of."""

    image: Image
    key: Key
    walk: Walk | None = None
    awaits: frozenset[Digest] = frozenset()
    told: Digest | None = None


class Inventory:
    """See above. Never yields, except where `settle`'s `read` does."""

    def __init__(self) -> None:
        self._contents: dict[Digest, Content] = {}
        self._entries: dict[str, _Entry] = {}
        self._canonical: dict[str, str] = {}  # Key.image_name -> the name as its owner writes it
        self._naming = Naming()
        self._guessed: dict[Digest, str] = {}  # media types of what no image names
        self._waiting = Waiting()  # for manifests that are not here
        self._unwalked: dict[str, None] = {}  # names, in order
        self._skipped: dict[str, str] = {}
        # what single changes have touched since a listing began: there they know better than the listing
        self._touched: set[Digest | str] | None = None
        self._changes: list[Change] = []

    # -- questions ------------------------------------------------------------

    def images(self) -> list[Image]:
        return [entry.image for entry in self._entries.values() if self._is_shown(entry)]

    def digests(self) -> list[Digest]:
        return list(self._contents)

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._contents

    def size(self, digest: Digest) -> int:
        """Raises `NotFound`."""
        try:
            return self._contents[digest].size
        except KeyError:
            raise NotFound(f"{digest} is not in this store") from None

    def media_type(self, digest: Digest) -> str | None:
        """As an image that names it says, else as was guessed; None if nobody has looked yet."""
        named = self._naming.media_type(digest)
        return self._guessed.get(digest) if named is None else named

    def resolve(self, key: Key) -> Image:
        """Raises `NotFound`."""
        entry = self._entries.get(self._canonical.get(key.image_name, ""))
        if entry is None or not self._is_shown(entry):
            raise NotFound(f"{key} is not in this store")
        return entry.image

    def repositories(self, digest: Digest) -> Pairs:
        """Of the images that name it, and of its labels: see `app.content.store.is_known_in` for what a label lacks."""
        keys = [self._entries[name].key for name in self._naming.names(digest)]
        labelled = self._contents[digest].sources if digest in self._contents else _NONE
        return labelled.union((key.registry, key.repository) for key in keys)

    def missing(self, name: str) -> list[tuple[Digest, int]]:
        """What this image names, as far as it was walked, and is not here; with the size that it gives."""
        entry = self._entries.get(name)
        named = () if entry is None else entry.walk.named if entry.walk else (entry.image.target,)
        return [(found.digest, found.size) for found in named if found.digest not in self._contents]

    def skipped(self) -> Mapping[str, str]:
        """Names of images that can't be walked, and why."""
        return self._skipped

    # -- single changes -------------------------------------------------------

    def put(self, digest: Digest, content: Content) -> None:
        """This content is here. Sources that are known already stay: labels come late, and an event has none."""
        if self._touched is not None:
            self._touched.add(digest)
        known = self._contents.get(digest)
        self._store(digest, Content(content.size, content.sources | (known.sources if known else _NONE)))

    def drop(self, digest: Digest) -> None:
        """This content is gone; the names that point at it go with it, until it comes back."""
        if self._touched is not None:
            self._touched.add(digest)
        self._discard(digest)

    def put_image(self, image: Image) -> None:
        """The name points at this now. A name that no request can ask for is skipped."""
        if self._touched is not None:
            self._touched.add(image.name)
        self._point(image)

    def drop_image(self, name: str) -> None:
        """The name is gone. Its content stays until it is dropped itself."""
        if self._touched is not None:
            self._touched.add(name)
        self._forget(name)

    def guess(self, digest: Digest, media_type: str) -> None:
        """Remember what the bytes look like, for as long as they are here."""
        if digest in self._contents:
            self._guessed[digest] = media_type

    # -- whole listings -------------------------------------------------------

    def begin_listing(self) -> None:
        """A listing starts now; one that was under way counts no more."""
        self._touched = set()

    def end_listing(
        self, contents: Mapping[Digest, Content], images: Iterable[Image], refused: Mapping[str, str] | None = None
    ) -> None:
        """All that the owner had at some moment since `begin_listing`: put in what is new, drop what is not in it.

        `refused` are names that mean nothing to us, with the reason: skipped like images that can't be walked.
        """
        refused = refused or {}
        touched, self._touched = self._touched or set(), None
        for digest in self._contents.keys() - contents.keys() - touched:
            self._discard(digest)
        for digest, content in contents.items():
            if digest not in touched:
                self._store(digest, content)
        listed = {image.name: image for image in images}
        known = self._entries.keys() | self._skipped.keys()
        for name in known - listed.keys() - refused.keys() - touched:
            self._forget(name)
        for name, reason in refused.items():
            self._skip(name, reason)
        for name, image in listed.items():
            if name not in touched:
                self._point(image)
                if image.target.digest in self._contents and name in self._skipped and name in self._entries:
                    self._unwalked[name] = None  # the broken child may be gone
                elif image.target.digest not in self._contents:
                    self._skip(name, f"its target {image.target.digest} is not in the store")

    def abandon_listing(self) -> None:
        """The listing failed: nothing is known beyond the single changes."""
        self._touched = None

    def settle(self, read: ReadManifest) -> None:
        """Walk the images whose manifests have come; call this after every change. `read` may yield.

        An image whose manifest can't be read now (`StoreError`) is tried again at the next change.
        """
        later: list[str] = []
        while self._unwalked:
            name = next(iter(self._unwalked))
            del self._unwalked[name]
            entry = self._entries[name]
            target = entry.image.target
            if target.digest not in self._contents:
                self._waiting.add(name, [target.digest])
                continue
            reading = NotingReader(read, self._contents)
            try:
                found = walk(target, reading)
            except MalformedManifest as error:
                if self._points_at(name, target):
                    self._unlink(self._entries[name])  # it may have been walked before a broken child landed
                    self._skip(name, str(error))
            except StoreError:
                later.append(name)
            except BaseException:  # ended while it was reading: who comes next walks it
                self._unwalked[name] = None
                raise
            else:
                if self._points_at(name, target):
                    self._walked(self._entries[name], found, reading.missing)
        self._unwalked.update((name, None) for name in later if name in self._entries)

    def drain(self) -> list[Change]:
        """What has changed since the last call, in order."""
        changes, self._changes = self._changes, []
        return changes

    # -- inside ---------------------------------------------------------------

    def _is_shown(self, entry: _Entry) -> bool:
        return entry.walk is not None and entry.image.target.digest in self._contents

    def _points_at(self, name: str, target: Descriptor) -> bool:
        entry = self._entries.get(name)
        return entry is not None and entry.image.target == target

    def _store(self, digest: Digest, content: Content) -> None:
        is_new = digest not in self._contents
        self._contents[digest] = content
        if is_new:
            self._changes.append(Added(digest))
            self._unwalked.update(dict.fromkeys(self._waiting.pop(digest)))

    def _discard(self, digest: Digest) -> None:
        if self._contents.pop(digest, None) is None:
            return
        self._guessed.pop(digest, None)
        for name in list(self._naming.names(digest)):
            entry = self._entries[name]
            if entry.image.target.digest == digest:
                self._hide(entry)
                self._waiting.add(name, [digest])
        self._changes.append(Removed(digest))

    def _point(self, image: Image) -> None:
        entry = self._entries.get(image.name)
        if entry is not None and entry.image.target == image.target:
            entry.image = image  # a new time at most
            self._canonical.setdefault(entry.key.image_name, image.name)
            return
        try:
            key = parse_image_name(image.name)
        except InvalidName as error:
            self._skip(image.name, str(error))
            return
        if entry is None:
            entry = self._entries[image.name] = _Entry(image, key)
            self._canonical[key.image_name] = image.name
        else:
            self._unlink(entry)
            entry.image = image
        if image.target.digest in self._contents:
            self._unwalked[image.name] = None
        else:
            self._hide(entry)
            self._waiting.add(image.name, [image.target.digest])

    def _forget(self, name: str) -> None:
        self._skipped.pop(name, None)
        if (entry := self._entries.pop(name, None)) is None:
            return
        self._unlink(entry)
        self._unwalked.pop(name, None)
        if self._canonical.get(entry.key.image_name) == name:
            del self._canonical[entry.key.image_name]
        self._hide(entry)

    def _walked(self, entry: _Entry, found: Walk, missing: set[Digest]) -> None:
        name = entry.image.name
        self._unlink(entry)
        entry.walk, entry.awaits = found, frozenset(missing)
        self._skipped.pop(name, None)
        self._naming.link(name, found.named)
        self._waiting.add(name, missing)
        if any(digest in self._contents for digest in missing):  # it came while we walked
            self._unwalked[name] = None
        if self._is_shown(entry) and entry.told != entry.image.target.digest:
            entry.told = entry.image.target.digest
            self._changes.append(Tagged(entry.image))

    def _unlink(self, entry: _Entry) -> None:
        """Forget what the image was found to name and what it waits for."""
        self._waiting.discard(entry.image.name, entry.awaits | {entry.image.target.digest})
        if entry.walk is not None:
            self._naming.unlink(entry.image.name, entry.walk.named)
        entry.walk, entry.awaits = None, frozenset()

    def _hide(self, entry: _Entry) -> None:
        if entry.told is not None:
            entry.told = None
            self._changes.append(Untagged(entry.image.name))

    def _skip(self, name: str, reason: str) -> None:
        if (entry := self._entries.get(name)) is not None:
            self._hide(entry)
        if self._skipped.get(name) != reason:
            self._skipped[name] = reason
            self._changes.append(Skipped(name, reason))
