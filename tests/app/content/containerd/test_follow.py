"""Following containerd, over a stand-in for its API: the order of things that real daemons show only by chance."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
import structlog
from gevent.queue import Queue

from app.content.blob import BlobFiles
from app.content.containerd.api import ContentCreated, ContentDeleted, Event, ImageDeleted, ImageList, ImageSet
from app.content.containerd.follow import Follower
from app.content.holdings import Holdings
from app.content.inventory import Content
from app.content.store import Image, NotFound, StoreUnavailable
from app.key import Digest
from tests.contracts.content_store import NAME, PATIENCE_S, RecordingWatcher
from tests.images import TestImage, build_image, write_blob


class FakeApi:
    """Answers like `ContainerdApi`. Content is in the files of `root`; `known` is what containerd's database knows."""

    namespace = "k8s.io"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.known: dict[Digest, Content] = {}
        self.names: dict[str, Image] = {}
        self.refused: dict[str, str] = {}
        self.there_are = ["k8s.io"]
        self.is_down = False
        self.subscriptions = 0
        self.while_listing: Callable[[], None] = lambda: None
        self._events: Queue[Event | None] = Queue()

    def put(self, content: bytes) -> Digest:
        digest = write_blob(self.root, content)
        self.known[digest] = Content(len(content), frozenset({("registry.test", "team/app")}))
        return digest

    def put_image(self, name: str, image: TestImage) -> None:
        for blob in image.blobs.values():
            self.put(blob.content)
        self.names[name] = Image(name, image.target, 0.0)

    def tell(self, event: Event) -> None:
        self._events.put(event)

    def break_stream(self) -> None:
        self._events.put(None)

    # -- what the follower calls ----------------------------------------------

    def version(self, timeout_s: float) -> str:
        self._check()
        return "fake"

    def content_root(self) -> Path:
        return self.root

    def namespaces(self) -> list[str]:
        return self.there_are

    def images(self) -> ImageList:
        self._check()
        listed = ImageList(list(self.names.values()), dict(self.refused))
        self.while_listing()
        return listed

    def contents(self) -> dict[Digest, Content]:
        return dict(self.known)

    def image(self, name: str) -> Image:
        if name not in self.names:
            raise NotFound(name)
        return self.names[name]

    def content(self, digest: Digest) -> Content:
        if digest not in self.known:
            raise NotFound(str(digest))
        return self.known[digest]

    @contextmanager
    def events(self) -> Iterator[Iterator[Event]]:
        self._check()
        self.subscriptions += 1
        yield self._take()

    def _take(self) -> Iterator[Event]:
        while (event := self._events.get()) is not None:
            yield event
        raise StoreUnavailable("containerd ended the event stream")

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailable("containerd is down")


class Following:
    """A follower at work, and what its watcher hears."""

    def __init__(self, root: Path) -> None:
        self.api = FakeApi(root)
        self.holdings = Holdings(BlobFiles(root), None)
        self.watcher = RecordingWatcher()
        self.holdings.attach(self.watcher)
        self.follower = Follower(self.api, self.holdings, None)

    def start(self) -> None:
        self.follower.start()
        assert self.follower.listed.wait(PATIENCE_S)

    def until(self, condition: Callable[[], bool]) -> None:
        """For what the watcher is not told."""
        with gevent.Timeout(PATIENCE_S):
            while not condition():
                gevent.idle()


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Following]:
    root = tmp_path / "content"
    (root / "blobs/sha256").mkdir(parents=True)
    following = Following(root)
    yield following
    following.follower.stop()


def test_events_during_a_listing(following: Following) -> None:
    """What events say while a listing is under way is neither lost nor undone by it."""
    deleted, moved, fresh = build_image([b"deleted"]), build_image([b"moved"]), build_image([b"fresh"])
    api = following.api
    api.put_image(f"{NAME}:deleted", deleted)
    api.put_image(f"{NAME}:moved", deleted)

    def meanwhile() -> None:
        api.while_listing = lambda: None
        del api.names[f"{NAME}:deleted"]
        api.tell(ImageDeleted(f"{NAME}:deleted"))
        api.put_image(f"{NAME}:moved", moved)
        api.tell(ImageSet(f"{NAME}:moved"))
        api.put_image(f"{NAME}:fresh", fresh)
        api.tell(ImageSet(f"{NAME}:fresh"))
        api.tell(ContentDeleted(deleted.layers[0].digest))
        gevent.sleep(0)
        following.until(lambda: following.api._events.empty())

    api.while_listing = meanwhile
    following.start()
    following.watcher.wait(
        lambda: following.watcher.tags() == {f"{NAME}:moved": moved.digest, f"{NAME}:fresh": fresh.digest}
    )


def test_stream_breaks(following: Following) -> None:
    """When the stream ends that is a problem; it is subscribed and listed again, and then it is none."""
    following.start()
    assert following.follower.problem is None
    following.api.is_down = True
    following.api.break_stream()
    following.until(lambda: following.follower.problem is not None)
    following.until(lambda: following.follower.problem == "containerd is down")
    image = build_image([b"while away"])
    following.api.put_image(f"{NAME}:1", image)
    following.api.is_down = False
    following.watcher.wait(lambda: f"{NAME}:1" in following.watcher.tags())
    following.until(lambda: following.follower.problem is None)
    assert following.api.subscriptions == 2


def test_problem_is_logged_once(following: Following) -> None:
    """A containerd that stays away is one line in the log, not one for each try."""
    following.api.is_down = True
    with structlog.testing.capture_logs() as logs:
        following.follower.start()
        following.until(lambda: following.follower.problem == "containerd is down")
        following.follower.stop()
    assert [entry["problem"] for entry in logs if entry["log_level"] == "warning"] == ["containerd is down"]


def test_listing_fails(following: Following) -> None:
    """A listing that fails is tried again, and what events said meanwhile stands."""
    digest = Digest.of(b"by event")

    def fail_once() -> None:
        following.api.while_listing = lambda: None
        following.api.put(b"by event")
        following.api.tell(ContentCreated(digest, 8))
        following.until(lambda: digest in following.holdings.inventory)
        raise StoreUnavailable("broken off")

    following.api.while_listing = fail_once
    following.start()
    assert following.watcher.digests() == {digest}


def test_event_before_its_file(following: Following) -> None:
    """Content whose file is not there, or empty, is not in the inventory, whatever an event says."""
    following.start()
    hollow = Digest.of(b"hollow")
    (following.api.root / "blobs/sha256" / hollow.hex).touch()
    following.api.tell(ContentCreated(Digest.of(b"no file"), 7))
    following.api.tell(ContentCreated(hollow, 0))
    digest = following.api.put(b"last")
    following.api.tell(ContentCreated(digest, 4))
    following.watcher.wait(lambda: digest in following.watcher.digests())
    assert following.watcher.digests() == {digest}


def test_image_of_another_name(following: Following) -> None:
    """Content that another namespace had already lands without a sign; an image that names it brings it in."""
    following.start()
    image = build_image([b"shared"])
    for blob in image.blobs.values():
        write_blob(following.api.root, blob.content)
    following.until(lambda: len(list((following.api.root / "blobs/sha256").iterdir())) == len(image.blobs))
    following.api.put_image(f"{NAME}:1", image)
    following.api.tell(ImageSet(f"{NAME}:1"))
    following.watcher.wait(lambda: f"{NAME}:1" in following.watcher.tags())
    following.watcher.wait(lambda: following.watcher.digests() == image.blobs.keys())


def test_odd_size(following: Following) -> None:
    """A file of another size than containerd knows is not served, and said so once for each time it is found so."""
    digest = following.api.put(b"right")
    (following.api.root / "blobs/sha256" / digest.hex).write_bytes(b"wrong size")
    other = following.api.put(b"other")
    with structlog.testing.capture_logs() as logs:
        following.start()
    assert following.watcher.digests() == {other}
    assert [entry["digest"] for entry in logs if "another size" in entry["event"]] == [str(digest)]


def test_unknown_namespace(following: Following) -> None:
    """A namespace that containerd does not have, while it has others, is pointed out."""
    following.api.there_are = ["moby"]
    with structlog.testing.capture_logs() as logs:
        following.start()
    (entry,) = [entry for entry in logs if "namespace" in entry["event"]]
    assert (entry["namespace"], entry["there_are"]) == ("k8s.io", ["moby"])


def test_refused_images(following: Following) -> None:
    """Images whose target means nothing to us are skipped, and counted."""
    following.api.refused = {"registry.test/x:1": "strange"}
    following.start()
    assert following.holdings.inventory.skipped() == {"registry.test/x:1": "strange"}
