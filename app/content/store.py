"""The contract of a content store: images, blobs, and word of their changes.

Every store and every fake passes `tests/contracts/content_store.py`. A store keeps its inventory in memory
and up to date by itself; questions are answered from there and from the file system, without a call to a
daemon, unless a method says otherwise. What a store names can be served: a digest is in the inventory only
if its content is there with the size that the store's owner knows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from app.key import Digest, Key


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Where content is and what it is (OCI image spec). `media_type` is empty when the store does not know it."""

    digest: Digest
    size: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Image:
    """A name that points at content. `updated_at` is in seconds since the epoch, 0.0 if unknown."""

    name: str
    target: Descriptor
    updated_at: float


class StoreError(Exception):
    """Root of what a store raises."""


class NotFound(StoreError):
    """This store does not hold it (any more)."""


class StoreUnavailable(StoreError):
    """The store's owner can't be reached or read now; the text says what and the remedy."""


class Blob(Protocol):
    """Open content; readable until `close`, also when its owner deletes it meanwhile."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def fileno(self) -> int | None:
        """A file descriptor whose bytes are the content from offset 0, or None where there is no file."""

    def pread(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes from `offset`, b"" only at the end. Raises `StoreUnavailable`. May switch greenlets."""

    def close(self) -> None:
        """Idempotent."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """A download in progress: its growing file and what is known of it."""

    digest: Digest
    path: str
    offset: int
    total: int | None


def is_known_in(repositories: frozenset[tuple[str, str]], key: Key) -> bool:
    """Whether these pairs (see `ContentStore.repositories`) name the registry and repository of `key`.

    containerd's label `containerd.io/distribution.source.<host>` drops the port of the registry, so a pair without a
    port stands for the host's registries on every port.
    """
    host, colon, port = key.registry.rpartition(":")
    hosts = {key.registry, host.strip("[]") if colon and port.isdigit() else key.registry.strip("[]")}
    return any((host, key.repository) in repositories for host in hosts)


class StoreWatcher(Protocol):
    """Told of every change of the inventory, on the app's hub; must neither block nor raise."""

    def added(self, digest: Digest) -> None:
        """Can be served from now on."""

    def removed(self, digest: Digest) -> None:
        """Can't be served any more."""

    def tagged(self, image: Image) -> None:
        """The name is new or points elsewhere now."""

    def untagged(self, name: str) -> None:
        """The name is gone."""


class ContentStore(Protocol):
    """A running store."""

    def start(self, watcher: StoreWatcher) -> None:
        """Begin to fill the inventory in the background and tell `watcher`, what is there already included.

        Returns at once. A store that can't be reached is tried again for ever and its state is logged and shown
        by `problem`; raises `StoreUnavailable` only for what waiting can't cure (a layout directory that is none).
        """

    def stop(self) -> None:
        """Stop watching and free all resources. Idempotent."""

    def wait_listed(self, timeout_s: float) -> bool:
        """Block until the first whole listing is in the inventory; False if it was not within `timeout_s`."""

    def problem(self) -> str | None:
        """Why the inventory can't be trusted to be current, for an operator; None when all is well."""

    def images(self) -> Iterable[Image]:
        """All names with a registry that can be resolved, a snapshot."""

    def digests(self) -> Iterable[Digest]:
        """All that can be served, a snapshot."""

    def stat(self, digest: Digest) -> Descriptor:
        """Size and media type. Raises `NotFound`. Costs at most a `stat(2)` and, once a manifest, reading it."""

    def open(self, digest: Digest) -> Blob:
        """Raises `NotFound`, also when the file's size is not the one known (logged, and out of the inventory)."""

    def resolve(self, key: Key) -> Image:
        """What the tag of `key` points at here. Raises `NotFound`, also when the target's content is not there."""

    def repositories(self, digest: Digest) -> frozenset[tuple[str, str]]:
        """The `(registry, repository)` pairs known to have it: image names walked, and the owner's own labels."""

    def ingest(self, digest: Digest) -> Ingest | None:
        """The download of this digest that is going on, if any. Costs a look at the file system."""
