"""A stock `serf agent` (Debian package `serf`) on a loopback address, started, asked and ended by the tests."""

import json
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import gevent

_RPC_PORT = 7373
_START_PATIENCE_S = 20.0
_COMMAND_PATIENCE_S = 30.0


class AgentFailed(AssertionError):
    """The agent ended by itself or does not answer; the text has its log."""


class SerfAgent:
    """One agent process; a context manager that kills it. Its log is kept for a failing test to show."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        tags: Mapping[str, str] | None = None,
        *,
        rpc_port: int = _RPC_PORT,
        token: str = "",
        key: str = "",
    ) -> None:
        """It asks RPC clients for the `token`, and encrypts with the `key` (base64).

        Raises `AssertionError` where the package is missing.
        """
        binary = shutil.which("serf")
        assert binary is not None, "no `serf` on the PATH: install Debian's package `serf` (`make setup` does)"
        self._binary = binary
        self.name = name
        self.host = host
        self.port = port
        self.rpc_port = rpc_port
        self._access = [f"-rpc-addr={host}:{rpc_port}", *([f"-rpc-auth={token}"] if token else [])]
        self._tags = dict(tags or {})
        self._encryption = [f"-encrypt={key}"] if key else []
        self._folder = tempfile.TemporaryDirectory(prefix="serf-agent-")
        self._path("agent.json").write_text(json.dumps({"rpc_auth": token} if token else {}))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill it and remove its files. Idempotent."""
        self.kill()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Of the running agent."""
        assert self._process is not None
        return self._process.pid

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    def start(self) -> None:
        """Start it and wait until it answers."""
        tags = [f"-tag={key}={value}" for key, value in self._tags.items()]
        command = [
            self._binary,
            "agent",
            f"-node={self.name}",
            f"-bind={self.host}:{self.port}",
            f"-rpc-addr={self.host}:{self.rpc_port}",
            f"-config-file={self._path('agent.json')}",
            "-log-level=debug",
            f"-event-handler=user=cat >> {self._path('event-')}$SERF_USER_EVENT",
            *tags,
            *self._encryption,
        ]
        with self._path("log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        give_up_at = time.monotonic() + _START_PATIENCE_S
        while self._run("members").returncode != 0:
            if self._process.poll() is not None:
                raise AgentFailed(f"the agent ended by itself:\n{self.log()}")
            if time.monotonic() > give_up_at:
                raise AgentFailed(f"the agent does not answer:\n{self.log()}")
            gevent.sleep(0.05)

    def kill(self) -> None:
        """As a crash: nobody is told. Idempotent."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def refuses(self, command: str, *arguments: str) -> bool:
        """Whether a `serf` command fails."""
        return self._run(command, *arguments).returncode != 0

    def ask(self, command: str, *arguments: str) -> str:
        """What a `serf` command prints; a command that fails fails the test."""
        done = self._run(command, *arguments)
        assert done.returncode == 0, f"serf {command}: {done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout

    def members(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Status and tags of each member by name, as the agent sees it."""
        listing = json.loads(self.ask("members", "-format=json"))
        return {member["name"]: (member["status"], member["tags"] or {}) for member in listing["members"]}

    def statuses(self) -> dict[str, str]:
        """Status of each member by name, as the agent sees it."""
        return {name: status for name, (status, _) in self.members().items()}

    def keys(self) -> dict[str, str]:
        """Of each key in the cluster, how many members hold it, as `4/4`: what `serf keys -list` finds."""
        return dict(re.findall(r"^\s*(\S+)\s+\[(\d+/\d+)\]$", self.ask("keys", "-list"), re.MULTILINE))

    def complaints(self) -> list[str]:
        """The warnings and errors that the agent has logged."""
        return [line for line in self.log().splitlines() if "[WARN]" in line or "[ERR]" in line]

    def payloads(self, event: str) -> str:
        """The payloads of all user events of this name, each ended by a newline (which the agent adds)."""
        path = self._path(f"event-{event}")
        return path.read_text() if path.exists() else ""

    def log(self) -> str:
        """Everything that the agent has logged."""
        return self._path("log").read_text()

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / name

    def _run(self, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self._binary, command, *self._access, *arguments],
            capture_output=True,
            text=True,
            timeout=_COMMAND_PATIENCE_S,
            check=False,
        )
