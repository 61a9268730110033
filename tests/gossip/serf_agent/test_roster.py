"""The agent's table: news in it, and tags that are ours beside those that are not."""

import pytest

from gossip.errors import Unreachable, UsageError
from gossip.membership import Member, MemberState
from gossip.serf_agent.roster import OtherAgent, Roster
from gossip.swim.effects import MemberFailed, MemberJoined


def member(name: str, state: MemberState = MemberState.ALIVE, **tags: str) -> Member:
    return Member(name, "10.0.0.1", 7946, state, tags)


def roster(agent_tags: dict[str, str] | None = None, *, own_tags: frozenset[str] = frozenset()) -> Roster:
    made = Roster({"http": "5000"}, own_tags)
    made.is_agent("agent")
    made.list_foreign_tags([member("agent", **(agent_tags or {})), member("other")])
    return made


def test_the_local_member_has_our_tags() -> None:
    """Whatever the agent says of itself while it starts or still tells old tags."""
    made = roster({"zone": "old"})
    made.reconcile([member("agent", MemberState.FAILED, zone="old"), member("other")])
    assert made.local() == member("agent", http="5000")
    assert made.learn(member("agent", zone="old")) is None
    assert made.local() == member("agent", http="5000")


def test_tag_orders() -> None:
    """Set what is wanted, delete what was ours and isn't, touch nothing else."""
    made = roster({"role": "operator's", "zone": "old"}, own_tags=frozenset({"zone", "http"}))
    assert made.tag_order() == {"Tags": {"http": "5000"}, "DeleteTags": ["bye", "zone"]}
    made.set_tags({"v": "1"})
    assert made.tag_order() == {"Tags": {"v": "1"}, "DeleteTags": ["bye", "http", "zone"]}
    assert made.goodbye() == {"Tags": {"bye": "1"}, "DeleteTags": ["http", "v", "zone"]}


def test_the_operator_s_tags_count() -> None:
    """All of an agent's tags have 512 bytes."""
    with pytest.raises(UsageError):
        roster({"role": "r" * 510})
    made = roster({"role": "r" * 400})
    with pytest.raises(UsageError):
        made.set_tags({"zone": "z" * 200})
    assert made.tag_order()["Tags"] == {"http": "5000"}


def test_an_agent_must_list_itself_and_stay_itself() -> None:
    """Else the table can't be what others see of us."""
    made = Roster({}, frozenset())
    made.is_agent("agent")
    with pytest.raises(Unreachable, match="does not list itself"):
        made.list_foreign_tags([member("other")])
    with pytest.raises(OtherAgent, match="now called new"):
        made.is_agent("new")


def test_news() -> None:
    """What is told twice is told once; who is not listed any more has failed; the local one never goes."""
    made = roster()
    assert made.reconcile([member("other")]) == [MemberJoined(member("other"))]
    assert made.learn(member("other")) is None
    assert made.others_taking_part() == [member("other")]
    failed = member("other", MemberState.FAILED)
    assert made.reconcile([member("agent")]) == [MemberFailed(failed)]
    assert made.members() == (made.local(),)


def test_forgetting() -> None:
    """Only those who are gone, and never the local one."""
    made = roster()
    made.learn(member("alive"))
    made.learn(member("gone"))
    made.learn(member("gone", MemberState.LEFT))
    made.forget(["alive", "gone", "agent", "stranger"])
    assert {each.name for each in made.members()} == {"agent", "alive"}


def test_before_the_start() -> None:
    """There is no table yet."""
    empty = Roster({}, frozenset())
    assert empty.members() == ()
    with pytest.raises(UsageError):
        empty.local()
