"""The gevent driver: it keeps the contract on real sockets, and bounds what strangers may hold."""

import socket as native
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from random import Random

import gevent
import pytest
from gevent import socket

from gossip.errors import Unreachable
from gossip.membership import Membership
from gossip.swim.protocol import LocalNode
from gossip.swim.settings import Settings
from gossip.udp import UdpDriver
from gossip.wire import codec, lzw
from gossip.wire.fields import pack
from gossip.wire.messages import Ack, ErrorReply, Ping, PushPull
from gossip.wire.stream import StreamDecoder, encode_stream
from tests.contracts.membership import MembershipSuite, Recorder
from tests.gossip.loopback import FAST, PORT, SETTLE_S, Notices, fresh_host, wait


def driver(name: str, host: str, tags: Mapping[str, str] | None = None, settings: Settings = FAST) -> UdpDriver:
    local = LocalNode(name, host, PORT, dict(tags or {}))
    return UdpDriver(settings, local, rng=Random(name), notify=Notices())


class UdpHarness:
    """Nodes that are stopped at the end, whatever the test did."""

    def __init__(self) -> None:
        self._nodes: list[UdpDriver] = []

    def node(self, name: str, tags: Mapping[str, str] | None = None, *, host: str = "") -> Membership:
        node = driver(name, host or fresh_host(), tags)
        self._nodes.append(node)
        return node

    def wait(self, condition: Callable[[], bool]) -> None:
        wait(condition)

    def settle(self) -> None:
        gevent.sleep(SETTLE_S)

    def stop(self) -> None:
        for node in self._nodes:
            node.stop()


class TestUdpDriver(MembershipSuite):
    """The contract, on loopback."""

    @pytest.fixture
    def harness(self) -> Iterator[UdpHarness]:
        harness = UdpHarness()
        yield harness
        harness.stop()


@pytest.fixture
def node() -> Iterator[UdpDriver]:
    """A started node."""
    node = driver("node", fresh_host())
    node.start(Recorder())
    yield node
    node.stop()


def connect(node: UdpDriver) -> socket.socket:
    return socket.create_connection((node.local().host, PORT), timeout=10)


def answer(stream: socket.socket) -> object:
    """The one message that comes back on a stream, or None."""
    decoder = StreamDecoder()
    while data := stream.recv(65536):
        if (message := decoder.feed(data)) is not None:
            return message
    return None


def test_ping_by_datagram(node: UdpDriver) -> None:
    """A ping for this node, in a datagram, is answered to where it came from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(10)
        asker.sendto(codec.encode(Ping(77, "node")), (node.local().host, PORT))
        assert codec.decode(asker.recv(65536)) == Ack(77)


@pytest.mark.parametrize("cut", [1, 1000])
def test_ping_by_stream(node: UdpDriver, cut: int) -> None:
    """A ping on a stream is answered on it, however it was cut, and the stream is closed."""
    data = encode_stream(Ping(78, "node"))
    with connect(node) as stream:
        for at in range(0, len(data), cut):
            stream.sendall(data[at : at + cut])
            gevent.sleep(0)
        assert answer(stream) == Ack(78)
        assert stream.recv(1) == b""


def test_compressed_push_pull(node: UdpDriver) -> None:
    """A push/pull as stock agents send it is answered with the member table."""
    question = encode_stream(PushPull(False, ()))
    with connect(node) as stream:
        stream.sendall(b"\x09" + pack({"Algo": 0, "Buf": lzw.compress(question)}))
        reply = answer(stream)
    assert isinstance(reply, PushPull)
    assert [entry.name for entry in reply.nodes] == ["node"]


def test_nonsense_on_a_stream(node: UdpDriver) -> None:
    """Nonsense is refused with a reason, and the node goes on."""
    with connect(node) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert isinstance(answer(stream), ErrorReply)
    assert node.alive


def test_nonsense_in_a_datagram(node: UdpDriver) -> None:
    """Datagrams of junk don't keep the node from answering."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(10)
        for junk in (b"", b"\xff", b"\x07\xff", b"\x0c\x00\x00\x00\x00junk", bytes(65000)):
            asker.sendto(junk, (node.local().host, PORT))
        asker.sendto(codec.encode(Ping(79, "node")), (node.local().host, PORT))
        assert codec.decode(asker.recv(65536)) == Ack(79)
    assert node.alive


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
            closed += stream.recv(1) == b""
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


def test_bind_and_advertise_differ() -> None:
    """A node that listens on all addresses tells others the one that it advertises, and is reached there."""
    host, port = fresh_host(), 17000 + Random().randrange(1000)
    wide = UdpDriver(FAST, LocalNode("wide", host, port), rng=Random(1), notify=Notices(), bind=("", port))
    other = driver("other", fresh_host())
    wide.start(Recorder())
    other.start(Recorder())
    assert wide.join([(other.local().host, PORT)]) == 1
    assert [(m.host, m.port) for m in other.members() if m.name == "wide"] == [(host, port)]
    assert other.join([(host, port)]) == 1
    wide.stop()
    other.stop()


def test_ipv6() -> None:
    """Two nodes find each other on the IPv6 loopback address."""
    port = 18000 + Random().randrange(1000)
    one = UdpDriver(FAST, LocalNode("one", "::1", port), rng=Random(1), notify=Notices())
    two = UdpDriver(FAST, LocalNode("two", "::1", port + 1), rng=Random(2), notify=Notices())
    one.start(Recorder())
    two.start(Recorder())
    assert two.join([("::1", port)]) == 1
    wait(lambda: len(one.members()) == len(two.members()) == 2)
    one.stop()
    two.stop()


def test_who_waits_is_released_by_stop() -> None:
    """A join that is under way when the engine is stopped returns, with what it is: nothing reached."""
    node = driver("node", fresh_host())
    node.start(Recorder())
    with socket.create_server((fresh_host(), PORT)) as silent:
        joining = gevent.spawn(node.join, [silent.getsockname()])
        gevent.sleep(0.01)
        node.stop()
        assert joining.get(timeout=10) == 0


def test_join_failures_are_noticed() -> None:
    """Who could not be reached is said for the log, with the reason."""
    notices = Notices()
    host = fresh_host()
    node = UdpDriver(FAST, LocalNode("node", host, PORT), rng=Random(1), notify=notices)
    node.start(Recorder())
    node.join([(host, PORT + 1)])
    node.stop()
    (notice,) = notices.kept
    assert (notice.level, notice.event) == ("warning", "join failed")
    assert dict(notice.fields) == {"host": host, "port": PORT + 1, "error": "Connection refused"}


def test_a_broken_listener_ends_the_engine_visibly() -> None:
    """An error of our own in a greenlet is noticed, `alive` turns false, and nobody is left waiting."""

    class Broken(Recorder):
        def received(self, topic: str, payload: bytes) -> None:
            raise RuntimeError("broken listener")

    notices = Notices()
    node = UdpDriver(FAST, LocalNode("node", fresh_host(), PORT), rng=Random(1), notify=notices)
    other = driver("other", fresh_host())
    node.start(Broken())
    other.start(Recorder())
    other.join([(node.local().host, PORT)])
    other.broadcast("topic", b"payload")
    wait(lambda: not node.alive)
    assert "gossip engine failed" in notices.events()
    assert node.join([(other.local().host, PORT)]) == 0
    assert not node.leave(1.0)
    node.stop()
    other.stop()
