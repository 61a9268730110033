"""A containerd of a node's own: its root, state and socket in the node's directory, and nothing of it on the host."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.real.lab.command import run
from tests.real.lab.network import Namespace
from tests.real.lab.process import Process, inside


@dataclass(frozen=True, slots=True)
class Release:
    """One containerd to test with. Raises nothing; `check` does."""

    label: str
    binary: Path

    def check(self) -> str:
        """Its version. Raises `RuntimeError` if it is not there."""
        if not os.access(self.binary, os.X_OK):
            raise RuntimeError(f"no containerd at {self.binary}: run `make setup`")
        return run(str(self.binary), "--version").split()[2]

    @property
    def ctr(self) -> Path:
        return self.binary.with_name("ctr")

    def config_version(self) -> int:
        return 2 if self.check().startswith(("1.", "v1.")) else 3


def releases() -> tuple[Release, ...]:
    """Debian 12's 1.6 and the newest 2.x that `make setup` could get."""
    cache = Path(os.environ.get("RYKTE_CACHE") or Path.home() / ".cache/rykte")
    return (
        Release("containerd-1.6", Path(os.environ.get("RYKTE_TEST_CONTAINERD16") or "/usr/bin/containerd")),
        Release(
            "containerd-2",
            Path(os.environ.get("RYKTE_TEST_CONTAINERD2") or cache / "containerd-2/usr/bin/containerd"),
        ),
    )


_CONFIG_2 = """\
version = 2
root = "{home}/root"
state = "{home}/state"

[grpc]
  address = "{home}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{home}/opt"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{snapshotter}"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{certs}"
"""

_CONFIG_3 = """\
version = 3
root = "{home}/root"
state = "{home}/state"

[grpc]
  address = "{home}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{home}/opt"

[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"

[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{certs}"
"""


class Containerd:
    """A node's containerd; `home` is a directory of its own."""

    def __init__(self, release: Release, home: Path, namespace: Namespace, hosts: Path) -> None:
        self.release = release
        self._namespace = namespace
        self._hosts = hosts
        self.socket = home / "containerd.sock"
        self.certs = home / "certs.d"
        self.content = home / "root/io.containerd.content.v1.content"
        self.certs.mkdir(parents=True)
        config = home / "config.toml"
        template = _CONFIG_2 if release.config_version() == 2 else _CONFIG_3
        config.write_text(template.format(home=home, certs=self.certs, snapshotter=_snapshotter(home)))
        command: list[str | Path] = [release.binary, "--config", config, "--log-level", "info"]
        self.process = Process(command, namespace, hosts, home / "containerd.log")

    def blob(self, digest: str) -> Path:
        """Where it keeps a content that is whole."""
        return self.content / "blobs" / digest.replace(":", "/")

    def ctr(self, *words: str, timeout_s: float = 60.0) -> str:
        """What `ctr` prints; it runs on this node, since 1.6 fetches images in ctr itself and not in the daemon."""
        return run(
            *inside(self._namespace, self._hosts),
            *(str(self.release.ctr), "--address", str(self.socket), "--namespace", "k8s.io", *words),
            timeout_s=timeout_s,
        )

    def answers(self) -> bool:
        """Whether the API is up."""
        words: list[str | Path] = [self.release.ctr, "--address", self.socket, "--connect-timeout", "1s", "version"]
        return self.process.is_running() and subprocess.run(words, capture_output=True, check=False).returncode == 0


def _snapshotter(directory: Path) -> str:
    """overlayfs, except where the directory lies on one itself (a container's root): it does not stack."""
    kind = run("stat", "--file-system", "--format=%T", str(directory)).strip()
    return "native" if kind == "overlayfs" else "overlayfs"
