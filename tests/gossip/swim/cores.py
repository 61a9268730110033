"""A core on a test's own clock: messages in, decoded effects out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from gossip.membership import MemberState
from gossip.swim.effects import Address, CloseStream, Effect, OpenStream, SendDatagram, WriteStream
from gossip.swim.members import host_bytes
from gossip.swim.protocol import LocalNode, Swim
from gossip.swim.settings import LAN, Settings
from gossip.wire import codec, envelope
from gossip.wire.messages import (
    Ack,
    Alive,
    IndirectPing,
    Message,
    Nack,
    NodeEntry,
    Ping,
    PushPull,
    SerfMessage,
    SerfState,
    UserMessage,
    WireState,
)
from gossip.wire.serf import decode_serf, encode_serf, encode_tags
from gossip.wire.stream import StreamDecoder, encode_stream

ME = "me"
MY_ADDRESS = ("10.0.0.1", 7946)
#: No push/pull or reconnect of its own accord, so that a test sees only what it asks for. Probes go on.
QUIET = replace(
    LAN,
    push_pull_interval_s=7200.0,
    push_pull_after_join_s=7200.0,
    reconnect_s=(7200, 7200),
    reconnect_max_s=7200.0,
)


def address_of(name: str) -> Address:
    """Where the member of that name lives: `m7` at 10.0.7.2."""
    return f"10.0.{int(name[1:])}.2", 7946


def alive(name: str, incarnation: int = 1, tags: Mapping[str, str] | None = None) -> Alive:
    """What a member (`m1`, `m2` ...) says of itself."""
    host, port = address_of(name)
    return Alive(incarnation, name, host_bytes(host), port, encode_tags(tags or {}))


def entry(name: str, state: WireState = WireState.ALIVE, incarnation: int = 1) -> NodeEntry:
    """A member as a row of a push/pull."""
    claim = alive(name)
    return NodeEntry(name, claim.addr, claim.port, claim.meta, incarnation, state)


def unwrapped(data: bytes) -> list[Message | SerfMessage]:
    """The messages of a datagram; Serf's in their decoded form."""
    messages = [codec.decode(part) for part in envelope.unpack(data)]
    return [decode_serf(item.payload) if isinstance(item, UserMessage) else item for item in messages]


def serf(message: SerfMessage) -> UserMessage:
    """A Serf message as it travels."""
    return UserMessage(encode_serf(message))


class Core:
    """A started node called `me`. Its pings are acked at once, but those to the names in `silent`."""

    def __init__(self, settings: Settings = QUIET, *members: str, seed: int = 1, settled: bool = True) -> None:
        """`members` are known from the start; with `settled` a push/pull has succeeded, so that `me` gossips of itself
        once more, which has been sent already."""
        self.now = 1000.0
        self.swim = Swim(settings, LocalNode(ME, *MY_ADDRESS), Random(seed))
        self.swim.start(self.now)
        self.effects: list[Effect] = []
        self.silent: list[str] = []
        if settled:
            self.push_pull([entry(name) for name in members])
        self.after(5)
        self.effects.clear()

    def hear(self, *messages: Message, sender: Address = ("10.0.99.9", 7946)) -> list[Effect]:
        """A datagram with these messages comes in; the effects of it."""
        self.swim.receive_datagram(envelope.pack([codec.encode(message) for message in messages]), sender, self.now)
        return self._drain()

    def push_pull(
        self, entries: Sequence[NodeEntry], state: SerfState | None = None, *, join: bool = False
    ) -> Message | None:
        """Somebody lays its table beside ours by stream; our reply."""
        self.swim.stream_accepted(-1, ("10.0.99.9", 40000), self.now)
        user_state = b"" if state is None else encode_serf(state)
        self.swim.receive_stream(-1, encode_stream(PushPull(join, tuple(entries), user_state)), self.now)
        return written(self._drain(), -1)

    def after(self, seconds: float) -> list[Effect]:
        """Let time pass, tick by tick; the effects of it."""
        end = self.now + seconds
        effects = []
        while (deadline := self.swim.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.swim.tick(self.now)
            effects += self._drain()
        self.now = end
        return effects

    def state(self, name: str) -> MemberState | None:
        """What the user sees of a member; None if nothing."""
        return next((member.state for member in self.swim.members() if member.name == name), None)

    def table(self) -> dict[str, NodeEntry]:
        """The member table, as a push/pull shows it."""
        reply = self.push_pull([])
        assert isinstance(reply, PushPull)
        return {row.name: row for row in reply.nodes}

    def _drain(self) -> list[Effect]:
        effects = self.swim.effects()
        for to, message in sent(effects, Ping):
            if isinstance(message, Ping) and message.node not in self.silent:
                self.swim.receive_datagram(codec.encode(Ack(message.seq_no)), to, self.now)
        effects += self.swim.effects()
        self.effects += effects
        return effects


def told(effects: Sequence[Effect]) -> list[Message | SerfMessage]:
    """What is being told on among these effects: everything but probes and their answers."""
    return [message for _, message in sent(effects) if not isinstance(message, Ping | IndirectPing | Ack | Nack)]


def sent(effects: Sequence[Effect], kind: type | None = None) -> list[tuple[Address, Message | SerfMessage]]:
    """Every message in the datagrams among these effects, with its receiver."""
    found = []
    for effect in effects:
        if isinstance(effect, SendDatagram):
            found += [(effect.to, message) for message in unwrapped(effect.data)]
    return [pair for pair in found if kind is None or isinstance(pair[1], kind)]


def opened(effects: Sequence[Effect]) -> list[OpenStream]:
    """The streams that were asked for."""
    return [effect for effect in effects if isinstance(effect, OpenStream)]


def closed(effects: Sequence[Effect]) -> list[int]:
    """The streams that were closed."""
    return [effect.stream for effect in effects if isinstance(effect, CloseStream)]


def written(effects: Sequence[Effect], stream: int) -> Message | None:
    """The message written to a stream; None if there was none."""
    decoder, message = StreamDecoder(), None
    for effect in effects:
        if isinstance(effect, WriteStream) and effect.stream == stream:
            message = decoder.feed(effect.data) or message
    return message
