"""Races as tables: who answers what and when, who is asked when, and who wins. All on a virtual clock."""

import heapq
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.store import Descriptor
from app.key import Digest
from app.resolver.probe import Answer, Fault, Full, Hit, Miss
from app.resolver.race import Lost, Race, RaceRules, Won
from gossip.membership import Member, MemberState

RULES = RaceRules(resolve_timeout_s=0.020, retries=3, deadline_s=1.0)
DIGEST = Digest.of(b"content")
NEVER = 1e9


def member(number: int) -> Member:
    return Member(f"n{number}", "10.0.0.1", 7946, MemberState.ALIVE)


def hit(content: bytes = b"content", updated_at: float | None = None) -> Hit:
    return Hit(Descriptor(Digest.of(content), len(content), ""), updated_at)


#: An answer and after how many seconds it comes.
Script = list[tuple[float, Answer]]


@dataclass
class Run:
    """What happened in a race."""

    asked: dict[str, list[float]] = field(default_factory=dict)
    verdict: Won | Lost | None = None
    ended_at: float = 0.0

    @property
    def asked_at(self) -> list[tuple[str, float]]:
        """Who was asked when (ms), in order."""
        return sorted(
            ((name, round(t * 1000)) for name, times in self.asked.items() for t in times), key=lambda e: (e[1], e[0])
        )


def run(scripts: dict[int, Script], *, compare: bool = False, rules: RaceRules = RULES) -> Run:
    """Drive a race: `scripts` holds each candidate's answers to its first, second … question."""
    order = [member(number) for number in scripts]
    left = {f"n{number}": list(script) for number, script in scripts.items()}
    record, now = Run(), 0.0
    race = Race(order, rules, compare=compare, now=now)
    turns = itertools.count()
    coming: list[tuple[float, int, Member, Answer]] = []
    while (verdict := race.verdict(now)) is None:
        for asked in race.ask(now):
            record.asked.setdefault(asked.name, []).append(now)
            delay, answer = left[asked.name].pop(0)
            heapq.heappush(coming, (now + delay, next(turns), asked, answer))
        wake_at = race.wake_at()
        if coming and coming[0][0] <= wake_at:
            now, _, answering, answer = heapq.heappop(coming)
            race.answered(answering, answer, now)
        else:
            now = max(now, wake_at)
    record.verdict, record.ended_at = verdict, now
    return record


def winner(result: Run) -> str:
    assert isinstance(result.verdict, Won)
    return result.verdict.winner.name


def others(result: Run) -> list[str]:
    assert isinstance(result.verdict, Won)
    return [each.name for each in result.verdict.others]


def test_three_are_asked_at_once_and_the_first_yes_wins() -> None:
    """Not the best candidate, the first answer."""
    result = run({0: [(0.005, hit())], 1: [(0.002, hit())], 2: [(0.003, hit())], 3: [(0.001, hit())]})
    assert winner(result) == "n1"
    assert result.ended_at == pytest.approx(0.002)
    assert result.asked_at == [("n0", 0), ("n1", 0), ("n2", 0)]


def test_a_miss_does_not_end_it() -> None:
    """A false positive of a filter costs nothing but its answer."""
    assert winner(run({0: [(0.001, Miss())], 1: [(0.002, Miss())], 2: [(0.004, hit())]})) == "n2"


def test_silence_widens_the_set_three_times() -> None:
    """Three more after each 20 ms, four groups in all; then only answers can help."""
    result = run({number: [(NEVER, Miss())] for number in range(20)})
    assert [at for _, at in result.asked_at] == [0] * 3 + [20] * 3 + [40] * 3 + [60] * 3
    assert result.verdict == Lost(full=False)
    assert result.ended_at == pytest.approx(1.0)


def test_a_late_answer_still_wins() -> None:
    """A busy peer is no missing peer: the time-out only widens the set."""
    result = run({0: [(0.300, hit())], **{n: [(NEVER, Miss())] for n in range(1, 6)}})
    assert winner(result) == "n0"
    assert result.ended_at == pytest.approx(0.3)


def test_no_wait_when_all_have_refused() -> None:
    """The next three are asked at once, and it is lost as soon as the last has refused."""
    result = run({number: [(0.001, Miss())] for number in range(7)})
    assert result.asked_at == [("n0", 0), ("n1", 0), ("n2", 0), ("n3", 1), ("n4", 1), ("n5", 1), ("n6", 2)]
    assert result.verdict == Lost(full=False)
    assert result.ended_at == pytest.approx(0.003)


def test_retries_bound_how_many_are_asked() -> None:
    """A cluster full of false positives is not asked as a whole."""
    assert len(run({number: [(0.001, Miss())] for number in range(100)}).asked) == 12
    assert len(run({number: [(0.001, Miss())] for number in range(9)}, rules=RaceRules(retries=0)).asked) == 3


def test_a_full_peer_is_asked_once_more() -> None:
    """If nobody else has it, 20 ms later, and then its yes counts."""
    result = run({0: [(0.001, Full()), (0.001, hit())], 1: [(0.002, Miss())]})
    assert result.asked_at == [("n0", 0), ("n1", 0), ("n0", 21)]
    assert winner(result) == "n0"


def test_a_full_peer_waits_for_those_that_still_may_say_yes() -> None:
    """It is busy enough: it is asked again only when nobody else is being asked."""
    result = run({0: [(0.001, Full()), (0.001, hit())], 1: [(0.100, Miss())]})
    assert result.asked_at == [("n0", 0), ("n1", 0), ("n0", 100)]


def test_a_full_peer_is_not_asked_a_third_time() -> None:
    """Then it is said that it was full."""
    result = run({0: [(0.001, Full()), (0.001, Full())]})
    assert result.verdict == Lost(full=True)
    assert len(result.asked["n0"]) == 2


def test_others_come_before_a_full_peer() -> None:
    """Who has not been asked is asked at once."""
    result = run({0: [(0.001, Full())], 1: [(0.001, Full())], 2: [(0.001, Miss())], 3: [(0.001, hit())]})
    assert result.asked_at == [("n0", 0), ("n1", 0), ("n2", 0), ("n3", 1)]
    assert others(result) == ["n0", "n1"]


def test_the_deadline_ends_it() -> None:
    """A full peer that answers too late is not waited for either."""
    result = run({0: [(0.990, Full()), (0.001, hit())]})
    assert result.verdict == Lost(full=True)
    assert result.ended_at == pytest.approx(1.0)


def test_the_others_are_in_the_order_of_likelihood() -> None:
    """Who said yes, who was not heard in the policy's order, who was full, who failed; never who said no."""
    result = run(
        {
            0: [(0.001, Miss())],
            1: [(0.001, Fault("x"))],
            2: [(0.030, hit())],
            3: [(0.001, Full())],
            4: [(NEVER, Miss())],
            5: [(NEVER, Miss())],
            6: [(NEVER, Miss())],
        }
    )
    assert winner(result) == "n2"
    assert others(result) == ["n4", "n5", "n6", "n3", "n1"]


def test_a_tag_waits_for_the_window_and_takes_the_newest() -> None:
    """The HEAD of a tag is what the client trusts, so all that come within 20 ms are compared."""
    result = run(
        {0: [(0.001, hit(b"old", 10.0))], 1: [(0.015, hit(b"new", 20.0))], 2: [(0.025, hit(b"newest", 30.0))]},
        compare=True,
    )
    assert winner(result) == "n1"
    assert result.ended_at == pytest.approx(0.020)
    assert isinstance(result.verdict, Won)
    assert result.verdict.conflict
    assert others(result) == ["n2"]


def test_a_tag_does_not_wait_when_all_have_answered() -> None:
    """Nobody is left to compare with."""
    result = run({0: [(0.001, hit(b"x", 1.0))], 1: [(0.002, Miss())], 2: [(0.003, hit(b"x", 1.0))]}, compare=True)
    assert winner(result) == "n0"
    assert result.ended_at == pytest.approx(0.003)
    assert isinstance(result.verdict, Won)
    assert not result.verdict.conflict


def test_a_tag_without_a_time_is_the_oldest() -> None:
    """Unknown never wins against known."""
    result = run({0: [(0.001, hit(b"x", None))], 1: [(0.002, hit(b"y", 1.0))], 2: [(0.002, Miss())]}, compare=True)
    assert winner(result) == "n1"


def test_a_tag_answered_after_the_window_wins_at_once() -> None:
    """There is nothing to wait for any more."""
    result = run({0: [(0.050, hit())], 1: [(NEVER, Miss())]}, compare=True)
    assert winner(result) == "n0"
    assert result.ended_at == pytest.approx(0.050)


def test_an_answer_that_nobody_asked_for_is_ignored() -> None:
    """A second word of the same peer changes nothing."""
    race = Race([member(0)], RULES, compare=False, now=0.0)
    race.answered(member(0), hit(), 0.0)
    assert race.verdict(0.0) is None
    race.ask(0.0)
    race.answered(member(0), Miss(), 0.001)
    race.answered(member(0), hit(), 0.002)
    assert race.verdict(0.002) == Lost(full=False)


def test_nobody_to_ask() -> None:
    """Lost before it began."""
    assert Race([], RULES, compare=False, now=0.0).verdict(0.0) == Lost(full=False)


ANSWERS = st.tuples(
    st.floats(0, 1.5),
    st.sampled_from([Miss(), Full(), Fault("x"), hit(), hit(b"other", 5.0), hit(b"third", 7.0)]),
)


@given(st.dictionaries(st.integers(0, 30), st.tuples(ANSWERS, ANSWERS).map(list), max_size=15), st.booleans())
def test_any_race_ends_in_time_and_in_order(scripts: dict[int, Script], compare: bool) -> None:
    """It ends by the deadline, nobody is asked more than twice or listed twice, and a yes is never lost."""
    result = run(scripts, compare=compare)
    assert result.ended_at <= RULES.deadline_s + 1e-9
    assert all(len(times) <= 2 for times in result.asked.values())
    assert len(result.asked) <= 12
    if isinstance(result.verdict, Won):
        listed = [winner(result), *others(result)]
        assert len(listed) == len(set(listed))
        assert set(listed) <= {f"n{number}" for number in scripts}
    else:
        for name, times in result.asked.items():
            for asked_at, (delay, answer) in zip(times, scripts[int(name[1:])], strict=False):
                assert not isinstance(answer, Hit) or asked_at + delay >= RULES.deadline_s
