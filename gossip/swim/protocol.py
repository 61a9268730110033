"""Swim: the one class that a driver talks to. Datagrams, stream bytes, commands and the time go in; effects come out.

It composes the parts and sorts what comes in; each rule is in the part that it is about. The driver calls one
method at a time, always with its clock's `now` (seconds, never backwards), carries out `effects()` after each, and
calls `tick` when `next_deadline()` has come. Datagrams that wait should be handed in before a tick that is due.

Nothing raises out of here but `UsageError` for a caller's mistake: what strangers send is dropped and noticed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from gossip.errors import UsageError, WireError
from gossip.membership import Member
from gossip.swim.context import Context
from gossip.swim.dissemination import Dissemination
from gossip.swim.effects import Address, Effect
from gossip.swim.health import Health
from gossip.swim.indirect import Responder
from gossip.swim.joining import Joiner, Reconnector
from gossip.swim.leaving import Departure
from gossip.swim.members import MemberTable, Record, host_bytes
from gossip.swim.outbox import Outbox
from gossip.swim.probe import Prober, SequenceNumbers
from gossip.swim.roster import Roster
from gossip.swim.serf import Serf
from gossip.swim.settings import Settings
from gossip.swim.streams import Streams
from gossip.swim.sync import Sync
from gossip.swim.timers import Timers
from gossip.swim.view import View
from gossip.wire import codec, envelope
from gossip.wire.messages import (
    SERF_VERSIONS,
    Ack,
    Alive,
    Dead,
    IndirectPing,
    Message,
    Nack,
    Ping,
    PushPull,
    Suspect,
    UserMessage,
)
from gossip.wire.sealing import Sealer
from gossip.wire.serf import encode_tags
from gossip.wire.stream import encode_stream


@dataclass(frozen=True, slots=True)
class LocalNode:
    """Who we are. `name` is unique per start; `host` is the advertised address in text, `port` the gossip port."""

    name: str
    host: str
    port: int
    tags: Mapping[str, str] = field(default_factory=dict)


class Swim:
    """One node of the cluster. Deterministic: equal inputs and an equal `rng` give equal effects."""

    def __init__(self, settings: Settings, local: LocalNode, rng: Random, sealer: Sealer | None = None) -> None:
        """With a `sealer` everything is encrypted. Raises `UsageError` if `local` can't be told to others."""
        self._own = own = _own_record(local)
        self._settings = settings
        self._sealer = sealer
        self._outbox = Outbox()
        self._timers = Timers()
        context = Context(settings, own, MemberTable(rng), self._timers, self._outbox, rng, sealer)
        sequence = SequenceNumbers()
        told = Dissemination(context)
        self._health = Health(settings.health_max)
        self._roster = Roster(context)
        self._view = View(context, self._roster, told, self._health)
        self._serf = Serf(context, self._roster, told)
        self._streams = Streams(context, self._answer)
        self._responder = Responder(context, told, sequence)
        self._prober = Prober(context, told, self._streams, self._health, sequence, self._view.suspect)
        self._sync = Sync(context, self._view, self._serf, self._streams)
        self._joiner = Joiner(context, self._sync, self._serf)
        self._reconnector = Reconnector(context, self._roster, self._sync)
        self._departure = Departure(context, self._view, self._serf, told)

    def start(self, now: float) -> None:
        """Take part, alone at first."""
        self._view.start(now)
        self._prober.start(now)
        self._sync.start(now)
        self._reconnector.start(now)
        self._reap(now)

    def receive_datagram(self, data: bytes, sender: Address, now: float) -> None:
        """A datagram as it came. What can't be understood in it is dropped, the rest counts."""
        try:
            parts = envelope.unpack(data, self._sealer)
        except WireError as error:
            self._outbox.complain("datagram not understood", now, peer=sender[0], error=str(error))
            return
        for part in parts:
            try:
                self._handle(codec.decode(part), sender, now)
            except WireError as error:
                self._outbox.complain("message not understood", now, peer=sender[0], error=str(error))

    def stream_accepted(self, stream: int, peer: Address, now: float) -> None:
        """Somebody connected; `stream` is a negative number of the driver's choice."""
        self._streams.accepted(stream, peer, now)

    def stream_opened(self, stream: int, now: float) -> None:  # noqa: ARG002 - every input carries the time
        """An `OpenStream` succeeded."""
        self._streams.opened(stream)

    def receive_stream(self, stream: int, data: bytes, now: float) -> None:
        """Bytes from a stream, cut anyhow."""
        self._streams.received(stream, data, now)

    def stream_closed(self, stream: int, reason: str, now: float) -> None:
        """The other side sent its last byte (`reason` empty), or the stream could not be opened or broke."""
        self._streams.closed(stream, reason, now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._timers.run(now)

    def join(self, token: int, addresses: Sequence[Address], now: float) -> None:
        """Contact these addresses; `JoinFinished` with `token` follows."""
        self._joiner.join(token, addresses, now)

    def broadcast(self, topic: str, payload: bytes, now: float) -> None:
        """Tell every member. Raises `UsageError` over `MAX_PAYLOAD_BYTES`."""
        self._serf.broadcast(topic, payload, now)

    def set_tags(self, tags: Mapping[str, str], now: float) -> None:
        """Replace our tags. Raises `UsageError` if they encode to more than 512 bytes."""
        meta = encode_tags(tags)
        if not self._view.leaving:
            self._view.set_meta(meta, now)

    def leave(self, timeout_s: float, now: float) -> None:
        """Say good-bye; `LeaveFinished` follows, after `timeout_s` at the latest. Pings are still answered."""
        self._departure.begin(timeout_s, now, self._stop_background)

    def effects(self) -> list[Effect]:
        """What the driver has to carry out, in order; each is given once."""
        return self._outbox.drain()

    def next_deadline(self) -> float | None:
        """When to call `tick`, on the driver's clock; may lie in the past."""
        return self._timers.next_deadline()

    def members(self) -> tuple[Member, ...]:
        """Everybody known, the local node included, in order of arrival."""
        return tuple(self._roster)

    def local(self) -> Member:
        """The local node; needs `start` before."""
        entry = self._roster.get(self._own.name)
        if entry is None or entry.member is None:
            raise UsageError("the node has not been started")
        return entry.member

    @property
    def health(self) -> int:
        """Lifeguard's local health score: 0 is healthy, 7 the worst."""
        return self._health.score

    def _handle(self, message: Message, sender: Address, now: float) -> None:
        """One message of a datagram. Raises `WireError` on a Serf message that makes no sense."""
        match message:
            case UserMessage(payload):
                self._serf.receive(payload, now)
            case Ping():
                self._responder.ping(message, sender)
            case Ack(seq_no):
                if not self._prober.ack(seq_no):
                    self._responder.ack(seq_no)
            case Alive():
                self._view.alive(message, now)
            case Suspect():
                self._view.suspect(message, now)
            case Dead():
                self._view.dead(message, now)
            case IndirectPing():
                self._responder.indirect_ping(message, sender, now)
            case Nack(seq_no):
                self._prober.nack(seq_no)
            case _:
                self._outbox.complain("message unexpected in a datagram", now, peer=sender[0])

    def _answer(self, message: Message, now: float) -> bytes | None:
        """The reply to the one message of an accepted stream. Raises `WireError` to refuse it."""
        match message:
            case Ping(seq_no, node):
                return encode_stream(Ack(seq_no)) if node in (self._own.name, "") else None
            case PushPull():
                return self._sync.answer(message, now)
            case UserMessage(payload):
                self._serf.receive(payload, now)
                return None
            case _:
                raise WireError(f"a stream does not begin with {type(message).__name__}")

    def _reap(self, now: float) -> None:
        self._roster.reap(now)
        self._timers.at(now + self._settings.reap_interval_s, self._reap)

    def _stop_background(self) -> None:
        """Who leaves accuses nobody, and looks for nobody."""
        self._prober.stop()
        self._sync.stop()
        self._reconnector.stop()


def _own_record(local: LocalNode) -> Record:
    if not local.name:
        raise UsageError("the node's name is empty; give it one that is unique in the cluster")
    try:
        addr = host_bytes(local.host)
    except ValueError as error:
        raise UsageError(f"advertised host {local.host!r} is no IPv4 or IPv6 address") from error
    return Record(local.name, addr, local.port, encode_tags(local.tags), SERF_VERSIONS)
