"""What our own store holds -> the keys that are told to the cluster.

Told is what could be served: each digest, and each tag that may be answered, while its manifest is here. With filters
on registries or repositories a digest is told only when it is known to belong to an admitted repository; that is
looked at again for a while, since names and labels come after the content.
"""

from dataclasses import dataclass
from typing import Protocol

import gevent
import structlog
from gevent.event import Event

from app.admission import Admission
from app.content.store import ContentStore, Image
from app.key import Digest, InvalidName, Key, Tag, parse_image_name
from app.metrics import Metrics

log = structlog.get_logger()

#: After a change the repositories of all digests are looked at again after so many seconds, the last of them for ever.
_REVIEW_S = (0.1, 0.5, 2.0, 10.0, 60.0)


class Announcements(Protocol):
    """Where keys are told: the directory. Neither method may block or raise."""

    def announce(self, fingerprint: int) -> None: ...

    def withdraw(self, fingerprint: int) -> None: ...


@dataclass(slots=True)
class _Name:
    """An image name with a tag that may be told; `told` while it is."""

    fingerprint: int
    target: Digest
    told: bool = False


class Tracker:
    """Watches a store (is its `StoreWatcher`) and tells each key once, however many names lead to it.

    Told is only what `admission` admits.
    """

    def __init__(
        self,
        store: ContentStore,
        directory: Announcements,
        *,
        admission: Admission,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._directory = directory
        self._admission = admission
        self._metrics = metrics
        self._digests: dict[Digest, bool] = {}  # all that are here -> told
        self._names: dict[str, _Name] = {}
        self._pointing: dict[Digest, dict[str, None]] = {}  # names by target, in order
        self._bad_names: set[str] = set()
        self._told_names = 0
        self._uses: dict[int, int] = {}  # fingerprint -> how many digests and names are told by it
        self._changed = Event()
        self._reviewer: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to look again at what the filters refused for want of a name."""
        if self._admission.restricted and self._reviewer is None:
            self._reviewer = gevent.spawn(self._review_on)

    def stop(self) -> None:
        """Idempotent."""
        if self._reviewer is not None:
            self._reviewer.kill()
            self._reviewer = None

    # -- StoreWatcher --

    def added(self, digest: Digest) -> None:
        if digest in self._digests:
            return
        self._digests[digest] = False
        self._judge(digest)
        if not self._digests[digest]:
            self._changed.set()
        for name in self._pointing.get(digest, ()):
            self._tell_name(self._names[name])
        self._show()

    def removed(self, digest: Digest) -> None:
        told = self._digests.pop(digest, None)
        if told:
            self._withdraw(digest.fingerprint)
        for name in self._pointing.get(digest, ()):
            self._hide_name(self._names[name])
        self._show()

    def tagged(self, image: Image) -> None:
        key = self._key(image.name)
        if key is None:
            return
        name = self._names.get(image.name)
        if name is None:
            name = self._names[image.name] = _Name(key.fingerprint, image.target.digest)
        elif name.target != image.target.digest:
            self._unpoint(image.name, name)
            name.target = image.target.digest
        self._pointing.setdefault(name.target, {})[image.name] = None
        if name.target in self._digests:
            self._tell_name(name)
        else:
            self._hide_name(name)
        self._changed.set()
        self._show()

    def untagged(self, name: str) -> None:
        self._bad_names.discard(name)
        known = self._names.pop(name, None)
        if known is not None:
            self._unpoint(name, known)
            self._hide_name(known)
            self._changed.set()
            self._show()

    # -- filters --

    def review(self) -> None:
        """Judge all digests anew: repositories may have become known, or have gone."""
        for digest in list(self._digests):
            self._judge(digest)
        self._show()

    def _review_on(self) -> None:
        step = 0
        while True:
            if self._changed.wait(_REVIEW_S[step]):
                step = 0
                gevent.sleep(_REVIEW_S[0])  # changes come in bursts: one review for all
            self._changed.clear()
            step = min(step + 1, len(_REVIEW_S) - 1)
            try:
                self.review()
            except Exception:  # the root of this greenlet: one bad review must not end the others
                log.exception("advertised keys not reviewed", greenlet="tracker")

    def _judge(self, digest: Digest) -> None:
        told, tell = self._digests[digest], self._may_tell(digest)
        if tell and not told:
            self._announce(digest.fingerprint)
        elif told and not tell:
            self._withdraw(digest.fingerprint)
        self._digests[digest] = tell

    def _may_tell(self, digest: Digest) -> bool:
        if not self._admission.restricted:
            return True
        return any(self._admission.admits(*repository) for repository in self._store.repositories(digest))

    # -- names --

    def _key(self, name: str) -> Key | None:
        """The key of a name whose tag may be told."""
        try:
            key = parse_image_name(name)
        except InvalidName as error:
            if name not in self._bad_names:
                self._bad_names.add(name)
                log.warning("image name not advertised", image=name, reason=str(error))
            return None
        return key if isinstance(key.reference, Tag) and self._admission.admits_key(key) else None

    def _unpoint(self, image_name: str, name: _Name) -> None:
        names = self._pointing[name.target]
        del names[image_name]
        if not names:
            del self._pointing[name.target]

    def _tell_name(self, name: _Name) -> None:
        if not name.told:
            name.told = True
            self._told_names += 1
            self._announce(name.fingerprint)

    def _hide_name(self, name: _Name) -> None:
        if name.told:
            name.told = False
            self._told_names -= 1
            self._withdraw(name.fingerprint)

    # -- keys --

    def _announce(self, fingerprint: int) -> None:
        uses = self._uses.get(fingerprint, 0)
        self._uses[fingerprint] = uses + 1
        if not uses:
            self._directory.announce(fingerprint)

    def _withdraw(self, fingerprint: int) -> None:
        self._uses[fingerprint] -= 1
        if not self._uses[fingerprint]:
            del self._uses[fingerprint]
            self._directory.withdraw(fingerprint)

    def _show(self) -> None:
        self._metrics.advertised_images.set(self._told_names)
        self._metrics.advertised_keys.set(len(self._uses))
