"""Who is in the cluster as Serf sees it: members with a status that intents can change, and what to tell the user.

Longer-lived than the SWIM table: that one forgets the dead after 30 s, this one keeps them as `failed` for the
time in which they may come back. Source: Serf `serf.go` (`handleNodeJoinIntent` and its relatives).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gossip.errors import WireError
from gossip.membership import Member, MemberState
from gossip.swim.context import Context
from gossip.swim.effects import Address, MemberFailed, MemberJoined, MemberLeft, MemberReport, MemberUpdated
from gossip.wire.serf import decode_tags


def announcement(before: Member | None, after: Member) -> MemberReport | None:
    """What the user has to hear when a member changes from `before` (None: unknown) to `after`.

    Joined: from absent to present. Left and failed: by the new state. Updated: anything else that differs.
    """
    if before == after:
        return None
    if not after.state.absent:
        returned = before is None or before.state.absent
        return MemberJoined(after) if returned else MemberUpdated(after)
    if before is not None and before.state is after.state:
        return None
    return MemberLeft(after) if after.state is MemberState.LEFT else MemberFailed(after)


class Entry:
    """One member. `status` is never SUSPECT: that belief is SWIM's and lies in `suspect`."""

    __slots__ = ("address", "ltime", "member", "meta", "since", "status", "suspect", "tags")

    def __init__(self, address: Address, meta: bytes, tags: dict[str, str]) -> None:
        self.address = address
        self.meta = meta
        self.tags = tags
        self.status = MemberState.FAILED  # until `Roster.alive` says otherwise
        self.suspect = False
        self.ltime = 0
        self.since = 0.0
        self.member: Member | None = None

    def snapshot(self, name: str) -> Member:
        state = MemberState.SUSPECT if self.suspect and self.status is MemberState.ALIVE else self.status
        return Member(name, self.address[0], self.address[1], state, self.tags)


@dataclass(frozen=True, slots=True)
class _Intent:
    """What was heard about a member that has not arrived yet."""

    ltime: int
    leaving: bool
    heard_at: float


class Roster:
    """All members by name, the local one included; puts an announcement into the outbox for every other's change."""

    def __init__(self, context: Context) -> None:
        self._settings = context.settings
        self._own_name = context.own.name
        self._outbox = context.outbox
        self._entries: dict[str, Entry] = {}
        self._intents: dict[str, _Intent] = {}  # oldest first

    def __iter__(self) -> Iterator[Member]:
        return (entry.member for entry in self._entries.values() if entry.member is not None)

    def get(self, name: str) -> Entry | None:
        return self._entries.get(name)

    def items(self) -> Iterator[tuple[str, Entry]]:
        return iter(self._entries.items())

    def alive(self, name: str, address: Address, meta: bytes, now: float) -> None:
        """SWIM holds the member for alive, with this address and meta."""
        entry = self._entries.get(name)
        if entry is None:
            self._make_room()
            entry = self._entries[name] = Entry(address, meta, self._tags(meta, name, now))
            intent = self._intents.pop(name, None)
            if intent is not None:
                entry.ltime = intent.ltime
            self._set(entry, MemberState.LEAVING if intent is not None and intent.leaving else MemberState.ALIVE, now)
        elif entry.status.absent:
            self._set(entry, MemberState.ALIVE, now)
        if meta != entry.meta:
            entry.meta, entry.tags = meta, self._tags(meta, name, now)
        entry.address = address
        entry.suspect = False
        self._publish(name, entry)

    def suspected(self, name: str) -> None:
        """SWIM suspects the member."""
        entry = self._entries[name]
        entry.suspect = True
        self._publish(name, entry)

    def gone(self, name: str, left: bool, now: float) -> None:
        """SWIM holds the member for dead, or heard its good-bye.

        Stock Serf shows `failed` for a good-bye whose intent was lost; the good-bye itself is proof enough here.
        """
        entry = self._entries.get(name)
        if entry is None or entry.status is MemberState.LEFT:
            return
        entry.suspect = False
        if left or entry.status is MemberState.LEAVING:
            self._set(entry, MemberState.LEFT, now)
        else:
            self._set(entry, MemberState.FAILED, now)
        self._publish(name, entry)

    def leave_intent(self, name: str, ltime: int, prune: bool, now: float) -> bool:
        """Somebody says that the member is leaving, or an operator that a failed one is not coming back.

        `prune` also erases an absent member. True if it was news, to be told on.
        """
        entry = self._entries.get(name)
        if entry is None:
            return self._remember(name, _Intent(ltime, True, now))
        if ltime <= entry.ltime:
            return False
        entry.ltime = ltime
        if entry.status is MemberState.ALIVE:
            self._set(entry, MemberState.LEAVING, now)
        elif entry.status is MemberState.FAILED:
            self._set(entry, MemberState.LEFT, now)
        self._publish(name, entry)
        if prune and entry.status.absent and name != self._own_name:
            del self._entries[name]
        return True

    def join_intent(self, name: str, ltime: int, now: float) -> bool:
        """Somebody says that the member has joined. True if it was news, to be told on."""
        entry = self._entries.get(name)
        if entry is None:
            return self._remember(name, _Intent(ltime, False, now))
        if ltime <= entry.ltime:
            return False
        entry.ltime = ltime
        if entry.status is MemberState.LEAVING:
            self._set(entry, MemberState.ALIVE, now)
        self._publish(name, entry)
        return True

    def reap(self, now: float) -> None:
        """Forget members absent for too long, and intents nobody came for."""
        kept = {MemberState.FAILED: self._settings.failed_kept_s, MemberState.LEFT: self._settings.left_kept_s}
        for name, entry in list(self._entries.items()):
            if name != self._own_name and now - entry.since >= kept.get(entry.status, float("inf")):
                del self._entries[name]
        for name, intent in list(self._intents.items()):
            if now - intent.heard_at >= self._settings.recent_intent_s:
                del self._intents[name]

    def _make_room(self) -> None:
        """If the roster is full, forget the absent member that arrived first; the table bounds the present ones."""
        if len(self._entries) >= self._settings.member_limit:
            absent = (name for name, entry in self._entries.items() if entry.status.absent)
            oldest = next((name for name in absent if name != self._own_name), None)
            if oldest is not None:
                del self._entries[oldest]

    def _remember(self, name: str, intent: _Intent) -> bool:
        known = self._intents.get(name)
        if known is not None and intent.ltime <= known.ltime:
            return False
        self._intents.pop(name, None)  # to the end of the order
        if len(self._intents) >= self._settings.recent_intent_limit:
            del self._intents[next(iter(self._intents))]
        self._intents[name] = intent
        return True

    def _set(self, entry: Entry, status: MemberState, now: float) -> None:
        entry.status = status
        entry.since = now

    def _publish(self, name: str, entry: Entry) -> None:
        before, entry.member = entry.member, entry.snapshot(name)
        effect = announcement(before, entry.member)
        if effect is not None and name != self._own_name:
            self._outbox.put(effect)

    def _tags(self, meta: bytes, name: str, now: float) -> dict[str, str]:
        try:
            return decode_tags(meta)
        except WireError as error:
            self._outbox.complain("tags not understood, taken as none", now, member=name, error=str(error))
            return {}
