"""Telling others: four queues, the packets made of them, gossip rounds, eager rounds and piggy-backing.

Membership news always goes first, then Serf's intents, queries and user events (memberlist `state.go` `gossip`,
Serf `delegate.go` `GetBroadcasts`). The departures from memberlist are told in `settings`: no tick while nothing
is queued, an eager round for user events, and faster rounds while leaving.
"""

from collections.abc import Callable, Sequence

from gossip.swim.context import Context
from gossip.swim.effects import Address, SendDatagram
from gossip.swim.members import Record
from gossip.swim.queue import BroadcastQueue
from gossip.swim.timers import Timer
from gossip.wire import codec, envelope
from gossip.wire.messages import Message, WireState
from gossip.wire.sealing import OVERHEAD_BYTES

#: A compound's type and count byte, and the length of each message in it.
COMPOUND_OVERHEAD = 2
MESSAGE_OVERHEAD = 2


class Dissemination:
    """Every datagram of the core leaves through this class."""

    def __init__(self, context: Context) -> None:
        self._settings = context.settings
        self._own_name = context.own.name
        self._table = context.table
        self._rng = context.rng
        self._timers = context.timers
        self._outbox = context.outbox
        self._sealer = context.sealer
        self._packet_bytes = context.settings.packet_budget_bytes - (OVERHEAD_BYTES if context.sealer else 0)
        self._interval_s = context.settings.gossip_interval_s
        self._phase_s = context.rng.random() * self._interval_s
        self._tick: Timer | None = None
        self._eager: Timer | None = None
        self._last_eager = float("-inf")
        largest = self._packet_bytes - COMPOUND_OVERHEAD - MESSAGE_OVERHEAD
        self._membership, self._intents, self._queries, self._events = self._queues = [
            BroadcastQueue(context.settings.queue_limit, largest) for _ in range(4)
        ]

    def tell_membership(
        self, claim: Message, subject: str, now: float, on_done: Callable[[], None] | None = None
    ) -> None:
        """Queue a claim; it replaces what is still queued about the same `subject`."""
        self._membership.push(codec.encode(claim), subject, on_done)
        self._wake(now)

    def tell_intent(self, data: bytes, now: float, on_done: Callable[[], None] | None = None) -> None:
        """Queue an encoded user message that holds a join or leave intent."""
        self._push(self._intents, data, now, on_done)

    def tell_query(self, data: bytes, now: float) -> None:
        """Queue an encoded user message that holds a query."""
        self._push(self._queries, data, now)

    def tell_event(self, data: bytes, now: float) -> None:
        """Queue an encoded user message that holds a user event, and send it eagerly."""
        if self._push(self._events, data, now) and self._eager is None:
            spacing_s = self._settings.eager_spacing(len(self._table))
            when = max(now + self._settings.eager_delay_s, self._last_eager + spacing_s)
            self._eager = self._timers.at(when, self._eager_round)

    def send(self, to: Address, messages: Sequence[bytes]) -> None:
        """Send encoded `messages` now, with as much of the queues as still fits."""
        used = sum(len(message) + MESSAGE_OVERHEAD for message in messages)
        budget = self._packet_bytes - COMPOUND_OVERHEAD - used
        room = envelope.MAX_COMPOUND - len(messages)
        self._put(to, [*messages, *self._take(budget, room, self._queues)])

    def hurry(self, now: float) -> None:
        """From now on gossip in quick rounds: this node is leaving."""
        self._interval_s = self._settings.leave_gossip_interval_s
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        self._wake(now)

    def _push(self, queue: BroadcastQueue, data: bytes, now: float, on_done: Callable[[], None] | None = None) -> bool:
        if not queue.push(data, None, on_done):
            self._outbox.complain("message too large for gossip", now, bytes=len(data))
            return False
        self._wake(now)
        return True

    def _wake(self, now: float) -> None:
        """Set the next tick, on the grid that an always running tick of a random phase would have."""
        if self._tick is None and any(self._queues):
            delay_s = self._interval_s - (now - self._phase_s) % self._interval_s
            if delay_s < self._interval_s / 100:  # this is a tick, minus a rounding error
                delay_s += self._interval_s
            self._tick = self._timers.at(now + delay_s, self._gossip_round)

    def _gossip_round(self, now: float) -> None:
        self._tick = None
        if self._round(now, self._queues):
            self._wake(now)  # with nobody to tell, the next thing queued wakes us: a new member always queues

    def _eager_round(self, now: float) -> None:
        self._eager = None
        self._last_eager = now
        self._round(now, [self._events])

    def _round(self, now: float, queues: Sequence[BroadcastQueue]) -> bool:
        """Give a packet to each of some random members; False if there is nobody."""

        def reachable(record: Record) -> bool:
            state = record.standing.state
            if record.name == self._own_name or state is WireState.LEFT:
                return False
            return state is not WireState.DEAD or now - record.changed_at < self._settings.gossip_to_the_dead_s

        targets = self._table.choose(self._settings.gossip_nodes, reachable)
        for record in targets:
            messages = self._take(self._packet_bytes - COMPOUND_OVERHEAD, envelope.MAX_COMPOUND, queues)
            if not messages:
                break
            self._put(record.address, messages)
        return bool(targets)

    def _put(self, to: Address, messages: Sequence[bytes]) -> None:
        self._outbox.put(SendDatagram(to, envelope.pack(messages, self._sealer)))

    def _take(self, budget_bytes: int, most: int, queues: Sequence[BroadcastQueue]) -> list[bytes]:
        messages: list[bytes] = []
        limit = 0
        for queue in queues:
            if len(queue):
                limit = limit or self._settings.retransmit_limit(len(self._table))
                taken = queue.take(budget_bytes, MESSAGE_OVERHEAD, limit, most - len(messages))
                budget_bytes -= sum(map(len, taken)) + MESSAGE_OVERHEAD * len(taken)
                messages += taken
        return messages
