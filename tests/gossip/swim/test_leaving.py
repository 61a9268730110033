"""A graceful leave: the intent, the good-bye, in a hurry, and what a leaving node does no more."""

from gossip.membership import MemberState
from gossip.swim.effects import Effect, LeaveFinished
from gossip.wire.messages import Ack, Alive, Dead, JoinIntent, LeaveIntent, Ping, PushPull, Suspect
from gossip.wire.stream import encode_stream
from tests.gossip.swim.cores import ME, QUIET, Core, entry, opened, sent, told

MANY = tuple(f"m{number}" for number in range(1, 30))


def leave(core: Core, timeout_s: float = 5.0) -> list[Effect]:
    """Start to leave; what it leads to at once."""
    core.swim.leave(timeout_s, core.now)
    return core.swim.effects()


def finished(effects: list[Effect]) -> list[bool]:
    """Whether leaves that are through were told."""
    return [effect.told for effect in effects if isinstance(effect, LeaveFinished)]


def test_intent_then_good_bye() -> None:
    """First the intent as often as the cluster needs, then the good-bye as often; all of it in well under a second."""
    core = Core(QUIET, *MANY)
    effects = leave(core)
    assert core.state(ME) is MemberState.LEAVING
    effects += core.after(0.5)
    words = [message for message in told(effects) if isinstance(message, LeaveIntent | Dead)]
    assert [type(word) for word in words] == [LeaveIntent] * 8 + [Dead] * 8
    assert words[-1] == Dead(1, ME, ME)
    assert finished(effects) == [True]
    assert core.state(ME) is MemberState.LEFT


def test_nobody_to_tell() -> None:
    """Alone, or with only failed members, a leave is through at once."""
    core = Core(QUIET, settled=False)
    assert finished(leave(core)) == [True]
    core = Core(QUIET, "m1")
    core.hear(Dead(1, "m1", "m1"))
    assert finished(leave(core)) == [True]


def test_time_runs_out() -> None:
    """What could not be told in time is said to be so; the good-bye is in the queue and goes out all the same."""
    core = Core(QUIET, *MANY)
    effects = leave(core, timeout_s=0.001) + core.after(0.002)
    assert finished(effects) == [False]
    assert core.state(ME) is MemberState.LEFT
    assert Dead(1, ME, ME) in told(core.after(0.1))


def test_join_that_ends_while_leaving_is_not_announced() -> None:
    """A join under way when the leave began does not take the leave back, and no push/pull follows it."""
    core = Core(QUIET, *MANY)
    core.swim.join(1, [("10.0.50.2", 7946)], core.now)
    (call,) = opened(core.swim.effects())
    effects = leave(core)
    core.swim.stream_opened(call.stream, core.now)
    core.swim.receive_stream(call.stream, encode_stream(PushPull(True, ())), core.now)
    effects += core.swim.effects() + core.after(1)
    assert [message for message in told(effects) if isinstance(message, JoinIntent)] == []
    assert core.state(ME) is MemberState.LEFT
    assert opened(core.after(20_000)) == []


def test_leaving_twice() -> None:
    """A second call while leaving waits for the same end; one afterwards is answered at once."""
    core = Core(QUIET, *MANY)
    effects = leave(core) + leave(core) + core.after(1)
    assert finished(effects) == [True]
    assert finished(leave(core)) == [True]


def test_who_has_left_stays_quiet() -> None:
    """It still answers pings, but probes nobody, calls nobody and defends itself no more; tags don't change either."""
    core = Core(QUIET, *MANY)
    leave(core)
    core.after(1)
    assert [message for _, message in sent(core.hear(Ping(7, ME)))] == [Ack(7)]
    core.hear(Suspect(1, ME, "m1"), Alive(5, ME, b"\x0a\0\0\1", 7946))
    core.push_pull([entry("m1")])
    core.swim.set_tags({"zone": "b"}, core.now)
    effects = core.after(20_000)
    assert sent(effects, Ping) == []
    assert opened(effects) == []
    assert [message for message in told(effects) if isinstance(message, Alive)] == []
    assert core.state(ME) is MemberState.LEFT
    assert dict(core.swim.local().tags) == {}


def test_death_sentence_while_leaving_is_accepted() -> None:
    """A leaving node that is declared dead does not refute: it wants to go."""
    core = Core(QUIET, *MANY)
    leave(core)
    effects = core.hear(Dead(1, ME, "m1"))
    assert [message for message in told(effects + core.after(1)) if isinstance(message, Alive)] == []
    assert core.state(ME) is MemberState.LEFT
