"""A content store over containerd: metadata by gRPC, bytes from its content root."""

import re
from pathlib import Path

from app.content.blob import BlobFiles
from app.content.containerd.api import ContainerdApi, prepare_grpc
from app.content.containerd.follow import Follower
from app.content.containerd.ingests import find_ingest
from app.content.containerd.root import DEFAULT_ROOT
from app.content.holdings import Holdings
from app.content.store import Blob, Descriptor, Image, Ingest, StoreUnavailable, StoreWatcher
from app.key import Digest, Key
from app.metrics import Metrics

# containerd's own grammar (identifiers.Validate); what passes it can't break out of an event filter either.
_NAMESPACE = re.compile(r"[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*", re.ASCII)
_MAX_NAMESPACE = 76


class ContainerdStore:
    """See `ContentStore`. Serves one namespace; makes its connection at `start`, after the process has forked.

    Where the content root can't be read, blobs come through containerd (`Content/Read`): then `open` and `Blob.pread`
    are calls to it, and a blob does not outlive its deletion.
    """

    def __init__(
        self, socket: Path, namespace: str, content_path: Path | None = None, *, metrics: Metrics | None = None
    ) -> None:
        """Raises `StoreUnavailable` for a namespace that containerd would refuse."""
        if len(namespace) > _MAX_NAMESPACE or not _NAMESPACE.fullmatch(namespace):
            raise StoreUnavailable(f"{namespace!r} is no containerd namespace: the kubelet's is k8s.io")
        self._socket = socket
        self._namespace = namespace
        self._content_path = content_path
        self._holdings = Holdings(BlobFiles(content_path or DEFAULT_ROOT), metrics)
        self._api: ContainerdApi | None = None
        self._follower: Follower | None = None

    def start(self, watcher: StoreWatcher) -> None:
        prepare_grpc()
        self._holdings.attach(watcher)
        self._api = ContainerdApi(self._socket, self._namespace)
        self._follower = Follower(self._api, self._holdings, self._content_path)
        self._follower.start()

    def stop(self) -> None:
        if self._follower is not None:
            self._follower.stop()
            self._follower = None
        if self._api is not None:
            self._api.close()
            self._api = None
        self._holdings.detach()

    def wait_listed(self, timeout_s: float) -> bool:
        return self._follower is not None and self._follower.listed.wait(timeout_s)

    def problem(self) -> str | None:
        return "the store is not started" if self._follower is None else self._follower.problem

    def images(self) -> list[Image]:
        return self._holdings.images()

    def digests(self) -> list[Digest]:
        return self._holdings.digests()

    def stat(self, digest: Digest) -> Descriptor:
        return self._holdings.stat(digest)

    def open(self, digest: Digest) -> Blob:
        return self._holdings.open(digest)

    def resolve(self, key: Key) -> Image:
        return self._holdings.resolve(key)

    def repositories(self, digest: Digest) -> frozenset[tuple[str, str]]:
        return self._holdings.repositories(digest)

    def ingest(self, digest: Digest) -> Ingest | None:
        files = self._follower.root.files if self._follower is not None else None
        return None if files is None else find_ingest(files.root, self._namespace, digest)

    def skipped(self) -> int:
        """How many image names there are that can't be served."""
        return len(self._holdings.inventory.skipped())
