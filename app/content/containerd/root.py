"""containerd's content root: where it is, whether its files can be read here, and what happens in it.

Every containerd shows in its files at once what landed and what garbage collection took, of which it says nothing by
events. Where the files can't be read, content comes through containerd itself.
"""

from pathlib import Path
from typing import Protocol

import gevent
import structlog
from gevent.event import Event

from app.content.blob import ALGORITHMS, BlobFiles, parse_file_name
from app.content.containerd.api import ContainerdApi
from app.content.containerd.remote import RemoteContents
from app.content.holdings import ContentReader
from app.content.store import StoreUnavailable
from app.content.watch import DirectoryWatch, FileEvent, Happening
from app.key import Digest

log = structlog.get_logger()

DEFAULT_ROOT = Path("/var/lib/containerd/io.containerd.content.v1.content")
_WATCH_AGAIN_S = 60.0


class RootListener(Protocol):
    """Told what the files say; it must not yield."""

    def landed(self, digest: Digest) -> None:
        """A file is there. It may be another namespace's, and containerd's own database may not know it yet."""

    def gone(self, digest: Digest) -> None: ...

    def look(self) -> None:
        """Something may have been missed: list."""


class ContentRoot:
    """`reader` gives the bytes, from `files` or, if that is None, from containerd. `is_watched`: see `watch`."""

    def __init__(self, api: ContainerdApi, content_path: Path | None, listener: RootListener) -> None:
        self.files: BlobFiles | None = None
        self.reader: ContentReader = RemoteContents(api)
        self.is_watched = False
        self._api = api
        self._content_path = content_path
        self._listener = listener
        self._found = Event()
        self._reason: str | None = None

    def find(self) -> None:
        """Decide where bytes are read: the path given, else the one that containerd names. Asks containerd."""
        root = self._content_path or self._api.content_root() or DEFAULT_ROOT
        if self._content_path is None and not _may_come(root):
            root = DEFAULT_ROOT  # what containerd sees may be mounted elsewhere here
        files = BlobFiles(root)
        try:
            next(files.scan(), None)
        except StoreUnavailable as error:
            self.give_up(str(error))
            return
        if not _may_come(root):
            self.give_up(f"there is no directory {root}")
            return
        self.files = self.reader = files
        self._found.set()
        log.info("content root found", path=str(root))

    def give_up(self, reason: str) -> None:
        """Read through containerd from now on."""
        if reason != self._reason:
            log.warning(
                "content is read through containerd, which is slow: mount its content root, and give its path by "
                "--containerd-content-path",
                reason=reason,
            )
        self._reason = reason
        self.files, self.is_watched = None, False
        self.reader = RemoteContents(self._api)
        self._found.clear()

    def watch(self) -> None:
        """Tell the listener what happens, as long as there are files that can be watched; returns at their end."""
        self._found.wait()
        files = self.files
        if files is None:
            return
        try:
            watch = DirectoryWatch(files.directory(algorithm) for algorithm in ALGORITHMS)
        except StoreUnavailable as error:
            log.warning("content root not watched, listing instead", reason=str(error))
            gevent.sleep(_WATCH_AGAIN_S)
            return
        self.is_watched = True
        self._listener.look()  # what happened before the watch began
        try:
            while self.files is files:
                for event in watch.read(None):
                    self._tell(event)
        finally:
            self.is_watched = False
            watch.close()

    def _tell(self, event: FileEvent) -> None:
        if event.happening is Happening.LOOK or event.directory is None:
            self._listener.look()
            return
        digest = parse_file_name(event.directory.name, event.name)
        if digest is None:
            return
        if event.happening is Happening.LANDED:
            self._listener.landed(digest)
        else:
            self._listener.gone(digest)


def _may_come(root: Path) -> bool:
    """Whether a content root is there or can come to be: containerd 2 makes it with the first content."""
    return root.is_dir() or (root.parent.is_dir() and not root.exists())
