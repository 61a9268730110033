"""Which registries get a metric label of their own: those of the store's images; all others count as `other`.

A client can ask for any registry it likes, so a label per registry that was ever asked for would grow without bound.
"""

from collections.abc import Callable, Iterable

from app.content.store import ContentStore

#: Walking the names of a large store takes a millisecond; new registries are rare.
_REFRESH_S = 10.0


class RegistryLabels:
    """A bounded set of registry names, looked up anew now and then; `always` are in it from the start."""

    def __init__(self, store: ContentStore, always: Iterable[str], clock: Callable[[], float]) -> None:
        self._store = store
        self._always = frozenset(always)
        self._clock = clock
        self._labels = self._always
        self._refresh_at = float("-inf")

    def __call__(self) -> frozenset[str]:
        """The names with a label of their own."""
        now = self._clock()
        if now >= self._refresh_at:
            self._refresh_at = now + _REFRESH_S
            self._labels = self._always | {image.name.partition("/")[0] for image in self._store.images()}
        return self._labels
