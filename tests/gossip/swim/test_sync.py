"""Push/pull: what is laid side by side, what is taken over, and what is refused as a whole."""

from dataclasses import replace

import pytest

from gossip.membership import MemberState
from gossip.swim.effects import OpenStream
from gossip.swim.sync import incompatibility
from gossip.wire.messages import (
    SERF_VERSIONS,
    Dead,
    ErrorReply,
    JoinIntent,
    Message,
    Ping,
    PushPull,
    Suspect,
    UserMessage,
    Versions,
    WireState,
)
from gossip.wire.serf import encode_serf
from gossip.wire.stream import encode_stream
from tests.gossip.swim.cores import ME, QUIET, Core, entry, opened, written

BARE = (1, 5, 2, 0, 0, 0)


@pytest.mark.parametrize(
    ("alive", "everybody", "problem"),
    [
        ([], [], ""),
        ([SERF_VERSIONS], [SERF_VERSIONS], ""),
        ([SERF_VERSIONS, (1, 5, 2, 2, 5, 4)], [SERF_VERSIONS, (1, 5, 2, 2, 5, 4)], ""),
        ([SERF_VERSIONS, BARE], [SERF_VERSIONS, BARE], "Serf protocol 5"),
        ([SERF_VERSIONS], [SERF_VERSIONS, BARE], "Serf protocol 0"),
        ([SERF_VERSIONS], [SERF_VERSIONS, ()], "memberlist protocol 0"),
        ([SERF_VERSIONS, (3, 5, 3, 2, 5, 5)], [SERF_VERSIONS], "memberlist protocol 2"),
        ([(1, 5, 2, 2, 4, 4)], [SERF_VERSIONS], "Serf protocol 5"),
    ],
)
def test_incompatibility(alive: list[Versions], everybody: list[Versions], problem: str) -> None:
    """Whatever anybody speaks, the dead included, all who are alive must understand; the reason names the culprit."""
    reason = incompatibility(alive, everybody)
    assert (problem in reason) if problem else reason == ""


def test_reply_is_the_state_before_the_merge() -> None:
    """A caller gets our table as it was, ourselves included, with its own join mark; then its rows are taken over."""
    core = Core(QUIET, "m1")
    reply = core.push_pull([entry("m2")], join=True)
    assert isinstance(reply, PushPull)
    assert {row.name for row in reply.nodes} == {ME, "m1"}
    assert reply.join
    assert core.state("m2") is MemberState.ALIVE


def test_the_absent_are_told_too() -> None:
    """Dead and left members are rows of the reply as long as the table has them, in their state."""
    core = Core(QUIET, "m1", "m2", "m3")
    core.hear(Dead(1, "m1", "m3"), Dead(1, "m2", "m2"), Suspect(1, "m3", "m4"))
    rows = core.table()
    assert [rows[name].state for name in (ME, "m1", "m2", "m3")] == [
        WireState.ALIVE, WireState.DEAD, WireState.LEFT, WireState.SUSPECT,
    ]  # fmt: skip


def test_left_row_is_believed() -> None:
    """A good-bye counts also when it is heard second hand."""
    core = Core(QUIET, "m1")
    core.push_pull([entry("m1", WireState.LEFT)])
    assert core.state("m1") is MemberState.LEFT


@pytest.mark.parametrize(
    "bad",
    [
        PushPull(False, (entry("m8"), replace(entry("m9"), versions=BARE))),
        PushPull(False, (entry("m8"), replace(entry("m9", WireState.DEAD), versions=()))),
        PushPull(False, (entry("m8"),), b"\x02junk"),
        PushPull(False, (entry("m8"),), b"\x03\x80"),
    ],
)
def test_refused_as_a_whole(bad: PushPull) -> None:
    """Alien versions of anybody, or a senseless user state: nothing is taken over, and the caller hears why."""
    core = Core(QUIET, "m1")
    before = core.table()
    core.swim.stream_accepted(-1, ("10.0.8.2", 40000), core.now)
    core.swim.receive_stream(-1, encode_stream(bad), core.now)
    assert isinstance(written(core.swim.effects(), -1), ErrorReply)
    assert core.table() == before
    assert core.state("m8") is None


def test_periodic_push_pull() -> None:
    """Every interval one alive member is called, and what it knows is taken over."""
    core = Core(replace(QUIET, push_pull_interval_s=30.0), "m1", "m2")
    core.hear(Dead(1, "m2", "m2"))
    calls = opened(core.after(90))
    assert len(calls) == 3
    assert {call.to for call in calls} == {("10.0.1.2", 7946)}


def next_call(core: Core) -> OpenStream:
    """Wait for the next call of the core's own accord, and take it."""
    while True:
        for call in opened(core.after(1)):
            core.swim.stream_opened(call.stream, core.now)
            return call


def test_reply_is_merged() -> None:
    """The reply to our call is merged like a caller's state; one that is not to be merged changes nothing."""
    core = Core(replace(QUIET, push_pull_interval_s=30.0), "m1")
    call = next_call(core)
    request = written(core.swim.effects(), call.stream)
    assert isinstance(request, PushPull)
    assert not request.join
    core.swim.receive_stream(call.stream, encode_stream(PushPull(False, (entry("m5"),))), core.now)
    assert core.state("m5") is MemberState.ALIVE
    call = next_call(core)
    alien = PushPull(False, (replace(entry("m6"), versions=BARE),))
    core.swim.receive_stream(call.stream, encode_stream(alien), core.now)
    assert core.state("m6") is None


@pytest.mark.parametrize(("news", "again"), [(5, True), (1, False)])
def test_much_news_is_a_reason_to_ask_again(news: int, again: bool) -> None:
    """A call that made the table grow by more than 5 % is followed by another within seconds, until it does not."""
    settings = replace(QUIET, push_pull_interval_s=300.0, push_pull_after_join_s=2.0)
    core = Core(settings, *(f"m{number}" for number in range(1, 31)))
    call = next_call(core)
    rows = tuple(entry(f"m{number}") for number in range(40, 40 + news))
    core.swim.receive_stream(call.stream, encode_stream(PushPull(False, rows)), core.now)
    assert bool(opened(core.swim.effects() + core.after(2))) is again


def test_larger_clusters_call_less_often() -> None:
    """With 40 members the interval is twice as long."""
    core = Core(replace(QUIET, push_pull_interval_s=30.0), *(f"m{number}" for number in range(1, 40)))
    assert 2 <= len(opened(core.after(150))) <= 3


def test_other_streams() -> None:
    """A ping by stream is acked if it is for us; a user message by stream is a Serf message like any other."""
    core = Core(QUIET, "m1")
    cases: list[tuple[Message, bool]] = [
        (Ping(7, ME), True),
        (Ping(7, "other"), False),
        (UserMessage(encode_serf(JoinIntent(5, "m1"))), False),
    ]
    for number, (message, answered) in enumerate(cases, 2):
        core.swim.stream_accepted(-number, ("10.0.1.2", 40000), core.now)
        core.swim.receive_stream(-number, encode_stream(message), core.now)
        assert (written(core.swim.effects(), -number) is not None) is answered
