"""What a claim about a member does here: the local view of the cluster, its suspicions and its own defence.

SWIM with suspicion (paper §4.2) as memberlist does it (`state.go`: `aliveNode`, `suspectNode`, `deadNode`,
`refute`). Which claim wins is `members.stronger`; this file adds what follows from a win: tell it on, start or
stop a suspicion, tell the roster; and what a node does that hears bad news about itself.
"""

from gossip.swim.context import Context
from gossip.swim.dissemination import Dissemination
from gossip.swim.health import Health
from gossip.swim.members import Record, Standing, stronger
from gossip.swim.roster import Roster
from gossip.swim.settings import MAX_INCARNATION
from gossip.swim.suspicion import Bounds, Suspicion
from gossip.swim.timers import Timer
from gossip.wire.messages import SERF_VERSIONS, Alive, Dead, Suspect, Versions, WireState

#: A refutation is queued beside, not instead of, other news about us (memberlist `refute` does the same).
_REFUTATION = "\0refutation"


def speakable(versions: Versions) -> bool:
    """Whether a node that announces these six numbers and a node of ours understand each other.

    memberlist compares them in push/pulls only; one alien that comes by datagram would then make every push/pull
    of the cluster fail, so alive messages are held to the same rule here.
    """
    if versions == SERF_VERSIONS:
        return True
    if len(versions) != len(SERF_VERSIONS):
        return False
    ours = SERF_VERSIONS
    return all(
        0 < versions[lowest] <= ours[current] <= versions[highest]
        and ours[lowest] <= versions[current] <= ours[highest]
        for lowest, highest, current in ((0, 1, 2), (3, 4, 5))
    )


class View:
    """Applies claims to the table.

    `announcing` is False until a push/pull succeeded: a node with which the cluster would not merge must not be
    gossiped about by itself. `leaving` stops all refutation.
    """

    def __init__(self, context: Context, roster: Roster, dissemination: Dissemination, health: Health) -> None:
        self._settings = context.settings
        self._own = context.own
        self._table = context.table
        self._roster = roster
        self._dissemination = dissemination
        self._health = health
        self._timers = context.timers
        self._outbox = context.outbox
        self._suspicions: dict[str, tuple[Suspicion, Timer]] = {}
        self.announcing = False
        self.leaving = False

    def start(self, now: float) -> None:
        """Enter the table ourselves."""
        self._table.add(self._own)
        self._become(self._own, Standing(1, WireState.ALIVE), now)
        self._roster.alive(self._own.name, self._own.address, self._own.meta, now)

    def announce(self, now: float) -> None:
        """The cluster has merged with us: from now on we tell of ourselves. Idempotent."""
        if not self.announcing:
            self.announcing = True
            self._tell_own(self._own.name, now)

    def set_meta(self, meta: bytes, now: float) -> None:
        """Change what we announce of ourselves."""
        self._own.meta = meta
        self._own.standing = Standing(self._own.incarnation + 1, WireState.ALIVE)
        self._roster.alive(self._own.name, self._own.address, meta, now)
        self._tell_own(self._own.name, now)

    def alive(self, claim: Alive, now: float) -> None:
        """Somebody is there, at this address and with this meta."""
        record = self._table.get(claim.node)
        if record is None:
            record = self._newcomer(claim, now)
            if record is None:
                return
        elif record.addr != claim.addr or record.port != claim.port:
            if not self._may_move(record, claim, now):
                return
        elif record is self._own:
            self._alive_self(claim, now)
            return
        elif claim.incarnation <= record.incarnation:
            return
        if not speakable(claim.versions):
            self._outbox.complain("member with other protocol versions ignored", now, member=claim.node)
            return
        self._accept(record, claim, now)

    def suspect(self, claim: Suspect, now: float) -> None:
        """`claim.sender` did not reach a member."""
        record = self._table.get(claim.node)
        if record is None or claim.incarnation < record.incarnation:
            return
        if record is self._own:
            self._refute(claim.incarnation, claim.sender, now)
            return
        running = self._suspicions.get(claim.node)
        before = record.state
        record.standing = stronger(record.standing, Standing(claim.incarnation, WireState.SUSPECT))
        if running is not None:
            self._confirm(record, running[0], claim, now)
        elif before is WireState.ALIVE:
            self._begin_suspicion(record, claim, now)

    def dead(self, claim: Dead, now: float) -> None:
        """A member was found dead, or (sender and node are the same) says good-bye."""
        record = self._table.get(claim.node)
        if record is None or claim.incarnation < record.incarnation:
            return
        if record is self._own and not self.leaving:
            self._refute(claim.incarnation, claim.sender, now)
            return
        before = record.state
        state = WireState.LEFT if claim.sender == claim.node else WireState.DEAD
        after = stronger(record.standing, Standing(claim.incarnation, state))
        if before >= WireState.DEAD and after.state <= before:
            record.standing = after  # gone already: nothing to tell
        elif after.state is not before:
            self._end_suspicion(claim.node)
            self._become(record, after, now)
            self._dissemination.tell_membership(claim, claim.node, now)
            self._roster.gone(claim.node, state is WireState.LEFT, now)

    def leave(self, now: float) -> Dead:
        """Say good-bye in our own table; the returned claim is for the others."""
        self._become(self._own, Standing(self._own.incarnation, WireState.LEFT), now)
        self._roster.gone(self._own.name, True, now)
        return Dead(self._own.incarnation, self._own.name, self._own.name)

    def anyone_else(self) -> bool:
        """Whether another member is there to be told something."""
        return any(not record.gone and record is not self._own for record in self._table)

    def _newcomer(self, claim: Alive, now: float) -> Record | None:
        """A record for an unknown name, in the table and dead until the claim is accepted."""
        if claim.incarnation == 0 or claim.port == 0 or not speakable(claim.versions):
            self._outbox.complain("newcomer ignored: protocol versions, port or incarnation", now, member=claim.node)
            return None
        if len(self._table) >= self._settings.member_limit:
            self._outbox.complain("newcomer ignored: member table is full", now, members=len(self._table))
            return None
        record = Record(claim.node, claim.addr, claim.port, claim.meta, claim.versions)
        self._table.add(record)
        return record

    def _may_move(self, record: Record, claim: Alive, now: float) -> bool:
        """Only who said good-bye may come back at another address; then the incarnation does not count."""
        if record.state is WireState.LEFT and record is not self._own and claim.port != 0:
            return True
        if claim.incarnation >= record.incarnation:
            host, port = record.address
            self._outbox.complain("two nodes use one name", now, member=claim.node, host=host, port=port)
        return False

    def _accept(self, record: Record, claim: Alive, now: float) -> None:
        self._end_suspicion(claim.node)
        record.move(claim.addr, claim.port)
        record.meta, record.versions = claim.meta, claim.versions
        self._become(record, Standing(claim.incarnation, WireState.ALIVE), now)
        self._dissemination.tell_membership(claim, claim.node, now)
        self._roster.alive(claim.node, record.address, claim.meta, now)

    def _alive_self(self, claim: Alive, now: float) -> None:
        """Our own news coming back, or an older life of ours."""
        own = self._own
        if self.leaving or claim.incarnation < own.incarnation:
            return
        same = claim.meta == own.meta and claim.versions == own.versions
        if claim.incarnation > own.incarnation or not same:
            self._refute(claim.incarnation, claim.node, now)

    def _refute(self, accused: int, accuser: str, now: float) -> None:
        """Outbid the accusation (SWIM: only the accused may raise its incarnation), and trust ourselves less."""
        if self.leaving:
            return
        if accused >= MAX_INCARNATION:
            self._outbox.complain("accusation with the last incarnation can't be refuted", now, accuser=accuser)
            return
        self._own.standing = Standing(max(self._own.incarnation, accused) + 1, WireState.ALIVE)
        self._health.change(1)
        self._outbox.complain("refuted an accusation", now, accuser=accuser, incarnation=self._own.incarnation)
        self._tell_own(_REFUTATION, now)

    def _tell_own(self, subject: str, now: float) -> None:
        if self.announcing:
            own = self._own
            claim = Alive(own.incarnation, own.name, own.addr, own.port, own.meta, own.versions)
            self._dissemination.tell_membership(claim, subject, now)

    def _become(self, record: Record, standing: Standing, now: float) -> None:
        if standing.state is not record.state:
            record.changed_at = now
        record.standing = standing

    def _begin_suspicion(self, record: Record, claim: Suspect, now: float) -> None:
        record.changed_at = now
        suspicion = Suspicion(Bounds.of(self._settings, len(self._table)), claim.sender, now)
        self._arm(record, suspicion)
        self._dissemination.tell_membership(claim, claim.node, now)
        self._outbox.complain("member suspected", now, member=claim.node, accuser=claim.sender)
        self._roster.suspected(claim.node)

    def _confirm(self, record: Record, suspicion: Suspicion, claim: Suspect, now: float) -> None:
        if suspicion.confirm(claim.sender):
            self._end_suspicion(record.name)
            self._arm(record, suspicion)
            self._dissemination.tell_membership(claim, claim.node, now)

    def _arm(self, record: Record, suspicion: Suspicion) -> None:
        def verdict(now: float) -> None:
            self.dead(Dead(record.incarnation, record.name, self._own.name), now)

        self._suspicions[record.name] = suspicion, self._timers.at(suspicion.verdict_at, verdict)

    def _end_suspicion(self, name: str) -> None:
        running = self._suspicions.pop(name, None)
        if running is not None:
            running[1].cancel()
