"""Joining by addresses, and trying failed members again."""

from dataclasses import replace

from gossip.membership import MemberState
from gossip.swim.effects import Effect, JoinFinished
from gossip.wire.messages import Dead, JoinIntent, PushPull
from gossip.wire.stream import encode_stream
from tests.gossip.swim.cores import ME, MY_ADDRESS, QUIET, Core, address_of, alive, entry, opened, told, written

RECONNECTING = replace(QUIET, reconnect_s=(1.0, 5.0), reconnect_max_s=30.0)


def finished(effects: list[Effect]) -> list[JoinFinished]:
    """The joins that are through."""
    return [effect for effect in effects if isinstance(effect, JoinFinished)]


def answer(core: Core, stream: int, *names: str) -> list[Effect]:
    """The node at the other end takes the call and sends its table."""
    core.swim.stream_opened(stream, core.now)
    core.swim.receive_stream(stream, encode_stream(PushPull(True, tuple(map(entry, names)))), core.now)
    return core.swim.effects()


def join(core: Core, *addresses: tuple[str, int]) -> list[Effect]:
    """Call these; what it leads to at once."""
    core.swim.join(9, addresses, core.now)
    return core.swim.effects()


def test_join_succeeds_and_is_announced() -> None:
    """Every address is called; a join intent and, soon, another push/pull follow the first success."""
    core = Core(replace(QUIET, push_pull_after_join_s=2.0), settled=False)
    one, two = opened(join(core, address_of("m1"), address_of("m2")))
    effects = answer(core, one.stream, "m1", "m3")
    assert finished(effects) == []
    core.swim.stream_opened(two.stream, core.now)
    asked = written(core.swim.effects(), two.stream)
    assert isinstance(asked, PushPull)
    assert asked.join
    core.swim.stream_closed(two.stream, "connection refused", core.now)
    assert finished(core.swim.effects()) == [JoinFinished(9, 1, ((address_of("m2"), "connection refused"),))]
    assert core.state("m3") is MemberState.ALIVE
    effects = core.after(2)
    assert any(isinstance(message, JoinIntent) and message.node == ME for message in told(effects))
    assert len(opened(effects)) == 1


def test_join_that_nobody_answers() -> None:
    """Silence ends by the time-out, and the result tells it."""
    core = Core(QUIET, settled=False)
    join(core, address_of("m1"))
    (result,) = finished(core.after(10))
    assert (result.reached, result.errors) == (0, ((address_of("m1"), "no answer within 10 s"),))


def test_own_address_is_not_called() -> None:
    """Who finds its own address among the given ones (a service's name resolves to it) does not count it."""
    core = Core(QUIET, settled=False)
    effects = join(core, MY_ADDRESS)
    assert opened(effects) == []
    assert finished(effects) == [JoinFinished(9, 0, ((MY_ADDRESS, "is this node itself"),))]


def test_no_address_at_all() -> None:
    """An empty join is through at once."""
    assert finished(join(Core(QUIET))) == [JoinFinished(9, 0, ())]


def test_many_addresses_a_few_at_a_time() -> None:
    """Of a long list eight are called at once, each of them once, the next when one is through."""
    core = Core(QUIET, settled=False)
    addresses = [address_of(f"m{number}") for number in range(1, 21)]
    calls = opened(join(core, *addresses, addresses[0]))
    assert len(calls) == 8
    for number in range(20):
        core.swim.stream_closed(calls[number].stream, "connection refused", core.now)
        effects = core.swim.effects()
        calls += opened(effects)
        assert len(finished(effects)) == (number == 19)
    assert [call.to for call in calls] == addresses


def failed_core(*others: str) -> Core:
    """A core whose member `m1` has failed."""
    core = Core(RECONNECTING, "m1", *others)
    core.hear(Dead(1, "m1", "m9"))
    core.hear(Dead(1, "m1", "m9"))
    assert core.state("m1") is MemberState.FAILED
    return core


def test_failed_members_are_tried_again() -> None:
    """Alone with a failed member a node tries it every few seconds, and has it back when it answers."""
    core = failed_core()
    calls = opened(core.after(60))
    assert 12 <= len(calls) <= 60
    assert {call.to for call in calls} == {address_of("m1")}
    core.swim.stream_opened(calls[-1].stream, core.now)
    row = replace(entry("m1"), incarnation=2)
    core.swim.receive_stream(calls[-1].stream, encode_stream(PushPull(False, (row,))), core.now)
    assert core.state("m1") is MemberState.ALIVE


def test_who_returned_is_called_once() -> None:
    """A failed member that is heard of again may know nobody: it is called, and then left in peace."""
    core = failed_core()
    core.after(10)
    core.hear(replace(alive("m1"), incarnation=2))
    assert core.state("m1") is MemberState.ALIVE
    assert [call.to for call in opened(core.after(6))] == [address_of("m1")]
    assert opened(core.after(60)) == []


def test_one_attempt_for_the_whole_cluster() -> None:
    """With twenty alive and one failed each of them tries it about once in twenty delays."""
    core = failed_core(*(f"m{number}" for number in range(2, 22)))
    assert len(opened(core.after(300))) < 20


def test_replaced_member_is_not_tried() -> None:
    """When somebody alive has the failed member's address, a call would reach that one only."""
    core = failed_core()
    successor = replace(alive("m1"), node="m1-again")
    core.hear(successor)
    assert core.state("m1-again") is MemberState.ALIVE
    assert opened(core.after(60)) == []


def test_trying_ends_when_the_member_is_forgotten() -> None:
    """After ten minutes a failed member is dropped, silently, and left alone."""
    core = failed_core()
    core.after(620)
    assert core.state("m1") is None
    assert opened(core.after(60)) == []
