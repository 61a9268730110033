"""What stood in a registry's directory before us, and what we wrote there: the memory that makes `remove` exact.

    .rykte-backup/<directory>/hosts.toml    the original: content, mode, owner, time; absent if there was none
    .rykte-backup/<directory>/state.json    what we have written; its presence makes the backup valid

Order is everything: the original is copied, then `state.json` is put beside it, then the real file is replaced; and the
other way round when it is given back. So a crash leaves either no valid backup and an untouched file, or a
valid backup and a file that is one of: the original, one of ours, somebody else's.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from app.mirrors.atomic import Files, Snapshot

BACKUP_DIRECTORY = ".rykte-backup"
HOSTS_FILE = "hosts.toml"
_STATE_FILE = "state.json"
_VERSION = 1
# The original may hold credentials.
_DIRECTORY_MODE = 0o700
_STATE_MODE = 0o600


@dataclass(frozen=True, slots=True)
class State:
    """`written`: SHA-256 of each file of ours that may be in place now, one or two. `mirrors`: the hosts in them.

    `made_directory`: the registry's directory was not there before.
    """

    written: tuple[str, ...]
    mirrors: tuple[str, ...]
    made_directory: bool

    def wrote(self, file: Snapshot) -> bool:
        """Whether this file is ours, byte for byte."""
        return file.link is None and digest(file.content) in self.written


class Backup:
    """The backup of one directory of `certs_dir`. Raises OSError, and ValueError for a state of a later version."""

    def __init__(self, certs_dir: Path, directory: str, files: Files) -> None:
        self._folder = certs_dir / BACKUP_DIRECTORY / directory
        self._files = files

    @property
    def original_path(self) -> Path:
        """Where the original lies, for messages."""
        return self._folder / HOSTS_FILE

    def state(self) -> State | None:
        """None without a valid backup."""
        found = self._files.snapshot(self._folder / _STATE_FILE)
        if found is None:
            return None
        try:
            document = json.loads(found.content)
            if document["version"] != _VERSION:
                raise ValueError(f"is of version {document['version']}, this Rykte knows {_VERSION}")
            return State(tuple(document["written"]), tuple(document["mirrors"]), document["made_directory"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._folder / _STATE_FILE} can't be used: {error}") from error

    def original(self) -> Snapshot | None:
        """What is to be given back; None if there was no file. Of meaning only beside a state."""
        return self._files.snapshot(self.original_path)

    def keep(self, original: Snapshot | None) -> None:
        """Keep a copy of the original. Valid with the next `note`."""
        self._files.make_directory(self._folder.parent, _DIRECTORY_MODE)
        self._files.make_directory(self._folder, _DIRECTORY_MODE)
        if original is None:
            self._files.discard(self.original_path)
        else:
            self._files.place(self.original_path, original)

    def note(self, state: State) -> None:
        """Note what is going to be written; from now on the backup is valid."""
        document = {
            "version": _VERSION,
            "written": list(state.written),
            "mirrors": list(state.mirrors),
            "made_directory": state.made_directory,
        }
        content = json.dumps(document, indent=1).encode()
        self._files.place(self._folder / _STATE_FILE, Snapshot(content, _STATE_MODE, os.geteuid(), os.getegid()))

    def forget(self) -> None:
        """Drop the backup and, if it was the last one, the folder of all of them."""
        for name in (_STATE_FILE, HOSTS_FILE):
            self._files.discard(self._folder / name)
            self._files.discard(self._files.temporary(self._folder / name))
        self._files.discard_directory(self._folder)
        self._files.discard_directory(self._folder.parent)


def digest(content: bytes) -> str:
    """How a state names a file's content."""
    return hashlib.sha256(content).hexdigest()
