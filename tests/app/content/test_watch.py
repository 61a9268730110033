"""Watching directories: what lands, what goes, and directories that come and go themselves."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import inotify_simple
import pytest

from app.content.store import StoreUnavailable
from app.content.watch import DirectoryWatch, FileEvent, Happening

PATIENCE_S = 10.0
LOOK = FileEvent(Happening.LOOK)


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    """The directory to be watched: two levels below one that is there."""
    return tmp_path / "blobs" / "sha256"


@pytest.fixture
def watch(wanted: Path) -> Iterator[DirectoryWatch]:
    watch = DirectoryWatch([wanted])
    yield watch
    watch.close()
    watch.close()


def _until(watch: DirectoryWatch, wanted: FileEvent) -> list[FileEvent]:
    """Read until this one has come; all that came."""
    seen: list[FileEvent] = []
    while wanted not in seen:
        events = watch.read(PATIENCE_S)
        assert events, f"nothing came in {PATIENCE_S} s after {seen}"
        seen += events
    return seen


def test_lands_and_goes(tmp_path: Path) -> None:
    """A file that is renamed into the directory or written there has landed; deleted or moved away it is gone."""
    watch = DirectoryWatch([tmp_path])
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_bytes(b"x")
    outside.rename(tmp_path / "moved")
    _until(watch, FileEvent(Happening.LANDED, tmp_path, "moved"))
    (tmp_path / "written").write_bytes(b"x")
    _until(watch, FileEvent(Happening.LANDED, tmp_path, "written"))
    os.link(tmp_path / "written", tmp_path / "linked")
    _until(watch, FileEvent(Happening.LANDED, tmp_path, "linked"))
    (tmp_path / "written").unlink()
    _until(watch, FileEvent(Happening.GONE, tmp_path, "written"))
    (tmp_path / "moved").rename(outside)
    _until(watch, FileEvent(Happening.GONE, tmp_path, "moved"))
    watch.close()


def test_nothing_happens(watch: DirectoryWatch) -> None:
    """Without news a read ends after its time with nothing, at once if it is not to wait."""
    assert watch.read(0) == []
    assert watch.read(0.01) == []


def test_directory_comes_later(wanted: Path, watch: DirectoryWatch) -> None:
    """A directory that is made later, level by level, is watched from then on, after a call to look."""
    (wanted.parent.parent / "unrelated").mkdir()
    wanted.parent.mkdir()
    wanted.mkdir()
    _until(watch, LOOK)
    (wanted / "file").write_bytes(b"x")
    assert FileEvent(Happening.LANDED, wanted, "file") in _until(watch, FileEvent(Happening.LANDED, wanted, "file"))


def test_unrelated_events_are_not_told(wanted: Path, watch: DirectoryWatch) -> None:
    """What happens in an ancestor that is watched only for what is missing is nobody's news."""
    (wanted.parent.parent / "unrelated").write_bytes(b"x")
    assert watch.read(PATIENCE_S) == []


def test_directory_goes_and_comes(wanted: Path, watch: DirectoryWatch) -> None:
    """A directory that is removed, or moved away, and made anew is watched anew."""
    wanted.mkdir(parents=True)
    _until(watch, LOOK)
    wanted.rmdir()
    _until(watch, LOOK)
    wanted.mkdir()
    _until(watch, LOOK)
    wanted.rename(wanted.with_name("old"))
    _until(watch, LOOK)
    wanted.mkdir()
    _until(watch, LOOK)
    (wanted / "file").write_bytes(b"x")
    _until(watch, FileEvent(Happening.LANDED, wanted, "file"))


def test_ancestor_goes(wanted: Path, watch: DirectoryWatch) -> None:
    """Also a removal of the ancestor that is watched meanwhile loses nothing."""
    wanted.mkdir(parents=True)
    _until(watch, LOOK)
    wanted.rmdir()
    wanted.parent.rmdir()
    _until(watch, LOOK)
    wanted.mkdir(parents=True)
    _until(watch, LOOK)
    (wanted / "file").write_bytes(b"x")
    _until(watch, FileEvent(Happening.LANDED, wanted, "file"))


def test_nested(tmp_path: Path) -> None:
    """A directory and one below it can be watched at once, as a layout's root and its blobs are."""
    below = tmp_path / "blobs"
    watch = DirectoryWatch([tmp_path, below])
    below.mkdir()
    _until(watch, LOOK)
    (below / "blob").write_bytes(b"x")
    (tmp_path / "index.json").write_bytes(b"x")
    seen = _until(watch, FileEvent(Happening.LANDED, tmp_path, "index.json"))
    assert FileEvent(Happening.LANDED, below, "blob") in seen
    watch.close()


def test_file_in_the_way(wanted: Path, watch: DirectoryWatch) -> None:
    """A file where a directory should be is waited out like an absent one."""
    wanted.parent.write_bytes(b"x")
    assert watch.read(PATIENCE_S) == []
    wanted.parent.unlink()
    wanted.mkdir(parents=True)
    _until(watch, LOOK)


def test_overflow(tmp_path: Path) -> None:
    """When the kernel's queue is full, the news is to look at everything."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    watch = DirectoryWatch([tmp_path])
    file = tmp_path / "file"
    other = tmp_path / "other"
    for _ in range(limit // 2 + 10):  # alternating, since equal events are merged
        file.touch()
        file.rename(other)
        other.rename(file)
    assert LOOK in watch.read(0)
    watch.close()


def test_too_many_watchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the kernel gives no more inotify descriptors, the error names the setting to raise."""

    def refuse(*arguments: object, **keywords: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify_simple, "INotify", refuse)
    with pytest.raises(StoreUnavailable, match="max_user_instances"):
        DirectoryWatch([tmp_path])


def test_does_not_fork(tmp_path: Path) -> None:
    """To watch starts no program: a process that runs gRPC must not fork."""
    program = (
        "import sys; forks = []\n"
        "sys.addaudithook(lambda event, _: forks.append(event) if event in ('os.fork', 'os.posix_spawn', "
        "'subprocess.Popen', 'os.system') else None)\n"
        "import pathlib; from app.content.watch import DirectoryWatch\n"
        f"DirectoryWatch([pathlib.Path({str(tmp_path)!r})]).close()\n"
        "sys.exit(bool(forks))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
