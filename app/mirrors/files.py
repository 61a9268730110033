"""`rykte mirror add` and `remove` on a real directory: atomic, repeatable, and undone byte for byte.

Whatever step a crash interrupts, running either command again brings its end about; see `backup.py`.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.mirrors.atomic import Files, Snapshot
from app.mirrors.backup import BACKUP_DIRECTORY, HOSTS_FILE, Backup, State, digest
from app.mirrors.plan import DEFAULT, Existing, MirrorError, Mirrors, Registry, hosts_toml, names_any

_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644
_SECRET_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one directory; `kept` is why its file was left as it is."""

    directory: str
    done: str
    kept: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """One directory as it stands: `current` is what is there now, `original` what is to be given back."""

    state: State | None
    current: Snapshot | None
    original: Snapshot | None

    @property
    def is_foreign(self) -> bool:
        """Whether the file is neither ours nor the original: somebody else wrote it since."""
        if self.state is None or self.current is None or self.state.wrote(self.current):
            return False
        return not _same(self.current, self.original)


class HostsFiles:
    """One certs directory (containerd's `config_path`). All methods raise `MirrorError`."""

    def __init__(self, certs_dir: Path, files: Files | None = None) -> None:
        self._certs_dir = certs_dir
        self._files = files or Files()

    def add(self, registries: Sequence[Registry], mirrors: Mirrors) -> list[Outcome]:
        """Put the mirrors first for these registries. All files are planned before the first is written."""
        with self._translated("written"):
            self._files.make_directory(self._certs_dir, _DIRECTORY_MODE)
            with self._locked():
                plans = []
                for registry in dict.fromkeys(registries):
                    directory = self._directory(registry)
                    found = self._adopted(self._find(directory))
                    plans.append((directory, found, self._wanted(registry, directory, found, mirrors)))
                return [self._write(directory, found, wanted, mirrors) for directory, found, wanted in plans]

    def remove(self) -> list[Outcome]:
        """Give back what was there before, in all directories that we wrote to."""
        with self._translated("given back"):
            if not self._certs_dir.is_dir():
                return []
            with self._locked():
                root = self._certs_dir / BACKUP_DIRECTORY
                outcomes = [self._give_back(name) for name in self._files.names(root) if (root / name).is_dir()]
                self._files.discard_directory(root)
                return [outcome for outcome in outcomes if outcome is not None]

    def _find(self, directory: str) -> _Found:
        backup = self._backup(directory)
        state = backup.state()
        current = self._files.snapshot(self._path(directory))
        return _Found(state, current, current if state is None else backup.original())

    def _adopted(self, found: _Found) -> _Found:
        """A file that somebody put in place of ours, and that knows nothing of our mirrors, is the new original."""
        if found.state is None or found.current is None or not found.is_foreign:
            return found
        if names_any(found.current.content, found.state.mirrors):
            return found
        return _Found(None, found.current, found.current)

    def _wanted(self, registry: Registry, directory: str, found: _Found, mirrors: Mirrors) -> Snapshot:
        """Our file. It takes over what was there, so it may be read by nobody who could not read that."""
        source, existing = self._existing(directory, found)
        content = hosts_toml(registry, mirrors, existing)
        mode, uid, gid = _FILE_MODE, os.geteuid(), os.getegid()
        if source is not None:
            mode, uid, gid = source.mode, source.uid, source.gid
        return Snapshot(content, mode & _SECRET_MODE if mirrors.header else mode, uid, gid)

    def _existing(self, directory: str, found: _Found) -> tuple[Snapshot | None, Existing]:
        """What holds for this registry without us, and the file that says so."""
        if found.original is not None:
            return found.original, Existing(str(self._path(directory)), found.original.content)
        made_by_us = found.state is not None and found.state.made_directory
        if directory == DEFAULT or (not made_by_us and (self._certs_dir / directory).is_dir()):
            return None, Existing(beside=tuple(self._files.names(self._certs_dir / directory)))
        default = self._adopted(self._find(DEFAULT)).original
        if default is None:
            return None, Existing()
        return default, Existing(str(self._path(DEFAULT)), default.content, moved_from=DEFAULT)

    def _write(self, directory: str, found: _Found, wanted: Snapshot, mirrors: Mirrors) -> Outcome:
        if found.is_foreign:
            return Outcome(
                directory,
                "kept",
                f"{self._path(directory)} was edited since rykte wrote it: to have it written anew, remove it first",
            )
        if found.state is not None and found.current is not None and found.current.content == wanted.content:
            return Outcome(directory, "unchanged")
        backup = self._backup(directory)
        made = found.state.made_directory if found.state else not (self._certs_dir / directory).is_dir()
        if found.state is None:
            backup.keep(found.original)
        ours_is_in_place = found.state is not None and found.current is not None and found.state.wrote(found.current)
        in_place = (digest(found.current.content),) if found.current is not None and ours_is_in_place else ()
        backup.note(State((*in_place, digest(wanted.content)), mirrors.urls, made))
        self._files.make_directory(self._certs_dir / directory, _DIRECTORY_MODE)
        self._files.place(self._path(directory), wanted)
        return Outcome(directory, "written")

    def _give_back(self, directory: str) -> Outcome | None:
        backup, path, found = self._backup(directory), self._path(directory), self._find(directory)
        if found.state is None:  # the crash of an `add` before it touched the real file
            backup.forget()
            return None
        self._files.discard(self._files.temporary(path))
        if found.is_foreign:
            if found.original is None:
                backup.forget()
                return Outcome(directory, "kept", f"{path} was edited since rykte wrote it")
            return Outcome(
                directory,
                "kept",
                f"{path} was edited since rykte wrote it; what was there before is still in {backup.original_path}",
            )
        if found.original is None:
            self._files.discard(path)
        elif not _same(found.current, found.original):
            self._files.make_directory(path.parent, _DIRECTORY_MODE)
            self._files.place(path, found.original)
        if found.state.made_directory:
            self._files.discard_directory(path.parent)
        backup.forget()
        return Outcome(directory, "removed" if found.original is None else "restored")

    def _directory(self, registry: Registry) -> str:
        """The directory that containerd would read: the first of its names that exists."""
        for name in registry.directories:
            if (self._certs_dir / name).is_dir():
                return name
        return registry.directories[-1]

    def _path(self, directory: str) -> Path:
        return self._certs_dir / directory / HOSTS_FILE

    def _backup(self, directory: str) -> Backup:
        return Backup(self._certs_dir, directory, self._files)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else of us works in this directory meanwhile. The kernel frees the lock of a process that dies."""
        descriptor = os.open(self._certs_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            # not left to `close`, which under gevent's patch happens a turn of the loop later
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MirrorError(
                f"{error.filename or self._certs_dir} can't be read or {what} ({error.strerror}): see to it that this"
                f" user may write to {self._certs_dir} and that there is room, and run this again to finish it"
            ) from error
        except ValueError as error:
            raise MirrorError(f"{error}: use the Rykte that wrote it, or put things right by hand") from error


def _same(one: Snapshot | None, other: Snapshot | None) -> bool:
    """Whether two files are alike in what is given back; the time is not looked at."""
    if one is None or other is None:
        return one is other
    return (one.content, one.link) == (other.content, other.link)
