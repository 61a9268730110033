"""One probe from ping to verdict, and the ring it is part of."""

import pytest

from gossip.membership import MemberState
from gossip.swim.effects import OpenStream
from gossip.swim.probe import SequenceNumbers, Verdict, verdict
from gossip.wire.messages import Ack, IndirectPing, Nack, Ping, Suspect
from gossip.wire.stream import encode_stream
from tests.gossip.swim.cores import ME, MY_ADDRESS, QUIET, Core, address_of, alive, closed, opened, sent, told, written

FIVE = ("m1", "m2", "m3", "m4", "m5")


@pytest.mark.parametrize(
    ("stream_answered", "expected", "received", "result"),
    [
        (True, 3, 0, Verdict(False, 0)),
        (False, 3, 3, Verdict(True, 0)),
        (False, 3, 1, Verdict(True, 2)),
        (False, 0, 0, Verdict(True, 1)),
    ],
)
def test_verdict(stream_answered: bool, expected: int, received: int, result: Verdict) -> None:
    """An answer by stream acquits; of a failure we take the missing nacks on ourselves, or one if none was awaited."""
    assert verdict(stream_answered, expected, received) == result


def test_sequence_numbers() -> None:
    """They count from 1, and fit into 32 bits for ever."""
    numbers = SequenceNumbers()
    assert [numbers.next(), numbers.next()] == [1, 2]


def test_everybody_is_probed_in_turn() -> None:
    """In five intervals each of five members is pinged once, by its name and with our address to answer to."""
    core = Core(QUIET, *FIVE)
    pings = sent(core.after(5), Ping)
    assert {to for to, _ in pings} == {address_of(name) for name in FIVE}
    ping = pings[0][1]
    assert isinstance(ping, Ping)
    assert (ping.source_addr, ping.source_port, ping.source_node) == (b"\x0a\0\0\1", MY_ADDRESS[1], ME)


def silent_probe() -> tuple[Core, Ping]:
    """A core that has just pinged `m1`, which does not answer; and the ping."""
    core = Core(QUIET, *FIVE)
    core.silent.append("m1")
    while True:
        for _, ping in sent(core.after(0.01), Ping):
            if isinstance(ping, Ping) and ping.node == "m1":
                return core, ping


def test_late_target_is_asked_by_others_and_by_stream() -> None:
    """After the time-out three others are asked with the same number, and the target itself by stream."""
    core, ping = silent_probe()
    assert sent(core.after(0.48), IndirectPing) == []
    effects = core.after(0.03)
    requests = sent(effects, IndirectPing)
    assert len({to for to, _ in requests} - {address_of("m1")}) == 3
    for _, request in requests:
        assert isinstance(request, IndirectPing)
        assert (request.seq_no, request.node, request.nack, request.source_node) == (ping.seq_no, "m1", True, ME)
    (stream,) = opened(effects)
    assert stream.to == address_of("m1")
    core.swim.stream_opened(stream.stream, core.now)
    asked = written(core.swim.effects(), stream.stream)
    assert isinstance(asked, Ping)
    assert asked.seq_no == ping.seq_no


def test_no_answer_is_a_suspicion() -> None:
    """When nobody reached the target in time it is suspected, and that is told on."""
    core, _ = silent_probe()
    core.after(0.95)
    assert core.state("m1") is MemberState.ALIVE
    effects = core.after(0.1)
    assert core.state("m1") is MemberState.SUSPECT
    assert Suspect(1, "m1", ME) in told(effects + core.after(0.5))


@pytest.mark.parametrize("after_s", [0.3, 0.7, 0.95])
def test_any_ack_in_time_is_good(after_s: float) -> None:
    """A late direct ack, or one through a helper, ends the probe well, and the stream that was opened is closed."""
    core, ping = silent_probe()
    streams = [effect.stream for effect in core.after(after_s) if isinstance(effect, OpenStream)]
    effects = core.hear(Ack(ping.seq_no), sender=address_of("m4"))
    assert closed(effects) == streams
    core.after(1.2 - after_s)
    assert core.state("m1") is MemberState.ALIVE


def test_ack_of_another_probe_does_not_count() -> None:
    """Acks are matched by their number."""
    core, ping = silent_probe()
    core.hear(Ack(ping.seq_no + 1))
    core.after(1.1)
    assert core.state("m1") is MemberState.SUSPECT


def test_answer_by_stream_acquits() -> None:
    """A target whose datagrams are lost but that answers by stream is not suspected, and the operator hears of it."""
    core, ping = silent_probe()
    (stream,) = opened(core.after(0.55))
    core.swim.stream_opened(stream.stream, core.now)
    core.swim.receive_stream(stream.stream, encode_stream(Ack(ping.seq_no)), core.now)
    effects = core.after(0.5)
    assert core.state("m1") is MemberState.ALIVE
    assert any(getattr(effect, "event", "") == "member answers streams but no datagrams" for effect in effects)


@pytest.mark.parametrize(("nacks", "health"), [(0, 3), (2, 1), (3, 0), (9, 0)])
def test_missing_nacks_speak_against_us(nacks: int, health: int) -> None:
    """Each helper that stays silent too makes us trust ourselves less; more nacks than asked for count as all."""
    core, ping = silent_probe()
    core.after(0.6)
    for _ in range(nacks):
        core.hear(Nack(ping.seq_no))
    while core.state("m1") is MemberState.ALIVE:
        core.after(0.01)
    assert core.swim.health == health


def test_poor_health_gives_more_time() -> None:
    """With a score of 3 the verdict takes four intervals, and the ticks in between are skipped."""
    core = Core(QUIET, *FIVE)
    core.silent += FIVE
    core.hear(Suspect(1, ME, "m2"), Suspect(2, ME, "m2"), Suspect(3, ME, "m2"))
    while not sent(core.after(0.01), Ping):
        pass
    assert core.swim.health == 3
    assert sent(core.after(3.9), Ping) == []
    assert MemberState.SUSPECT not in [core.state(name) for name in FIVE]
    core.after(0.2)
    assert MemberState.SUSPECT in [core.state(name) for name in FIVE]


def test_sign_of_life_during_a_probe() -> None:
    """Who raised its incarnation after it was pinged is there: the missing ack is no reason to accuse it."""
    core, _ = silent_probe()
    core.after(0.7)
    core.hear(alive("m1", 2))
    core.after(0.5)
    assert core.state("m1") is MemberState.ALIVE


def test_suspect_is_told_in_its_ping() -> None:
    """A suspect is pinged together with the accusation, so that it can refute at once."""
    core = Core(QUIET, *FIVE)
    core.hear(Suspect(1, "m1", "m2"))
    to_m1 = [message for to, message in sent(core.after(11)) if to == address_of("m1")]
    index = next(number for number, message in enumerate(to_m1) if isinstance(message, Ping))
    assert to_m1[index + 1] == Suspect(1, "m1", ME)


def test_the_absent_are_not_probed_and_forgotten_after_a_while() -> None:
    """The failed get no pings, and leave the table at the ring's end 30 s after death; the user still sees them."""
    core = Core(QUIET, "m1", "m2")
    core.silent.append("m1")
    while core.state("m1") is not MemberState.FAILED:
        core.after(0.1)
    assert {to for to, _ in sent(core.after(20), Ping)} == {address_of("m2")}
    assert "m1" in core.table()
    core.after(12)
    assert "m1" not in core.table()
    assert core.state("m1") is MemberState.FAILED
    core.hear(alive("m1", 1))
    assert core.state("m1") is MemberState.ALIVE
