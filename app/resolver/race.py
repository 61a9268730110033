"""Who is asked next, when a search is over, and who has won. Pure: answers and the time go in, decisions come out.

The rules, whose numbers are options:

* The first `width` candidates are asked at once. While nobody has said yes, the next `width` are asked *as well* after
  each `resolve_timeout_s`, at most `retries` times; at once when all that were asked have refused.
* The time-out only widens the set. A yes wins whenever it comes: a busy peer is no missing peer.
* Peers that are full are asked once more, one `resolve_timeout_s` later, if nobody else has it.
* It is lost when all have refused, and at `deadline_s` in any case.
* For a digest the first yes wins. For a tag, where answers can differ, those that come within the first
  `resolve_timeout_s` are compared, and the image updated last wins; equals by who answered first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.resolver.probe import Answer, Fault, Full, Hit
from gossip.membership import Member

#: How many are asked at once: one may be dead and one slow, and still there is an answer in a round trip.
WIDTH = 3


@dataclass(frozen=True, slots=True)
class RaceRules:
    """The numbers of a race, in seconds where they are times."""

    resolve_timeout_s: float = 0.02
    retries: int = 3
    deadline_s: float = 1.0
    width: int = WIDTH


@dataclass(frozen=True, slots=True)
class Won:
    """`others` may have the winner's content too, the likeliest first; `conflict`: some said another digest."""

    winner: Member
    hit: Hit
    others: tuple[Member, ...]
    conflict: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody has it. `full`: some might have had it but were at their limit."""

    full: bool


class Race:
    """One search. Call `ask` after each event and at `wake_at`; stop when there is a `verdict`."""

    def __init__(self, order: Sequence[Member], rules: RaceRules, *, compare: bool, now: float) -> None:
        """`order` is the policy's; `compare` is for tags; times are the caller's monotonic clock."""
        self._rules = rules
        self._compare = compare
        self._order = list(order)
        self._unasked = list(order)
        self._batches_left = rules.retries + 1
        self._running: set[str] = set()
        self._hits: list[tuple[Member, Hit]] = []
        self._full: list[Member] = []
        self._said_no: set[str] = set()
        self._faulty: list[Member] = []
        self._asked_again = False
        self._window_end = now + rules.resolve_timeout_s
        self._widen_at = now
        self._again_at = now
        self._deadline = now + rules.deadline_s

    def ask(self, now: float) -> list[Member]:
        """Whom to probe now; each returned member is answered for by one call of `answered`."""
        if self._hits or now >= self._deadline:
            return []
        chosen: list[Member] = []
        if self._can_widen and (now >= self._widen_at or not self._running):
            chosen, self._unasked = self._unasked[: self._rules.width], self._unasked[self._rules.width :]
            self._batches_left -= 1
            self._widen_at = now + self._rules.resolve_timeout_s
        elif self._waits_to_ask_again and now >= self._again_at:
            chosen = self._full[: self._rules.width]
            self._full = self._full[self._rules.width :]
            self._asked_again = True
        self._running.update(member.name for member in chosen)
        return chosen

    def answered(self, member: Member, answer: Answer, now: float) -> None:
        """The member's probe has ended like this."""
        if member.name not in self._running:
            return
        self._running.discard(member.name)
        if isinstance(answer, Hit):
            self._hits.append((member, answer))
        elif isinstance(answer, Full):
            self._full.append(member)
            self._again_at = now + self._rules.resolve_timeout_s
        elif isinstance(answer, Fault):
            self._faulty.append(member)
        else:
            self._said_no.add(member.name)

    def verdict(self, now: float) -> Won | Lost | None:
        """The outcome; None as long as there is none."""
        if self._hits:
            waits = self._compare and self._running and now < min(self._window_end, self._deadline)
            return None if waits else self._won()
        if now >= self._deadline or not (self._running or self._can_widen or self._waits_to_ask_again):
            return Lost(full=bool(self._full))
        return None

    def wake_at(self) -> float:
        """When time alone changes something: call `ask` and `verdict` then, if no answer came before."""
        moments = [self._deadline]
        if self._hits:
            moments.append(self._window_end)
        elif self._can_widen:
            moments.append(self._widen_at)
        elif self._waits_to_ask_again:
            moments.append(self._again_at)
        return min(moments)

    @property
    def _can_widen(self) -> bool:
        return bool(self._unasked) and self._batches_left > 0

    @property
    def _waits_to_ask_again(self) -> bool:
        return bool(self._full) and not self._asked_again and not self._running and not self._can_widen

    def _won(self) -> Won:
        # max() keeps the first of equals, and answers stand in the order in which they came.
        winner, hit = max(self._hits, key=lambda each: (each[1].updated_at or 0.0) if self._compare else 0.0)
        digest = hit.descriptor.digest
        differing = {member.name for member, other in self._hits if other.descriptor.digest != digest}
        sure = [member for member, _ in self._hits if member.name not in differing]
        placed = {winner.name, *differing, *self._said_no, *(each.name for each in (*sure, *self._full, *self._faulty))}
        unheard = [member for member in self._order if member.name not in placed]
        others = [each for each in (*sure, *unheard, *self._full, *self._faulty) if each.name != winner.name]
        return Won(winner, hit, tuple(others), conflict=bool(differing))
