"""Serf's view of the members: statuses, intents, and what the user is told."""

from dataclasses import replace
from random import Random

import pytest

from gossip.membership import Member, MemberState
from gossip.swim.context import Context
from gossip.swim.effects import Effect, MemberFailed, MemberJoined, MemberLeft, MemberUpdated, Notice
from gossip.swim.members import MemberTable, Record
from gossip.swim.outbox import Outbox
from gossip.swim.roster import Roster, announcement
from gossip.swim.settings import LAN
from gossip.swim.timers import Timers
from gossip.wire.messages import SERF_VERSIONS
from gossip.wire.serf import encode_tags

ALIVE, SUSPECT, LEAVING, LEFT, FAILED = MemberState
ADDRESS = ("10.0.1.2", 7946)


def member(state: MemberState, **tags: str) -> Member:
    """A snapshot."""
    return Member("m1", *ADDRESS, state, tags)


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        (None, ALIVE, MemberJoined),
        (None, LEAVING, MemberJoined),
        (FAILED, ALIVE, MemberJoined),
        (LEFT, ALIVE, MemberJoined),
        (ALIVE, ALIVE, None),
        (ALIVE, SUSPECT, MemberUpdated),
        (SUSPECT, ALIVE, MemberUpdated),
        (ALIVE, LEAVING, MemberUpdated),
        (LEAVING, LEFT, MemberLeft),
        (ALIVE, LEFT, MemberLeft),
        (SUSPECT, FAILED, MemberFailed),
        (FAILED, LEFT, MemberLeft),
        (FAILED, FAILED, None),
    ],
)
def test_announcement(before: MemberState | None, after: MemberState, effect: type[Effect] | None) -> None:
    """Each change of state is told as exactly one of joined, updated, left and failed, or not at all."""
    told = announcement(None if before is None else member(before), member(after))
    assert (None if told is None else type(told)) is effect


def test_changed_tags_are_an_update() -> None:
    """Other tags of a present member are an update; those of an absent one are told when it returns."""
    assert announcement(member(ALIVE), member(ALIVE, zone="b")) == MemberUpdated(member(ALIVE, zone="b"))
    assert announcement(member(FAILED), member(FAILED, zone="b")) is None


class Fixture:
    """A roster, and what it told since the last question."""

    def __init__(self) -> None:
        own = Record("me", b"\x0a\0\0\1", 7946, b"", SERF_VERSIONS)
        self.outbox = Outbox()
        settings = replace(LAN, recent_intent_limit=3, member_limit=6)
        self.roster = Roster(Context(settings, own, MemberTable(Random(1)), Timers(), self.outbox, Random(1)))

    def alive(self, name: str = "m1", now: float = 0.0) -> None:
        self.roster.alive(name, ADDRESS, b"", now)

    def state(self, name: str = "m1") -> MemberState | None:
        entry = self.roster.get(name)
        return None if entry is None or entry.member is None else entry.member.state

    def told(self) -> list[str]:
        return [type(effect).__name__ for effect in self.outbox.drain()]


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


def test_life_of_a_member(fixture: Fixture) -> None:
    """Alive, suspected, alive again, failed, back, leaving, left: each step is seen and told."""
    roster = fixture.roster
    for step, state in (
        (lambda: fixture.alive(), ALIVE),
        (lambda: roster.suspected("m1"), SUSPECT),
        (lambda: fixture.alive(), ALIVE),
        (lambda: roster.gone("m1", False, 1.0), FAILED),
        (lambda: fixture.alive(), ALIVE),
        (lambda: roster.leave_intent("m1", 5, False, 1.0), LEAVING),
        (lambda: roster.suspected("m1"), LEAVING),
        (lambda: roster.gone("m1", False, 2.0), LEFT),
    ):
        step()
        assert fixture.state() is state
    assert fixture.told() == [
        "MemberJoined", "MemberUpdated", "MemberUpdated", "MemberFailed", "MemberJoined", "MemberUpdated", "MemberLeft",
    ]  # fmt: skip


def test_good_bye_without_intent_is_left(fixture: Fixture) -> None:
    """A good-bye is believed also when the intent before it was lost."""
    fixture.alive()
    fixture.roster.gone("m1", True, 1.0)
    assert fixture.state() is LEFT


def test_good_bye_after_a_failure(fixture: Fixture) -> None:
    """Who was taken for failed and turns out to have said good-bye has left; the reverse changes nothing."""
    fixture.alive()
    fixture.roster.gone("m1", False, 1.0)
    fixture.roster.gone("m1", True, 1.0)
    fixture.roster.gone("m1", False, 1.0)
    assert fixture.told() == ["MemberJoined", "MemberFailed", "MemberLeft"]


def test_intents_count_by_time(fixture: Fixture) -> None:
    """An intent that is not newer than the last is no news and changes nothing; a newer join takes a leave back."""
    fixture.alive()
    assert fixture.roster.leave_intent("m1", 5, False, 0.0)
    assert not fixture.roster.leave_intent("m1", 5, False, 0.0)
    assert not fixture.roster.join_intent("m1", 5, 0.0)
    assert fixture.state() is LEAVING
    assert fixture.roster.join_intent("m1", 6, 0.0)
    assert fixture.state() is ALIVE


def test_force_leave(fixture: Fixture) -> None:
    """A leave intent about a failed member makes it left; with prune it is forgotten."""
    for name in ("m1", "m2"):
        fixture.alive(name)
        fixture.roster.gone(name, False, 0.0)
    assert fixture.roster.leave_intent("m1", 5, False, 0.0)
    assert fixture.roster.leave_intent("m2", 6, True, 0.0)
    assert (fixture.state("m1"), fixture.state("m2")) == (LEFT, None)


def test_prune_spares_the_living(fixture: Fixture) -> None:
    """Prune says that a member is gone for good; one that is alive is only leaving."""
    fixture.alive()
    fixture.roster.leave_intent("m1", 5, True, 0.0)
    assert fixture.state() is LEAVING


@pytest.mark.parametrize(("leaving", "state"), [(True, LEAVING), (False, ALIVE)])
def test_intent_before_its_member(fixture: Fixture, leaving: bool, state: MemberState) -> None:
    """An intent about somebody unknown waits for it; the latest counts, and decides how it arrives."""
    roster = fixture.roster
    assert roster.join_intent("m1", 3, 0.0)
    assert roster.leave_intent("m1", 4, False, 0.0)
    assert not roster.join_intent("m1", 4, 0.0)
    if not leaving:
        assert roster.join_intent("m1", 5, 0.0)
    fixture.alive()
    assert fixture.state() is state
    assert fixture.told() == ["MemberJoined"]


def test_waiting_intents_are_bounded(fixture: Fixture) -> None:
    """Of intents about the unknown only the latest few are kept, and none for longer than their time."""
    for number in range(5):
        fixture.roster.leave_intent(f"m{number}", 9, False, float(number))
    for number in range(5):
        fixture.alive(f"m{number}")
    assert [fixture.state(f"m{number}") for number in range(5)] == [ALIVE, ALIVE, LEAVING, LEAVING, LEAVING]
    fixture.roster.leave_intent("m9", 9, False, 0.0)
    fixture.roster.reap(LAN.recent_intent_s)
    fixture.alive("m9")
    assert fixture.state("m9") is ALIVE


def test_reaping(fixture: Fixture) -> None:
    """Left members go after a minute, failed ones after ten, present ones never; nothing is told about it."""
    for name in ("m1", "m2", "m3"):
        fixture.alive(name)
    fixture.roster.gone("m1", True, 0.0)
    fixture.roster.gone("m2", False, 0.0)
    fixture.told()
    for now, expected in ((59, [LEFT, FAILED, ALIVE]), (60, [None, FAILED, ALIVE]), (600, [None, None, ALIVE])):
        fixture.roster.reap(float(now))
        assert [fixture.state(name) for name in ("m1", "m2", "m3")] == expected
    assert fixture.told() == []


def test_roster_is_bounded(fixture: Fixture) -> None:
    """A stream of names that come and go does not fill it: the oldest of the absent makes room, the present stay."""
    fixture.alive("me")
    fixture.alive("m1")
    for number in range(2, 20):
        fixture.alive(f"m{number}")
        fixture.roster.gone(f"m{number}", False, 0.0)
    assert [member.name for member in fixture.roster] == ["me", "m1", "m16", "m17", "m18", "m19"]


def test_nothing_is_told_of_ourselves(fixture: Fixture) -> None:
    """The local node is in the roster, and never announced."""
    fixture.alive("me")
    fixture.roster.leave_intent("me", 5, False, 0.0)
    fixture.roster.gone("me", True, 0.0)
    fixture.roster.reap(1e9)
    assert fixture.state("me") is LEFT
    assert fixture.told() == []


def test_tags(fixture: Fixture) -> None:
    """Meta is shown as tags; what can't be read counts as no tags and is complained of."""
    fixture.roster.alive("m1", ADDRESS, encode_tags({"zone": "a"}), 0.0)
    fixture.roster.alive("m1", ADDRESS, b"\xff\xc1", 0.0)
    effects = fixture.outbox.drain()
    assert effects[0] == MemberJoined(member(ALIVE, zone="a"))
    assert isinstance(effects[1], Notice)
    assert effects[2] == MemberUpdated(member(ALIVE))
