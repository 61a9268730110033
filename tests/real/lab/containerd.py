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


# Of every containerd here: nothing of it lies outside of its home.
_CONFIG = """\
version = {version}
root = "{home}/root"
state = "{home}/state"
{settings}

[grpc]
  address = "{home}/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "{home}/opt"
"""

_CRI_2 = """
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{snapshotter}"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{certs}"
"""

_CRI_3 = """
[plugins."io.containerd.nri.v1.nri"]
  disable = true

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"

[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{certs}"
"""


class Home:
    """The directory that has all of one containerd: configuration, root, state, socket and log."""

    def __init__(self, release: Release, path: Path) -> None:
        self.path = path
        self.socket = path / "containerd.sock"
        self.content = path / "root/io.containerd.content.v1.content"
        self.log = path / "containerd.log"
        self._release = release
        self._config = path / "config.toml"
        path.mkdir(parents=True, exist_ok=True)

    def command(self, version: int, settings: str = "", plugins: str = "") -> list[str]:
        """Writes the configuration (`version` of its format, lines for its top and its end); what starts containerd."""
        self._config.write_text(_CONFIG.format(version=version, home=self.path, settings=settings) + plugins)
        return [str(self._release.binary), "--config", str(self._config)]

    def ctr(self, namespace: str, *words: str) -> list[str]:
        """The words of a `ctr` command for it."""
        return [str(self._release.ctr), "--address", str(self.socket), "--namespace", namespace, *words]


class Containerd:
    """A node's containerd; `home` is a directory of its own."""

    def __init__(self, release: Release, home: Path, namespace: Namespace, hosts: Path) -> None:
        self._namespace = namespace
        self._hosts = hosts
        self._home = Home(release, home)
        self.socket, self.content = self._home.socket, self._home.content
        self.certs = home / "certs.d"
        self.certs.mkdir()
        version = release.config_version()
        cri = (_CRI_2 if version == 2 else _CRI_3).format(certs=self.certs, snapshotter=_snapshotter(home))
        command = [*self._home.command(version, plugins=cri), "--log-level", "info"]
        self.process = Process(command, namespace, hosts, self._home.log)

    def blob(self, digest: str) -> Path:
        """Where it keeps a content that is whole."""
        return self.content / "blobs" / digest.replace(":", "/")

    def ctr(self, *words: str, timeout_s: float = 60.0) -> str:
        """What `ctr` prints; it runs on this node, since 1.6 fetches images in ctr itself and not in the daemon."""
        return run(*inside(self._namespace, self._hosts), *self._home.ctr("k8s.io", *words), timeout_s=timeout_s)

    def answers(self) -> bool:
        """Whether the API is up."""
        command = self._home.ctr("k8s.io", "--connect-timeout", "1s", "version")
        return self.process.is_running() and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _snapshotter(directory: Path) -> str:
    """overlayfs, except where the directory lies on one itself (a container's root): it does not stack."""
    kind = run("stat", "--file-system", "--format=%T", str(directory)).strip()
    return "native" if kind == "overlayfs" else "overlayfs"
