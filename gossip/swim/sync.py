"""Push/pull: two nodes lay their whole tables side by side and each takes over what it did not know.

SWIM has no such thing; memberlist added it (`state.go` `pushPullNode`, `mergeState`; `memberlist.go`
`verifyProtocol`) so that lost gossip and healed partitions are repaired. What a remote `dead` does here is only to
start a suspicion: the accused gets its chance to refute.
"""

from collections.abc import Callable, Iterable

from gossip.errors import WireError
from gossip.swim.context import Context
from gossip.swim.effects import Address
from gossip.swim.serf import Serf
from gossip.swim.streams import Streams
from gossip.swim.timers import Timer
from gossip.swim.view import View
from gossip.wire.messages import Alive, Dead, Message, NodeEntry, PushPull, Suspect, Versions, WireState
from gossip.wire.stream import encode_stream


def incompatibility(alive: Iterable[Versions], everybody: Iterable[Versions]) -> str:
    """Why two tables must not be merged; empty if they may.

    Each protocol (memberlist's in numbers 0 to 2, Serf's in 3 to 5: min, max, current) that anybody speaks, the dead
    included, has to be understood by all who are alive. No versions at all count as 0.
    """
    known = [versions for versions in dict.fromkeys(alive) if len(versions) >= 6]
    for lowest, highest, current, protocol in ((0, 1, 2, "memberlist"), (3, 4, 5, "Serf")):
        at_least = max((versions[lowest] for versions in known), default=0)
        at_most = min((versions[highest] for versions in known), default=255)
        for versions in dict.fromkeys(everybody):
            spoken = versions[current] if len(versions) >= 6 else 0
            if not at_least <= spoken <= at_most:
                return f"{protocol} protocol {spoken} is spoken, all alive understand {at_least} to {at_most}"
    return ""


class Sync:
    """Makes and answers push/pulls, and makes one with a random member now and then."""

    def __init__(self, context: Context, view: View, serf: Serf, streams: Streams) -> None:
        self._settings = context.settings
        self._own = context.own
        self._table = context.table
        self._view = view
        self._serf = serf
        self._streams = streams
        self._rng = context.rng
        self._timers = context.timers
        self._outbox = context.outbox
        self._tick: Timer | None = None  # None: not started, or stopped

    def start(self, now: float) -> None:
        """Begin after a random part of an interval."""
        self._next_in(self._rng.random() * self._settings.push_pull_interval_s, now)

    def soon(self, now: float) -> None:
        """Make the next one early: what was merged just now may be incomplete. Nothing after `stop`."""
        if self._tick is not None:
            self._tick.cancel()
            self._next_in(self._rng.random() * self._settings.push_pull_after_join_s, now)

    def stop(self) -> None:
        """Make no more of our own accord."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def with_member(self, to: Address, join: bool, done: Callable[[str, float], None], now: float) -> None:
        """Push/pull with the node at `to`; `done(reason, now)` tells why it failed, or an empty text."""

        def finished(reply: Message | None, reason: str, now: float) -> None:
            if isinstance(reply, PushPull):
                try:
                    self._merge(reply, now)
                except WireError as error:
                    reason = str(error)
            elif reply is not None:
                reason = f"answered with {type(reply).__name__} instead of its state"
            done(reason, now)

        self._streams.exchange(to, lambda: self._state(join), self._settings.stream_timeout_s, finished, now)

    def answer(self, request: PushPull, now: float) -> bytes:
        """Our state as it was before merging the caller's. Raises `WireError` if that must not be merged."""
        state = self._state(request.join)
        self._merge(request, now)
        return state

    def _next_in(self, delay_s: float, now: float) -> None:
        self._tick = self._timers.at(now + delay_s, self._periodic)

    def _periodic(self, now: float) -> None:
        known = len(self._table)
        self._next_in(self._settings.push_pull_interval_s * self._settings.push_pull_scale(known), now)
        own = self._own
        partners = self._table.choose(1, lambda record: record.state is WireState.ALIVE and record is not own)
        if not partners:
            return
        partner = partners[0]

        def done(reason: str, now: float) -> None:
            if reason:
                self._outbox.complain("push/pull failed", now, member=partner.name, error=reason)
            elif len(self._table) > known * (1 + self._settings.push_pull_again_share):
                self.soon(now)

        self.with_member(partner.address, False, done, now)

    def _state(self, join: bool) -> bytes:
        rows = tuple(record.entry() for record in self._table)
        return encode_stream(PushPull(join, rows, self._serf.state()))

    def _merge(self, remote: PushPull, now: float) -> None:
        """Take over the other's table and Serf state, or raise `WireError` and take nothing."""
        local_alive = [record.versions for record in self._table if record.state is WireState.ALIVE]
        remote_alive = [entry.versions for entry in remote.nodes if entry.state is WireState.ALIVE]
        everybody = [record.versions for record in self._table] + [entry.versions for entry in remote.nodes]
        reason = incompatibility(local_alive + remote_alive, everybody)
        if reason:
            raise WireError(reason)
        serf_state = self._serf.parse_state(remote.user_state)
        for entry in remote.nodes:
            self._claim(entry, now)
        if serf_state is not None:
            self._serf.merge(serf_state, now, first=not self._view.announcing)
        self._view.announce(now)

    def _claim(self, entry: NodeEntry, now: float) -> None:
        match entry.state:
            case WireState.ALIVE:
                claim = Alive(entry.incarnation, entry.name, entry.addr, entry.port, entry.meta, entry.versions)
                self._view.alive(claim, now)
            case WireState.LEFT:
                self._view.dead(Dead(entry.incarnation, entry.name, entry.name), now)
            case _:
                self._view.suspect(Suspect(entry.incarnation, entry.name, self._own.name), now)
