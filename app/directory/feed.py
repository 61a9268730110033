"""One node's side of the directory protocol, without I/O.

Inputs are what happens (own keys, membership, broadcasts, answers, the time); outputs are effects, to be carried out in
order, and the time of the next `tick`. So the same code runs in the worker (`service`) and in a simulated
cluster with a virtual clock.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from app.directory import antientropy, delta
from app.directory.announcer import Announcer
from app.directory.antientropy import What
from app.directory.delta import Origin, origin_of
from app.directory.directory import Directory
from app.directory.errors import DirectoryError, UnknownVersion
from app.directory.own import OwnFilter
from app.directory.replica import Snapshot, Verdict, Version
from app.directory.schedule import Ask, Reason, Schedule
from app.tags import registry_port, start
from gossip.membership import Member

#: A key that so many live members hold is not broadcast: a pull by all nodes at once would drown the gossip, and one
#: more holder helps nobody soon. Anti-entropy tells it.
SUPPRESS_HOLDERS = 32

_EXPIRY_CHECK_S = 5.0
#: Gaps that a question about one names besides. Each has questions of its own: when thousands of members come at once
#: and don't answer, questions that name them all would keep the hub busy for minutes.
_GAPS_NAMED = 64
_SLICE = 8  # filters between two chances for other work: some 2 ms


class Noted(Enum):
    """What happened, to be counted."""

    DELTA_SENT = "delta sent"
    DELTA_RECEIVED = "delta received"
    DELTA_REFUSED = "delta refused"
    GAP = "gap"
    FILTER_REFUSED = "filter refused"
    SYNC_EQUAL = "sync equal"  # nothing newer there
    SYNC_REPAIRED = "sync repaired"
    SYNC_FAILED = "sync failed"


@dataclass(frozen=True, slots=True)
class Broadcast:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask a member over HTTP; answer with `Feed.fetched` or `Feed.fetch_failed`."""

    member: Member
    what: What
    body: bytes


Effect = Broadcast | Fetch | Noted


class Feed:
    """Keeps the own filter told and the others' up to date.

    `local` is this node's member; `first_epoch` is above all that its name ever used (see `OwnFilter`).
    """

    def __init__(self, local: Member, first_epoch: int, rng: random.Random, now: float) -> None:
        self.directory = Directory()
        self.own = OwnFilter(origin_of(local.name), first_epoch, rng)
        self.own.start(now)
        self._protocol = local.tags.get("v")
        self._announcer = Announcer(self.own, now)
        self._schedule = Schedule(rng)
        self._expire_at = now + _EXPIRY_CHECK_S
        self._effects: list[Effect] = []

    def effects(self) -> list[Effect]:
        """What is to be done, in order; each is given out once."""
        effects, self._effects = self._effects, []
        return effects

    def next_deadline(self) -> float:
        """When `tick` should be called next."""
        asking = self._schedule.next_deadline()
        others = self._expire_at if asking is None else min(self._expire_at, asking)
        return min(self._announcer.next_deadline(), others)

    @property
    def synchronised(self) -> bool:
        """Whether some member has told everything that it knew."""
        return self._schedule.joined

    # -- own keys --

    def key_added(self, fingerprint: int, now: float) -> None:
        """We hold this from now on."""
        self._announcer.key_added(fingerprint, self.directory.members, now)

    def key_removed(self, fingerprint: int, now: float) -> None:
        """We don't hold this any more."""
        self._announcer.key_removed(fingerprint, now)

    # -- membership --

    def joined(self, member: Member, now: float) -> None:
        """A member came, or came back."""
        is_peer = self._is_peer(member)
        if not is_peer or self._began_anew(member):
            self.left(member)
        if is_peer and self.directory.set_member(member, now):
            self._schedule.peer_came(origin_of(member.name), self.directory.members, now)

    def updated(self, member: Member, now: float) -> None:
        """A member's state or tags changed."""
        self.joined(member, now)

    def left(self, member: Member) -> None:
        """A member said goodbye: its content is gone."""
        self.directory.drop(member)
        self._schedule.peer_went(origin_of(member.name))

    def failed(self, member: Member) -> None:
        """A member was found dead, perhaps for a while only."""
        self.directory.fail(member)
        self._schedule.peer_went(origin_of(member.name))

    def lost(self, now: float) -> None:
        """Broadcasts were dropped on the way here, it is not known whose."""
        self._schedule.hurry(now)

    # -- broadcasts --

    def received(self, payload: bytes, now: float) -> None:
        """A broadcast on our topic. One that is not understood is counted and changes nothing."""
        try:
            heard = delta.decode(payload)
        except DirectoryError:
            self._effects.append(Noted.DELTA_REFUSED)
            return
        if heard.origin == self.own.origin:
            return
        self._effects.append(Noted.DELTA_RECEIVED)
        members = self.directory.members
        self._announcer.heard(members, now)
        verdict = self.directory.apply(heard, now)
        if verdict is Verdict.GAP and self._schedule.gap(heard.origin, members, now):
            self._effects.append(Noted.GAP)
        elif verdict is Verdict.NEW:
            self._schedule.closed(heard.origin)

    # -- anti-entropy --

    def answer(self, what: What, body: bytes) -> Iterator[bytes]:
        """Another node's question, answered in pieces to be joined. Raises `DirectoryError` before the first piece."""
        if what is What.COMPARE:
            return iter([antientropy.answer_compare(body, self._vector())])
        return antientropy.answer_filters(body, self._vector(), self._snapshot)

    def fetched(self, member: Member, what: What, answer: bytes, now: float) -> Iterator[None]:
        """A `Fetch` was answered. Exhaust the iterator: it does the work in slices, other inputs may come between."""
        origin = origin_of(member.name)
        try:
            if what is What.COMPARE:
                self._compared(member, origin, antientropy.decode_comparison(answer), now)
            else:
                yield from self._load(origin, answer, now)
        except DirectoryError:
            self._fail(origin, now)

    def fetch_failed(self, member: Member, now: float) -> None:
        """A `Fetch` got no answer."""
        self._fail(origin_of(member.name), now)

    # -- time --

    def tick(self, now: float) -> None:
        """Do what is due."""
        for told in self._announcer.due(self.directory.members, self._suppressed, now):
            if self.directory.present:
                self._effects += (Broadcast(delta.encode(told)), Noted.DELTA_SENT)
        if self._expire_at <= now:
            self._expire_at = now + _EXPIRY_CHECK_S
            self.directory.expire(now)
        for ask in self._schedule.due(self.directory.present, now):
            self._ask(ask)

    # -- inside --

    def _is_peer(self, member: Member) -> bool:
        return registry_port(member) is not None and member.tags.get("v") == self._protocol

    def _began_anew(self, member: Member) -> bool:
        """Whether another start of it is known here, whose content is not this one's: an agent's name outlives us."""
        known = self.directory.member(origin_of(member.name))
        return known is not None and start(known) != start(member)

    def _suppressed(self, fingerprint: int) -> bool:
        return self.directory.holders(fingerprint) >= SUPPRESS_HOLDERS

    def _vector(self) -> dict[Origin, Version]:
        return {**self.directory.vector(), self.own.origin: Version(self.own.epoch, self.own.revision)}

    def _snapshot(self, origin: Origin) -> Snapshot | None:
        if origin != self.own.origin:
            return self.directory.snapshot(origin)
        version = Version(self.own.epoch, self.own.revision)
        return Snapshot(origin, version, self.own.sequence, self.own.filter)

    def _ask(self, ask: Ask) -> None:
        member = self.directory.member(ask.peer)
        if member is None:
            raise AssertionError("only present peers are asked")
        if ask.reason is Reason.ROUND:
            self._effects.append(Fetch(member, What.COMPARE, antientropy.encode_compare(self._vector())))
            return
        everything = ask.reason is Reason.JOIN
        if everything:
            known = self._vector()
        else:
            known = {gap: self._known_version(gap) for gap in islice(self.directory.gaps(), _GAPS_NAMED)}
            # versions can be equal where a broadcast is missing
            known[ask.peer] = Version() if self._gap(ask.peer) else self._known_version(ask.peer)
        self._effects.append(Fetch(member, What.FILTERS, antientropy.encode_wanted(known, everything)))

    def _known_version(self, origin: Origin) -> Version:
        replica = self.directory.replica(origin)
        return replica.version if replica is not None else Version()

    def _compared(self, member: Member, origin: Origin, theirs: dict[Origin, Version] | None, now: float) -> None:
        wanted = {}
        for owner, version in (theirs or {}).items():
            replica = self.directory.replica(owner)
            if owner == self.own.origin:
                self._announcer.outlive(version, now)
            elif replica is not None and version > replica.version:
                wanted[owner] = replica.version
        if wanted:
            self._effects.append(Fetch(member, What.FILTERS, antientropy.encode_wanted(wanted, everything=False)))
        else:
            self._effects.append(Noted.SYNC_EQUAL)
            self._schedule.done(origin, differs=theirs is not None, now=now)

    def _load(self, origin: Origin, answer: bytes, now: float) -> Iterator[None]:
        for number, item in enumerate(antientropy.decode_filters(answer), 1):
            if isinstance(item, UnknownVersion):
                self._effects.append(Noted.FILTER_REFUSED)
            elif self.directory.load(item, now):
                self._close(item.origin)
            if number % _SLICE == 0:
                yield
        if self._schedule.reason(origin) is Reason.GAP and self._gap(origin):
            self._fail(origin, now)
            return
        joining = self._schedule.reason(origin) is Reason.JOIN
        self._effects.append(Noted.SYNC_REPAIRED)
        self._schedule.done(origin, differs=True, now=now)
        if joining:
            for missing in self.directory.gaps():
                self._schedule.gap(missing, self.directory.members, now)

    def _close(self, origin: Origin) -> None:
        if not self._gap(origin):
            self._schedule.closed(origin)

    def _gap(self, origin: Origin) -> bool:
        replica = self.directory.replica(origin)
        return replica is not None and replica.gap

    def _fail(self, origin: Origin, now: float) -> None:
        self._effects.append(Noted.SYNC_FAILED)
        self._schedule.failed(origin, now)
