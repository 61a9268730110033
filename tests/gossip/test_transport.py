"""The sockets: what strangers may hold of them, and addresses that can't be had."""

import socket as native
from dataclasses import replace

import pytest

from gossip.errors import Unreachable
from gossip.wire.fields import pack
from gossip.wire.messages import Ack, Ping
from gossip.wire.stream import encode_stream
from tests.contracts.membership import Recorder
from tests.gossip.loopback import FAST, PORT, answer, connect, driver, fresh_host, wait


def test_a_silent_stream_is_closed() -> None:
    """Who connects and says nothing is disconnected after the stream's time."""
    node = driver("node", fresh_host(), settings=replace(FAST, stream_timeout_s=0.05))
    node.start(Recorder())
    with connect(node) as stream:
        assert stream.recv(1) == b""
    node.stop()


def test_streams_are_bounded() -> None:
    """One connection more than the limit is closed at once; a place that is given back serves the next."""
    node = driver("node", fresh_host(), settings=replace(FAST, stream_limit=2, stream_timeout_s=30.0))
    node.start(Recorder())
    first, second = connect(node), connect(node)
    with connect(node) as third:
        assert third.recv(1) == b""
    first.close()

    def served() -> bool:
        with connect(node) as fourth:
            try:
                fourth.sendall(encode_stream(Ping(1, "node")))
                return answer(fourth) == Ack(1)
            except OSError:
                return False

    wait(served)
    second.close()
    node.stop()


def test_all_streams_together_are_bounded() -> None:
    """Half-sent user messages that together exceed the budget cost the last one its stream, not the node its memory."""
    node = driver("node", fresh_host(), settings=replace(FAST, stream_timeout_s=60.0))
    node.start(Recorder())
    announced = 6 << 20
    opening = b"\x08" + pack({"UserMsgLen": announced}) + bytes(announced - 1)
    streams = []
    closed = 0
    for _ in range(6):
        stream = connect(node)
        streams.append(stream)
        try:
            stream.sendall(opening)
            stream.settimeout(0.2)
            stream.recv(1)  # the reason, if it comes before the reset
            closed += 1
        except TimeoutError:
            pass
        except OSError:
            closed += 1
    assert closed == 1
    assert node.alive
    for stream in streams:
        stream.close()
    node.stop()


@pytest.mark.parametrize("kind", [native.SOCK_STREAM, native.SOCK_DGRAM])
def test_either_port_taken(kind: int) -> None:
    """TCP or UDP alone being taken is an error that says which, and the other is free again."""
    host = fresh_host()
    word = "TCP" if kind == native.SOCK_STREAM else "UDP"
    with native.socket(native.AF_INET, kind) as taken:
        taken.bind((host, PORT))
        if kind == native.SOCK_STREAM:
            taken.listen()
        node = driver("node", host)
        with pytest.raises(Unreachable, match=rf"{host} port {PORT} \({word}\)"):
            node.start(Recorder())
        node.stop()
    again = driver("node", host)
    again.start(Recorder())
    again.stop()


def test_foreign_address() -> None:
    """An address that this machine does not have is an error with the kernel's reason."""
    node = driver("node", "192.0.2.1")
    with pytest.raises(Unreachable, match="assign requested address"):
        node.start(Recorder())
