"""The replica: following every report and reconciling with a snapshot lead to the same table."""

from hypothesis import given
from hypothesis import strategies as st

from gossip.membership import Member, MemberState
from gossip.replica import Replica
from gossip.swim.effects import MemberFailed, MemberJoined, MemberLeft, MemberReport, MemberUpdated

ALIVE, SUSPECT, LEFT, FAILED = MemberState.ALIVE, MemberState.SUSPECT, MemberState.LEFT, MemberState.FAILED
LOCAL = Member("local", "10.0.0.1", 7946, ALIVE, {"zone": "a"})

STATES = st.sampled_from(MemberState)
TABLES = st.dictionaries(st.sampled_from("abcdef"), STATES)


def member(name: str, state: MemberState = ALIVE) -> Member:
    return Member(name, "10.0.0.2", 7946, state)


def table(states: dict[str, MemberState]) -> list[Member]:
    return [LOCAL, *(member(name, state) for name, state in states.items())]


def replica(*members: Member) -> Replica:
    return Replica([LOCAL, *members], LOCAL)


def test_it_begins_with_what_it_is_given() -> None:
    """The members at the start are there, the local one among them."""
    copy = replica(member("a"))
    assert copy.members() == (LOCAL, member("a"))
    assert copy.local() == LOCAL


def test_reports_are_followed() -> None:
    """Each kind of report leaves the member as it was reported."""
    copy = replica()
    for happened in (
        MemberJoined(member("a")),
        MemberUpdated(member("a", SUSPECT)),
        MemberFailed(member("a", FAILED)),
        MemberJoined(member("a")),
        MemberLeft(member("a", LEFT)),
    ):
        copy.follow(happened)
        assert copy.members() == (LOCAL, happened.member)


def test_reaped_members_go_without_a_report() -> None:
    """A member that had left or failed is dropped in silence when a snapshot lacks it."""
    copy = replica(member("a", LEFT), member("b", FAILED))
    assert copy.reconcile([LOCAL]) == []
    assert copy.members() == (LOCAL,)


def test_a_member_that_vanished_has_failed() -> None:
    """A member thought alive that the table no longer knows must have failed."""
    copy = replica(member("a"))
    assert copy.reconcile([LOCAL]) == [MemberFailed(member("a", FAILED))]


def test_missed_reports_are_made_up_for() -> None:
    """What a snapshot shows to have happened is reported as it would have been."""
    copy = replica(member("a"), member("b"), member("c", FAILED), member("d"), member("e", FAILED))
    snapshot = [
        LOCAL,
        member("a", LEFT),
        member("b", SUSPECT),
        member("c"),
        member("d", FAILED),
        member("e", LEFT),
        member("f"),
        member("g", FAILED),
    ]
    assert copy.reconcile(snapshot) == [
        MemberLeft(member("a", LEFT)),
        MemberUpdated(member("b", SUSPECT)),
        MemberJoined(member("c")),
        MemberFailed(member("d", FAILED)),
        MemberLeft(member("e", LEFT)),
        MemberJoined(member("f")),
    ]
    assert copy.members() == tuple(snapshot)
    assert copy.reconcile(snapshot) == []


def test_own_tags_hold_at_once() -> None:
    """New local tags are seen before the table knows them, and an older snapshot does not take them back."""
    copy = replica()
    copy.set_local_tags({"zone": "b"})
    assert dict(copy.local().tags) == {"zone": "b"}
    assert copy.reconcile([LOCAL]) == []
    assert dict(copy.local().tags) == {"zone": "b"}


@given(TABLES, TABLES)
def test_a_listener_that_missed_everything_is_set_right(
    before: dict[str, MemberState], after: dict[str, MemberState]
) -> None:
    """After the made-up reports, a listener that counts who is there has exactly those who are."""
    gone = {LEFT, FAILED}
    copy = Replica(table(before), LOCAL)
    there = {name for name, state in before.items() if state not in gone}
    for happened in copy.reconcile(table(after)):
        apply(there, happened)
    assert there == {name for name, state in after.items() if state not in gone}
    assert list(copy.members()) == table(after)


def apply(there: set[str], happened: MemberReport) -> None:
    """Also checks that the report makes sense: nobody comes twice or goes twice."""
    name = happened.member.name
    match happened:
        case MemberJoined():
            assert name not in there
            there.add(name)
        case MemberUpdated():
            assert name in there
        case MemberLeft() | MemberFailed():
            there.discard(name)


@given(TABLES, TABLES)
def test_members_learned_one_by_one(before: dict[str, MemberState], after: dict[str, MemberState]) -> None:
    """The news are those of a whole table with the same members, and what is told twice is news once."""
    one_by_one, whole = replica(*table(before)[1:]), replica(*table(before)[1:])
    told = [news for each in table(after) if (news := one_by_one.learn(each)) is not None]
    unheard = [member(name, state) for name, state in before.items() if name not in after]
    assert told == whole.reconcile([*table(after), *unheard])
    assert [one_by_one.learn(each) for each in table(after)] == [None] * len(table(after))


def test_the_local_tags_are_not_learned() -> None:
    """They are the ones that were set, whatever a table of somebody else says."""
    copy = replica()
    copy.set_local_tags({"zone": "b"})
    assert copy.learn(LOCAL) is None
    assert dict(copy.local().tags) == {"zone": "b"}


def test_only_who_is_gone_is_forgotten() -> None:
    """A member that is there stays, and so does the local one; strangers are no error."""
    copy = replica(member("a"), member("b", LEFT), member("c", FAILED))
    for name in ("a", "b", "c", "local", "stranger"):
        copy.forget(name)
    assert copy.members() == (LOCAL, member("a"))
