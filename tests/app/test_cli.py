"""The command line: what is shown, where, and with which exit code."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app import __version__
from app.cli import cli
from app.config.config import Config
from app.config.option import options_of
from app.gossip_keys.text import parse_keys
from tests.app.commands.node_api import HOLDERS, MEMBERS, STATUS, NodeApi


@pytest.fixture
def node() -> Iterator[NodeApi]:
    """A node's metrics port."""
    node = NodeApi()
    yield node
    node.stop()


def _run(*arguments: str, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(cli, arguments, prog_name="rykte")


def _refused(result: Result, code: int) -> str:
    """The error of a command that failed in an orderly way: nothing on stdout, no exception but the exit."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr


def test_the_version() -> None:
    """One line that scripts can read."""
    assert _run("--version").stdout == f"rykte {__version__}\n"


@pytest.mark.parametrize(
    "command", [[], ["serve"], ["status"], ["members"], ["holders"], ["mirror", "add"], ["keygen"]]
)
def test_every_command_has_a_help(command: list[str]) -> None:
    """By both spellings."""
    for flag in ("--help", "-h"):
        result = _run(*command, flag)
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage: rykte")


def test_keygen_prints_a_key_and_nothing_else() -> None:
    """One line that `>> keys` makes a key file of."""
    result = _run("keygen")
    assert result.stderr == ""
    assert result.stdout.endswith("\n")
    assert len(parse_keys(result.stdout)) == 1


def test_serve_has_every_option_of_the_table() -> None:
    """Told once, in the table."""
    shown = _run("serve", "--help").stdout
    assert [each.flag for each in options_of(Config) if f"  {each.flag} " not in shown] == []


def test_all_mistakes_of_serve_come_at_once() -> None:
    """From flags and variables, with exit code 2."""
    error = _refused(_run("serve", "--bootstrap", "http", "--store", "layout", RYKTE_ZONE="a b"), 2)
    assert error.splitlines() == [
        "Error: these 3 settings can't be used:",
        "  --zone 'a b' (from the variable RYKTE_ZONE) is no name:"
        " write at most 63 letters, digits, dots, dashes and underscores",
        "  --bootstrap 'http' is no choice here: write none or static or dns",
        "  --store layout needs --layout-path: give the directory that has the file oci-layout",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bootstrap-lease-name", "x"],
        ["--bootstrap-http-url", "x"],
        ["--zone"],
        ["superfluous"],
        ["--resolve-tags", "--no-resolve-tags"],
        ["--resolve-tags=perhaps"],
        ["--no-resolve-tags=true"],
    ],
)
def test_what_serve_does_not_know_is_refused(arguments: list[str]) -> None:
    """Options of parts that do not exist yet are unknown, not ignored."""
    assert "Error:" in _refused(_run("serve", *arguments), 2)


@pytest.mark.parametrize(
    "arguments", [["--no-resolve-tags"], ["--resolve-tags=false"], ["--resolve-tags", "false"], ["--resolve-tags"]]
)
def test_switches_in_every_spelling(arguments: list[str]) -> None:
    """They are read; the mistake beside them is the only one."""
    error = _refused(_run("serve", *arguments, "--store", "x"), 2)
    assert error.splitlines() == [
        "Error: this setting can't be used:",
        "  --store 'x' is no choice here: write containerd or layout",
    ]


def test_the_master_stays_light_until_it_serves() -> None:
    """Reading the settings imports neither the server nor anything of the node."""
    heavy = ("flask", "grpc", "gevent", "gunicorn", "structlog", "requests", "prometheus_client")
    script = f"import sys, app.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_serving_imports_nothing_of_the_node_in_the_master() -> None:
    """gunicorn and the worker class alone; the rest comes after the fork."""
    heavy = ("flask", "grpc", "structlog", "requests", "prometheus_client", "msgpack")
    script = (
        f"import sys, app.cli, app.log, app.server.master; print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_status_of_a_ready_node(node: NodeApi) -> None:
    """The node in some lines."""
    node.answers(STATUS)
    result = _run("status", "--api", node.url)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "node      n1",
        "version   0.1.0",
        "ready     yes",
        "uptime    1h 2m",
        "store     containerd, 40 images, 165 keys",
        "engine    swim",
        "members   3 alive, 1 failed",
        "registry  0.0.0.0:5000",
        "metrics   0.0.0.0:9090",
        "gossip    0.0.0.0:7946",
    ]


def test_status_of_a_node_with_an_agent(node: NodeApi) -> None:
    """Where the agent is asked stands in place of the gossip port."""
    addresses = {"registry": "0.0.0.0:5000", "metrics": "0.0.0.0:9090", "agent": "127.0.0.1:7373"}
    node.answers({**STATUS, "engine": "serf", "addresses": addresses})
    lines = _run("status", "--api", node.url).stdout.splitlines()
    assert "engine    serf" in lines
    assert lines[-1] == "agent     127.0.0.1:7373"


@pytest.mark.parametrize("output", ["text", "json"])
def test_status_of_a_node_that_is_not_ready_is_a_failure(node: NodeApi, output: str) -> None:
    """Exit code 1, and the reason to read."""
    store = {**STATUS["store"], "problem": "containerd does not answer"}
    node.answers({**STATUS, "ready": False, "reason": "starting", "store": store})
    result = _run("status", "--output", output, RYKTE_API=node.url)
    assert result.exit_code == 1
    assert "starting" in result.stdout
    assert "containerd does not answer" in result.stdout


def test_members_are_a_table_by_node(node: NodeApi) -> None:
    """What is not known is a dash."""
    node.answers(MEMBERS)
    assert _run("members", "--api", node.url).stdout.splitlines() == [
        "NODE  ADDRESS         HTTP  STATE   ZONE  KEYS  FILTER AGE",
        "n1    [fd00::1]:7946  -     failed  -     -     -",
        "n2    10.0.0.2:7946   5000  alive   a     165   1m 1s",
    ]


def test_holders_are_a_table(node: NodeApi) -> None:
    """The reference is asked for as it was given."""
    node.answers(HOLDERS)
    assert _run("holders", "docker.io/library/nginx:1", "--api", node.url).stdout.splitlines() == [
        "NODE  ADDRESS   STATE    CONFIRMED",
        "n1    10.0.0.1  suspect  no",
        "n2    10.0.0.2  alive    yes",
    ]
    assert node.asked == [("/api/v1/holders", "ref=docker.io%2Flibrary%2Fnginx%3A1")]


def test_no_holder_is_an_answer(node: NodeApi) -> None:
    """In words."""
    node.answers({"key": "docker.io/a:1", "holders": []})
    result = _run("holders", "docker.io/a:1", "--api", node.url)
    assert (result.exit_code, result.stdout) == (0, "no member is known to have docker.io/a:1\n")


@pytest.mark.parametrize(
    ("command", "document"), [(["status"], STATUS), (["members"], MEMBERS), (["holders", "a"], HOLDERS)]
)
def test_json_is_the_nodes_own(node: NodeApi, command: list[str], document: object) -> None:
    """For scripts: nothing added, nothing left out."""
    node.answers(document)
    assert json.loads(_run(*command, "--output", "json", "--api", node.url).stdout) == document


@pytest.mark.parametrize("command", [["status"], ["members"], ["holders", "a"]])
@pytest.mark.parametrize(
    "document",
    [{}, {"ready": True}, {"members": [5]}, {"members": [{}]}, {"holders": {}}, {"key": "a", "holders": [None]}],
)
def test_an_answer_of_another_shape_is_one_line(node: NodeApi, command: list[str], document: object) -> None:
    """Another version's, or not a node at all: no traceback."""
    node.answers(document)
    error = _refused(_run(*command, "--api", node.url), 1)
    assert error.startswith("Error: the node's answer has no usable ")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("command", [["status"], ["members"], ["holders", "a"]])
def test_a_node_that_is_not_there_is_one_line(command: list[str]) -> None:
    """Exit code 1 and the remedy."""
    error = _refused(_run(*command, "--api", "http://127.0.0.1:1"), 1)
    assert error.startswith("Error: nothing answers at http://127.0.0.1:1 (connection refused)")
    assert len(error.splitlines()) == 1


def test_names_from_other_machines_do_not_command_the_terminal(node: NodeApi) -> None:
    """They come by gossip from whoever takes part."""
    node.answers({"members": [{**MEMBERS["members"][0], "node": "\x1b[2Jn", "zone": "a\nb"}]})
    result = _run("members", "--api", node.url)
    assert "\x1b" not in result.stdout
    assert len(result.stdout.splitlines()) == 2


def test_mirror_add_and_remove(tmp_path: Path) -> None:
    """Each directory is told with what became of it."""
    add = ["mirror", "add", "--certs-dir", str(tmp_path), "--mirror", "http://127.0.0.1:5000"]
    both = [*add, "--registry", "https://docker.io", "--registry", "_default", "--no-resolve-tags"]
    assert _run(*both).stdout.splitlines() == [f"written {tmp_path}/docker.io", f"written {tmp_path}/_default"]
    assert '"resolve"' not in (tmp_path / "docker.io" / "hosts.toml").read_text()
    assert _run(*both).stdout.splitlines() == [f"unchanged {tmp_path}/docker.io", f"unchanged {tmp_path}/_default"]
    remove = ["mirror", "remove", "--certs-dir", str(tmp_path)]
    assert _run(*remove).stdout.splitlines() == [f"removed {tmp_path}/_default", f"removed {tmp_path}/docker.io"]
    assert _run(*remove).stdout == f"nothing of rykte's in {tmp_path}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_kept_is_said_on_stderr(tmp_path: Path) -> None:
    """And is no failure."""
    add = ["mirror", "add", "--certs-dir", str(tmp_path), "--registry", "a.test", "--mirror", "http://127.0.0.1:5000"]
    _run(*add)
    file = tmp_path / "a.test" / "hosts.toml"
    file.write_text(f"{file.read_text()}# mine\n")
    result = _run("mirror", "remove", "--certs-dir", str(tmp_path))
    assert (result.exit_code, result.stdout) == (0, f"kept {tmp_path}/a.test\n")
    assert result.stderr == f"note: {file} was edited since rykte wrote it\n"


def test_all_mistakes_of_mirror_add_come_at_once(tmp_path: Path) -> None:
    """And nothing is written."""
    arguments = ["--registry", "a/b", "--mirror", "127.0.0.1:5000", "--dial-timeout", "200"]
    error = _refused(_run("mirror", "add", "--certs-dir", str(tmp_path / "d"), *arguments), 2)
    assert [line.split("'")[0] for line in error.splitlines()[-3:]] == [
        "Error: --registry ",
        "  --mirror ",
        "  --dial-timeout ",
    ]
    assert not (tmp_path / "d").exists()


def test_one_host_by_two_schemes_is_refused(tmp_path: Path) -> None:
    """Both would be the same file."""
    arguments = ["--registry", "http://a.test", "--registry", "https://a.test", "--mirror", "http://127.0.0.1:1"]
    assert "give one of them" in _refused(_run("mirror", "add", "--certs-dir", str(tmp_path), *arguments), 2)


def test_an_ipv6_mirror_is_noted(tmp_path: Path) -> None:
    """containerd 1.x ignores such a file in silence."""
    arguments = ["--registry", "a.test", "--mirror", "http://[fd00::1]:5000"]
    result = _run("mirror", "add", "--certs-dir", str(tmp_path), *arguments)
    assert result.exit_code == 0
    assert "note: containerd 1.x ignores a file with an IPv6 literal" in result.stderr


@pytest.mark.parametrize("command", [["add", "--registry", "a.test", "--mirror", "http://127.0.0.1:1"], ["remove"]])
def test_no_certs_directory_is_not_the_current_one(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a script with an unset variable gives is refused, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    assert "--certs-dir is empty" in _refused(_run("mirror", *command, "--certs-dir", ""), 2)
    assert list(tmp_path.iterdir()) == []


def test_a_certs_directory_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """A file in its place stands for all that can be wrong."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    arguments = ["--registry", "a.test", "--mirror", "http://127.0.0.1:1"]
    error = _refused(_run("mirror", "add", "--certs-dir", str(blocked), *arguments), 1)
    assert error.startswith(f"Error: {blocked} can't be read or written")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [["mirror", "add"], ["mirror", "remove"], ["holders"], ["status", "--output", "xml"], ["nonsense"], ["mirror"]],
)
def test_what_is_asked_for_wrongly_is_a_usage_error(arguments: list[str]) -> None:
    """Exit code 2."""
    result = _run(*arguments)
    assert result.exit_code == 2
    assert "Usage: rykte" in result.stderr
