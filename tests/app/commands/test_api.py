"""Asking a node."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from gevent import socket

from app.commands.api import Api, ApiError, printable, take
from tests.app.commands.node_api import NodeApi


@pytest.fixture
def node() -> Iterator[NodeApi]:
    """A node's metrics port."""
    node = NodeApi()
    yield node
    node.stop()


def _get(base: str, what: str = "status", timeout_s: float = 10.0, **query: str) -> dict[str, Any]:
    return Api(base, timeout_s).get(what, **query)


def test_the_document_is_returned(node: NodeApi) -> None:
    """The query is encoded; the scheme and a final slash may be missing or there."""
    node.answers({"a": 1})
    for base in (node.url, f"{node.url}/", node.url.removeprefix("http://")):
        assert _get(base, "holders", ref="a/b:1&x=2") == {"a": 1}
    assert set(node.asked) == {("/api/v1/holders", "ref=a%2Fb%3A1%26x%3D2")}


def test_a_refusal_is_passed_on(node: NodeApi) -> None:
    """In the node's own words, without what a terminal would obey."""
    node.answers({"error": "'x' is no digest\x1b[31m"}, "400 Bad Request")
    with pytest.raises(ApiError, match=r"^'x' is no digest\?\[31m$"):
        _get(node.url)


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (b"<html>", "200 OK"),
        (b"\xff\xfe", "200 OK"),
        (b"", "200 OK"),
        ([1], "200 OK"),
        ({"errors": []}, "404 Not Found"),
        ({"error": 5}, "400 Bad Request"),
        (b"[" * 100_000, "200 OK"),
        ({}, "500 Internal Server Error"),
    ],
)
def test_what_is_no_answer_of_rykte_asks_for_the_right_port(node: NodeApi, document: object, status: str) -> None:
    """The registry's port, another program, a broken node: one line with the remedy."""
    node.answers(document, status)
    with pytest.raises(ApiError, match=r"gives no status of Rykte \(HTTP \d+\): is --api the metrics address"):
        _get(node.url)


def test_an_answer_without_end_is_cut_off(node: NodeApi) -> None:
    """Memory is bounded, whoever answers."""
    node.answers(b"x" * (33 * 1024 * 1024))
    with pytest.raises(ApiError, match="answers without end"):
        _get(node.url)


@pytest.mark.parametrize("header", [("Content-Length", "9"), ("Content-Encoding", "gzip")])
def test_an_answer_that_breaks_off_asks_for_the_right_port(node: NodeApi, header: tuple[str, str]) -> None:
    """Or one that can't be unpacked: the address was written well, so the remedy is another."""
    node.answers({})
    node.headers.append(header)
    with pytest.raises(ApiError, match=r"breaks off or can't be read: is --api the metrics address"):
        _get(node.url)


def test_a_refused_connection_asks_whether_a_node_runs() -> None:
    """With the address and the system's words."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(
            ApiError, match=rf"nothing answers at {base} \(connection refused\): is `rykte serve` running"
        ):
            _get(base)


def test_a_node_that_does_not_answer_is_given_up() -> None:
    """A listener that nobody serves stands for a stuck node."""
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        with pytest.raises(ApiError, match=r"did not answer within 0\.05 s"):
            _get(f"127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.05)


@pytest.mark.parametrize("base", ["http://[x", "ftp://a", "http://", "http://a:99999", "://", "http://a b"])
def test_an_address_that_is_none_is_one_line(base: str) -> None:
    """Which shows how one is written, or that nothing is there."""
    with pytest.raises(ApiError, match="--api"):
        _get(base, timeout_s=0.5)


def test_a_proxy_of_the_environment_is_not_asked(node: NodeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows nothing of this node."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    node.answers({"a": 1})
    assert _get(node.url) == {"a": 1}


@pytest.mark.parametrize("value", [None, "1", True, 1.0, []])
def test_a_member_of_another_kind_is_no_traceback(value: object) -> None:
    """The versions may differ."""
    with pytest.raises(ApiError, match=r"no usable 'keys': is it of another version"):
        take({"keys": value}, "keys", int)


def test_a_member_of_the_right_kind_is_taken() -> None:
    """Truth is no number."""
    assert take({"a": 1}, "a", int) == 1
    assert take({"a": None}, "a", int, type(None)) is None
    assert take({"a": True}, "a", bool) is True


def test_printable_keeps_letters_and_drops_control() -> None:
    """Of any script."""
    assert printable("né\n\x1b[0m\u202e") == "né??[0m?"
