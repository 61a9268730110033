"""The gevent driver: it keeps the contract on real sockets, and bounds what strangers may hold."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import gevent
import pytest
from gevent import socket

from gossip.swim.protocol import LocalNode
from gossip.udp import UdpDriver
from gossip.wire import codec, lzw
from gossip.wire.fields import pack
from gossip.wire.keyring import Keyring
from gossip.wire.messages import Ack, ErrorReply, Ping, PushPull
from gossip.wire.stream import encode_stream
from tests.contracts.membership import MembershipSuite, Recorder
from tests.gossip.loopback import FAST, PORT, Harness, Notices, answer, connect, driver, fresh_host, wait
from tests.gossip.wire.sealing import KEYS


class TestUdpDriver(MembershipSuite):
    """The contract, on loopback."""

    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        harness = Harness(driver)
        yield harness
        harness.stop()


@pytest.fixture
def node() -> Iterator[UdpDriver]:
    """A started node."""
    node = driver("node", fresh_host())
    node.start(Recorder())
    yield node
    node.stop()


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


def test_keys() -> None:
    """Two nodes with one key are a cluster, whatever else they hold; a node without it stays outside."""
    one, two, stranger, plain = nodes = [
        driver("one", fresh_host(), keyring=Keyring(KEYS[:2])),
        driver("two", fresh_host(), keyring=Keyring([KEYS[1], KEYS[0]])),
        driver("stranger", fresh_host(), keyring=Keyring(KEYS[2:])),
        driver("plain", fresh_host()),
    ]
    recorder = Recorder()
    for node in nodes:
        node.start(recorder if node is two else Recorder())
    for node in nodes[1:]:
        assert node.join([(one.local().host, PORT)]) == (1 if node is two else 0)
    assert one.join([(other.local().host, PORT) for other in (stranger, plain)]) == 0
    one.broadcast("topic", b"payload")
    wait(lambda: recorder.payloads == [("topic", b"payload")])
    assert [len(node.members()) for node in nodes] == [2, 2, 1, 1]
    for node in nodes:
        node.stop()


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
    """Who could not be reached is said for the log, with the reason; quietly, as the caller will try again."""
    notices = Notices()
    host = fresh_host()
    node = UdpDriver(FAST, LocalNode("node", host, PORT), rng=Random(1), notify=notices)
    node.start(Recorder())
    node.join([(host, PORT + 1)])
    node.stop()
    (notice,) = notices.kept
    assert (notice.level, notice.event) == ("debug", "join failed")
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


def test_stop_while_calls_fail() -> None:
    """A call that fails makes room for the next, also while the engine is being stopped; none is left open."""
    node = driver("node", fresh_host(), settings=replace(FAST, stream_timeout_s=60.0))
    node.start(Recorder())
    with socket.create_server((fresh_host(), PORT)) as first, socket.create_server((fresh_host(), PORT)) as last:
        # TCP can't be spoken with the broadcast address, which the kernel says at once.
        failing = [("255.255.255.255", port) for port in range(1, 50)]
        joining = gevent.spawn(node.join, [first.getsockname(), *failing, last.getsockname()])
        gevent.sleep(0)
        node.stop()
        assert joining.get(timeout=10) == 0
        for _ in range(1000):
            gevent.sleep(0)
        last.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody called
            last.accept()
