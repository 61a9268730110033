"""Small files that are replaced whole: whoever reads one sees the old or the new, also after a crash at any moment.

A file is written beside its place, flushed to the disk and renamed. The temporary name is always the same, so what a
crash leaves behind is overwritten by the next try; callers must therefore not run twice at once on a directory.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

_TEMPORARY_SUFFIX = ".rykte-tmp"
# Of a link that leads nowhere.
_UNKNOWN_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file as it was: all that `Files.place` needs to make it again.

    With `link`, a symbolic link's target, `content` and `mode` are those of what it leads to.
    """

    content: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int | None = None
    link: str | None = None


class Files:
    """The file system. Everything raises OSError with the file's name. A seam: tests let it die at each step."""

    def snapshot(self, path: Path) -> Snapshot | None:
        """What is there, None if nothing is. Raises OSError for what is no file."""
        try:
            about = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISLNK(about.st_mode):
            link = str(path.readlink())
            if not path.exists():
                return Snapshot(b"", _UNKNOWN_MODE, about.st_uid, about.st_gid, link=link)
            return Snapshot(path.read_bytes(), stat.S_IMODE(path.stat().st_mode), about.st_uid, about.st_gid, link=link)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(0, "is no regular file", str(path))
        return Snapshot(path.read_bytes(), stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, about.st_mtime_ns)

    def place(self, path: Path, wanted: Snapshot) -> None:
        """Make `path` as wanted, at once. Its directory has to exist."""
        temporary = self.temporary(path)
        self.discard(temporary)
        if wanted.link is not None:
            self.write_link(temporary, wanted)
        else:
            self.write_file(temporary, wanted)
        self.rename(temporary, path)

    @staticmethod
    def temporary(path: Path) -> Path:
        """Where `path` is prepared."""
        return path.with_name(f".{path.name}{_TEMPORARY_SUFFIX}")

    def names(self, directory: Path) -> list[str]:
        """What is in a directory, sorted; nothing if it is not there."""
        try:
            return sorted(each.name for each in directory.iterdir())
        except FileNotFoundError:
            return []

    # Each of the following changes one thing.

    def write_file(self, path: Path, wanted: Snapshot) -> None:
        """A new file, whole and on the disk. Nobody but its owner may read it before its mode is right."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(wanted.content)
            file.flush()
            if (wanted.uid, wanted.gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, wanted.uid, wanted.gid)
            os.fchmod(descriptor, wanted.mode)
            if wanted.mtime_ns is not None:
                os.utime(descriptor, ns=(wanted.mtime_ns, wanted.mtime_ns))
            self.flush(descriptor)

    def write_link(self, path: Path, wanted: Snapshot) -> None:
        """A new symbolic link."""
        path.symlink_to(wanted.link or "")
        os.lchown(path, wanted.uid, wanted.gid)

    def rename(self, source: Path, target: Path) -> None:
        """Put a file in its place, durably."""
        source.replace(target)
        self._sync(target.parent)

    def discard(self, path: Path) -> None:
        """Remove a file; fine if it is not there."""
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        self._sync(path.parent)

    def make_directory(self, path: Path, mode: int) -> None:
        """Make a directory and those above it; fine if it is there."""
        if not path.is_dir():
            path.mkdir(mode=mode, parents=True)
            self._sync(path.parent)

    def discard_directory(self, path: Path) -> bool:
        """Remove a directory if it is empty; False if it is not."""
        try:
            path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if self.names(path):
                return False
            raise
        self._sync(path.parent)
        return True

    def flush(self, descriptor: int) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(descriptor)

    def _sync(self, directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.flush(descriptor)
        finally:
            os.close(descriptor)
