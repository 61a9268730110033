"""Serf's layer: user events, intents, its part of a push/pull, queries and relays."""

from dataclasses import replace

import pytest

from gossip.errors import UsageError
from gossip.membership import MAX_PAYLOAD_BYTES, MemberState
from gossip.swim.effects import Received
from gossip.swim.members import host_bytes
from gossip.wire.messages import (
    JoinIntent,
    LeaveIntent,
    PushPull,
    Query,
    QueryResponse,
    Relay,
    SerfMessage,
    SerfState,
    UserEvent,
)
from gossip.wire.serf import decode_serf, encode_serf
from tests.gossip.swim.cores import ME, QUIET, Core, address_of, alive, entry, sent, serf, told

NO_PROBES = replace(QUIET, probe_interval_s=3600.0)


@pytest.fixture
def core() -> Core:
    """A node with two members that does nothing of its own accord."""
    return Core(NO_PROBES, "m1", "m2")


def received(core: Core, *messages: SerfMessage) -> list[tuple[str, bytes]]:
    """What the user gets of these."""
    effects = core.hear(*map(serf, messages))
    return [(effect.topic, effect.payload) for effect in effects if isinstance(effect, Received)]


def state_of(core: Core) -> SerfState:
    """Our part of a push/pull."""
    reply = core.push_pull([])
    assert isinstance(reply, PushPull)
    state = decode_serf(reply.user_state)
    assert isinstance(state, SerfState)
    return state


def test_event_is_delivered_once_and_told_on_unchanged(core: Core) -> None:
    """A user event reaches the user once, and others as it was, also the flag that means nothing to us."""
    event = UserEvent(5, "deploy", b"v2", coalesce=True)
    assert received(core, event, event) == [("deploy", b"v2")]
    assert received(core, event) == []
    assert event in told(core.after(1))


def test_equal_events_of_different_times_are_two(core: Core) -> None:
    """Only name, payload and time together make a repetition."""
    events = [UserEvent(5, "a", b""), UserEvent(6, "a", b""), UserEvent(5, "b", b""), UserEvent(5, "a", b"x")]
    assert len(received(core, *events)) == 4


def test_event_beyond_the_window_is_lost(core: Core) -> None:
    """512 times later an event can't be told from a repetition and is dropped."""
    assert received(core, UserEvent(1000, "new", b""), UserEvent(488, "old", b"")) == [("new", b"")]
    assert received(core, UserEvent(489, "just in time", b"")) == [("just in time", b"")]


def test_own_event(core: Core) -> None:
    """Ours is stamped with the next time and told; coming back it is not delivered to us."""
    received(core, UserEvent(41, "other", b""))
    core.swim.broadcast("mine", b"payload", core.now)
    event = UserEvent(42, "mine", b"payload")
    assert event in told(core.after(0.1))
    assert received(core, event) == []
    assert state_of(core).event_ltime == 43


def test_event_size(core: Core) -> None:
    """Our own are limited by the contract, those of others by Serf's largest limit."""
    with pytest.raises(UsageError, match="at most 460"):
        core.swim.broadcast("é", b"x" * (MAX_PAYLOAD_BYTES - 1), core.now)
    core.swim.broadcast("é", b"x" * (MAX_PAYLOAD_BYTES - 2), core.now)
    assert received(core, UserEvent(5, "a", b"x" * 9215)) != []
    assert received(core, UserEvent(6, "a", b"x" * 9216)) == []


def test_leave_and_join_intents(core: Core) -> None:
    """A leave intent makes a member leaving and is told on once; a later join intent takes it back."""
    assert LeaveIntent(5, "m1") in told(core.hear(serf(LeaveIntent(5, "m1"))) + core.after(0.5))
    assert core.state("m1") is MemberState.LEAVING
    core.after(2)
    assert told(core.hear(serf(LeaveIntent(5, "m1"))) + core.after(0.5)) == []
    core.hear(serf(JoinIntent(6, "m1")))
    assert core.state("m1") is MemberState.ALIVE


def test_intent_about_somebody_unknown(core: Core) -> None:
    """It waits for the member, and is told on as news meanwhile."""
    assert LeaveIntent(5, "m7") in told(core.hear(serf(LeaveIntent(5, "m7"))) + core.after(0.5))
    core.hear(alive("m7"))
    assert core.state("m7") is MemberState.LEAVING


def test_false_leave_intent_about_us(core: Core) -> None:
    """Who says that we are leaving is corrected by a join intent of a later time, and not repeated."""
    said = told(core.hear(serf(LeaveIntent(9, ME))) + core.after(0.5))
    assert LeaveIntent(9, ME) not in said
    assert JoinIntent(10, ME) in said
    assert core.state(ME) is MemberState.ALIVE


@pytest.mark.parametrize("message", [LeaveIntent(2**63, "m1"), JoinIntent(5, ""), UserEvent(2**64 - 1, "a", b"")])
def test_absurd_messages_change_nothing(core: Core, message: SerfMessage) -> None:
    """A time at the end of its 64 bits, or a message about nobody, moves no clock and is not told on."""
    before = state_of(core)
    effects = core.hear(serf(message))
    assert told(effects + core.after(1)) == []
    assert state_of(core) == before


def test_our_part_of_a_push_pull(core: Core) -> None:
    """Clocks, the time of each member's status, who has left; no events."""
    core.hear(serf(LeaveIntent(7, "m1")), serf(UserEvent(20, "a", b"")))
    core.push_pull([entry("m1", state=entry("m1").state.LEFT)])
    assert state_of(core) == SerfState(8, {ME: 0, "m1": 7, "m2": 0}, ("m1",), 21, (), 1)


def test_merge(core: Core) -> None:
    """The clocks move, leaves and joins count by their times, events are delivered but not told on."""
    remote = SerfState(30, {"m1": 4, "m2": 5}, ("m1",), 40, ((39, (("old", b"x"),)),), 50)
    core.push_pull([], remote)
    delivered = [effect.topic for effect in core.effects if isinstance(effect, Received)]
    assert delivered == ["old"]
    assert core.state("m1") is MemberState.LEAVING
    state = state_of(core)
    assert (state.ltime, state.event_ltime, state.query_ltime) == (30, 40, 50)
    assert state.status_ltimes == {ME: 0, "m1": 5, "m2": 5}
    assert told(core.after(1)) == []


def test_first_merge_ignores_what_was_before_us() -> None:
    """A newcomer does not hear the cluster's old events; what comes after the push/pull it does."""
    core = Core(NO_PROBES, settled=False)
    core.push_pull([entry("m1")], SerfState(1, event_ltime=40, events=((39, (("old", b""),)),)))
    assert [effect for effect in core.effects if isinstance(effect, Received)] == []
    assert received(core, UserEvent(38, "late", b""), UserEvent(40, "new", b"")) == [("new", b"")]


def query(name: str, **changes: object) -> Query:
    """A query of `m1` that wants an ack."""
    asker = alive("m1")
    plain = Query(5, 77, asker.addr, asker.port, "m1", (), 1, 0, 10**9, name, b"")
    return replace(plain, **changes)  # type: ignore[arg-type]  # one of several types


def test_serf_ping_is_acked(core: Core) -> None:
    """The internal ping is answered to the asker by an ack, once, and told on like every query."""
    effects = core.hear(serf(query("_serf_ping")))
    acks = [(to, message) for to, message in sent(effects) if isinstance(message, QueryResponse)]
    assert acks == [(address_of("m1"), QueryResponse(5, 77, ME, 1))]
    assert query("_serf_ping") in told(effects + core.after(0.5))
    assert sent(core.hear(serf(query("_serf_ping"))), QueryResponse) == []


@pytest.mark.parametrize(
    "changed",
    [
        query("unknown"),
        query("_serf_conflict"),
        query("_serf_ping", flags=0),
        query("_serf_ping", filters=(b"\x00\x91\xa2m9",)),
        query("_serf_ping", addr=host_bytes("192.0.2.1")),
    ],
)
def test_other_queries_are_only_told_on(core: Core, changed: Query) -> None:
    """Unknown, not for us, without the wish for an ack, or from nobody's address: no answer, but it goes its way."""
    effects = core.hear(serf(changed))
    assert sent(effects, QueryResponse) == []
    assert changed in told(effects + core.after(0.5))


def test_query_that_must_not_be_told_on(core: Core) -> None:
    """A flag forbids it; it is answered all the same."""
    direct = query("_serf_ping", flags=3)
    effects = core.hear(serf(direct))
    assert len(sent(effects, QueryResponse)) == 1
    assert direct not in told(effects + core.after(0.5))


def test_large_query_is_ignored(core: Core) -> None:
    """One beyond the limit is dropped."""
    assert told(core.hear(serf(query("q", payload=b"x" * 10_000))) + core.after(0.5)) == []


@pytest.mark.parametrize(("addr", "forwarded"), [("10.0.2.2", True), ("192.0.2.1", False)])
def test_relay(core: Core, addr: str, forwarded: bool) -> None:
    """A response is passed on to a member, as it is, and to nobody else."""
    response = QueryResponse(5, 77, "m1", 0, b"answer")
    relay = Relay(host_bytes(addr), 7946, "m2", encode_serf(response))
    assert sent(core.hear(serf(relay)), QueryResponse) == ([(address_of("m2"), response)] if forwarded else [])


def test_stray_responses_and_states_are_ignored(core: Core) -> None:
    """Answers to questions that we did not ask change nothing."""
    assert core.hear(serf(QueryResponse(5, 77, "m1", 0)), serf(SerfState(99))) == []
    assert state_of(core).ltime < 99
