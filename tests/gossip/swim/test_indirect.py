"""Answering pings, and pinging for others."""

from dataclasses import replace

import pytest

from gossip.swim.members import host_bytes
from gossip.wire.messages import Ack, IndirectPing, Nack, Ping
from tests.gossip.swim.cores import ME, QUIET, Core, address_of, alive, sent

STRANGER = ("10.0.99.9", 4000)
VICTIM = ("192.0.2.1", 53)


@pytest.fixture
def core() -> Core:
    """A node that knows two members and does not probe."""
    core = Core(replace(QUIET, probe_interval_s=3600.0), "m1", "m2")
    core.silent += ["m1", "m2"]
    return core


def request(*, nack: bool = True, node: str = "m2") -> IndirectPing:
    """`m1` wants us to ping `m2`."""
    target, source = alive("m2"), alive("m1")
    return IndirectPing(70, target.addr, target.port, node, nack, source.addr, source.port, "m1")


@pytest.mark.parametrize(("node", "answered"), [(ME, True), ("", True), ("somebody-else", False)])
def test_ping_is_answered_by_its_bearer(core: Core, node: str, answered: bool) -> None:
    """A ping for us, or for whoever is here, is acked to its sender; one for a former owner of the address is not."""
    replies = sent(core.hear(Ping(7, node), sender=STRANGER))
    assert replies == ([(STRANGER, Ack(7))] if answered else [])


def test_answer_goes_to_the_advertised_address_of_a_member(core: Core) -> None:
    """A member may send from another address than the one it is reached at."""
    source = alive("m1")
    ping = Ping(7, ME, source.addr, source.port, "m1")
    assert sent(core.hear(ping, sender=STRANGER)) == [(address_of("m1"), Ack(7))]


@pytest.mark.parametrize("name", ["m1", "unknown"])
def test_nobody_makes_us_answer_a_third_party(core: Core, name: str) -> None:
    """An address to answer to that is not the member's own is not believed."""
    ping = Ping(7, ME, host_bytes(VICTIM[0]), VICTIM[1], name)
    assert sent(core.hear(ping, sender=STRANGER)) == [(STRANGER, Ack(7))]


def test_indirect_ping_without_a_port(core: Core) -> None:
    """Old nodes name the address only; it stands for the member there."""
    assert [to for to, _ in sent(core.hear(replace(request(), port=0)))] == [address_of("m2")]


def test_indirect_ping_that_is_answered(core: Core) -> None:
    """We ping with a number of our own, and pass the ack on under the requester's; no nack follows."""
    ((to, ping),) = sent(core.hear(request()))
    assert to == address_of("m2")
    assert isinstance(ping, Ping)
    assert (ping.node, ping.source_node) == ("m2", ME)
    assert sent(core.hear(Ack(ping.seq_no))) == [(address_of("m1"), Ack(70))]
    assert sent(core.after(2)) == []
    assert sent(core.hear(Ack(ping.seq_no))) == []


@pytest.mark.parametrize("nack", [True, False])
def test_indirect_ping_that_is_not_answered(core: Core, nack: bool) -> None:
    """Without an answer in time the requester gets a nack, if it wants one; a later ack is dropped."""
    ((_, ping),) = sent(core.hear(request(nack=nack)))
    assert isinstance(ping, Ping)
    assert sent(core.after(0.49)) == []
    assert sent(core.after(0.02)) == ([(address_of("m1"), Nack(70))] if nack else [])
    assert sent(core.hear(Ack(ping.seq_no))) == []


@pytest.mark.parametrize(
    "change", [{"node": "unknown"}, {"target": host_bytes(VICTIM[0])}, {"port": VICTIM[1]}, {"node": "m1"}]
)
def test_we_ping_members_only(core: Core, change: dict[str, object]) -> None:
    """A request for somebody or an address that is not in the table is ignored: we are nobody's cannon."""
    assert sent(core.hear(replace(request(), **change))) == []  # type: ignore[arg-type]  # one of several types


def test_requests_are_bounded() -> None:
    """With too many under way further ones are ignored, until some are through."""
    core = Core(replace(QUIET, relay_limit=2, probe_interval_s=3600.0), "m1", "m2")
    core.silent += ["m1", "m2"]
    assert [len(sent(core.hear(request()))) for _ in range(3)] == [1, 1, 0]
    core.after(1)
    assert len(sent(core.hear(request()))) == 1
