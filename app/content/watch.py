"""Directories watched by inotify(7) on the hub: what landed in them and what went, within a millisecond.

A hint, never the truth: network file systems tell nothing and queues overflow, so a store that watches lists now and
then as well. A directory that does not exist yet, or goes, is waited for by watching the nearest ancestor there is.
"""

import ctypes
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import inotify_simple
from gevent.socket import wait_read

from app.content.store import StoreUnavailable


class Happening(Enum):
    LANDED = "landed"  # a file is there with all its bytes, or (a hard link, a directory) has come to be
    GONE = "gone"
    LOOK = "look"  # something was missed, or a directory came: list anew


@dataclass(frozen=True, slots=True)
class FileEvent:
    """What happened to which name in which of the watched directories (both empty for `LOOK`)."""

    happening: Happening
    directory: Path | None = None
    name: str = ""


_FLAGS = inotify_simple.flags
_LANDED = _FLAGS.MOVED_TO | _FLAGS.CLOSE_WRITE | _FLAGS.CREATE
_GONE = _FLAGS.DELETE | _FLAGS.MOVED_FROM
_SELF = _FLAGS.DELETE_SELF | _FLAGS.MOVE_SELF
# One mask for all: a second watch on the same directory would replace the first one's.
_MASK = _LANDED | _GONE | _SELF | _FLAGS.ONLYDIR
_LOOK = FileEvent(Happening.LOOK)


class DirectoryWatch:
    """One inotify descriptor over some directories. Owned and read by one greenlet."""

    def __init__(self, directories: Iterable[Path]) -> None:
        """Watches from now on. Raises `StoreUnavailable`, with the remedy, when the kernel refuses."""
        self._wanted = tuple(directories)
        self._paths: dict[int, Path] = {}  # watch descriptor -> what it watches
        try:
            self._inotify = _open_inotify()
        except OSError as error:
            raise StoreUnavailable(
                f"can't watch files: {error.strerror} (raise fs.inotify.max_user_instances)"
            ) from error
        try:
            self._arm()
        except StoreUnavailable:
            self.close()
            raise

    def read(self, timeout_s: float | None) -> list[FileEvent]:
        """What has happened, in order; waits for something, at most `timeout_s` (None: for ever, 0: not at all).

        Raises `StoreUnavailable` when a directory that has come may not be watched.
        """
        if timeout_s != 0:
            try:
                wait_read(self._inotify.fileno(), timeout=timeout_s)
            except TimeoutError:
                return []
        return list(self._translate(self._inotify.read(timeout=0)))

    def close(self) -> None:
        """Idempotent. Nobody may be reading."""
        self._inotify.close()

    def _translate(self, events: Iterable[inotify_simple.Event]) -> Iterator[FileEvent]:
        must_arm = False
        for event in events:
            if event.mask & _FLAGS.Q_OVERFLOW:
                yield _LOOK
                must_arm = True
                continue
            directory = self._paths.get(event.wd)
            if directory is None:
                continue  # of a watch that was taken back
            if event.mask & (_SELF | _FLAGS.IGNORED | _FLAGS.UNMOUNT):
                self._unwatch(event.wd)
                must_arm = True
                yield _LOOK
            elif directory not in self._wanted:
                must_arm = True  # an ancestor: perhaps the next part of the way has come
            elif event.mask & _LANDED:
                yield FileEvent(Happening.LANDED, directory, event.name)
            elif event.mask & _GONE:
                yield FileEvent(Happening.GONE, directory, event.name)
            must_arm = must_arm or bool(event.mask & _FLAGS.ISDIR)
        if must_arm and self._arm():
            yield _LOOK

    def _arm(self) -> bool:
        """Watch all directories, for those that are missing the nearest ancestor; True if one came to be watched."""
        before = set(self._paths.values())
        needed = {self._watch_nearest(directory) for directory in self._wanted}
        for descriptor, path in list(self._paths.items()):
            if path not in needed:
                self._unwatch(descriptor)
        return any(directory in needed and directory not in before for directory in self._wanted)

    def _watch_nearest(self, directory: Path) -> Path:
        nearest, missing = directory, None
        while True:
            try:
                self._watch(nearest)
            except (FileNotFoundError, NotADirectoryError):
                nearest, missing = nearest.parent, nearest
                continue
            # it may have come between the look and the watch
            if missing is None or not missing.is_dir():
                return nearest
            nearest, missing = directory, None

    def _watch(self, path: Path) -> None:
        if path in self._paths.values():
            return
        try:
            self._paths[self._inotify.add_watch(path, _MASK)] = path
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise StoreUnavailable(
                f"can't watch {path}: {error.strerror} (may this user list it? is fs.inotify.max_user_watches used up?)"
            ) from error

    def _unwatch(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        try:
            self._inotify.rm_watch(descriptor)
        except OSError:
            pass  # the kernel took it back with the directory


def _open_inotify() -> inotify_simple.INotify:
    # Left to itself the library asks ctypes.util.find_library for the C library, which forks ldconfig, and a process
    # that runs gRPC must not fork. Every process has the C library loaded already.
    if inotify_simple._libc is None:
        inotify_simple._libc = ctypes.CDLL(None, use_errno=True)
    return inotify_simple.INotify(nonblocking=True)
