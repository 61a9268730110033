"""Serf's layer on top of SWIM: Lamport clocks, join and leave intents, user events and queries.

Its messages travel as memberlist user messages and as the user state of a push/pull (Serf `delegate.go`,
`serf.go`). Deliberately ours: the event list in our push/pull state is empty, since a user event is a hint that its
user repairs by other means, and 512 of them would double the size of every exchange.

Of the queries `_serf_ping` and those about keys (`key_queries`) are answered. `_serf_conflict` and queries with
filters have their room in `_answer`; all of them are told on by the rules.
"""

from collections.abc import Callable

from gossip.errors import UsageError, WireError
from gossip.membership import MAX_PAYLOAD_BYTES, MemberState
from gossip.swim.context import Context
from gossip.swim.dissemination import Dissemination
from gossip.swim.effects import Received
from gossip.swim.events import EventWindow, LamportClock
from gossip.swim.key_queries import KeyQueries
from gossip.swim.members import Record
from gossip.swim.roster import Roster
from gossip.wire import codec
from gossip.wire.messages import (
    JoinIntent,
    LeaveIntent,
    Query,
    QueryResponse,
    Relay,
    SerfMessage,
    SerfState,
    UserEvent,
    UserMessage,
)
from gossip.wire.serf import decode_serf, encode_serf

#: Bits of a query's flags: the asker wants an ack; the query must not be told on.
QUERY_ACK = 1
QUERY_NO_BROADCAST = 2
#: Bit of a response's flags: this is an ack.
RESPONSE_ACK = 1


class Serf:
    """Speaks Serf for one node."""

    def __init__(self, context: Context, roster: Roster, dissemination: Dissemination) -> None:
        self._settings = context.settings
        self._own = context.own
        self._table = context.table
        self._roster = roster
        self._dissemination = dissemination
        self._outbox = context.outbox
        self._clock = LamportClock()
        self._event_clock = LamportClock()
        self._query_clock = LamportClock()
        self._events = EventWindow(context.settings.event_window)
        self._queries = EventWindow(context.settings.event_window)
        self._keys = KeyQueries(context.sealer.keyring if context.sealer else None, context.outbox)
        self._leaving = False

    def receive(self, payload: bytes, now: float) -> None:
        """The payload of a user message. Raises `WireError`, then nothing has changed."""
        message = decode_serf(payload)
        match message:
            case UserEvent():
                if self._deliver(message, now):
                    self._dissemination.tell_event(_wrapped(payload), now)
            case LeaveIntent():
                if self._leave_intent(message, now):
                    self._dissemination.tell_intent(_wrapped(payload), now)
            case JoinIntent():
                if self._join_intent(message, now):
                    self._dissemination.tell_intent(_wrapped(payload), now)
            case Query():
                self._query(message, payload, now)
            case Relay():
                self._relay(message)
            case _:
                pass  # a response to a query that we did not ask; a state outside of a push/pull

    def broadcast(self, topic: str, payload: bytes, now: float) -> None:
        """Tell everybody a user event. Raises `UsageError` if it is too large."""
        size = len(topic.encode()) + len(payload)
        if size > MAX_PAYLOAD_BYTES:
            raise UsageError(f"topic and payload are {size} bytes, a broadcast carries at most {MAX_PAYLOAD_BYTES}")
        event = UserEvent(self._event_clock.stamp(), topic, payload)
        self._events.is_new(event.ltime, _content(event), self._event_clock)
        self._dissemination.tell_event(_encoded(event), now)

    def announce_join(self, now: float) -> None:
        """Say that we are here; overrides a `leaving` or `left` that others still hold of this name."""
        if self._leaving:
            return
        intent = JoinIntent(self._clock.time, self._own.name)
        self._join_intent(intent, now)
        self._dissemination.tell_intent(_encoded(intent), now)

    def announce_leave(self, now: float, on_done: Callable[[], None]) -> None:
        """Say that we are about to go; `on_done` when it has been told."""
        self._leaving = True
        intent = LeaveIntent(self._clock.stamp(), self._own.name)
        self._leave_intent(intent, now)
        self._dissemination.tell_intent(_encoded(intent), now, on_done)

    def state(self) -> bytes:
        """Our part of a push/pull, encoded."""
        entries = list(self._roster.items())
        state = SerfState(
            ltime=self._clock.time,
            status_ltimes={name: entry.ltime for name, entry in entries},
            left_members=tuple(name for name, entry in entries if entry.status is MemberState.LEFT),
            event_ltime=self._event_clock.time,
            query_ltime=self._query_clock.time,
        )
        return encode_serf(state)

    @staticmethod
    def parse_state(data: bytes) -> SerfState | None:
        """The other's part of a push/pull; None if it sent none. Raises `WireError`."""
        if not data:
            return None
        state = decode_serf(data)
        if not isinstance(state, SerfState):
            raise WireError(f"the user state of a push/pull is a {type(state).__name__}, not Serf's state")
        return state

    def merge(self, state: SerfState, now: float, *, first: bool) -> None:
        """Take over what the other knows. In the `first` push/pull of this node old user events are ignored."""
        for clock, time in (
            (self._clock, state.ltime),
            (self._event_clock, state.event_ltime),
            (self._query_clock, state.query_ltime),
        ):
            if time > 0:
                clock.witness(time - 1)
        left = dict.fromkeys(state.left_members)
        for name in left:  # before the joins, whose handling moves the clock
            # The time of the leave itself is not told; it came after the join, or the name would not be listed.
            self._leave_intent(LeaveIntent(state.status_ltimes.get(name, 0) + 1, name), now)
        for name, ltime in state.status_ltimes.items():
            if name not in left:
                self._join_intent(JoinIntent(ltime, name), now)
        if first:
            self._events.floor = max(self._events.floor, min(state.event_ltime, self._event_clock.time))
        for ltime, events in state.events:
            for name, payload in events:
                self._deliver(UserEvent(ltime, name, payload), now)

    def _deliver(self, event: UserEvent, now: float) -> bool:
        """Hand an event to the user; False if it is a repetition or too old."""
        if len(event.name) + len(event.payload) > self._settings.event_limit_bytes:
            self._outbox.complain("user event too large, ignored", now, bytes=len(event.payload))
            return False
        if not self._event_clock.witness(event.ltime):
            return False
        if not self._events.is_new(event.ltime, _content(event), self._event_clock):
            return False
        self._outbox.put(Received(event.name, event.payload))
        return True

    def _leave_intent(self, intent: LeaveIntent, now: float) -> bool:
        """Whether it was news and has to be told on."""
        if not intent.node or not self._clock.witness(intent.ltime):
            return False
        if intent.node == self._own.name and not self._leaving:
            own = self._roster.get(self._own.name)
            if own is not None and intent.ltime > own.ltime:
                self.announce_join(now)  # we are not: somebody mixes us up with an earlier life
            return False
        return self._roster.leave_intent(intent.node, intent.ltime, intent.prune, now)

    def _join_intent(self, intent: JoinIntent, now: float) -> bool:
        """Whether it was news and has to be told on."""
        if not intent.node or not self._clock.witness(intent.ltime):
            return False
        if intent.node == self._own.name and self._leaving:
            return False
        return self._roster.join_intent(intent.node, intent.ltime, now)

    def _query(self, query: Query, payload: bytes, now: float) -> None:
        if len(payload) > self._settings.event_limit_bytes:
            self._outbox.complain("query too large, ignored", now, bytes=len(payload))
            return
        if not self._query_clock.witness(query.ltime):
            return
        if not self._queries.is_new(query.ltime, query.id.to_bytes(4, "big"), self._query_clock):
            return
        if not query.flags & QUERY_NO_BROADCAST:
            self._dissemination.tell_query(_wrapped(payload), now)
        self._answer(query, now)

    def _answer(self, query: Query, now: float) -> None:
        """Answer what we know how to answer, to members only.

        The room for further internal queries. A query with filters is not for us until they are evaluated.
        """
        if query.filters:
            return
        if query.name == "_serf_ping" and query.flags & QUERY_ACK:
            self._respond(query, RESPONSE_ACK, b"")
        response = self._keys.answer(query.name, query.payload, now)
        if response is not None:
            self._respond(query, 0, encode_serf(response))

    def _respond(self, query: Query, flags: int, payload: bytes) -> None:
        asker = self._member_at(query.addr, query.port)
        if asker is not None:
            response = QueryResponse(query.ltime, query.id, self._own.name, flags, payload)
            self._dissemination.send(asker.address, [_encoded(response)])

    def _relay(self, relay: Relay) -> None:
        """Pass a response on for somebody; to members only, nobody can make us send to a third party."""
        receiver = self._member_at(relay.addr, relay.port)
        if receiver is not None and len(relay.payload) <= self._settings.packet_budget_bytes:
            self._dissemination.send(receiver.address, [_wrapped(relay.payload)])

    def _member_at(self, addr: bytes, port: int) -> Record | None:
        return next((record for record in self._table if (record.addr, record.port) == (addr, port)), None)


def _encoded(message: SerfMessage) -> bytes:
    return _wrapped(encode_serf(message))


def _wrapped(payload: bytes) -> bytes:
    """An encoded Serf message as an encoded memberlist message."""
    return codec.encode(UserMessage(payload))


def _content(event: UserEvent) -> bytes:
    """What makes two events of one Lamport time the same event."""
    return event.name.encode("utf-8", "surrogateescape") + b"\0" + event.payload
