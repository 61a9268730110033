"""Who is asked, when, and what happens when nobody answers."""

import random
from collections.abc import Sequence

import pytest

from app.directory.schedule import (
    DIFFERENT_S,
    MAX_CONVERSATIONS,
    RETRY_S,
    ROUND_S,
    SETTLE_S,
    Ask,
    Reason,
    Schedule,
    jitter_s,
)

A, B = b"a" * 8, b"b" * 8
PEERS = [bytes([number]) * 8 for number in range(10)]


def schedule() -> Schedule:
    return Schedule(random.Random(1))


def joined(peers: Sequence[bytes] = (A,), now: float = 0.0) -> Schedule:
    """One that has asked a member for everything already, and has no gap."""
    it = schedule()
    for peer in peers:
        it.peer_came(peer, len(peers) + 1, now)
    (ask,) = it.due(peers, now + SETTLE_S)
    it.done(ask.peer, differs=True, now=now + SETTLE_S)
    return it


def next_at(it: Schedule) -> float:
    at = it.next_deadline()
    assert at is not None
    return at


def test_alone_nothing_is_due() -> None:
    """There is nobody to ask, and no timer runs."""
    it = schedule()
    assert it.next_deadline() is None
    assert it.due([], 100.0) == []


def test_a_joiner_asks_one_member_for_everything() -> None:
    """After the burst of joins has passed; only one of them, and only once."""
    it = schedule()
    for peer in PEERS:
        it.peer_came(peer, 11, 5.0)
    assert next_at(it) == 5.0 + SETTLE_S
    (ask,) = it.due(PEERS, 5.0 + SETTLE_S)
    assert ask.reason is Reason.JOIN
    assert it.due(PEERS, 6.0) == []
    assert not it.joined

    it.done(ask.peer, differs=True, now=6.0)
    assert it.joined


def test_a_joiner_tries_others_until_one_answers() -> None:
    """Those that are in the gossip may not listen yet: 0.1, 0.3, 1, 2, 5 seconds, then every 5."""
    it = schedule()
    for peer in PEERS:
        it.peer_came(peer, 11, 0.0)
    now, waits, asked = SETTLE_S, [], set()
    for _ in range(len(RETRY_S) + 2):
        (ask,) = it.due(PEERS, now)
        assert ask.reason is Reason.JOIN
        asked.add(ask.peer)
        it.failed(ask.peer, now)
        waits.append(round(next_at(it) - now, 6))
        now = next_at(it)
    assert waits == [*RETRY_S, RETRY_S[-1], RETRY_S[-1]]
    assert len(asked) > 1


@pytest.mark.parametrize(("differs", "interval"), [(False, ROUND_S), (True, DIFFERENT_S)])
def test_rounds(differs: bool, interval: float) -> None:
    """Every ten seconds, every five while the two differed, ten per cent more or less."""
    it = joined()
    now = next_at(it)
    assert it.due([A], now) == [Ask(A, Reason.ROUND)]
    it.done(A, differs, now)
    assert 0.9 * interval <= next_at(it) - now <= 1.1 * interval


def test_a_failed_round_is_followed_by_another() -> None:
    """With whomever, after five seconds."""
    it = joined()
    now = next_at(it)
    it.due([A], now)
    it.failed(A, now)
    assert 0.9 * DIFFERENT_S <= next_at(it) - now <= 1.1 * DIFFERENT_S


def test_rounds_stop_when_all_have_gone_and_begin_anew() -> None:
    """A node that is left alone asks nobody, and the next one that comes is asked."""
    it = joined()
    assert it.due([], next_at(it)) == []
    assert it.next_deadline() is None
    it.peer_came(B, 2, 100.0)
    assert it.due([B], 100.0 + SETTLE_S) == [Ask(B, Reason.ROUND)]


@pytest.mark.parametrize(("members", "seconds"), [(3, 0.5), (50, 0.5), (100, 1.0), (500, 5.0), (5000, 5.0)])
def test_fetches_of_one_gap_are_spread(members: int, seconds: float) -> None:
    """No node is asked more than a hundred times a second, until the interval of the rounds."""
    assert jitter_s(members) == seconds


def test_a_gap_is_fetched_from_its_origin() -> None:
    """Within the jitter, and once."""
    it = joined([A, B])
    assert it.gap(A, 3, 1.0) is True
    assert it.gap(A, 3, 1.1) is False
    assert 1.0 <= next_at(it) <= 1.5
    assert it.due([A, B], 1.5) == [Ask(A, Reason.GAP)]
    assert it.reason(A) is Reason.GAP
    assert it.gap(A, 3, 1.6) is False
    it.done(A, differs=True, now=1.6)
    assert it.reason(A) is None
    assert it.due([A, B], 2.0) == []


def test_a_gap_that_closed_is_not_fetched() -> None:
    """The late delta came, or somebody else had it."""
    it = joined()
    it.gap(A, 3, 1.0)
    it.closed(A)
    assert it.due([A], 2.0) == []


def test_a_peer_that_went_is_not_fetched_from() -> None:
    """Its gap is of no interest any more."""
    it = joined()
    it.gap(A, 3, 1.0)
    it.peer_went(A)
    assert it.due([], 2.0) == []


def test_a_joiner_does_not_fetch_gaps_one_by_one() -> None:
    """Everything is missing at first: one answer brings it."""
    it = schedule()
    it.peer_came(A, 3, 0.0)
    assert it.gap(A, 3, 0.0) is False


def test_a_newcomer_is_fetched_from() -> None:
    """Those that are there learn what it holds, after the jitter."""
    it = joined([A])
    it.peer_came(B, 3, 1.0)
    assert it.due([A, B], 1.5) == [Ask(B, Reason.GAP)]


def test_a_gap_is_tried_again_and_then_left_to_the_rounds() -> None:
    """Five more times, with growing waits; the next gap begins anew."""
    it = joined([A, B])
    now = next_at(it)
    assert it.due([B], now) == [Ask(B, Reason.ROUND)]  # and it goes on: no other round comes between
    it.gap(A, 3, now)
    now, waits = next_at(it), []
    for _ in range(len(RETRY_S)):
        assert it.due([A], now) == [Ask(A, Reason.GAP)]
        it.failed(A, now)
        waits.append(round(next_at(it) - now, 6))
        now = next_at(it)
    assert waits == list(RETRY_S)
    assert it.due([A], now) == [Ask(A, Reason.GAP)]
    it.failed(A, now)
    assert it.next_deadline() is None
    assert it.gap(A, 3, now) is True


def test_conversations_are_bounded() -> None:
    """The others wait for room, without a timer that spins."""
    it = joined(PEERS)
    for peer in PEERS:
        it.gap(peer, 11, 1.0)
    asks = it.due(PEERS, 2.0)
    assert len(asks) == MAX_CONVERSATIONS
    assert it.next_deadline() is None
    assert it.due(PEERS, 3.0) == []
    it.done(asks[0].peer, differs=True, now=3.0)
    assert next_at(it) <= 3.0
    assert len(it.due(PEERS, 3.0)) == 1


def test_one_conversation_with_each_peer() -> None:
    """A round with somebody who is being asked already waits a moment."""
    it = joined([A])
    it.gap(A, 2, 0.0)
    it.due([A], 1.0)
    round_at = 1000.0
    assert it.due([A], round_at) == []
    assert next_at(it) == round_at + RETRY_S[0]


def test_hurry_brings_the_next_round_forward() -> None:
    """Within half a second; alone it does nothing."""
    it = joined([A])
    it.hurry(1.0)
    assert 1.0 <= next_at(it) <= 1.5
    alone = schedule()
    alone.hurry(1.0)
    assert alone.next_deadline() is None
