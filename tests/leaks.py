"""Finds what a test left behind: greenlets, native threads, file descriptors.

A leak is what is there after the test, was not there before it, and does not go away by itself within a moment (a
socket whose peer has just been told, a greenlet that was killed but had no turn yet).
"""

import gc
import sys
import time
import traceback
import weakref
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

import gevent
from gevent import Greenlet

# Threads that belong to the process, not to a test: the hub's pool grows on demand, grpc's are its own business.
_SHARED_THREADS = ("gevent/threadpool.py", "gevent/_threading.py", "grpc/", "pytest_timeout.py")


class GreenletRegister:
    """All greenlets spawned since `install`, as long as they live. Cheaper by far than asking the garbage collector."""

    def __init__(self) -> None:
        self._spawned: weakref.WeakSet[Greenlet] = weakref.WeakSet()
        self._hub = gevent.get_hub()

    def install(self) -> None:
        Greenlet.add_spawn_callback(self._note)

    def uninstall(self) -> None:
        Greenlet.remove_spawn_callback(self._note)

    def alive(self) -> set[Greenlet]:
        return {greenlet for greenlet in list(self._spawned) if not greenlet.dead}

    def _note(self, greenlet: Greenlet) -> None:
        # those of another hub end with its thread, and a thread that stays is reported as such
        if greenlet.parent is self._hub:
            self._spawned.add(greenlet)


@dataclass(frozen=True)
class Census:
    """What there was at one moment."""

    greenlets: frozenset[int]
    threads: frozenset[int]
    descriptors: dict[int, str]

    @classmethod
    def take(cls, register: GreenletRegister) -> Self:
        return cls(
            frozenset(map(id, register.alive())),
            frozenset(_threads()),
            _descriptors(),
        )

    def what_is_new(self, register: GreenletRegister, patience_s: float) -> list[str]:
        """One line for each thing that was not there then, is there now and still is after `patience_s`."""
        found = self._compare(register)
        if found:
            gc.collect()  # sockets and greenlets that only a cycle keeps are untidy, but no leak
            found = self._compare(register)
        deadline = time.monotonic() + patience_s
        while found and time.monotonic() < deadline:
            gevent.sleep(0.01)
            found = self._compare(register)
        return found

    def _compare(self, register: GreenletRegister) -> list[str]:
        lines = [f"greenlet {_told(g)}" for g in register.alive() if id(g) not in self.greenlets]
        lines += [f"thread in {where}" for ident, where in _threads().items() if ident not in self.threads]
        lines += [
            f"file descriptor {number}: {what}"
            for number, what in _descriptors().items()
            if self.descriptors.get(number) != what
        ]
        return lines


def _told(greenlet: Greenlet) -> str:
    place = ""
    if greenlet.gr_frame is not None:
        place = " at " + _place(greenlet.gr_frame)
    return f"{greenlet!r}{place}"


def _place(frame: FrameType) -> str:
    return traceback.format_stack(frame, limit=1)[-1].strip().replace("\n", " ")


def _threads() -> dict[int, str]:
    """Python threads, also those started behind `threading`'s back, by the function that they run."""
    found = {}
    for ident, frame in sys._current_frames().items():
        root = frame
        while root.f_back is not None:
            root = root.f_back
        if not any(part in root.f_code.co_filename for part in _SHARED_THREADS):
            found[ident] = f"{root.f_code.co_qualname} ({root.f_code.co_filename})"
    return found


def _descriptors() -> dict[int, str]:
    """Open descriptors and what they are; the one that reads the list itself is gone when it is looked up."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:
            continue
    return found
