"""The member table, and which claim beats which.

SWIM's rule (paper §4.2) in one line: *the larger incarnation wins; at equal ones the graver state does*. So a
claim is a point in a total order, the table keeps the maximum, and the order of arrival does not matter.

               alive(i)      suspect(i)     dead(i)       left(i)
    beats      lower i       alive(i),      suspect(i),   dead(i),
                             lower i        lower i       lower i

memberlist (`state.go`) is the same but for three corners that depend on the order there: a second suspicion and a
second death with a larger incarnation leave ours with that incarnation, and a good-bye turns `dead` into `left`.
A suspicion never revives the dead: it only moves their incarnation.

This file does not know who we are, and neither timers nor messages.
"""

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_address
from random import Random
from typing import NamedTuple

from gossip.wire.messages import NodeEntry, Versions, WireState

_GONE = (WireState.DEAD, WireState.LEFT)


class Standing(NamedTuple):
    """What is claimed or believed of a member's life; `WireState` is ordered from lightest to gravest."""

    incarnation: int
    state: WireState


def stronger(known: Standing, claim: Standing) -> Standing:
    """What to believe after hearing `claim`: one of the two, except that suspected dead are dead."""
    if claim <= known:
        return known
    if claim.state is WireState.SUSPECT and known.state in _GONE:
        return Standing(claim.incarnation, WireState.DEAD)
    return claim


class Record:
    """One member in the table. `address` is `addr` and `port` in the driver's form, kept in step by `move`."""

    __slots__ = ("addr", "address", "changed_at", "meta", "name", "port", "standing", "versions")

    def __init__(self, name: str, addr: bytes, port: int, meta: bytes, versions: Versions) -> None:
        self.name = name
        self.meta = meta
        self.versions = versions
        self.standing = Standing(0, WireState.DEAD)
        self.changed_at = 0.0
        self.move(addr, port)

    def move(self, addr: bytes, port: int) -> None:
        """Change the address."""
        self.addr = addr
        self.port = port
        self.address = (host_text(addr), port)

    @property
    def state(self) -> WireState:
        return self.standing.state

    @property
    def incarnation(self) -> int:
        return self.standing.incarnation

    @property
    def gone(self) -> bool:
        """Dead or left."""
        return self.standing.state >= WireState.DEAD

    def entry(self) -> NodeEntry:
        """This member as a row of a push/pull."""
        incarnation, state = self.standing
        return NodeEntry(self.name, self.addr, self.port, self.meta, incarnation, state, self.versions)


class MemberTable:
    """All members by name, and the shuffled ring in which they are probed."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._by_name: dict[str, Record] = {}
        self._ring: list[Record] = []
        self._next = 0
        self.get = self._by_name.get

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Record]:
        """In order of arrival."""
        return iter(self._by_name.values())

    def add(self, record: Record) -> None:
        """Insert at a random place of the ring, so that joiners are not probed in one clump (SWIM paper §4.3)."""
        self._by_name[record.name] = record
        self._ring.insert(int(self._rng.random() * (len(self._ring) + 1)), record)

    def probe_target(self, eligible: Callable[[Record], bool], forgotten: Callable[[Record], bool]) -> Record | None:
        """The next eligible member of the ring, None if there is none.

        When the ring is through, the `forgotten` are dropped from the table and the others shuffled.
        """
        for _ in range(len(self._ring) + 1):
            if self._next >= len(self._ring):
                self._begin_round(forgotten)
                continue
            record = self._ring[self._next]
            self._next += 1
            if eligible(record):
                return record
        return None

    def _begin_round(self, forgotten: Callable[[Record], bool]) -> None:
        for record in self._ring:
            if forgotten(record):
                del self._by_name[record.name]
        self._ring = [record for record in self._ring if record.name in self._by_name]
        self._rng.shuffle(self._ring)
        self._next = 0

    def choose(self, count: int, eligible: Callable[[Record], bool]) -> list[Record]:
        """Up to `count` different eligible members at random.

        A few random draws find them in a healthy cluster; only when they don't is the table walked.
        """
        chosen: list[Record] = []
        random, ring = self._rng.random, self._ring
        for _ in range(4 * count if ring else 0):
            record = ring[int(random() * len(ring))]
            if record not in chosen and eligible(record):
                chosen.append(record)
                if len(chosen) == count:
                    return chosen
        others = [record for record in ring if record not in chosen and eligible(record)]
        chosen.extend(self._rng.sample(others, min(count - len(chosen), len(others))))
        return chosen


def host_text(addr: bytes) -> str:
    """A packed address (4 or 16 bytes) as text; an IPv4 address also from its 16-byte form."""
    if len(addr) == 4:
        return f"{addr[0]}.{addr[1]}.{addr[2]}.{addr[3]}"
    address = IPv6Address(addr)
    return str(address.ipv4_mapped or address)


def host_bytes(host: str) -> bytes:
    """An address in text, packed; an IPv4 address always in 4 bytes. Raises ValueError for anything else."""
    address = ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).packed
