"""Key -> the live members whose filters may have it.

Joins three things by origin: who is a member, what is known of its filter's history (`replica`), and the filter itself
(`index`). Pure: reads no clock, sends nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.directory import bloom
from app.directory.bloom import Bloom
from app.directory.delta import Delta, Origin, origin_of
from app.directory.index import FilterIndex
from app.directory.replica import Replica, Snapshot, Take, Verdict, Version
from gossip.membership import Member

#: A filter that was not heard of for so long, counted from its arrival here, is not asked any more, seconds.
TTL_S = 600.0


@dataclass(frozen=True, slots=True)
class FilterRow:
    """What is known of one member's filter: an estimate of its keys, and the seconds since it was last heard of."""

    member: Member
    keys: int
    age_s: float


@dataclass(slots=True)
class _Peer:
    member: Member
    replica: Replica
    heard_at: float
    keys: int = 0
    expired: bool = False

    @property
    def live(self) -> bool:
        return self.member.state.takes_part and not self.expired


class Directory:
    """All peers and their filters. A peer is present while the membership believes that it takes part."""

    def __init__(self) -> None:
        self._peers: dict[Origin, _Peer] = {}
        self._index: FilterIndex[Origin] = FilterIndex()
        self._present: dict[Origin, None] = {}

    # -- members --

    def set_member(self, member: Member, now: float) -> bool:
        """A peer joined, came back or changed; True if it was not present before."""
        origin = origin_of(member.name)
        peer = self._peers.get(origin)
        if peer is None:
            peer = self._peers[origin] = _Peer(member, Replica(), now)
        peer.member = member
        self._show(origin, peer)
        was_present = origin in self._present
        if member.state.takes_part:
            self._present[origin] = None
        else:
            self._present.pop(origin, None)
        return not was_present and origin in self._present

    def fail(self, member: Member) -> None:
        """The member is dead for now: no candidate, but its filter is kept for its return until the TTL ends."""
        origin = origin_of(member.name)
        peer = self._peers.get(origin)
        if peer is None:
            return
        if origin not in self._index:
            self.drop(member)
            return
        peer.member = member
        self._present.pop(origin, None)
        self._index.set_live(origin, False)

    def drop(self, member: Member) -> None:
        """The member left, or is no peer (any more). One that is not there is no error."""
        self._forget(origin_of(member.name))

    def expire(self, now: float) -> None:
        """Do no longer find the filters that were not heard of for `TTL_S`; forget those of failed members."""
        for origin, peer in list(self._peers.items()):
            if peer.heard_at + TTL_S > now:
                continue
            if origin not in self._present:
                self._forget(origin)
            elif not peer.expired:
                peer.expired = True
                self._show(origin, peer)

    @property
    def present(self) -> Sequence[Origin]:
        """Those that can be talked to."""
        return tuple(self._present)

    @property
    def members(self) -> int:
        """The size of the cluster: the present peers and this node."""
        return len(self._present) + 1

    def member(self, origin: Origin) -> Member | None:
        peer = self._peers.get(origin)
        return peer.member if peer is not None else None

    # -- filters --

    def apply(self, delta: Delta, now: float) -> Verdict | None:
        """Add the keys of a broadcast; None if its origin is no peer that is known here."""
        peer = self._peers.get(delta.origin)
        if peer is None:
            return None
        verdict = peer.replica.apply(delta)
        if verdict is not Verdict.OLD:
            self._add(peer, delta)
            self._heard(delta.origin, peer, now)
        return verdict

    def load(self, snapshot: Snapshot, now: float) -> bool:
        """Take over a whole filter if it is newer than ours; False if not, or if its origin is no peer."""
        peer = self._peers.get(snapshot.origin)
        if peer is None:
            return False
        take, early = peer.replica.load(snapshot.version, snapshot.sequence)
        if take is Take.IGNORE:
            return False
        filter_ = snapshot.filter
        if take is Take.MERGE and snapshot.origin in self._index:
            ours = self._index.get(snapshot.origin)
            # within an epoch the size never changes; who says otherwise only harms the copy of its own filter
            if ours.log2 == filter_.log2:
                filter_.merge(ours)
        self._index.put(snapshot.origin, filter_, False)
        peer.keys = filter_.estimated_keys()
        for delta in early:
            self._add(peer, delta)
        self._heard(snapshot.origin, peer, now)
        return True

    def replica(self, origin: Origin) -> Replica | None:
        peer = self._peers.get(origin)
        return peer.replica if peer is not None else None

    def gaps(self) -> Iterator[Origin]:
        """The present peers of whose filter something is missing that should be fetched at once."""
        return (origin for origin in self._present if self._peers[origin].replica.gap)

    def vector(self) -> dict[Origin, Version]:
        """What can be given to others: the versions of the filters of live peers."""
        peers = ((origin, self._peers[origin]) for origin in self._present)
        return {origin: peer.replica.version for origin, peer in peers if peer.live and peer.replica.epoch}

    def snapshot(self, origin: Origin) -> Snapshot | None:
        """A copy of one peer's filter, None if there is none."""
        peer = self._peers.get(origin)
        if peer is None or not peer.replica.epoch or origin not in self._index:
            return None
        return Snapshot(origin, peer.replica.version, peer.replica.sequence, self._index.get(origin))

    # -- questions --

    def candidates(self, fingerprint: int) -> list[Member]:
        """The live members that may hold the key: suspect ones too, whoever asks puts them last."""
        return [self._peers[origin].member for origin in self._index.match(fingerprint)]

    def holders(self, fingerprint: int) -> int:
        """How many `candidates` would return."""
        return self._index.count(fingerprint)

    def rows(self, now: float) -> list[FilterRow]:
        """What is known of each present peer that has a filter."""
        peers = (self._peers[origin] for origin in self._present if origin in self._index)
        return [FilterRow(peer.member, peer.keys, max(0.0, now - peer.heard_at)) for peer in peers]

    def usable(self) -> int:
        """The number of filters that lookups visit."""
        return sum(self._peers[origin].live for origin in self._present if origin in self._index)

    # -- inside --

    def _add(self, peer: _Peer, delta: Delta) -> None:
        if delta.origin not in self._index:
            self._index.put(delta.origin, Bloom(bloom.MIN_LOG2), False)
        peer.keys += sum(self._index.add(delta.origin, key) for key in delta.keys)

    def _heard(self, origin: Origin, peer: _Peer, now: float) -> None:
        peer.heard_at = now
        peer.expired = False
        self._show(origin, peer)

    def _show(self, origin: Origin, peer: _Peer) -> None:
        if origin in self._index:
            self._index.set_live(origin, peer.live)

    def _forget(self, origin: Origin) -> None:
        self._peers.pop(origin, None)
        self._present.pop(origin, None)
        self._index.remove(origin)
