"""Files that are replaced whole."""

import os
from pathlib import Path

import pytest

from app.mirrors.atomic import Files, Snapshot


@pytest.fixture
def files() -> Files:
    """The real file system, below a temporary directory."""
    return Files()


def _snapshot(content: bytes, mode: int = 0o644) -> Snapshot:
    return Snapshot(content, mode, os.geteuid(), os.getegid())


def test_content_mode_owner_and_time_are_given_back(tmp_path: Path, files: Files) -> None:
    """A snapshot that is placed elsewhere is the same file."""
    source = tmp_path / "a"
    source.write_bytes(b"x\0y")
    source.chmod(0o640)
    os.utime(source, ns=(1, 1_234_567_890_123_456_789))
    if os.geteuid() == 0:
        os.chown(source, 12, 34)
    taken = files.snapshot(source)
    assert taken is not None
    files.place(tmp_path / "b", taken)
    assert files.snapshot(tmp_path / "b") == taken


def test_a_link_is_given_back_as_a_link(tmp_path: Path, files: Files) -> None:
    """Its content and mode are those of what it leads to."""
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "link").symlink_to("secret")
    taken = files.snapshot(tmp_path / "link")
    assert taken is not None
    assert (taken.content, taken.mode, taken.link) == (b"s", 0o600, "secret")
    files.place(tmp_path / "other", taken)
    assert (tmp_path / "other").readlink() == Path("secret")


def test_a_link_to_nowhere_is_empty_and_private(tmp_path: Path, files: Files) -> None:
    """What it will lead to is not known."""
    (tmp_path / "link").symlink_to("nowhere")
    taken = files.snapshot(tmp_path / "link")
    assert taken is not None
    assert (taken.content, taken.mode, taken.link) == (b"", 0o600, "nowhere")


def test_nothing_is_none_and_a_directory_an_error(tmp_path: Path, files: Files) -> None:
    """Also where a file stands in the way."""
    (tmp_path / "file").write_bytes(b"")
    assert files.snapshot(tmp_path / "no") is None
    assert files.snapshot(tmp_path / "file" / "below") is None
    with pytest.raises(OSError, match="no regular file"):
        files.snapshot(tmp_path)


def test_what_a_crash_left_is_overwritten(tmp_path: Path, files: Files) -> None:
    """Even a link that somebody put in the way: it is not followed."""
    target = tmp_path / "file"
    (tmp_path / "victim").write_bytes(b"untouched")
    files.temporary(target).symlink_to("victim")
    files.place(target, _snapshot(b"new"))
    assert (tmp_path / "victim").read_bytes() == b"untouched"
    assert files.names(tmp_path) == ["file", "victim"]


def test_the_umask_does_not_matter(tmp_path: Path, files: Files) -> None:
    """A mode is what it was asked to be."""
    before = os.umask(0o077)
    try:
        files.place(tmp_path / "file", _snapshot(b"", 0o644))
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_directories_are_made_and_dropped_when_empty(tmp_path: Path, files: Files) -> None:
    """Making one that is there, and dropping one that is not, are fine."""
    deep = tmp_path / "a" / "b"
    for _ in range(2):
        files.make_directory(deep, 0o700)
    assert files.discard_directory(tmp_path / "a") is False
    assert files.discard_directory(deep) is True
    assert files.discard_directory(deep) is True
    assert files.names(deep) == []


def test_discarding_what_is_not_there_is_fine(tmp_path: Path, files: Files) -> None:
    """Whoever finishes a crashed run can't know how far it came."""
    files.discard(tmp_path / "no")
    files.discard(tmp_path / "no" / "below")
    assert files.names(tmp_path) == []
