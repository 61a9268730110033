"""Keeps an inventory what containerd's is: by its events, by its files, and by listing it now and then.

Four greenlets, each a loop for ever. `connection`: wait for containerd, subscribe, ask for a listing, take in events;
at the stream's end, again. `listing`: list when asked to, and every few minutes. `files`: watch the content root, where
every containerd shows at once what landed and what garbage collection took. `landing`: ask about what landed until
containerd's database knows it too. Events and files are hints that can be lost; the listing is the truth, and takes
in what they said meanwhile (see `Inventory.end_listing`).
"""

import time
from collections.abc import Callable
from pathlib import Path

import gevent
import structlog
from gevent.event import Event

from app.content.blob import ALGORITHMS, BlobFiles, is_hollow, parse_file_name
from app.content.containerd_api import ContainerdApi, ContentCreated, ContentDeleted, ImageDeleted, ImageSet
from app.content.containerd_api import Event as ContainerdEvent
from app.content.holdings import Holdings
from app.content.inventory import Content
from app.content.landing import Landings
from app.content.remote import RemoteContents
from app.content.store import NotFound, StoreError, StoreUnavailable
from app.content.watch import DirectoryWatch, FileEvent, Happening
from app.key import Digest, InvalidName

log = structlog.get_logger()

DEFAULT_ROOT = Path("/var/lib/containerd/io.containerd.content.v1.content")
_CONNECT_S = 5.0
_RECONNECT_S = 0.3
_LISTING_PERIOD_S = 180.0
_LISTING_PERIOD_UNWATCHED_S = 10.0
# The subscription begins at an unknown moment shortly after the call: what happened before it, this listing finds.
_SECOND_LISTING_S = 1.5
_AFTER_DELETE_S = 1.0  # garbage collection follows the deletion of an image
_WATCH_AGAIN_S = 60.0
_SLICE = 500  # contents looked at between two turns for others


class Follower:
    """See above. `problem` says why the inventory may not be current; `listed` is set from the first listing on."""

    def __init__(self, api: ContainerdApi, holdings: Holdings, content_path: Path | None) -> None:
        self.problem: str | None = "containerd was not asked yet"
        self.listed = Event()
        self.files: BlobFiles | None = None
        self._api = api
        self._holdings = holdings
        self._inventory = holdings.inventory
        self._content_path = content_path
        self._landings = Landings()
        self._landed = Event()
        self._is_connected = False
        self._is_watched = False
        self._files_found = Event()
        self._listing_at = 0.0
        self._listing_moved = Event()
        self._odd: set[Digest] = set()
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def start(self) -> None:
        loops = {
            "connection": self._follow,
            "listing": self._list_now_and_then,
            "files": self._watch_files,
            "landing": self._ask_about_landings,
        }
        self._greenlets = [gevent.spawn(self._for_ever, name, loop) for name, loop in loops.items()]

    def stop(self) -> None:
        gevent.killall(self._greenlets)
        self._greenlets = []

    def _for_ever(self, name: str, loop: Callable[[], None]) -> None:
        """A greenlet's root."""
        while True:
            try:
                loop()
            except StoreError as error:
                self._report(str(error))
            except Exception:
                log.exception("following containerd failed", loop=name)
                self.problem = f"following containerd failed ({name}); the log has the traceback"
            gevent.sleep(_RECONNECT_S)

    def _report(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("containerd not followed", problem=problem)
        self.problem = problem

    # -- connection -----------------------------------------------------------

    def _follow(self) -> None:
        """One connection, until it breaks: raises `StoreUnavailable`."""
        version = self._api.version(_CONNECT_S)
        if self.files is None:
            self._find_files()
        with self._api.events() as events:
            log.info("following containerd", version=version)
            self._is_connected = True
            self._list_by(0.0)
            try:
                for event in events:
                    self._take_in(event)
            finally:
                self._is_connected = False

    def _take_in(self, event: ContainerdEvent) -> None:
        match event:
            case ImageSet(name):
                self._look_up_image(name)
            case ImageDeleted(name):
                self._inventory.drop_image(name)
                if not self._is_watched:
                    self._list_by(_AFTER_DELETE_S)
            case ContentCreated(digest, size):
                if self._is_here(digest, size):
                    self._inventory.put(digest, Content(size))
                self._ask_about(digest)  # for its labels, which come later
            case ContentDeleted(digest):
                self._landings.discard(digest)
                self._inventory.drop(digest)
        self._holdings.announce()

    def _look_up_image(self, name: str) -> None:
        """Events are taken in one by one, so that this answer can't undo a deletion that comes after it."""
        try:
            self._inventory.put_image(self._api.image(name))
        except NotFound:
            self._inventory.drop_image(name)
        except InvalidName as error:
            log.warning("image skipped", image=name, reason=str(error))
        self._holdings.announce()
        # the same content pulled under another name, or by another namespace, lands without a sign
        for digest, size in self._inventory.missing(name):
            if self._is_here(digest, size):
                self._ask_about(digest)

    # -- listing --------------------------------------------------------------

    def _list_by(self, delay_s: float) -> None:
        """List within this time at the latest."""
        self._listing_at = min(self._listing_at, time.monotonic() + delay_s)
        self._listing_moved.set()

    def _list_now_and_then(self) -> None:
        while (wait_s := self._listing_at - time.monotonic()) > 0 or not self._is_connected:
            self._listing_moved.clear()
            self._listing_moved.wait(wait_s if self._is_connected else None)
        is_first = self.problem is not None
        self._listing_at = time.monotonic() + _LISTING_PERIOD_S
        try:
            self._list()
        except StoreError:
            self._inventory.abandon_listing()
            self._holdings.count_listing("failed")
            self._listing_at = min(self._listing_at, time.monotonic() + _RECONNECT_S)
            raise
        self._holdings.count_listing("ok")
        if self._is_connected:
            self.problem = None
        self.listed.set()
        period_s = _LISTING_PERIOD_S if self._is_watched else _LISTING_PERIOD_UNWATCHED_S
        self._list_by(_SECOND_LISTING_S if is_first else period_s)

    def _list(self) -> None:
        self._inventory.begin_listing()
        # images first: then their content can only be missing if it is missing
        listed = self._api.images()
        contents = self._api.contents()
        present = self._present(contents)
        if self.files is not None and contents and not present:
            self._read_remotely(f"none of {len(contents)} contents has a file below {self.files.root}")
            present = contents
        self._inventory.end_listing(present, listed.images, listed.refused)
        self._holdings.announce()
        if not contents and not self.listed.is_set():
            self._check_namespace()
        log.debug("containerd listed", images=len(listed.images), contents=len(contents), present=len(present))

    def _present(self, contents: dict[Digest, Content]) -> dict[Digest, Content]:
        """Those whose file is there with the size that containerd knows. Others get their turn now and then."""
        present, odd = {}, set()
        for number, (digest, content) in enumerate(contents.items(), 1):
            if self._is_here(digest, content.size):
                present[digest] = content
            elif self.files is not None and self.files.size(digest) is not None:
                odd.add(digest)
            if number % _SLICE == 0:
                gevent.sleep(0)
        for digest in odd - self._odd:
            log.warning("content not served: its file has another size than containerd knows", digest=str(digest))
        self._odd = odd
        return present

    def _is_here(self, digest: Digest, size: int) -> bool:
        return not is_hollow(digest, size) and self._holdings.reader.holds(digest, size)

    def _check_namespace(self) -> None:
        namespaces = self._api.namespaces()
        if namespaces and self._api.namespace not in namespaces:
            log.warning(
                "containerd has no such namespace yet: is --containerd-namespace right?",
                namespace=self._api.namespace,
                there_are=namespaces,
            )

    # -- files ----------------------------------------------------------------

    def _find_files(self) -> None:
        """Decide where bytes are read: from the content root, or, if that can't be, through containerd."""
        root = self._content_path or self._api.content_root() or DEFAULT_ROOT
        if self._content_path is None and not _may_come(root):
            root = DEFAULT_ROOT  # what containerd sees may be mounted elsewhere here
        files = BlobFiles(root)
        try:
            next(files.scan(), None)
        except StoreUnavailable as error:
            self._read_remotely(str(error))
            return
        if not _may_come(root):
            self._read_remotely(f"there is no directory {root}")
            return
        self.files = self._holdings.reader = files
        self._files_found.set()
        log.info("content root", path=str(root))

    def _read_remotely(self, reason: str) -> None:
        if not isinstance(self._holdings.reader, RemoteContents):
            log.warning(
                "content is read through containerd, which is slow: mount its content root and give its path by "
                "--containerd-content-path",
                reason=reason,
            )
        self.files, self._is_watched = None, False
        self._holdings.reader = RemoteContents(self._api)

    def _watch_files(self) -> None:
        self._files_found.wait()
        if self.files is None:
            self._files_found.clear()
            return
        try:
            watch = DirectoryWatch(self.files.directory(algorithm) for algorithm in ALGORITHMS)
        except StoreUnavailable as error:
            log.warning("content root not watched", reason=str(error), listing_every_s=_LISTING_PERIOD_UNWATCHED_S)
            gevent.sleep(_WATCH_AGAIN_S)
            return
        self._is_watched = True
        self._list_by(0.0)  # what landed before the watch began
        try:
            while self.files is not None:
                for event in watch.read(None):
                    self._note(event)
        finally:
            self._is_watched = False
            watch.close()

    def _note(self, event: FileEvent) -> None:
        if event.happening is Happening.LOOK or event.directory is None:
            self._list_by(0.0)
            return
        digest = parse_file_name(event.directory.name, event.name)
        if digest is None:
            return
        if event.happening is Happening.LANDED:
            self._ask_about(digest)
        else:
            self._landings.discard(digest)
            self._inventory.drop(digest)
            self._holdings.announce()

    # -- landing --------------------------------------------------------------

    def _ask_about(self, digest: Digest) -> None:
        if not self._landings.add(digest, time.monotonic()):
            self._list_by(_AFTER_DELETE_S)
        self._landed.set()

    def _ask_about_landings(self) -> None:
        while (digest := self._landings.due(time.monotonic())) is None:
            self._landed.clear()
            due_at = self._landings.next_due()
            self._landed.wait(None if due_at is None else max(0.0, due_at - time.monotonic()))
        try:
            content = self._api.content(digest)
        except StoreError:
            self._landings.again(digest, time.monotonic())
            return
        if digest not in self._landings:
            return  # it went while we asked
        if self._is_here(digest, content.size):
            self._inventory.put(digest, content)
            self._holdings.announce()
        if content.sources:
            self._landings.discard(digest)
        else:
            self._landings.again(digest, time.monotonic())


def _may_come(root: Path) -> bool:
    """Whether a content root is there or can come to be: containerd 2 makes it with the first content."""
    return root.is_dir() or (root.parent.is_dir() and not root.exists())
