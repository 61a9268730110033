"""What this node has seen of its peers: transfers in flight, latency, failures, wrong bytes. Pure.

It only ever *reorders* candidates: nobody is left out because of it, so a hit can't turn into a miss. What is kept is
bounded, whatever peers do; the clock is the caller's.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.key import Digest

#: The weight of the newest latency: the mean follows within some five answers.
_WEIGHT = 0.3
#: A peer rests this long after one failure, twice as long after each further one in a row. A peer that restarts is
#: back within seconds; one that is dead leaves the candidates by gossip before the cap matters.
_REST_S = 1.0
_REST_CAP_S = 60.0
#: Wrong bytes are not cured by a second try: such a peer is asked last for that digest for as long as a filter lives.
_QUARANTINE_S = 600.0
#: Names are forgotten when members leave; these bounds hold if somebody makes up names faster than that.
_MAX_PEERS = 16_384
_MAX_QUARANTINED = 4_096


@dataclass(slots=True)
class _Record:
    latency_s: float | None = None
    failures: int = 0
    rests_until: float = 0.0


class PeerHealth:
    """Knowledge by member name. Unknown names are healthy and have no latency."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._in_flight: Counter[str] = Counter()
        self._quarantined: OrderedDict[tuple[str, Digest], float] = OrderedDict()

    def in_flight(self, name: str) -> int:
        """Bodies that this node is fetching from the peer now."""
        return self._in_flight[name]

    def latency_s(self, name: str) -> float | None:
        """Moving mean of the time to a response head; None if it has not answered yet."""
        record = self._records.get(name)
        return None if record is None else record.latency_s

    def resting(self, name: str) -> bool:
        """Whether it failed lately."""
        record = self._records.get(name)
        return record is not None and self._clock() < record.rests_until

    def quarantined(self, name: str, digest: Digest) -> bool:
        """Whether it gave wrong bytes for this digest lately."""
        return self._clock() < self._quarantined.get((name, digest), 0.0)

    def began(self, name: str) -> None:
        """A transfer starts; each is ended by `ended`."""
        self._in_flight[name] += 1

    def ended(self, name: str) -> None:
        """A transfer is over, well or not."""
        self._in_flight[name] -= 1
        if self._in_flight[name] <= 0:
            del self._in_flight[name]

    def answered(self, name: str, latency_s: float) -> None:
        """It gave a response head after this time, whatever the head says."""
        record = self._record(name)
        before = record.latency_s
        record.latency_s = latency_s if before is None else before + _WEIGHT * (latency_s - before)
        record.failures = 0
        record.rests_until = 0.0

    def failed(self, name: str) -> None:
        """It could not be reached, broke off, stalled or answered nonsense."""
        record = self._record(name)
        rest_s = min(_REST_CAP_S, _REST_S * 2.0 ** min(record.failures, 16))
        record.failures += 1
        record.rests_until = self._clock() + rest_s

    def gave_wrong_bytes(self, name: str, digest: Digest) -> None:
        """What it sent did not match the digest."""
        self._quarantined[name, digest] = self._clock() + _QUARANTINE_S
        self._quarantined.move_to_end((name, digest))
        if len(self._quarantined) > _MAX_QUARANTINED:
            self._quarantined.popitem(last=False)

    def forget(self, name: str) -> None:
        """The member left or failed. Transfers that still run are counted until they end."""
        self._records.pop(name, None)

    def _record(self, name: str) -> _Record:
        record = self._records.get(name)
        if record is None:
            record = self._records[name] = _Record()
            if len(self._records) > _MAX_PEERS:
                self._records.popitem(last=False)
        return record
