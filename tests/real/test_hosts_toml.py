"""hosts.toml files of `mirror add`, read by real containerds: who is asked, in which order, when all say 404."""

import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gevent.pywsgi import WSGIServer

from app.mirrors.files import HostsFiles
from app.mirrors.plan import Mirrors, Registry
from tests.real.containerd import LocalContainerd
from tests.real.lab.containerd import Release

_PULL_S = 30.0


class _Hosts:
    """Registries on loopback that have nothing, and the names of those that were asked, in order, repeats left out."""

    def __init__(self, *names: str) -> None:
        self.asked: list[str] = []
        self._servers = {name: WSGIServer(("127.0.0.1", 0), self._answer(name), log=None) for name in names}
        for server in self._servers.values():
            server.start()

    def host(self, name: str) -> str:
        return f"127.0.0.1:{self._servers[name].server_port}"

    def url(self, name: str) -> str:
        return f"http://{self.host(name)}"

    def stop(self) -> None:
        for server in self._servers.values():
            server.stop(timeout=1)

    def _answer(self, name: str) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if name not in self.asked:
                self.asked.append(name)
            start_response("404 Not Found", [("Connection", "close")])  # containerd would keep it
            return [b""]

        return answer


@pytest.fixture(scope="module")
def containerd(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalContainerd]:
    """One that needs no configuration: `ctr` is told the directory."""
    containerd = LocalContainerd(release, tmp_path_factory.mktemp("containerd"))
    try:
        containerd.start()
        yield containerd
    finally:
        containerd.close()


@pytest.fixture
def hosts() -> Iterator[_Hosts]:
    """A mirror, a second one, a cache of the operator's, and the registry itself."""
    hosts = _Hosts("mirror", "second", "cache", "registry")
    yield hosts
    hosts.stop()


def _asked(containerd: LocalContainerd, certs: Path, hosts: _Hosts, name: str) -> list[str]:
    """Pull what nobody has; who was asked for it."""
    hosts.asked.clear()
    command = [str(containerd.release.ctr), "--address", str(containerd.socket), "--timeout", f"{_PULL_S:.0f}s"]
    command += ["images", "pull", "--hosts-dir", str(certs), name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PULL_S, check=False)
    assert done.returncode != 0
    assert hosts.asked, done.stderr
    return list(hosts.asked)


def test_mirrors_first_then_what_was_configured_then_the_registry(
    containerd: LocalContainerd, hosts: _Hosts, tmp_path: Path
) -> None:
    """In a directory named after host and port; and after `remove` as before."""
    directory = tmp_path / hosts.host("registry")
    directory.mkdir()
    (directory / "hosts.toml").write_text(f'server = "{hosts.url("registry")}"\n[host."{hosts.url("cache")}"]\n')
    image = f"{hosts.host('registry')}/a/b:1"
    before = _asked(containerd, tmp_path, hosts, image)
    files = HostsFiles(tmp_path)
    files.add([Registry.parse(hosts.url("registry"))], Mirrors((hosts.url("mirror"), hosts.url("second"))))
    assert _asked(containerd, tmp_path, hosts, image) == ["mirror", "second", "cache", "registry"]
    files.remove()
    assert _asked(containerd, tmp_path, hosts, image) == before == ["cache", "registry"]


def test_a_new_registry_goes_to_the_mirror_and_to_itself(
    containerd: LocalContainerd, hosts: _Hosts, tmp_path: Path
) -> None:
    """A file that is all ours."""
    HostsFiles(tmp_path).add([Registry.parse(hosts.url("registry"))], Mirrors((hosts.url("mirror"),)))
    assert _asked(containerd, tmp_path, hosts, f"{hosts.host('registry')}/a/b:1") == ["mirror", "registry"]


def test_the_default_is_asked_for_every_registry(containerd: LocalContainerd, hosts: _Hosts, tmp_path: Path) -> None:
    """Also for one that does not exist, and with the operator's own default behind ours."""
    (tmp_path / "_default").mkdir()
    (tmp_path / "_default" / "hosts.toml").write_text(f'[host."{hosts.url("cache")}"]\n')
    files = HostsFiles(tmp_path)
    files.add([Registry.parse("_default")], Mirrors((hosts.url("mirror"),)))
    assert _asked(containerd, tmp_path, hosts, "nowhere.invalid/a/b:1") == ["mirror", "cache"]


def test_a_directory_of_its_own_does_not_hide_the_operators_default(
    containerd: LocalContainerd, hosts: _Hosts, tmp_path: Path
) -> None:
    """What `_default` says is taken over into the new directory."""
    (tmp_path / "_default").mkdir()
    (tmp_path / "_default" / "hosts.toml").write_text(f'[host."{hosts.url("cache")}"]\n')
    HostsFiles(tmp_path).add([Registry.parse(hosts.url("registry"))], Mirrors((hosts.url("mirror"),)))
    assert _asked(containerd, tmp_path, hosts, f"{hosts.host('registry')}/a/b:1") == ["mirror", "cache", "registry"]


def test_the_directory_with_underscores_is_the_one_that_counts(
    containerd: LocalContainerd, hosts: _Hosts, tmp_path: Path
) -> None:
    """Where there is one, containerd looks at no other."""
    (tmp_path / f"{hosts.host('registry').replace(':', '_')}_").mkdir()
    HostsFiles(tmp_path).add([Registry.parse(hosts.url("registry"))], Mirrors((hosts.url("mirror"),)))
    assert _asked(containerd, tmp_path, hosts, f"{hosts.host('registry')}/a/b:1") == ["mirror", "registry"]


def test_without_tags_a_tag_is_asked_of_the_registry_alone(
    containerd: LocalContainerd, hosts: _Hosts, tmp_path: Path
) -> None:
    """`pull` without `resolve`."""
    wanted = Mirrors((hosts.url("mirror"),), resolve_tags=False)
    HostsFiles(tmp_path).add([Registry.parse(hosts.url("registry"))], wanted)
    assert _asked(containerd, tmp_path, hosts, f"{hosts.host('registry')}/a/b:1") == ["registry"]
