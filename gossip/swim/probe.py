"""One probe from ping to verdict: direct, then through others and by stream, then suspicion.

SWIM's failure detector (paper §3.1, §4.3) with memberlist's stream fallback and Lifeguard's nacks (`state.go`
`probeNode`). At most one probe is under way; a tick that comes while it runs is skipped, never queued.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from gossip.swim.context import Context
from gossip.swim.dissemination import Dissemination
from gossip.swim.health import Health
from gossip.swim.members import Record
from gossip.swim.streams import Streams
from gossip.swim.timers import Timer
from gossip.wire import codec
from gossip.wire.messages import Ack, IndirectPing, Message, Ping, Suspect, WireState
from gossip.wire.stream import encode_stream

#: memberlist protocol versions from which a node answers a ping on a stream, and sends nacks.
STREAM_PING_SINCE = 3
NACK_SINCE = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe without an ack says: of the target (suspect it?), and of ourselves."""

    suspect: bool
    health_delta: int


def verdict(stream_answered: bool, nacks_expected: int, nacks_received: int) -> Verdict:
    """The end of a probe that got no ack.

    An answer by stream saves the target: only its datagrams are lost, whichever of us two loses them (memberlist takes
    it for good news of ourselves). Otherwise every missing nack speaks against us, since the helpers are not all dead;
    without helpers that send nacks the failure itself does.
    """
    if stream_answered:
        return Verdict(suspect=False, health_delta=0)
    missing = nacks_expected - nacks_received if nacks_expected else 1
    return Verdict(suspect=True, health_delta=max(0, missing))


class SequenceNumbers:
    """Numbers for pings, 32 bits and never 0; one counter for our own and those made for others."""

    def __init__(self) -> None:
        self._count = count()

    def next(self) -> int:
        return next(self._count) % 0xFFFF_FFFF + 1


@dataclass(slots=True)
class _Probe:
    """The probe that is under way; `timer` is the next step's.

    `incarnation` is the target's when it was pinged: one that it raised since is a sign of life, and not accused.
    """

    seq_no: int
    target: Record
    incarnation: int
    interval_s: float
    timer: Timer
    stream: int = 0
    stream_answered: bool = False
    nacks_expected: int = 0
    nacks: int = 0


class Prober:
    """Probes one member per interval and tells `suspect` of those that do not answer."""

    def __init__(
        self,
        context: Context,
        dissemination: Dissemination,
        streams: Streams,
        health: Health,
        sequence: SequenceNumbers,
        suspect: Callable[[Suspect, float], None],
    ) -> None:
        self._settings = context.settings
        self._own = context.own
        self._table = context.table
        self._dissemination = dissemination
        self._streams = streams
        self._health = health
        self._sequence = sequence
        self._suspect = suspect
        self._rng = context.rng
        self._timers = context.timers
        self._outbox = context.outbox
        self._probe: _Probe | None = None
        self._tick: Timer | None = None

    def start(self, now: float) -> None:
        """Begin after a random part of an interval, so that nodes started together do not probe in step."""
        self._tick = self._timers.at(now + self._rng.random() * self._settings.probe_interval_s, self._next)

    def stop(self) -> None:
        """Accuse nobody any more."""
        if self._tick is not None:
            self._tick.cancel()
        self._end()

    def ack(self, seq_no: int) -> bool:
        """An ack, direct or relayed, also a late one; False if it is not for this probe."""
        if self._probe is None or self._probe.seq_no != seq_no:
            return False
        self._end()
        self._health.change(-1)
        return True

    def nack(self, seq_no: int) -> None:
        """A helper lives but did not reach the target either."""
        if self._probe is not None and self._probe.seq_no == seq_no:
            self._probe.nacks = min(self._probe.nacks + 1, self._probe.nacks_expected)

    def _next(self, now: float) -> None:
        self._tick = self._timers.at(now + self._settings.probe_interval_s, self._next)
        if self._probe is not None:
            return

        def eligible(record: Record) -> bool:
            return not record.gone and record is not self._own

        def forgotten(record: Record) -> bool:
            return record.gone and now - record.changed_at > self._settings.gossip_to_the_dead_s

        target = self._table.probe_target(eligible, forgotten)
        if target is not None:
            self._ping(target, now)

    def _ping(self, target: Record, now: float) -> None:
        seq_no = self._sequence.next()
        timer = self._timers.at(now + self._settings.probe_timeout_s, self._ask_others)
        interval_s = self._health.stretch(self._settings.probe_interval_s)
        self._probe = _Probe(seq_no, target, target.incarnation, interval_s, timer)
        messages: list[Message] = [self._ping_message(target.name, seq_no)]
        if target.state is WireState.SUSPECT:  # tell it at once, so that it can refute (Lifeguard's buddy system)
            messages.append(Suspect(target.incarnation, target.name, self._own.name))
        self._dissemination.send(target.address, [codec.encode(message) for message in messages])

    def _ping_message(self, name: str, seq_no: int) -> Ping:
        return Ping(seq_no, name, self._own.addr, self._own.port, self._own.name)

    def _ask_others(self, now: float) -> None:
        """No ack in time: ask helpers, and the target itself by stream."""
        probe = self._probe
        if probe is None:
            return
        # Counted from now and not from the ping: had this process been stalled, no helper would get any time.
        left_s = probe.interval_s - self._settings.probe_timeout_s
        probe.timer = self._timers.at(now + left_s, self._judge)
        target, own = probe.target, self._own

        def helpful(record: Record) -> bool:
            return record.state is WireState.ALIVE and record is not own and record is not target

        for helper in self._table.choose(self._settings.indirect_checks, helpful):
            nack = helper.versions[1] >= NACK_SINCE
            probe.nacks_expected += nack
            request = IndirectPing(
                probe.seq_no, target.addr, target.port, target.name, nack, own.addr, own.port, own.name
            )
            self._dissemination.send(helper.address, [codec.encode(request)])
        if target.versions[1] >= STREAM_PING_SINCE:
            ping = encode_stream(self._ping_message(target.name, probe.seq_no))
            probe.stream = self._streams.exchange(target.address, lambda: ping, left_s, self._stream_done, now)

    def _stream_done(self, reply: Message | None, _reason: str, _now: float) -> None:
        if self._probe is not None and isinstance(reply, Ack) and reply.seq_no == self._probe.seq_no:
            self._probe.stream_answered = True

    def _judge(self, now: float) -> None:
        probe = self._probe
        if probe is None:
            return
        self._end()
        result = verdict(probe.stream_answered, probe.nacks_expected, probe.nacks)
        self._health.change(result.health_delta)
        name = probe.target.name
        if result.suspect:
            self._suspect(Suspect(probe.incarnation, name, self._own.name), now)
        else:
            self._outbox.complain("member answers streams but no datagrams", now, member=name)

    def _end(self) -> None:
        if self._probe is not None:
            self._probe.timer.cancel()
            self._streams.cancel(self._probe.stream)
            self._probe = None
