"""The name of a run, by which its namespaces, directories and processes are known."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PATTERN = re.compile(r"rykte-lab-(?P<pid>\d+)-(?P<started>\d+)(?:-|$)")


@dataclass(frozen=True, slots=True)
class RunName:
    """The process that owns the run: its id, and when it started (an id alone comes back), in ticks since boot."""

    pid: int
    started: int

    @classmethod
    def own(cls) -> Self:
        return cls(os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def of(cls, text: str) -> Self | None:
        """The run whose name `text` begins with; None if it is not ours."""
        match = _PATTERN.match(text)
        return cls(int(match["pid"]), int(match["started"])) if match else None

    def __str__(self) -> str:
        return f"rykte-lab-{self.pid}-{self.started}"

    def is_alive(self) -> bool:
        return _started(self.pid) == self.started


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # the command's name stands in brackets and may contain any character; the start time is the 20th field after it
    return int(stat.rpartition(")")[2].split()[19])
