"""Where containerd's content is read from, and what its files say."""

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
import structlog
from gevent.event import Event

from app.content.blob import BlobFiles
from app.content.containerd.remote import RemoteContents
from app.content.containerd.root import ContentRoot
from app.key import Digest
from tests.images import write_blob

PATIENCE_S = 10.0


class NamingApi:
    """A containerd that names its content root."""

    def __init__(self, root: Path | None) -> None:
        self.root = root

    def content_root(self) -> Path | None:
        return self.root


class Listener:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Digest | None]] = []
        self._news = Event()

    def landed(self, digest: Digest) -> None:
        self._note("landed", digest)

    def gone(self, digest: Digest) -> None:
        self._note("gone", digest)

    def look(self) -> None:
        self._note("look", None)

    def wait(self, wanted: tuple[str, Digest | None]) -> None:
        while wanted not in self.told:
            self._news.clear()
            assert self._news.wait(PATIENCE_S), f"{wanted} was not told, but {self.told}"

    def _note(self, what: str, digest: Digest | None) -> None:
        self.told.append((what, digest))
        self._news.set()


@pytest.fixture
def listener() -> Listener:
    return Listener()


def _root(named: Path | None, given: Path | None, listener: Listener) -> ContentRoot:
    root = ContentRoot(NamingApi(named), given, listener)
    root.find()
    return root


def test_given_path_wins(tmp_path: Path, listener: Listener) -> None:
    """The path that is given counts, else the one that containerd names."""
    for name in ("given", "named"):
        (tmp_path / name).mkdir()
    given = _root(tmp_path / "named", tmp_path / "given", listener)
    assert given.files is not None
    assert given.files.root == tmp_path / "given"
    named = _root(tmp_path / "named", None, listener)
    assert named.files is not None
    assert named.files.root == tmp_path / "named"


def test_not_made_yet(tmp_path: Path, listener: Listener) -> None:
    """A root that containerd will make with its first content is waited for, not given up."""
    root = _root(tmp_path / "comes/later", None, listener)
    assert root.files is None
    (tmp_path / "comes").mkdir()
    root.find()
    assert isinstance(root.reader, BlobFiles)


@pytest.mark.parametrize("kind", ["absent", "file"])
def test_given_up(tmp_path: Path, listener: Listener, kind: str) -> None:
    """A path that can't be a content root is said once, with the option; content then comes through containerd."""
    path = tmp_path / "absent" / "root"
    if kind == "file":
        path = tmp_path / "file"
        path.write_bytes(b"x")
    with structlog.testing.capture_logs() as logs:
        root = _root(None, path, listener)
        root.find()
    assert root.files is None
    assert isinstance(root.reader, RemoteContents)
    (entry,) = logs
    assert "--containerd-content-path" in entry["event"]
    assert str(path) in entry["reason"]


@pytest.fixture
def watched(tmp_path: Path, listener: Listener) -> Iterator[ContentRoot]:
    root = _root(None, tmp_path, listener)
    greenlet = gevent.spawn(root.watch)
    listener.wait(("look", None))
    yield root
    greenlet.kill()


def test_landed_and_gone(tmp_path: Path, watched: ContentRoot, listener: Listener) -> None:
    """Files with a digest for a name are told when they land and when they go, others are not."""
    assert watched.is_watched
    listener.told.clear()
    (tmp_path / "blobs/sha256").mkdir(parents=True)
    listener.wait(("look", None))
    digest = write_blob(tmp_path, b"content")  # its temporary name comes first, and is nobody's news
    later = write_blob(tmp_path, b"later")
    listener.wait(("landed", later))
    assert ("landed", digest) in listener.told
    for each in (digest, later):
        (tmp_path / "blobs/sha256" / each.hex).unlink()
        listener.wait(("gone", each))
    assert {each for what, each in listener.told if what != "look"} == {digest, later}


def test_giving_up_ends_the_watch(tmp_path: Path, watched: ContentRoot, listener: Listener) -> None:
    """Once the files are given up they are not listened to any more."""
    watched.give_up("for a test")
    assert not watched.is_watched
    assert watched.files is None
