"""What is on the machine of lab runs, and the removal of what dead ones left."""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

from tests.real.lab.command import CommandFailed, run
from tests.real.lab.runname import RunName


def directory_of(name: RunName) -> Path:
    """Where a run keeps its files."""
    return Path(tempfile.gettempdir(), str(name))


def namespaces_of(name: RunName) -> list[str]:
    return [namespace for namespace in _namespaces() if RunName.of(namespace) == name]


def processes_of(name: RunName) -> list[int]:
    """All whose command line names the run's directory or that are in one of its namespaces; never its owner."""
    inside = {int(pid) for namespace in namespaces_of(name) for pid in run("ip", "netns", "pids", namespace).split()}
    needle = str(directory_of(name)).encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            if needle in Path(entry.path, "cmdline").read_bytes():
                inside.add(int(entry.name))
        except OSError:
            continue  # it ended meanwhile
    return sorted(inside - {name.pid, os.getpid()})


def mounts_of(name: RunName) -> list[str]:
    """Mount points on the host that lie in the run's directory or are its namespaces' handles."""
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return sorted({point for point in points if str(name) in point})


def remove(name: RunName) -> None:
    """Take away all of a run: processes, namespaces, mounts, files."""
    _end(processes_of(name))
    for namespace in namespaces_of(name):
        run("ip", "netns", "delete", namespace)
    for point in mounts_of(name):
        try:
            run("umount", "--lazy", point)
        except CommandFailed:
            continue  # it went with its namespace
    shutil.rmtree(directory_of(name), ignore_errors=True)


def sweep() -> list[RunName]:
    """Remove what runs left whose process is dead (killed, or the machine's memory ran out). Returns them."""
    names = [*_namespaces(), *(entry.name for entry in os.scandir(tempfile.gettempdir()))]
    dead = {run_name for text in names if (run_name := RunName.of(text)) and not run_name.is_alive()}
    for run_name in dead:
        remove(run_name)
    return sorted(dead, key=str)


def _namespaces() -> list[str]:
    directory = Path("/run/netns")
    return sorted(entry.name for entry in directory.iterdir()) if directory.exists() else []


def _end(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}/exe").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
