"""The feed turns what happens into broadcasts and questions, and takes nothing ill."""

import random
from dataclasses import replace

import pytest

from app.directory import delta
from app.directory.antientropy import What, encode_compare, encode_wanted
from app.directory.batching import LEADING_EDGE_S
from app.directory.delta import Delta, origin_of
from app.directory.errors import DirectoryError
from app.directory.feed import SUPPRESS_HOLDERS, Broadcast, Feed, Fetch, Noted
from app.directory.schedule import SETTLE_S
from gossip.membership import Member, MemberState
from tests.clusters.directory_cluster import member

HERE, A, B = member("here"), member("a"), member("b")
KEY = 0x0123456789ABCDEF


class Bench:
    """A feed and its clock, and whole other feeds to ask."""

    def __init__(self, *peers: Member) -> None:
        self.now = 100.0
        self.feed = Feed(HERE, 7, random.Random(1), self.now)
        for peer in peers:
            self.feed.joined(peer, self.now)

    def after(self, seconds: float) -> "Bench":
        self.now += seconds
        self.feed.tick(self.now)
        return self

    def broadcasts(self) -> list[Delta]:
        return [delta.decode(effect.payload) for effect in self.feed.effects() if isinstance(effect, Broadcast)]

    def fetches(self) -> list[Fetch]:
        return [effect for effect in self.feed.effects() if isinstance(effect, Fetch)]

    def noted(self) -> list[Noted]:
        return [effect for effect in self.feed.effects() if isinstance(effect, Noted)]

    def answer(self, question: Fetch, other: Feed) -> None:
        """Let another feed answer."""
        answer = b"".join(other.answer(question.what, question.body))
        for _ in self.feed.fetched(question.member, question.what, answer, self.now):
            pass

    def join(self, other: Feed) -> "Bench":
        """Be a joiner that `other` tells everything."""
        self.after(SETTLE_S)
        (question,) = self.fetches()
        self.answer(question, other)
        return self


def other_feed(name: str, *keys: int) -> Feed:
    feed = Feed(member(name), 7, random.Random(2), 0.0)
    for key in keys:
        feed.key_added(key, 0.0)
    return feed


def test_a_new_key_is_broadcast_within_a_millisecond() -> None:
    """With its place in the filter's history, and it is counted."""
    bench = Bench(A)
    bench.feed.key_added(KEY, bench.now)
    assert bench.feed.next_deadline() <= bench.now + LEADING_EDGE_S
    bench.after(LEADING_EDGE_S)
    effects = bench.feed.effects()
    (payload,) = [effect.payload for effect in effects if isinstance(effect, Broadcast)]
    assert delta.decode(payload) == Delta(origin_of("here"), 7, 1, 1, 0, (KEY,))
    assert Noted.DELTA_SENT in effects


def test_nothing_is_broadcast_to_nobody() -> None:
    """Alone, or among agents that are no mirrors, there is nobody to tell; who comes later fetches it all."""
    bench = Bench(replace(A, tags={}))
    bench.feed.key_added(KEY, bench.now)
    assert bench.after(1000.0).broadcasts() == []
    newcomer = Feed(A, 7, random.Random(3), 0.0)
    newcomer.joined(HERE, 0.0)
    newcomer.tick(SETTLE_S)
    (question,) = [effect for effect in newcomer.effects() if isinstance(effect, Fetch)]
    answer = b"".join(bench.feed.answer(question.what, question.body))
    list(newcomer.fetched(HERE, question.what, answer, 1.0))
    assert newcomer.directory.candidates(KEY) == [HERE]


def test_a_broadcast_makes_its_sender_a_candidate() -> None:
    """At once, although the rest of its filter is still to be fetched."""
    bench = Bench(A)
    bench.feed.received(delta.encode(Delta(origin_of("a"), 7, 1, 1, 0, (KEY,))), bench.now)
    assert bench.feed.directory.candidates(KEY) == [A]


@pytest.mark.parametrize("payload", [b"", b"\x02 the next version", b"\x01 nonsense"])
def test_a_payload_that_is_not_understood_is_counted(payload: bytes) -> None:
    """It changes nothing, and the next good one is taken: version N goes on beside N+1."""
    bench = Bench(A)
    bench.feed.received(payload, bench.now)
    assert bench.noted() == [Noted.DELTA_REFUSED]
    bench.feed.received(delta.encode(Delta(origin_of("a"), 7, 1, 1, 0, (KEY,))), bench.now)
    assert bench.feed.directory.candidates(KEY) == [A]


def test_an_echo_of_ourselves_is_ignored() -> None:
    """We are no candidate of ours."""
    bench = Bench(A)
    bench.feed.received(delta.encode(Delta(bench.feed.own.origin, 7, 1, 1, 0, (KEY,))), bench.now)
    assert bench.noted() == []
    assert bench.feed.directory.candidates(KEY) == []


def test_what_many_hold_is_not_broadcast() -> None:
    """From 32 live holders on a key is left to anti-entropy; one fewer and it is told."""
    peers = [member(f"p{number}") for number in range(SUPPRESS_HOLDERS)]
    bench = Bench(*peers)
    for peer in peers[1:]:
        bench.feed.received(delta.encode(Delta(origin_of(peer.name), 7, 1, 1, 0, (KEY,))), bench.now)
    bench.feed.key_added(KEY, bench.now)
    bench.feed.key_added(KEY + 1, bench.now)
    assert [told.keys for told in bench.after(1.0).broadcasts()] == [(KEY, KEY + 1)]

    bench = Bench(*peers)
    for peer in peers:
        bench.feed.received(delta.encode(Delta(origin_of(peer.name), 7, 1, 1, 0, (KEY,))), bench.now)
    bench.feed.key_added(KEY, bench.now)
    bench.feed.key_added(KEY + 1, bench.now)
    assert [(told.keys, told.since, told.revision) for told in bench.after(1.0).broadcasts()] == [((KEY + 1,), 1, 2)]


def test_a_joiner_learns_everything_from_one_member() -> None:
    """Also the filters of others that it has."""
    seed = other_feed("a", 1)
    seed.joined(B, 0.0)
    seed.received(delta.encode(Delta(origin_of("b"), 7, 1, 1, 0, (2,))), 0.0)
    list(seed.fetched(B, What.FILTERS, b"".join(other_feed("b", 2).answer(*everything())), 0.0))

    bench = Bench(A, B)
    bench.after(SETTLE_S)
    (question,) = bench.fetches()
    assert question.what is What.FILTERS
    bench.answer(question, seed)

    assert bench.feed.directory.candidates(1) == [A]
    assert bench.feed.directory.candidates(2) == [B]


def test_what_a_joiner_did_not_learn_is_fetched_from_its_owner() -> None:
    """The seed may not know all the others yet."""
    bench = Bench(A, B)
    bench.after(SETTLE_S)
    (question,) = bench.fetches()
    seed = question.member
    missing = B if seed == A else A
    bench.answer(question, other_feed(seed.name, 1))
    assert bench.feed.synchronised

    bench.after(0.5)
    (question,) = bench.fetches()
    assert question.member == missing
    bench.answer(question, other_feed(missing.name, 2))
    assert bench.feed.directory.candidates(2) == [missing]


def test_a_lost_broadcast_is_fetched_at_once() -> None:
    """The gap is counted once, and the whole filter closes it."""
    peer = other_feed("a")
    bench = Bench(A).join(peer)
    peer.joined(HERE, 0.0)
    sent = []
    for key in (1, 2, 3):
        peer.key_added(key, 10.0 * key)
        peer.tick(10.0 * key + 1)
        sent += [effect.payload for effect in peer.effects() if isinstance(effect, Broadcast)]
    assert len(sent) == 3
    bench.noted()
    bench.feed.received(sent[1], bench.now)
    bench.feed.received(sent[2], bench.now)
    assert bench.noted().count(Noted.GAP) == 1

    (question,) = bench.after(0.5).fetches()
    bench.answer(question, peer)
    assert Noted.SYNC_REPAIRED in bench.noted()
    assert bench.feed.directory.candidates(1) == [A]
    assert bench.after(1.0).fetches() == []


def test_a_question_stays_small_however_much_is_missing() -> None:
    """A thousand members that nothing is known of are asked one by one, not each about all the others."""
    bench = Bench(A).join(other_feed("a"))
    for number in range(1000):
        bench.feed.joined(member(f"n{number}"), bench.now)
    questions = bench.after(1.0).fetches()
    assert questions
    assert all(question.member != A and len(question.body) < 2000 for question in questions)


def test_a_lost_broadcast_is_repaired_at_an_equal_version() -> None:
    """A broadcast that claims nothing may be lost too: the owner's filter is asked for whatever its version."""
    peer = other_feed("a", 1)
    bench = Bench(A).join(peer)
    peer.own.announce(1.0)
    later = peer.own.announce(1.0)
    bench.feed.received(delta.encode(later), bench.now)
    (question,) = bench.after(0.5).fetches()
    bench.noted()
    bench.answer(question, peer)
    assert bench.noted() == [Noted.SYNC_REPAIRED]


def test_a_round_finds_what_was_never_broadcast() -> None:
    """Compare, then fetch what is newer there; afterwards both are equal."""
    peer = other_feed("a")
    bench = Bench(A).join(peer)
    peer.key_added(KEY, 1.0)
    (compare,) = bench.after(6.0).fetches()
    assert compare.what is What.COMPARE
    bench.answer(compare, peer)
    (fetch,) = bench.fetches()
    assert fetch.what is What.FILTERS
    bench.answer(fetch, peer)
    assert bench.feed.directory.candidates(KEY) == [A]


def test_a_round_without_news_is_counted_as_equal() -> None:
    """Nothing is fetched when the other knows nothing newer."""
    bench = Bench(A).join(other_feed("a"))
    (compare,) = bench.after(6.0).fetches()
    bench.noted()
    bench.answer(compare, other_feed("a"))
    assert bench.noted() == [Noted.SYNC_EQUAL]


def test_a_later_life_of_our_name_is_outlived() -> None:
    """A node whose clock was set back learns in a round that others know a later epoch, and goes beyond it."""
    earlier = Feed(HERE, 5000, random.Random(4), 0.0)
    earlier.key_added(1, 0.0)
    peer = other_feed("a")
    peer.joined(HERE, 0.0)
    peer.tick(SETTLE_S)
    list(peer.fetched(HERE, What.FILTERS, b"".join(earlier.answer(*everything())), 0.1))

    bench = Bench(A).join(peer)
    (compare,) = bench.after(6.0).fetches()
    bench.answer(compare, peer)
    assert [told.epoch for told in bench.after(0.0).broadcasts()] == [5001]


@pytest.mark.parametrize("answer", [b"", b"\x02", b"\x01\x00nonsense", b"\x01nonsense"])
def test_a_bad_answer_is_a_failed_exchange(answer: bytes) -> None:
    """It is tried again with a wait, and raises nothing."""
    bench = Bench(A)
    bench.after(SETTLE_S)
    (question,) = bench.fetches()
    list(bench.feed.fetched(question.member, question.what, answer, bench.now))
    assert bench.noted() == [Noted.SYNC_FAILED]
    assert not bench.feed.synchronised
    assert len(bench.after(0.2).fetches()) == 1


def test_a_failed_fetch_is_tried_again() -> None:
    """A joiner's peer may not listen yet."""
    bench = Bench(A)
    bench.after(SETTLE_S)
    (question,) = bench.fetches()
    bench.feed.fetch_failed(question.member, bench.now)
    assert bench.noted() == [Noted.SYNC_FAILED]
    (again,) = bench.after(0.1).fetches()
    bench.answer(again, other_feed("a", KEY))
    assert bench.feed.directory.candidates(KEY) == [A]


def test_an_answer_without_what_was_missing_is_no_success() -> None:
    """The gap stays, and is fetched again later."""
    bench = Bench(A).join(other_feed("a"))
    bench.feed.received(delta.encode(Delta(origin_of("a"), 9, 4, 4, 3, (KEY,))), bench.now)
    (question,) = bench.after(0.5).fetches()
    bench.noted()
    bench.answer(question, other_feed("a"))
    assert bench.noted() == [Noted.SYNC_FAILED]
    assert len(bench.after(0.1).fetches()) == 1


@pytest.mark.parametrize(
    "tags",
    [{}, {"v": "1"}, {"v": "2", "http": "5000"}, {"http": "5000"}, {"v": "1", "http": "x"}, {"v": "1", "http": "²"}],
)
def test_members_that_are_no_peers_are_left_alone(tags: dict[str, str]) -> None:
    """A stock agent, another protocol version, a port that is none: never asked, never candidates."""
    bench = Bench(replace(A, tags=tags))
    bench.feed.received(delta.encode(Delta(origin_of("a"), 7, 1, 1, 0, (KEY,))), bench.now)
    assert bench.after(100.0).fetches() == []
    assert bench.feed.directory.candidates(KEY) == []


def test_a_member_that_becomes_a_peer_is_asked() -> None:
    """Tags may change while it runs, both ways."""
    bench = Bench(replace(A, tags={}))
    bench.feed.updated(A, bench.now)
    assert len(bench.after(SETTLE_S).fetches()) == 1
    bench.feed.updated(replace(A, tags={}), bench.now)
    assert bench.feed.directory.present == ()


def test_who_left_is_not_asked_and_who_failed_comes_back() -> None:
    """A member that returns is asked for what changed meanwhile."""
    bench = Bench(A).join(other_feed("a", KEY))
    bench.feed.failed(replace(A, state=MemberState.FAILED))
    assert bench.feed.directory.candidates(KEY) == []
    assert bench.after(20.0).fetches() == []

    bench.feed.joined(A, bench.now)
    assert bench.feed.directory.candidates(KEY) == [A]
    assert [fetch.member for fetch in bench.after(0.5).fetches()] == [A]

    bench.feed.left(replace(A, state=MemberState.LEFT))
    assert bench.feed.directory.candidates(KEY) == []


def test_lost_broadcasts_bring_the_next_round_forward() -> None:
    """The bridge from the gossip thread was full: it is not known whose deltas are missing."""
    bench = Bench(A).join(other_feed("a"))
    bench.feed.lost(bench.now)
    assert [fetch.what for fetch in bench.after(0.5).fetches()] == [What.COMPARE]


def test_a_removed_key_goes_out_of_all_filters() -> None:
    """After the delay a new epoch is announced, and who fetches it finds the key no more."""
    bench = Bench(A)
    bench.feed.key_added(KEY, bench.now)
    bench.after(1.0)
    bench.feed.key_removed(KEY, bench.now)
    bench.broadcasts()
    (told,) = bench.after(5.0).broadcasts()
    assert (told.epoch, told.keys) == (8, ())
    peer = other_feed("a")
    peer.joined(HERE, 0.0)
    list(peer.fetched(HERE, What.FILTERS, b"".join(bench.feed.answer(*everything())), 0.0))
    assert peer.directory.candidates(KEY) == []


def test_silent_filters_expire_by_the_clock() -> None:
    """Nobody has to ask for it: the tick does."""
    bench = Bench(A).join(other_feed("a", KEY))
    while bench.now < 100.0 + 590:
        bench.after(bench.feed.next_deadline() - bench.now)
        for fetch in bench.fetches():
            bench.feed.fetch_failed(fetch.member, bench.now)
    assert bench.feed.directory.candidates(KEY) == [A]
    bench.after(20.0)
    assert bench.feed.directory.candidates(KEY) == []


def test_a_bad_question_is_refused() -> None:
    """By an error that the HTTP side can turn into an answer."""
    bench = Bench(A)
    for what in What:
        with pytest.raises(DirectoryError):
            bench.feed.answer(what, b"nonsense")


def test_a_question_is_answered_from_what_is_known() -> None:
    """The own filter included; a comparison with ourselves is equal."""
    bench = Bench(A)
    assert list(bench.feed.answer(What.COMPARE, encode_compare(bench.feed._vector()))) == [b"\x01\x01"]


def everything() -> tuple[What, bytes]:
    return What.FILTERS, encode_wanted({}, everything=True)


def test_a_new_start_under_an_old_name_has_nothing_of_the_last_one() -> None:
    """An agent's name outlives the mirror: a new `start` empties its filter at once, and the new one is fetched."""
    first = replace(A, tags={**A.tags, "start": "100"})
    bench = Bench(first).join(other_feed("a", KEY))
    assert bench.feed.directory.holders(KEY) == 1
    again = replace(A, tags={**A.tags, "start": "200"})
    bench.feed.updated(again, bench.now)
    assert bench.feed.directory.holders(KEY) == 0
    newer = Feed(again, 200, random.Random(3), 0.0)
    newer.key_added(KEY + 1, 0.0)
    for question in bench.after(SETTLE_S + 1.0).fetches():
        bench.answer(question, newer)
    assert (bench.feed.directory.holders(KEY), bench.feed.directory.holders(KEY + 1)) == (0, 1)


def test_a_mirror_that_ends_while_its_agent_goes_on() -> None:
    """Without our tags the member is no peer: its filter goes, and it may come back."""
    bench = Bench(A).join(other_feed("a", KEY))
    bench.feed.updated(replace(A, tags={"bye": "1"}), bench.now)
    assert bench.feed.directory.holders(KEY) == 0
    assert bench.feed.directory.members == 1
    bench.feed.updated(A, bench.now)
    assert bench.feed.directory.members == 2
