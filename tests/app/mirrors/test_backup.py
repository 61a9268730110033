"""The memory of what stood there before."""

import os
from pathlib import Path

import pytest

from app.mirrors.atomic import Files, Snapshot
from app.mirrors.backup import BACKUP_DIRECTORY, Backup, State, digest


@pytest.fixture
def backup(tmp_path: Path) -> Backup:
    """Of one directory."""
    return Backup(tmp_path, "docker.io", Files())


def _file(content: bytes) -> Snapshot:
    return Snapshot(content, 0o640, os.geteuid(), os.getegid(), 5)


def test_a_backup_is_valid_with_its_state(backup: Backup) -> None:
    """The copy alone is the rest of a crash."""
    backup.keep(_file(b"old"))
    assert backup.state() is None
    state = State((digest(b"new"),), ("http://a",), made_directory=True)
    backup.note(state)
    assert (backup.state(), backup.original()) == (state, _file(b"old"))


def test_no_original_is_kept_as_none(backup: Backup) -> None:
    """Also after another one was kept."""
    backup.keep(_file(b"old"))
    backup.keep(None)
    assert backup.original() is None


def test_forgetting_drops_everything(backup: Backup, tmp_path: Path) -> None:
    """The folder of all backups too, if this was the last one; twice is fine."""
    backup.keep(_file(b"old"))
    backup.note(State((), (), made_directory=False))
    backup.forget()
    backup.forget()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_stays_for_others(backup: Backup, tmp_path: Path) -> None:
    """Forgetting one leaves the next alone."""
    other = Backup(tmp_path, "ghcr.io", Files())
    other.keep(_file(b"x"))
    backup.keep(None)
    backup.forget()
    assert [each.name for each in (tmp_path / BACKUP_DIRECTORY).iterdir()] == ["ghcr.io"]


def test_backups_are_private(backup: Backup, tmp_path: Path) -> None:
    """An original may hold credentials."""
    backup.keep(_file(b"old"))
    assert (tmp_path / BACKUP_DIRECTORY).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"version": 2}', '{"version": 1, "written": 3}', "null"])
def test_a_state_that_cannot_be_used_is_named(backup: Backup, content: str) -> None:
    """One of a later version must not be guessed at."""
    backup.keep(None)
    path = backup.original_path.with_name("state.json")
    path.write_text(content)
    with pytest.raises(ValueError, match=r"state\.json can't be used"):
        backup.state()


def test_only_our_own_bytes_are_ours() -> None:
    """A link never is."""
    state = State((digest(b"a"), digest(b"b")), (), made_directory=False)
    assert state.wrote(_file(b"b"))
    assert not state.wrote(_file(b"c"))
    assert not state.wrote(Snapshot(b"a", 0o600, 0, 0, link="elsewhere"))
