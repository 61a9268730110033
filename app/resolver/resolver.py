"""Find a holder: ask the directory, rank the candidates, probe them by HEAD until one says yes.

The decisions are in `race.py`, what is asked and what an answer means in `probe.py`; here is the driver: greenlets,
the clock, what is counted and learned. A probe that loses the race runs on to its own end, which is soon: so its
connection goes back to the pool, and the health of its peer is known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import structlog
from gevent.pool import Pool
from gevent.queue import Empty, Queue

from app.content.store import Descriptor
from app.key import Digest, Tag
from app.metrics import Metrics
from app.peers.errors import PeerError
from app.peers.http_message import ResponseHead
from app.resolver.health import PeerHealth
from app.resolver.policy import Policy, Standing, nearest
from app.resolver.probe import Answer, Fault, Full, Hit, Miss, headers_of, path_of, read_answer
from app.resolver.race import Lost, Race, RaceRules, Won
from app.source import Query
from app.tags import zone
from gossip.membership import Member, MemberState

log = structlog.get_logger()

#: Probes in the air at once. 100 requests a second that race three peers each keep some dozen; beyond this bound peers
#: count as full: a search that finds nothing costs a download from upstream, a node without memory costs the node.
MAX_PROBES = 512
#: Of so many candidates at most it is worked out who is best. A dozen of them are asked; where more than this many
#: may have it, nearly all of them do, and ranking thousands would take the hub's time.
MAX_RANKED = 128


class Directory(Protocol):
    """Who may hold what; local memory, so it neither blocks nor fails."""

    def candidates(self, fingerprint: int) -> Sequence[Member]:
        """Live members, the own one left out, that may hold the key with this fingerprint."""


class HeadClient(Protocol):
    """The part of `Peers` that probing needs."""

    def head(self, member: Member, path: str, headers: dict[str, str], timeout_s: float) -> ResponseHead:
        """Raises `PeerError`."""


@dataclass(frozen=True, slots=True)
class Holders:
    """Who has it (`winner` said so, `others` probably do, the likeliest first) and what it is.

    `updated_at` is the winner's time for a tag, None for a digest.
    """

    winner: Member
    others: tuple[Member, ...]
    descriptor: Descriptor
    updated_at: float | None


class Resolver:
    """Answers "who has this now?". `find` switches greenlets and takes at most `probe_deadline_s`."""

    def __init__(
        self,
        directory: Directory,
        peers: HeadClient,
        health: PeerHealth,
        *,
        metrics: Metrics,
        rng: Random,
        clock: Callable[[], float],
        resolve_timeout_s: float = 0.02,
        retries: int = 3,
        probe_deadline_s: float = 1.0,
        zone: str = "",
        policy: Policy = nearest,
        max_probes: int = MAX_PROBES,
    ) -> None:
        self._directory = directory
        self._peers = peers
        self._health = health
        self._metrics = metrics
        self._rng = rng
        self._clock = clock
        self._rules = RaceRules(resolve_timeout_s, retries, probe_deadline_s)
        self._zone = zone
        self._policy = policy
        self._probes = Pool(max_probes)

    def find(self, query: Query) -> Holders | None:
        """A holder and those to fall back to, None if nobody is known or says to have it. Never raises for peers."""
        started = self._clock()
        candidates = self._directory.candidates(query.key.fingerprint)
        found = self._race(query, candidates) if candidates else None
        outcome = "miss" if found is None else "hit"
        self._metrics.resolve_duration.labels(outcome).observe(self._clock() - started)
        return found

    def rank(self, candidates: Sequence[Member], digest: Digest | None) -> list[Member]:
        """The policy's order, by what is known now; `digest` is what they are asked for, where that is known."""
        return self._policy([self._standing(member, digest) for member in candidates], self._rng)

    def stop(self) -> None:
        """End the probes that still run. Idempotent."""
        self._probes.kill()

    def _race(self, query: Query, candidates: Sequence[Member]) -> Holders | None:
        reference = query.key.reference
        if len(candidates) > MAX_RANKED:
            candidates = self._rng.sample(candidates, MAX_RANKED)
        order = self.rank(candidates, reference if isinstance(reference, Digest) else None)
        race = Race(order, self._rules, compare=isinstance(reference, Tag), now=self._clock())
        answers: Queue[tuple[Member, Answer]] = Queue()
        while (verdict := race.verdict(self._clock())) is None:
            for member in race.ask(self._clock()):
                self._start_probe(query, member, answers)
            try:
                member, answer = answers.get(timeout=max(0.0, race.wake_at() - self._clock()))
            except Empty:
                continue
            race.answered(member, answer, self._clock())
        return self._conclude(query, verdict)

    def _conclude(self, query: Query, verdict: Won | Lost) -> Holders | None:
        if isinstance(verdict, Lost):
            if verdict.full:
                log.info("holders are full", key=str(query.key))
            return None
        if verdict.conflict:
            self._metrics.tag_conflicts.inc()
            log.warning(
                "peers differ on a tag, the newest wins",
                key=str(query.key),
                peer=verdict.winner.name,
                digest=str(verdict.hit.descriptor.digest),
            )
        updated_at = verdict.hit.updated_at if isinstance(query.key.reference, Tag) else None
        return Holders(verdict.winner, verdict.others, verdict.hit.descriptor, updated_at)

    def _start_probe(self, query: Query, member: Member, answers: "Queue[tuple[Member, Answer]]") -> None:
        if self._probes.free_count():
            self._probes.spawn(self._probe, query, member, answers)
        else:
            answers.put((member, Full()))

    def _probe(self, query: Query, member: Member, answers: "Queue[tuple[Member, Answer]]") -> None:
        """Root of a probe's greenlet: whatever happens, the race hears of it."""
        answer: Answer = Fault("the probe was ended")
        try:
            answer = self._ask(query, member)
        finally:
            answers.put((member, answer))

    def _ask(self, query: Query, member: Member) -> Answer:
        started = self._clock()
        try:
            path = path_of(query.kind, query.key)
            head = self._peers.head(member, path, headers_of(query), self._rules.deadline_s)
        except PeerError as error:
            return self._failed(member, query, str(error))
        answer = read_answer(query.key, head)
        if isinstance(answer, Fault):
            return self._failed(member, query, answer.detail)
        self._health.answered(member.name, self._clock() - started)
        self._metrics.probes.labels(_RESULTS[type(answer)]).inc()
        return answer

    def _failed(self, member: Member, query: Query, detail: str) -> Fault:
        self._health.failed(member.name)
        self._metrics.probes.labels(_RESULTS[Fault]).inc()
        log.info("probe failed", peer=member.name, key=str(query.key), reason=detail)
        return Fault(detail)

    def _standing(self, member: Member, digest: Digest | None) -> Standing:
        health = self._health
        return Standing(
            member,
            same_zone=zone(member) == self._zone,
            in_flight=health.in_flight(member.name),
            latency_s=health.latency_s(member.name),
            doubtful=member.state is not MemberState.ALIVE
            or health.resting(member.name)
            or (digest is not None and health.quarantined(member.name, digest)),
        )


_RESULTS: dict[type[Answer], str] = {Hit: "hit", Miss: "miss", Full: "full", Fault: "error"}
