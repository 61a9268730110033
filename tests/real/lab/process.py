"""A long-running program inside a namespace, its output in a file, ended together with all that it started."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.real.lab.network import Namespace

# A mount namespace of its own, in which nothing that is mounted shows on the host; the hosts file stands in for DNS.
_ENTER = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'


def inside(namespace: Namespace, hosts: Path) -> list[str]:
    """The words before a command that make it run in this namespace, as the very process that is started."""
    words = ["nsenter", f"--net={namespace.path}", "unshare", "--mount", "--propagation", "private"]
    return [*words, "sh", "-c", _ENTER, "sh", str(hosts)]


class Process:
    """One program, which may be ended and started again. Its log goes on through restarts."""

    def __init__(self, command: Sequence[str | Path], namespace: Namespace, hosts: Path, log: Path) -> None:
        self._command = [str(word) for word in command]
        self._namespace = namespace
        self._hosts = hosts
        self.log = log
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Raises `RuntimeError` if it was never started or was ended."""
        if self._running is None:
            raise RuntimeError(f"{self._command[0]} is not started")
        return self._running.pid

    def is_running(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def start(self) -> None:
        """Does nothing if it runs. It dies with the process that started it, even if that one is killed."""
        if self.is_running():
            return
        entered = ["setpriv", "--pdeathsig", "KILL", *inside(self._namespace, self._hosts)]
        with self.log.open("ab") as log:
            log.write(f"--- {time.strftime('%H:%M:%S')} start: {' '.join(self._command)}\n".encode())
            log.flush()
            self._running = subprocess.Popen(
                [*entered, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that one signal reaches it and its children
            )

    def stop(self, timeout_s: float = 10.0) -> None:
        """SIGTERM, then SIGKILL after `timeout_s`. Does nothing if it does not run."""
        if self._running is None:
            return
        if self._running.poll() is None:
            self._running.terminate()
        try:
            self._running.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._note(f"still there {timeout_s:g} s after SIGTERM")
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the program and its children at once."""
        if self._running is None:
            return
        try:
            os.killpg(self._running.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all of them had ended
        self._running.wait()
        self._running = None

    def tail(self, lines: int = 60) -> str:
        """The end of its log."""
        if not self.log.exists():
            return "(never started)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _note(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(f"--- {time.strftime('%H:%M:%S')} {text}\n")
