"""Keeps an inventory what containerd's is: by its events, by its files, and by listing it now and then.

Four greenlets, each a loop for ever. `connection`: wait for containerd, subscribe, ask for a listing, take in events;
at the stream's end, again. `listing`: list when asked to, and every few minutes. `files`: watch the content root.
`landing`: ask about what landed there. Events and files are hints that can be lost; the listing is the truth, and takes
in what they said meanwhile (see `Inventory.end_listing`).
"""

import time
from collections.abc import Callable
from pathlib import Path

import gevent
import structlog
from gevent.event import Event

from app.content.blob import is_hollow
from app.content.containerd.api import ContainerdApi, ContentCreated, ContentDeleted, ImageDeleted, ImageSet
from app.content.containerd.api import Event as ContainerdEvent
from app.content.containerd.questions import LandingQuestions
from app.content.containerd.root import ContentRoot
from app.content.holdings import Holdings
from app.content.inventory import Content
from app.content.store import NotFound, StoreError
from app.key import Digest, InvalidName

log = structlog.get_logger()

_CONNECT_S = 5.0
_RECONNECT_S = 0.3
_LISTING_PERIOD_S = 180.0
_LISTING_PERIOD_UNWATCHED_S = 10.0
# The subscription begins at an unknown moment shortly after the call: what happened before it, this listing finds.
_SECOND_LISTING_S = 1.5
_AFTER_DELETE_S = 1.0  # garbage collection follows the deletion of an image
_AFTER_FLOOD_S = 1.0  # more landed than there is room to ask about
_SLICE = 500  # contents looked at between two turns for others


class Follower:
    """See above. `problem` says why the inventory may not be current; `listed` is set from the first listing on."""

    def __init__(self, api: ContainerdApi, holdings: Holdings, content_path: Path | None) -> None:
        self.problem: str | None = "containerd was not asked yet"
        self.listed = Event()
        self.root = ContentRoot(api, content_path, self)
        self._api = api
        self._holdings = holdings
        self._inventory = holdings.inventory
        self._questions = LandingQuestions(api, self._found)
        self._is_connected = False
        self._listing_at = 0.0
        self._listing_moved = Event()
        self._odd: set[Digest] = set()
        self._greenlets: list[gevent.Greenlet[..., None]] = []

    def start(self) -> None:
        loops = {
            "connection": self._follow,
            "listing": self._list_now_and_then,
            "files": self.root.watch,
            "landing": self._questions.answer_all,
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
        if self.root.files is None:
            self.root.find()
            self._holdings.reader = self.root.reader
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
                if not self.root.is_watched:
                    self._list_by(_AFTER_DELETE_S)
            case ContentCreated(digest, size):
                if self._is_here(digest, size):
                    self._inventory.put(digest, Content(size))
                self._ask_about(digest)  # for its labels, which come later
            case ContentDeleted(digest):
                self._questions.cancel(digest)
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
        period_s = _LISTING_PERIOD_S if self.root.is_watched else _LISTING_PERIOD_UNWATCHED_S
        self._list_by(_SECOND_LISTING_S if is_first else period_s)

    def _list(self) -> None:
        self._inventory.begin_listing()
        # images first: then their content can only be missing if it is missing
        listed = self._api.images()
        contents = self._api.contents()
        present = self._present(contents)
        if self.root.files is not None and contents and not present:
            self.root.give_up(f"none of {len(contents)} contents has a file below {self.root.files.root}")
            self._holdings.reader = self.root.reader
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
            elif self.root.files is not None and self.root.files.size(digest) is not None:
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

    # -- what files and questions say -----------------------------------------

    def landed(self, digest: Digest) -> None:
        """See `RootListener`."""
        self._ask_about(digest)

    def gone(self, digest: Digest) -> None:
        """See `RootListener`."""
        self._questions.cancel(digest)
        self._inventory.drop(digest)
        self._holdings.announce()

    def look(self) -> None:
        """See `RootListener`."""
        self._list_by(0.0)

    def _ask_about(self, digest: Digest) -> None:
        if not self._questions.ask(digest):
            self._list_by(_AFTER_FLOOD_S)

    def _found(self, digest: Digest, content: Content) -> None:
        if self._is_here(digest, content.size):
            self._inventory.put(digest, content)
            self._holdings.announce()
