"""One client's connection, seen from the other end of the wire."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
from gevent import socket
from gunicorn.config import Config as GunicornConfig

from app.server.connection import Connection, Patience, WsgiApp
from app.source import Interrupted
from tests.http_client import Client

StartResponse = Callable[..., Any]
Environ = dict[str, Any]


class Bytes:
    """A body that sends itself, and may break off."""

    def __init__(self, content: bytes, error: BaseException | None = None) -> None:
        self.content = content
        self.error = error
        self.closed = 0

    def send_to(self, client: socket.socket) -> None:
        client.sendall(self.content)
        if self.error is not None:
            raise self.error

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("a body that can send itself is not iterated over")

    def close(self) -> None:
        self.closed += 1


def answer(start_response: StartResponse, body: Any, length: int, status: str = "200 OK") -> Any:
    start_response(status, [("Content-Length", str(length))])
    return body


def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The path and the body of the request."""
    text = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode() + environ["wsgi.input"].read()
    return answer(start_response, [text], len(text))  # type: ignore[no-any-return]


def path_only(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The path; the request's body is left unread."""
    text = environ["PATH_INFO"].encode()
    return answer(start_response, [text], len(text))  # type: ignore[no-any-return]


def settings() -> GunicornConfig:
    config = GunicornConfig()
    config.set("forwarded_allow_ips", "")
    config.set("http_parser", "python")
    return config


@contextmanager
def serving(app: WsgiApp, *, last: bool = False, **patience: float) -> Iterator[Client]:
    """A client whose connection is served by `app`; leaving waits until the connection has been served."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(listener.getsockname())
        ours, address = listener.accept()
    connection = Connection(ours, address, app, settings=settings(), patience=Patience(**patience), last=lambda: last)
    greenlet = gevent.spawn(connection.serve)
    try:
        with client:
            yield client
    finally:
        greenlet.get(timeout=10)
    assert not connection.busy


def test_a_connection_is_kept_for_the_next_request() -> None:
    """HTTP/1.1's way."""
    with serving(echo) as client:
        assert client.get("/a").body == b"GET /a "
        assert client.get("/b").body == b"GET /b "


@pytest.mark.parametrize(("line", "header"), [("GET / HTTP/1.0", "X: y"), ("GET / HTTP/1.1", "Connection: close")])
def test_a_client_may_want_no_more(line: str, header: str) -> None:
    """An old protocol, or the wish of the client."""
    with serving(echo) as client:
        client.send(line, "Host: test", header)
        assert client.answer().headers["connection"] == "close"
        assert client.ended()


def test_the_last_request_is_said_to_be_the_last() -> None:
    """A server that stops tells the client not to reuse the connection."""
    with serving(echo, last=True) as client:
        assert client.get("/").headers["connection"] == "close"
        assert client.ended()


def test_pipelined_requests_are_answered_in_order() -> None:
    """The next request may have come with the last one."""
    with serving(echo) as client:
        client.send("GET /1 HTTP/1.1", "Host: t", "", "GET /2 HTTP/1.1", "Host: t", "", "GET /3 HTTP/1.1", "Host: t")
        assert [client.answer().body for _ in range(3)] == [b"GET /1 ", b"GET /2 ", b"GET /3 "]


def test_a_busy_client_leaves_turns_to_others() -> None:
    """One trip through the hub per request, though the next one is in the buffer already."""
    turns: list[str] = []

    def noting(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/first":
            gevent.spawn(turns.append, "other")
        turns.append(environ["PATH_INFO"])
        return echo(environ, start_response)

    with serving(noting) as client:
        client.send("GET /first HTTP/1.1", "Host: t", "", "GET /second HTTP/1.1", "Host: t")
        client.answer()
        client.answer()
    assert turns == ["/first", "other", "/second"]


def test_a_request_split_into_bytes_is_read() -> None:
    """However the network cuts it."""
    with serving(echo) as client:
        for byte in b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n":
            client.socket.sendall(bytes([byte]))
            gevent.sleep(0)
        assert client.answer().body == b"GET /slow "


def test_a_head_that_does_not_end_is_given_up() -> None:
    """From its first byte on it has `head_s`."""
    with serving(echo, head_s=0.02) as client:
        client.socket.sendall(b"GET / HTTP/1.1\r\nHost: t\r\n")
        assert client.answer().status == 408
        assert client.ended()


def test_an_idle_connection_is_ended_without_a_word() -> None:
    """Nothing was asked, so nothing is answered."""
    with serving(echo, idle_s=0.02) as client:
        assert client.ended()


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["no request at all"], 400),
        (["GET / HTTP/9.9"], 400),
        (["G{} / HTTP/1.1"], 400),
        (["GET / HTTP/1.1", "Host: t", "no colon"], 400),
        (["GET / HTTP/1.1", "Host: t", "Content-Length: -1"], 400),
        (["GET / HTTP/1.1", "Host: t", "Content-Length: 1", "Transfer-Encoding: chunked"], 400),
        (["GET / HTTP/1.1", "Host: t", "Transfer-Encoding: rot13"], 501),
        (["GET /" + "a" * 9000 + " HTTP/1.1"], 414),
        (["GET / HTTP/1.1", "Host: t", "X: " + "a" * 9000], 431),
        (["GET / HTTP/1.1", "Host: t", *["X: y"] * 200], 431),
    ],
)
def test_what_is_no_request_is_refused(lines: list[str], status: int) -> None:
    """With the status that fits, and the end of the connection; no app is asked."""

    def never(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise AssertionError("was asked")

    with serving(never) as client:
        client.send(*lines)
        refused = client.answer()
        assert (refused.status, refused.headers["connection"]) == (status, "close")
        assert client.ended()


def test_a_body_that_nobody_read_is_passed_over() -> None:
    """The next request begins after it."""
    with serving(path_only) as client:
        client.send("POST /a HTTP/1.1", "Host: t", "Content-Length: 5", body=b"hello")
        assert client.answer().body == b"/a"
        assert client.get("/b").body == b"/b"


def test_a_long_body_that_nobody_read_ends_the_connection() -> None:
    """Reading it all would cost more than a new connection; the answer arrives all the same."""
    with serving(path_only) as client:
        client.send("POST /a HTTP/1.1", "Host: t", f"Content-Length: {1 << 30}", body=bytes(100_000))
        assert client.answer().body == b"/a"
        assert client.ended()


def test_a_client_that_waits_for_continue_is_told_to() -> None:
    """RFC 9110 §10.1.1."""
    with serving(echo) as client:
        client.send("POST / HTTP/1.1", "Host: t", "Content-Length: 2", "Expect: 100-continue")
        assert client.head()[0] == 100
        client.socket.sendall(b"ok")
        assert client.answer().body == b"POST / ok"


def test_a_body_that_can_send_itself_is_let() -> None:
    """It gets the socket after the head has gone, and is closed once."""
    body = Bytes(b"content")
    with serving(lambda _environ, start: answer(start, body, 7)) as client:
        assert client.get("/").body == b"content"
        assert client.get("/").body == b"content"
    assert body.closed == 2


def test_an_interrupted_body_ends_short_by_fin() -> None:
    """The client sees less than was promised and a plain end, though it had sent more: never a reset."""
    body = Bytes(b"half", Interrupted("no holder is left"))
    with serving(lambda _environ, start: answer(start, body, 8)) as client:
        client.send("GET / HTTP/1.1", "Host: t", "", "GET /pipelined HTTP/1.1", "Host: t")
        got = client.answer()
        assert (got.body, got.whole) == (b"half", False)
    assert body.closed == 1


def test_an_interrupted_iterable_ends_short_too() -> None:
    """The portable way to the same end."""

    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise Interrupted("no holder is left")

    with serving(lambda _environ, start: answer(start, chunks(), 8)) as client:
        got = client.get("/")
        assert (got.body, got.whole) == (b"half", False)


def test_an_app_that_fails_before_its_head_is_answered_by_500() -> None:
    """The failure is in the log, not in the answer."""

    def failing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise RuntimeError("a bug with a secret in it")

    with serving(failing) as client:
        got = client.get("/")
        assert (got.status, got.body) == (500, b"Internal Server Error\n")
        assert client.ended()


def test_an_app_that_fails_in_a_body_writes_no_page_into_it() -> None:
    """The body ends short, as what follows would be taken for content."""
    body = Bytes(b"half", RuntimeError("a bug"))
    with serving(lambda _environ, start: answer(start, body, 100)) as client:
        got = client.get("/")
        assert (got.body, got.whole) == (b"half", False)
    assert body.closed == 1


@pytest.mark.parametrize("error", [BrokenPipeError("gone"), ConnectionResetError("gone"), TimeoutError("stalled")])
def test_a_client_that_went_away_is_no_failure(error: OSError) -> None:
    """The body is closed and the connection ended."""
    body = Bytes(b"half", error)
    with serving(lambda _environ, start: answer(start, body, 8)) as client:
        assert not client.get("/").whole
    assert body.closed == 1


def test_a_head_request_has_no_body() -> None:
    """The length is that of the body that GET would give."""
    with serving(lambda _environ, start: answer(start, (), 1000)) as client:
        assert client.get("/", method="HEAD").headers["content-length"] == "1000"
        assert client.get("/", method="HEAD").status == 200


def test_a_client_can_not_choose_the_script_name() -> None:
    """No header of a client's is taken for a proxy's."""
    with serving(echo) as client:
        assert client.get("/a", "SCRIPT_NAME: /x", "X-Forwarded-For: 1.2.3.4").body == b"GET /a "
