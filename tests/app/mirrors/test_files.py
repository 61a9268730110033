"""`mirror add` and `remove` on a real directory, whole and interrupted at every step."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.mirrors.atomic import Files, Snapshot
from app.mirrors.files import HostsFiles
from app.mirrors.plan import MirrorError, Mirrors, Registry

_URL = "http://127.0.0.1:5000"
_MIRRORS = Mirrors((_URL,))
_OTHERS = Mirrors(("http://127.0.0.2:5000", _URL), resolve_tags=False)
_HUB = Registry.parse("docker.io")
_DEFAULT = Registry.parse("_default")
_PORT = Registry.parse("http://reg.test:5000")
_OLD = b'# mine\nserver = "https://private.test"\n[host."https://cache.test"]\nca = "ca.crt"\n'


def _tree(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything below `root`: content, mode, owner, and the time of files."""
    tree: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        about = path.lstat()
        if path.is_symlink():
            tree[str(path.relative_to(root))] = ("link", str(path.readlink()))
        elif path.is_dir():
            tree[str(path.relative_to(root))] = ("directory", about.st_mode)
        else:
            owner = (about.st_uid, about.st_gid)
            tree[str(path.relative_to(root))] = (path.read_bytes(), about.st_mode, owner, about.st_mtime_ns)
    return tree


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    os.utime(path, ns=(1, 1_600_000_000_000_000_001))


def _hosts(path: Path) -> list[str]:
    return list(tomllib.loads((path / "hosts.toml").read_text())["host"])


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    """A certs directory as operators have them: one file, one that is a link, one with certificates only."""
    root = tmp_path / "certs.d"
    _write(root / "docker.io" / "hosts.toml", _OLD, 0o640)
    if os.geteuid() == 0:
        os.chown(root / "docker.io" / "hosts.toml", 12, 34)
    _write(root / "quay.io" / "ca.crt", b"certificate")
    _write(root / "shared.toml", b'server = "https://ghcr.io"\n')
    (root / "ghcr.io").mkdir()
    (root / "ghcr.io" / "hosts.toml").symlink_to("../shared.toml")
    return root


_ALL = [_HUB, _DEFAULT, _PORT, Registry.parse("quay.io"), Registry.parse("ghcr.io")]


def test_add_writes_and_remove_gives_back_byte_for_byte(certs: Path) -> None:
    """Contents, modes, owners, times, links; what was not there is gone, the backup too."""
    before = _tree(certs)
    outcomes = HostsFiles(certs).add(_ALL, _MIRRORS)
    assert [(each.directory, each.done) for each in outcomes] == [
        (name, "written") for name in ("docker.io", "_default", "reg.test:5000", "quay.io", "ghcr.io")
    ]
    for name in ("docker.io", "_default", "reg.test:5000", "quay.io", "ghcr.io"):
        assert _hosts(certs / name)[0] == _URL
    outcomes = HostsFiles(certs).remove()
    assert {(each.directory, each.done) for each in outcomes} == {
        ("docker.io", "restored"),
        ("ghcr.io", "restored"),
        ("_default", "removed"),
        ("quay.io", "removed"),
        ("reg.test:5000", "removed"),
    }
    assert _tree(certs) == before


def test_adding_twice_changes_nothing(certs: Path) -> None:
    """Neither a byte nor a time."""
    HostsFiles(certs).add(_ALL, _MIRRORS)
    before = _tree(certs)
    assert {each.done for each in HostsFiles(certs).add(_ALL, _MIRRORS)} == {"unchanged"}
    assert _tree(certs) == before


def test_other_arguments_update_ours_and_keep_the_first_original(certs: Path) -> None:
    """What is given back is what stood there before the first time."""
    before = _tree(certs)
    HostsFiles(certs).add(_ALL, _MIRRORS)
    assert {each.done for each in HostsFiles(certs).add(_ALL, _OTHERS)} == {"written"}
    assert _hosts(certs / "docker.io") == [*_OTHERS.urls, "https://cache.test"]
    HostsFiles(certs).add([_HUB], _MIRRORS)
    HostsFiles(certs).remove()
    assert _tree(certs) == before


def test_what_was_configured_stays_behind_the_mirror(certs: Path) -> None:
    """The operator's own cache goes on working, and the file can be read by nobody who could not before."""
    HostsFiles(certs).add([_HUB], _MIRRORS)
    written = certs / "docker.io" / "hosts.toml"
    assert _hosts(written.parent) == [_URL, "https://cache.test"]
    assert tomllib.loads(written.read_text())["server"] == "https://private.test"
    about = written.stat()
    assert about.st_mode & 0o777 == 0o640
    assert (about.st_uid, about.st_gid) == ((12, 34) if os.geteuid() == 0 else (os.geteuid(), os.getegid()))


def test_certificates_beside_are_taken_over(certs: Path) -> None:
    """containerd no longer looks at them once there is a hosts.toml."""
    HostsFiles(certs).add([Registry.parse("quay.io")], _MIRRORS)
    assert tomllib.loads((certs / "quay.io" / "hosts.toml").read_text())["ca"] == ["ca.crt"]


def test_a_new_directory_takes_over_the_operators_default(certs: Path) -> None:
    """It would hide it from this registry. One that is there hides it already."""
    _write(certs / "_default" / "hosts.toml", b'[host."https://all.test"]\nca = "all.crt"\n')
    (certs / "empty.test").mkdir()
    files = HostsFiles(certs)
    for _ in range(2):
        files.add([_DEFAULT, _PORT, Registry.parse("empty.test")], _MIRRORS)
        assert _hosts(certs / "reg.test:5000") == [_URL, "https://all.test"]
        assert _hosts(certs / "empty.test") == [_URL]
    written = tomllib.loads((certs / "reg.test:5000" / "hosts.toml").read_text())
    assert written["host"]["https://all.test"]["ca"] == "../_default/all.crt"
    assert written["server"] == "http://reg.test:5000"


def test_the_directory_that_containerd_reads_is_the_one_written(certs: Path) -> None:
    """If the form with underscores is there, the plain one would never be read."""
    (certs / "reg.test_5000_").mkdir()
    HostsFiles(certs).add([_PORT], _MIRRORS)
    assert _hosts(certs / "reg.test_5000_") == [_URL]
    assert not (certs / "reg.test:5000").exists()


def test_a_file_with_a_header_is_for_its_owner_only(certs: Path) -> None:
    """It holds a secret."""
    HostsFiles(certs).add([_HUB, _PORT], Mirrors((_URL,), header={"Authorization": "Basic eA=="}))
    for name in ("docker.io", "reg.test:5000"):
        assert (certs / name / "hosts.toml").stat().st_mode & 0o777 == 0o600


def test_a_file_of_ours_that_was_edited_is_kept_and_said_so(certs: Path) -> None:
    """By both commands; the original stays where it is told."""
    HostsFiles(certs).add([_HUB, _PORT], _MIRRORS)
    for name in ("docker.io", "reg.test:5000"):
        path = certs / name / "hosts.toml"
        path.write_bytes(path.read_bytes() + b"# edited\n")
    edited = _tree(certs)
    kept = HostsFiles(certs).add([_HUB, _PORT], _OTHERS)
    assert [each.done for each in kept] == ["kept", "kept"]
    assert "was edited since" in (kept[0].kept or "")
    assert _tree(certs) == edited
    outcomes = {each.directory: each for each in HostsFiles(certs).remove()}
    original = certs / ".rykte-backup" / "docker.io" / "hosts.toml"
    assert outcomes["docker.io"].kept == (
        f"{certs}/docker.io/hosts.toml was edited since rykte wrote it; what was there before is still in {original}"
    )
    assert original.read_bytes() == _OLD
    assert outcomes["reg.test:5000"].kept == f"{certs}/reg.test:5000/hosts.toml was edited since rykte wrote it"
    assert not (certs / ".rykte-backup" / "reg.test:5000").exists()
    assert (certs / "reg.test:5000" / "hosts.toml").read_bytes().endswith(b"# edited\n")


def test_a_file_that_somebody_else_wrote_instead_is_the_new_original(certs: Path) -> None:
    """Another tool's file without our mirrors: they are put before it, and it is what is given back."""
    HostsFiles(certs).add([_HUB], _MIRRORS)
    theirs = b'[host."https://new.test"]\n'
    (certs / "docker.io" / "hosts.toml").write_bytes(theirs)
    HostsFiles(certs).add([_HUB], _MIRRORS)
    assert _hosts(certs / "docker.io") == [_URL, "https://new.test"]
    HostsFiles(certs).remove()
    assert (certs / "docker.io" / "hosts.toml").read_bytes() == theirs


@pytest.mark.parametrize("whole_directory", [False, True])
def test_a_file_that_was_deleted_is_written_anew_or_given_back(certs: Path, whole_directory: bool) -> None:
    """Nothing of anybody's is lost by that."""
    before = _tree(certs)
    for again in (True, False):
        HostsFiles(certs).add([_HUB], _MIRRORS)
        (certs / "docker.io" / "hosts.toml").unlink()
        if whole_directory:
            (certs / "docker.io").rmdir()
        if again:
            HostsFiles(certs).add([_HUB], _MIRRORS)
            assert _hosts(certs / "docker.io") == [_URL, "https://cache.test"]
        HostsFiles(certs).remove()
        assert _tree(certs) == before


def test_removing_where_nothing_is_is_fine(certs: Path, tmp_path: Path) -> None:
    """Also where there is no directory at all; none is made."""
    before = _tree(certs)
    assert HostsFiles(certs).remove() == []
    assert HostsFiles(tmp_path / "no").remove() == []
    assert _tree(certs) == before
    assert not (tmp_path / "no").exists()


def test_the_certs_directory_is_made_where_it_is_missing(tmp_path: Path) -> None:
    """containerd need not have been configured yet."""
    HostsFiles(tmp_path / "a" / "b").add([_HUB], _MIRRORS)
    assert _hosts(tmp_path / "a" / "b" / "docker.io") == [_URL]


def test_a_directory_that_somebody_uses_meanwhile_is_left(certs: Path) -> None:
    """Even if it was made by us."""
    HostsFiles(certs).add([_PORT], _MIRRORS)
    _write(certs / "reg.test:5000" / "ca.crt", b"theirs")
    HostsFiles(certs).remove()
    assert [each.name for each in (certs / "reg.test:5000").iterdir()] == ["ca.crt"]


def test_nothing_is_written_when_one_file_cannot_be_kept(certs: Path) -> None:
    """All is planned before the first file is touched."""
    _write(certs / "_default" / "hosts.toml", b"server = ")
    before = _tree(certs)
    with pytest.raises(MirrorError, match=r"_default/hosts\.toml is no TOML"):
        HostsFiles(certs).add([_HUB, _DEFAULT], _MIRRORS)
    assert _tree(certs) == before


def test_a_state_of_another_version_is_refused(certs: Path) -> None:
    """With the file's name."""
    HostsFiles(certs).add([_HUB], _MIRRORS)
    (certs / ".rykte-backup" / "docker.io" / "state.json").write_text('{"version": 9}')
    for command in (HostsFiles(certs).remove, lambda: HostsFiles(certs).add([_HUB], _OTHERS)):
        with pytest.raises(MirrorError, match=r"state\.json can't be used: is of version 9"):
            command()


def test_what_the_system_refuses_is_told_with_file_and_remedy(certs: Path) -> None:
    """A directory where the file should be stands for all that can be wrong."""
    (certs / "reg.test:5000" / "hosts.toml").mkdir(parents=True)
    with pytest.raises(
        MirrorError, match=r"reg\.test:5000/hosts\.toml can't be read or written \(is no regular file\)"
    ):
        HostsFiles(certs).add([_PORT], _MIRRORS)


class _Killed(BaseException):
    """The process is gone: nothing that follows runs, no handler either."""


class _QuickFiles(Files):
    """A file system that does not wait for the disk: what is killed here is a process, not the machine."""

    def flush(self, descriptor: int) -> None:
        pass


class _DyingFiles(_QuickFiles):
    """A file system on which the process is killed at the n-th change; a file is then half written."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _Killed

    def write_file(self, path: Path, wanted: Snapshot) -> None:
        try:
            self._step()
        except _Killed:
            path.write_bytes(wanted.content[: len(wanted.content) // 2])
            raise
        super().write_file(path, wanted)

    def write_link(self, path: Path, wanted: Snapshot) -> None:
        self._step()
        super().write_link(path, wanted)

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        super().rename(source, target)

    def discard(self, path: Path) -> None:
        self._step()
        super().discard(path)

    def make_directory(self, path: Path, mode: int) -> None:
        self._step()
        super().make_directory(path, mode)

    def discard_directory(self, path: Path) -> bool:
        self._step()
        return super().discard_directory(path)


_Command = Callable[[HostsFiles], Any]
# One with an original, one whose original is a link, one that is new.
_THREE = [_HUB, Registry.parse("ghcr.io"), _DEFAULT]
_ADD: _Command = lambda hosts: hosts.add(_THREE, _MIRRORS)  # noqa: E731 - a row of a table
_UPDATE: _Command = lambda hosts: hosts.add(_THREE, _OTHERS)  # noqa: E731
_REMOVE: _Command = lambda hosts: hosts.remove()  # noqa: E731


def _whole_files_only(certs: Path) -> None:
    """What containerd may read at this moment can be parsed."""
    for path in certs.glob("*/hosts.toml"):
        tomllib.loads(path.read_text())


@pytest.mark.parametrize(
    ("before", "killed"),
    [([], _ADD), ([_ADD], _UPDATE), ([_ADD, _UPDATE], _REMOVE), ([_ADD], _ADD)],
    ids=["add", "update", "remove", "add again"],
)
@pytest.mark.parametrize("finish", [[_REMOVE], [_ADD, _REMOVE], [_UPDATE, _REMOVE]], ids=["remove", "add", "update"])
def test_a_kill_at_any_step_leaves_what_can_be_finished(
    tmp_path: Path, before: list[_Command], killed: _Command, finish: list[_Command]
) -> None:
    """After each step: only whole files; then `add` brings all of ours, and `remove` all that was there before."""
    steps = 0
    dead = True
    while dead:
        certs = tmp_path / str(steps)
        _write(certs / "docker.io" / "hosts.toml", _OLD, 0o600)
        (certs / "ghcr.io").mkdir()
        (certs / "ghcr.io" / "hosts.toml").symlink_to("nowhere")
        original = _tree(certs)
        for command in before:
            command(HostsFiles(certs, _QuickFiles()))
        try:
            killed(HostsFiles(certs, _DyingFiles(steps)))
            dead = False
        except _Killed:
            steps += 1
        _whole_files_only(certs)
        for command in finish:
            outcomes = command(HostsFiles(certs, _QuickFiles()))
            assert not [each for each in outcomes if each.kept]
            _whole_files_only(certs)
            if command is not _REMOVE:
                assert all(_URL in _hosts(path.parent) for path in certs.glob("*/hosts.toml"))
                assert len(list(certs.glob("*/hosts.toml"))) == len(_THREE)
        assert _tree(certs) == original
    assert steps > 0
