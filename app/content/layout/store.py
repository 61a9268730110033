"""A content store over an OCI image layout directory: no daemon, for laptops, CI, seeds and tests.

The directory belongs to others, who may rewrite it at any time in any order: a look that meets an `index.json` being
written keeps the names of the look before. Whatever changes, the answer is to look again at all of it, which is cheap
for what such directories hold (some 4 µs a blob) and can't drift from the truth.
"""

import os
import stat
import time
from pathlib import Path

import gevent
import structlog
from gevent.event import Event

from app.content.blob import ALGORITHMS, BlobFiles, is_hollow
from app.content.holdings import Holdings
from app.content.inventory import Content
from app.content.layout.index import MAX_INDEX_BYTES, LayoutNames, parse_index
from app.content.store import Blob, Descriptor, Image, Ingest, StoreUnavailable, StoreWatcher
from app.content.walk import MalformedManifest
from app.content.watch import DirectoryWatch
from app.key import Digest, InvalidName, Key, parse_image_name
from app.metrics import Metrics

log = structlog.get_logger()

_PERIOD_S = 60.0  # a look without being told to: for what inotify misses
_PERIOD_UNWATCHED_S = 2.0
# After a look at least so many times as long as it took is left to others, however often the directory changes.
_REST = 10
_REST_MIN_S = 0.01
_SLICE = 500  # blobs looked at between two turns for others


class LayoutStore:
    """See `ContentStore`. `name` is the `registry/repository` whose tags the bare tags in `ref.name` are."""

    def __init__(self, path: Path, name: str | None = None, *, metrics: Metrics | None = None) -> None:
        """Raises `StoreUnavailable` if `name` is none."""
        self._path = path
        self._name = name
        if name is not None:
            try:
                parse_image_name(f"{name}:latest")
            except InvalidName as error:
                raise StoreUnavailable(f"the layout's name {name!r} is no registry/repository") from error
        self._files = BlobFiles(path)
        self._holdings = Holdings(self._files, metrics)
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._listed = Event()
        self._is_unwatched = False
        self._problem: str | None = "the layout was not looked at yet"
        self._names = LayoutNames({}, {})
        self._images: dict[str, Image] = {}

    # -- ContentStore ---------------------------------------------------------

    def start(self, watcher: StoreWatcher) -> None:
        self._check_directory()
        self._listed.clear()
        self._holdings.attach(watcher)
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None
        self._holdings.detach()

    def wait_listed(self, timeout_s: float) -> bool:
        return self._listed.wait(timeout_s)

    def problem(self) -> str | None:
        return self._problem

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

    def ingest(self, digest: Digest) -> Ingest | None:  # noqa: ARG002 - downloads are not to be seen in a layout
        return None

    def skipped(self) -> int:
        """How many names there are that can't be served."""
        return len(self._holdings.inventory.skipped())

    # -- looking --------------------------------------------------------------

    def _check_directory(self) -> None:
        if not self._path.is_dir():
            raise StoreUnavailable(f"{self._path} is no directory: give --layout-path that of an OCI image layout")
        if not (self._path / "oci-layout").is_file():
            raise StoreUnavailable(
                f"{self._path} is no OCI image layout: it has no file oci-layout "
                "(make one with: skopeo copy docker://IMAGE oci:DIRECTORY:NAME)"
            )

    def _run(self) -> None:
        """The greenlet's root."""
        while True:
            try:
                self._follow()
            except StoreUnavailable as error:
                self._report(str(error))
            except Exception:
                log.exception("layout: looking failed", path=str(self._path))
                self._problem = f"looking at {self._path} failed; the log has the traceback"
            gevent.sleep(_PERIOD_UNWATCHED_S)

    def _follow(self) -> None:
        """Look, wait for a change, look again. Where watching is impossible look once; raises `StoreUnavailable`."""
        try:
            watch = DirectoryWatch([self._path, *(self._files.directory(algorithm) for algorithm in ALGORITHMS)])
        except StoreUnavailable as error:
            if not self._is_unwatched:
                log.warning("layout not watched", reason=str(error), looking_every_s=_PERIOD_UNWATCHED_S)
            self._is_unwatched = True
            self._look()
            return
        self._is_unwatched = False
        try:
            while True:
                began = time.monotonic()
                self._look()
                gevent.sleep(max(_REST_MIN_S, _REST * (time.monotonic() - began)))
                watch.read(_PERIOD_S)
        finally:
            watch.close()

    def _look(self) -> None:
        problem = None
        try:
            self._check_directory()
            self._read_names()
        except (StoreUnavailable, MalformedManifest) as error:
            problem = str(error)
        contents: dict[Digest, Content] = {}
        try:
            for number, (digest, size) in enumerate(self._files.scan(), 1):
                if not is_hollow(digest, size):
                    contents[digest] = Content(size)
                if number % _SLICE == 0:
                    gevent.sleep(0)
        except StoreUnavailable as error:
            problem = str(error)
        else:
            inventory = self._holdings.inventory
            inventory.begin_listing()
            inventory.end_listing(contents, self._images.values(), self._names.refused)
            self._holdings.announce()
        self._report(problem)
        self._holdings.count_listing("failed" if problem else "ok")
        if problem is None:
            self._listed.set()

    def _read_names(self) -> None:
        """Take over the names of `index.json`; on an error those of the look before stand."""
        content, moved_at = _read_index(self._path / "index.json")
        names = parse_index(content, self._name)
        # a layout does not say when a name was moved: it is when the index first showed it there
        self._images = {
            name: known
            if (known := self._images.get(name)) is not None and known.target == target
            else Image(name, target, moved_at)
            for name, target in names.targets.items()
        }
        self._names = names

    def _report(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            log.warning("layout not readable", path=str(self._path), problem=problem)
        self._problem = problem


def _read_index(path: Path) -> tuple[bytes, float]:
    """The bytes, and when they were written. Raises `StoreUnavailable`."""
    try:
        # to open a pipe would stop the whole process until somebody writes to it
        with open(path, "rb", opener=_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise StoreUnavailable(f"can't read {path}: it is no regular file")
            content = file.read(MAX_INDEX_BYTES + 1)
    except OSError as error:
        raise StoreUnavailable(f"can't read {path}: {error.strerror}") from error
    if len(content) > MAX_INDEX_BYTES:
        raise StoreUnavailable(f"{path} has more than {MAX_INDEX_BYTES} bytes")
    return content, status.st_mtime


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
