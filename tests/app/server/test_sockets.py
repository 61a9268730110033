"""Listening, waiting and ending, each on real sockets."""

from collections.abc import Iterator
from contextlib import closing

import gevent
import pytest
from gevent import socket

from app.server.sockets import end, listen, shut_down, wait_writable

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The server's and the client's end of a TCP connection."""
    with closing(listen(("127.0.0.1", 0))) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with closing(server), closing(client):
        yield server, client


def test_what_is_accepted_sends_at_once_and_notices_the_dead(pair: Pair) -> None:
    """Both options are inherited from the listening socket."""
    server, _client = pair
    assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize(("host", "shown"), [("", "0.0.0.0"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1")])
def test_listening_is_by_the_hosts_family(host: str, shown: str) -> None:
    """No host means every IPv4 interface."""
    with closing(listen((host, 0))) as listener:
        assert listener.getsockname()[0] == shown


def test_a_busy_port_is_an_error_and_leaks_nothing() -> None:
    """The descriptor is closed again."""
    with closing(listen(("127.0.0.1", 0))) as listener, pytest.raises(OSError, match="in use"):
        listen(listener.getsockname())


def test_waiting_lets_others_run(pair: Pair) -> None:
    """Also when the socket could be written at once."""
    ran: list[str] = []
    greenlet = gevent.spawn(ran.append, "other")
    wait_writable(pair[0])
    assert ran == ["other"]
    greenlet.join()


def test_shutting_down_wakes_a_reader_with_a_plain_end(pair: Pair) -> None:
    """No exception is thrown into the greenlet that waits for the socket."""
    server, _client = pair
    reader = gevent.spawn(server.recv, 10)
    gevent.sleep(0)
    shut_down(server)
    assert reader.get() == b""


def test_shutting_down_what_is_closed_is_nothing(pair: Pair) -> None:
    """Its client may have gone first."""
    server, _client = pair
    server.close()
    shut_down(server)


def test_the_end_is_fin_though_input_was_not_read(pair: Pair) -> None:
    """Everything that was sent arrives, and then a plain end of file: no reset by unread input."""
    server, client = pair
    client.sendall(b"a request that nobody reads" * 100)
    server.sendall(b"the answer")
    ending = gevent.spawn(end, server)
    got = b""
    while chunk := client.recv(100):
        got += chunk
    client.close()
    ending.get()
    assert got == b"the answer"


def test_a_client_that_goes_on_sending_does_not_hold_the_end(pair: Pair) -> None:
    """What is read after the end is bounded."""
    server, client = pair

    def flood() -> None:
        while True:
            client.sendall(bytes(65536))

    flooding = gevent.spawn(flood)
    end(server)
    with pytest.raises(OSError, match=r"reset|pipe"):
        flooding.get()
