"""The directory of a running node: binds `feed` to the hub, the membership and HTTP.

All methods but `stop` and `answer` return without switching greenlets, so that the feed sees one input at a time.
"""

import random
import time
from collections.abc import Callable
from itertools import islice

import gevent
import structlog
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.pool import Group

from app.directory import delta
from app.directory.antientropy import What
from app.directory.directory import FilterRow
from app.directory.errors import UnknownQuestion
from app.directory.feed import Broadcast, Feed, Fetch, Noted
from app.metrics import Metrics
from gossip.membership import Member, Membership

log = structlog.get_logger()

_STOP_S = 2.0  # for conversations that don't end when they are killed
_ANSWERS_AT_ONCE = 2  # an answer with all filters may have megabytes; others wait their turn
_PIECES_A_TURN = 16  # filters packed between two chances for other work: some 3 ms

Fetcher = Callable[[Member, str, bytes], bytes]
"""POSTs a question (its name, its body) to a member and returns the answer, of at most
`antientropy.MAX_ANSWER_BYTES`. Blocks its greenlet; raises `OSError` or a child of it when there is no answer."""


class DirectoryService:
    """Who may hold what, kept current in the background. Is the `MembershipListener` of the engine.

    `start` comes after the membership's; what is announced before it is told then. Broadcasts on other topics than ours
    are ignored. The epoch of the own filter is the wall clock at `start`.
    """

    def __init__(
        self,
        membership: Membership,
        fetch: Fetcher,
        *,
        metrics: Metrics,
        rng: random.Random,
        clock: Callable[[], float],
    ) -> None:
        self._membership = membership
        self._fetch = fetch
        self._metrics = metrics
        self._rng = rng
        self._clock = clock
        self._feed: Feed | None = None
        self._early: dict[int, None] = {}
        self._wake = Event()
        self._wakes_at = float("-inf")
        self._timer: gevent.Greenlet[[Feed], None] | None = None
        self._conversations = Group()
        self._answers = BoundedSemaphore(_ANSWERS_AT_ONCE)

    # -- life --

    def start(self) -> None:
        """Begin. Returns at once."""
        now = self._clock()
        feed = self._feed = Feed(self._membership.local(), int(time.time()), self._rng, now)
        for fingerprint in self._early:
            feed.key_added(fingerprint, now)
        self._early.clear()
        local = self._membership.local().name
        for member in self._membership.members():
            if member.name != local:
                feed.joined(member, now)
        self._metrics.directory_filters.set_function(feed.directory.usable)
        self._timer = gevent.spawn(self._run, feed)

    def stop(self) -> None:
        """End all background work. Idempotent; questions are still answered from what is known."""
        if self._timer is not None:
            self._timer.kill()
            self._timer = None
        self._conversations.kill(timeout=_STOP_S)

    # -- the own content --

    def announce(self, fingerprint: int) -> None:
        """We can serve this key. Never blocks."""
        if self._feed is None:
            self._early[fingerprint] = None
            return
        self._feed.key_added(fingerprint, self._clock())
        self._look_earlier(self._feed)

    def withdraw(self, fingerprint: int) -> None:
        """We can't serve this key any more. Never blocks."""
        if self._feed is None:
            self._early.pop(fingerprint, None)
            return
        self._feed.key_removed(fingerprint, self._clock())
        self._look_earlier(self._feed)

    # -- questions --

    def candidates(self, fingerprint: int) -> list[Member]:
        """The alive and suspect members whose filters may hold it, in no particular order."""
        return self._feed.directory.candidates(fingerprint) if self._feed is not None else []

    def holders(self, fingerprint: int) -> int:
        """How many `candidates` would return."""
        return self._feed.directory.holders(fingerprint) if self._feed is not None else 0

    def filters(self) -> list[FilterRow]:
        """What is known of each member's filter."""
        return self._feed.directory.rows(self._clock()) if self._feed is not None else []

    @property
    def synchronised(self) -> bool:
        """Whether some member has told everything that it knew; False for ever on a node that is alone."""
        return self._feed is not None and self._feed.synchronised

    def answer(self, what: str, body: bytes) -> bytes:
        """Another mirror's question. May switch greenlets. Raises `UnknownQuestion`, `DirectoryError`."""
        try:
            question = What(what)
        except ValueError:
            known = ", ".join(each.value for each in What)
            raise UnknownQuestion(f"{what[:40]!r} is no question; this version knows {known}") from None
        if self._feed is None:
            raise UnknownQuestion("the directory has not started yet")
        with self._answers:
            pieces = self._feed.answer(question, body)
            answer = bytearray()
            while turn := list(islice(pieces, _PIECES_A_TURN)):
                answer += b"".join(turn)
                gevent.sleep(0)
        return bytes(answer)

    # -- MembershipListener --

    def joined(self, member: Member) -> None:
        if self._feed is not None:  # else `start` finds it among the members
            self._feed.joined(member, self._clock())
            self._look_earlier(self._feed)

    def updated(self, member: Member) -> None:
        if self._feed is not None:
            self._feed.updated(member, self._clock())
            self._look_earlier(self._feed)

    def left(self, member: Member) -> None:
        if self._feed is not None:
            self._feed.left(member)

    def failed(self, member: Member) -> None:
        if self._feed is not None:
            self._feed.failed(member)

    def received(self, topic: str, payload: bytes) -> None:
        if self._feed is not None and topic == delta.TOPIC:
            self._feed.received(payload, self._clock())
            self._look_earlier(self._feed)

    def lost(self) -> None:
        if self._feed is not None:
            self._feed.lost(self._clock())
            self._look_earlier(self._feed)

    # -- inside --

    def _run(self, feed: Feed) -> None:
        while True:
            try:
                self._work(feed)
            except Exception:  # the root of this greenlet: one broken turn must not end the directory
                log.exception("directory turn failed", greenlet="directory")
                gevent.sleep(1.0)

    def _work(self, feed: Feed) -> None:
        feed.tick(self._clock())
        self._carry_out(feed)
        self._wake.clear()
        self._wakes_at = feed.next_deadline()
        self._wake.wait(max(0.0, self._wakes_at - self._clock()))

    def _look_earlier(self, feed: Feed) -> None:
        """Wake the timer if an input has made something due before it would look, and count what was noted."""
        self._carry_out(feed)
        if feed.next_deadline() < self._wakes_at:
            self._wakes_at = float("-inf")
            self._wake.set()

    def _carry_out(self, feed: Feed) -> None:
        for effect in feed.effects():
            match effect:
                case Broadcast():
                    self._membership.broadcast(delta.TOPIC, effect.payload)
                case Fetch():
                    self._conversations.start(gevent.Greenlet(self._converse, feed, effect))
                case Noted():
                    self._count(effect)

    def _converse(self, feed: Feed, question: Fetch) -> None:
        member, what = question.member, question.what
        try:
            answer = self._fetch(member, what.value, question.body)
            for _ in feed.fetched(member, what, answer, self._clock()):
                gevent.sleep(0)
        except OSError as error:
            log.debug("directory peer not reached", peer=member.name, what=what.value, error=str(error))
            feed.fetch_failed(member, self._clock())
        except Exception:  # the root of this greenlet: the feed must hear of the end in any case
            log.exception("directory conversation failed", greenlet="directory conversation", peer=member.name)
            feed.fetch_failed(member, self._clock())
        self._look_earlier(feed)

    def _count(self, noted: Noted) -> None:
        deltas, syncs = self._metrics.directory_deltas, self._metrics.directory_syncs
        match noted:
            case Noted.DELTA_SENT:
                deltas.labels("sent").inc()
            case Noted.DELTA_RECEIVED:
                deltas.labels("received").inc()
            case Noted.DELTA_REFUSED | Noted.FILTER_REFUSED:
                deltas.labels("refused").inc()
            case Noted.GAP:
                self._metrics.directory_gaps.inc()
            case Noted.SYNC_EQUAL:
                syncs.labels("equal").inc()
            case Noted.SYNC_REPAIRED:
                syncs.labels("repaired").inc()
            case Noted.SYNC_FAILED:
                syncs.labels("failed").inc()
