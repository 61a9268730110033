"""What the hosts.toml files look like."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mirrors.plan import DEFAULT, Existing, MirrorError, Mirrors, Registry, hosts_toml, mirror_url, names_any

_URL = "http://127.0.0.1:5000"
_MIRRORS = Mirrors((_URL,))
_HUB = Registry.parse("https://docker.io")


def _parsed(registry: Registry = _HUB, mirrors: Mirrors = _MIRRORS, **existing: Any) -> dict[str, Any]:
    return tomllib.loads(hosts_toml(registry, mirrors, Existing(**existing)).decode())


def test_the_file_for_docker_hub() -> None:
    """As an operator reads it: the real API host last, the mirror first."""
    assert hosts_toml(_HUB, _MIRRORS, Existing()).decode().splitlines() == [
        "# Written by `rykte mirror add`. `rykte mirror remove` gives back what was here before.",
        'server = "https://registry-1.docker.io"',
        "",
        '[host."http://127.0.0.1:5000"]',
        "capabilities = [",
        '    "pull",',
        '    "resolve",',
        "]",
        'dial_timeout = "200ms"',
    ]


def test_the_default_names_no_server() -> None:
    """Each registry itself is the last resort then."""
    assert "server" not in _parsed(Registry.parse(DEFAULT))


@pytest.mark.parametrize(
    ("text", "host", "server"),
    [
        ("https://docker.io", "docker.io", "https://registry-1.docker.io"),
        ("docker.io", "docker.io", "https://registry-1.docker.io"),
        ("https://ghcr.io/", "ghcr.io", "https://ghcr.io"),
        ("http://Reg.Test:5000", "reg.test:5000", "http://reg.test:5000"),
        ("reg.test:5000", "reg.test:5000", "https://reg.test:5000"),
        ("https://[fd00::1]:5000", "[fd00::1]:5000", "https://[fd00::1]:5000"),
        ("_default", "_default", None),
    ],
)
def test_registries(text: str, host: str, server: str | None) -> None:
    """A bare host means https."""
    assert Registry.parse(text) == Registry(host, server)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no host"),
        ("https://", "no host"),
        ("../etc", "no host|behind the host"),
        ("https://a/../b", "behind the host"),
        ("https://user:pw@a", "no host"),
        ("ftp://a", "scheme ftp"),
        ("https://a?b", "behind the host"),
        ("https://a:99999", "no host"),
        ("*", "no host"),
        ("https://a b", "no host"),
        ("a/b", "behind the host"),
    ],
)
def test_what_is_no_registry_is_refused(text: str, words: str) -> None:
    """No name from outside becomes a path unchecked."""
    with pytest.raises(ValueError, match=words):
        Registry.parse(text)


def test_directories_in_the_order_of_containerd() -> None:
    """The form with underscores is looked for first, the plain one is what we make."""
    assert Registry.parse("reg.test:5000").directories == ("reg.test_5000_", "reg.test:5000")
    assert Registry.parse("https://[::1]:80").directories == ("[::1]_80_", "[::1]:80")
    assert _HUB.directories == ("docker.io",)


@pytest.mark.parametrize("text", ["127.0.0.1:5000", "http://", "http://a/v2", "unix:///a", "http://a?b=c"])
def test_what_is_no_mirror_is_refused(text: str) -> None:
    """A mirror needs its scheme, and nothing behind the host."""
    with pytest.raises(ValueError, match="write"):
        mirror_url(text)


def test_mirrors_keep_their_order() -> None:
    """It is the order in which they are asked."""
    urls = ("http://b.test:1", "http://a.test:1", "http://c.test:1")
    assert tuple(_parsed(mirrors=Mirrors(urls))["host"]) == urls


def test_without_tags_only_digests_are_asked_for() -> None:
    """And the time-out is what was given."""
    entry = _parsed(mirrors=Mirrors((_URL,), resolve_tags=False, dial_timeout="1s"))["host"][_URL]
    assert entry == {"capabilities": ["pull"], "dial_timeout": "1s"}


def test_a_header_is_written_when_there_is_one() -> None:
    """Under the mirror's own entry."""
    entry = _parsed(mirrors=Mirrors((_URL,), header={"Authorization": "Basic eA=="}))["host"][_URL]
    assert entry["header"] == {"Authorization": "Basic eA=="}


def test_hosts_that_were_there_stay_behind_ours() -> None:
    """With all their settings, in their order, and the old server last."""
    old = b"""server = "https://private.test"
skip_verify = true
[host."https://z.test"]
  ca = "z.crt"
[host."http://a.test"]
  capabilities = ["pull"]
  [host."http://a.test".header]
    X = ["1"]
"""
    new = _parsed(path="p", content=old)
    assert list(new["host"]) == [_URL, "https://z.test", "http://a.test"]
    assert new["host"]["https://z.test"] == {"ca": "z.crt"}
    assert new["host"]["http://a.test"] == {"capabilities": ["pull"], "header": {"X": ["1"]}}
    assert (new["server"], new["skip_verify"]) == ("https://private.test", True)


def test_a_host_that_is_one_of_ours_is_not_repeated() -> None:
    """It moves to the front and keeps what we say nothing of."""
    old = b'[host."https://a.test"]\n[host."http://127.0.0.1:5000"]\nca = "x.crt"\ncapabilities = ["push"]\n'
    new = _parsed(path="p", content=old)
    assert list(new["host"]) == [_URL, "https://a.test"]
    assert new["host"][_URL] == {"ca": "x.crt", "capabilities": ["pull", "resolve"], "dial_timeout": "200ms"}


def test_certificates_in_the_manner_of_docker_go_on_working() -> None:
    """containerd looks at them only where there is no hosts.toml."""
    new = _parsed(beside=("ca.crt", "client.cert", "client.key", "b.crt", "README"))
    assert (new["ca"], new["client"]) == (["b.crt", "ca.crt"], [["client.cert", "client.key"]])


def test_paths_of_the_default_directory_are_right_in_another_one() -> None:
    """Relative ones lead back; absolute ones stay."""
    old = b'ca = "r.crt"\n[host."https://a.test"]\nca = ["a.crt", "/abs.crt"]\n'
    old += b'client = [["c.crt", ""], ["k/d.crt", "d.key"]]\n'
    new = _parsed(path="p", content=old, moved_from=DEFAULT)
    assert new["ca"] == "../_default/r.crt"
    assert new["host"]["https://a.test"] == {
        "ca": ["../_default/a.crt", "/abs.crt"],
        "client": [["../_default/c.crt", ""], ["../_default/k/d.crt", "../_default/d.key"]],
    }


@pytest.mark.parametrize("content", [b"server = ", b"\xff", b"[host]\na = 1", b"host = 1", b"a" * 10, b"[" * 5000])
def test_what_cannot_be_kept_is_refused_by_name(content: bytes) -> None:
    """containerd ignores such a file in silence; we say which it is."""
    with pytest.raises(MirrorError, match=r"/certs/docker\.io/hosts\.toml .*mend or remove it"):
        hosts_toml(_HUB, _MIRRORS, Existing("/certs/docker.io/hosts.toml", content))


_SETTINGS = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\" '", max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["server", "ca", "x"]), _SETTINGS, max_size=3),
    st.dictionaries(st.sampled_from([_URL, "https://a.test", "b"]), st.dictionaries(st.text(max_size=4), _SETTINGS)),
)
def test_nothing_that_was_set_is_lost(root: dict[str, Any], hosts: dict[str, dict[str, Any]]) -> None:
    """Whatever a file holds, it is in ours; and making it twice gives the same bytes."""
    import tomli_w

    try:
        old = tomli_w.dumps({**root, "host": hosts}).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate can't be in a file
    new = hosts_toml(_HUB, _MIRRORS, Existing("p", old))
    parsed = tomllib.loads(new.decode())
    assert next(iter(parsed["host"])) == _URL
    assert {key: parsed[key] for key in root} == root
    assert {url: parsed["host"][url] for url in hosts if url != _URL} == {u: t for u, t in hosts.items() if u != _URL}
    assert hosts_toml(_HUB, _MIRRORS, Existing("p", new)) == new


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[host."http://127.0.0.1:5000"]', True),
        (b'broken ( [host."http://127.0.0.1:5000"]\xff', True),
        (b'[host."http://127.0.0.1:50001"]', False),
        (b'[host."http://127.0.0.1:5000.test"]', False),
        (b"", False),
    ],
)
def test_whether_a_file_names_our_mirrors(content: bytes, expected: bool) -> None:
    """Also one that somebody broke while editing."""
    assert names_any(content, [_URL]) is expected
