"""Getting into contact: joining by given addresses, and trying failed members again.

Source: memberlist `memberlist.go` `Join`, Serf `serf.go` `Join`, `reconnect`.
"""

from collections.abc import Callable, Iterator, Sequence

from gossip.membership import MemberState
from gossip.swim.context import Context
from gossip.swim.effects import Address, JoinFinished
from gossip.swim.roster import Roster
from gossip.swim.serf import Serf
from gossip.swim.sync import Sync
from gossip.swim.timers import Timer


class _Join:
    """One call of `join`: its addresses, a few at a time."""

    def __init__(self, token: int, addresses: Sequence[Address], own: Address) -> None:
        self.token = token
        self.waiting: Iterator[Address] = iter([address for address in addresses if address != own])
        self.open = 0
        self.reached = 0
        self.errors: list[tuple[Address, str]] = [
            (address, "is this node itself") for address in addresses if address == own
        ]


class Joiner:
    """Contacts addresses by push/pull."""

    def __init__(self, context: Context, sync: Sync, serf: Serf) -> None:
        self._settings = context.settings
        self._own = context.own.address
        self._sync = sync
        self._serf = serf
        self._outbox = context.outbox

    def join(self, token: int, addresses: Sequence[Address], now: float) -> None:
        """Contact every address, `join_parallel` at once; `JoinFinished` tells how many answered."""
        job = _Join(token, tuple(dict.fromkeys(addresses)), self._own)
        self._go_on(job, now)

    def _go_on(self, job: _Join, now: float) -> None:
        while job.open < self._settings.join_parallel:
            address = next(job.waiting, None)
            if address is None:
                break
            job.open += 1
            self._sync.with_member(address, True, self._contacted(job, address), now)
        if job.open == 0:
            self._outbox.put(JoinFinished(job.token, job.reached, tuple(job.errors)))

    def _contacted(self, job: _Join, address: Address) -> Callable[[str, float], None]:
        def done(reason: str, now: float) -> None:
            job.open -= 1
            if reason:
                job.errors.append((address, reason))
            else:
                job.reached += 1
                if job.reached == 1:
                    self._serf.announce_join(now)
                    self._sync.soon(now)
            self._go_on(job, now)

        return done


class Reconnector:
    """Tries a random failed member now and then, so that two halves that declared each other dead find back.

    SWIM gossips to the dead for half a minute only; after a longer partition this is what heals the cluster. Who came
    back is called as well: a process that was restarted answers for itself, but may know nobody (a stock agent
    without a list to join hears only pings, and would wait for a push/pull for half a minute and more).
    """

    def __init__(self, context: Context, roster: Roster, sync: Sync) -> None:
        self._settings = context.settings
        self._own = context.own.address
        self._roster = roster
        self._sync = sync
        self._rng = context.rng
        self._timers = context.timers
        self._timer: Timer | None = None
        self._missing_before: list[Address] = []

    def start(self, now: float) -> None:
        """Begin after the first delay."""
        self._timer = self._timers.at(now + self._delay_s(0), self._attempt)

    def stop(self) -> None:
        """Call nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _delay_s(self, members: int) -> float:
        low, high = self._settings.reconnect_s
        delay_s = low + (high - low) * self._rng.random()
        return min(delay_s * self._settings.push_pull_scale(members), self._settings.reconnect_max_s)

    def _attempt(self, now: float) -> None:
        failed: dict[Address, None] = {}
        alive: dict[Address, None] = {}
        for member in self._roster:
            address = (member.host, member.port)
            if member.state is MemberState.FAILED:
                failed[address] = None
            elif member.state is not MemberState.LEFT and address != self._own:
                alive[address] = None
        self._timer = self._timers.at(now + self._delay_s(len(failed) + len(alive)), self._attempt)
        # A failed member whose address somebody alive has now was replaced: trying it would only burden that one.
        missing = [address for address in failed if address not in alive]
        returned = [address for address in self._missing_before if address in alive]
        self._missing_before = missing
        # Each of the cluster decides for itself, so that about one (of those who returned: a few) makes the call.
        others = len(alive) + 1
        if missing and self._rng.random() * others < len(missing):
            self._call(missing, now)
        elif returned and self._rng.random() * others < self._settings.greeters * len(returned):
            self._call(returned, now)

    def _call(self, addresses: list[Address], now: float) -> None:
        address = addresses[int(self._rng.random() * len(addresses))]
        self._sync.with_member(address, False, lambda _reason, _now: None, now)
