"""Telling others: rounds, packets, piggy-backing, eager rounds, and silence when there is nothing to tell."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from random import Random

from gossip.swim.effects import SendDatagram
from gossip.swim.protocol import LocalNode, Swim
from gossip.wire import codec, envelope
from gossip.wire.messages import Ack, Alive, Dead, JoinIntent, Ping, UserEvent, WireState
from tests.gossip.swim.cores import ME, MY_ADDRESS, QUIET, Core, alive, entry, sent, serf
from tests.gossip.wire.sealing import sealer

MANY = tuple(f"m{number}" for number in range(1, 60))
#: Nothing but gossip for an hour.
NO_PROBES = replace(QUIET, probe_interval_s=3600.0)


def test_each_message_is_sent_as_often_as_the_cluster_needs() -> None:
    """In a cluster of 61 news is sent 8 times, three at a time every 200 ms, to different members each round."""
    core = Core(NO_PROBES, *MANY)
    started = core.now
    core.hear(alive("m99"))
    rounds: dict[float, list[object]] = {}
    while core.now < started + 2:
        for to, message in sent(core.after(0.05)):
            if message == alive("m99"):
                rounds.setdefault(round(core.now, 3), []).append(to)
    assert [len(receivers) for receivers in rounds.values()] == [3, 3, 2]
    assert all(len(set(receivers)) == len(receivers) for receivers in rounds.values())
    times = list(rounds)
    assert [round(later - earlier, 2) for earlier, later in pairwise(times)] == [0.2, 0.2]


def test_nothing_to_tell_nothing_to_do() -> None:
    """With empty queues there is no gossip tick: the next deadline is somebody else's, far away."""
    core = Core(replace(NO_PROBES, reap_interval_s=3600.0), *MANY)
    core.after(10)
    deadline = core.swim.next_deadline()
    assert deadline is not None
    assert deadline > core.now + 60
    assert sent(core.after(60)) == []


def test_packets_stay_within_the_budget() -> None:
    """Even with a long queue no datagram is larger than 1400 bytes, and they are filled."""
    core = Core(NO_PROBES, *MANY)
    core.hear(*(alive(f"m{number}", tags={"zone": "x" * 100}) for number in range(100, 107)))
    for number in range(100, 160):
        core.hear(alive(f"m{number}", 2, {"zone": "x" * 100}))
    sizes = [len(effect.data) for effect in core.after(0.5) if isinstance(effect, SendDatagram)]
    assert max(sizes) <= 1400
    assert min(sizes) > 1200


def test_sealed_packets_stay_within_the_budget_too() -> None:
    """The envelope's 29 bytes are left free: sealed datagrams are as large as plain ones, and no message too many."""
    swim = Swim(NO_PROBES, LocalNode(ME, *MY_ADDRESS), Random(1), sealer())
    swim.start(0.0)
    for number in range(100, 160):
        swim.receive_datagram(sealer().seal(codec.encode(alive(f"m{number}", 2, {"zone": "x" * 100}))), MY_ADDRESS, 0.0)
    swim.tick(0.25)
    sizes = [len(effect.data) for effect in swim.effects() if isinstance(effect, SendDatagram)]
    assert len(sizes) == 3
    assert max(sizes) <= 1400
    assert min(sizes) > 1200


def test_pings_and_acks_carry_news() -> None:
    """What is queued rides on an answer that goes out anyway, and that counts as a transmit."""
    core = Core(NO_PROBES, "m1")
    core.hear(alive("m2"))
    replies = sent(core.hear(Ping(7, ME)))
    assert [message for _, message in replies] == [Ack(7), alive("m2")]


def test_membership_goes_first() -> None:
    """Membership news, then intents, then user events: in this order in a packet."""
    core = Core(NO_PROBES, "m1")
    core.hear(serf(UserEvent(5, "event", b"")), serf(JoinIntent(5, "m1")), alive("m2"))
    reply = [type(message) for _, message in sent(core.hear(Ping(7, ME)))]
    assert reply == [Ack, Alive, JoinIntent, UserEvent]


def test_user_events_are_sent_eagerly() -> None:
    """A fresh event, own or heard, goes to three members after 3 ms without waiting for the tick."""
    core = Core(NO_PROBES, *MANY)
    core.swim.broadcast("mine", b"", core.now)
    assert len(sent(core.after(0.0031), UserEvent)) == 3
    core = Core(NO_PROBES, *MANY)
    core.hear(serf(UserEvent(5, "heard", b"")))
    assert len(sent(core.after(0.0031), UserEvent)) == 3


def test_eager_rounds_keep_their_distance() -> None:
    """In a large cluster a second event waits: eager rounds are 50 ms apart, so a burst shares packets."""
    core = Core(replace(NO_PROBES, eager_spacing_members=(10, 20), gossip_interval_s=3000.0), *MANY)
    core.swim.broadcast("first", b"", core.now)
    core.after(0.004)
    for number in range(10):
        core.swim.broadcast(f"later{number}", b"", core.now)
    assert sent(core.after(0.045), UserEvent) == []
    packets = [effect for effect in core.after(0.01) if isinstance(effect, SendDatagram)]
    assert [len(envelope.unpack(packet.data)) for packet in packets] == [11, 11, 11]


def test_the_dead_are_told_for_a_while() -> None:
    """A dead member is among the receivers for 30 s, so that it may refute; one that left never is."""
    core = Core(NO_PROBES, "m1", "m2", "m3")
    core.push_pull([entry("m2", WireState.LEFT)])
    core.after(20)
    core.hear(Dead(1, "m1", "m3"))
    receivers = Counter(to for to, _ in sent(core.after(2)))
    assert receivers[("10.0.1.2", 7946)] > 0
    assert receivers[("10.0.2.2", 7946)] == 0
    core.after(30)
    core.hear(alive("m4"))
    receivers = Counter(to for to, _ in sent(core.after(2)))
    assert receivers[("10.0.1.2", 7946)] == 0
    assert receivers[("10.0.3.2", 7946)] > 0


def test_too_large_for_a_packet_is_not_queued() -> None:
    """An event that fits into no packet reaches our user but is not told on: it would block the queue for ever."""
    core = Core(NO_PROBES, "m1")
    core.hear(serf(UserEvent(5, "large", b"x" * 2000)))
    assert sent(core.after(5), UserEvent) == []
