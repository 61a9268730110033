"""The Serf engine: it keeps the contract on fake agents, and lives through what agents do."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import gevent
import pytest

from gossip.errors import Unreachable, UsageError
from gossip.membership import Member, MemberState
from gossip.serf_agent import engine as engine_module
from gossip.serf_agent.connection import Access
from gossip.serf_agent.engine import SerfAgentEngine
from tests.contracts.membership import MembershipSuite, Recorder, states
from tests.fake_agent import RPC_PORT, FakeAgent, FakeAgents
from tests.gossip.loopback import Harness, Notices, fresh_host, wait


def make_engine(
    host: str,
    tags: Mapping[str, str] | None = None,
    *,
    notices: Notices | None = None,
    auth_file: Path | None = None,
    own_tags: frozenset[str] = frozenset(),
) -> SerfAgentEngine:
    access = Access(host, RPC_PORT, auth_file, timeout_s=5.0)
    return SerfAgentEngine(access, tags or {}, rng=Random(host), notify=notices or Notices(), own_tags=own_tags)


class NodeWithAgent(SerfAgentEngine):
    """An engine whose agent starts and dies with it, as one that belongs to the node alone."""

    def __init__(self, network: FakeAgents, name: str, host: str, tags: Mapping[str, str]) -> None:
        super().__init__(Access(host, RPC_PORT), tags, rng=Random(name), notify=Notices())
        self._network = network
        self._agent_name = name
        self._host = host
        self._agent: FakeAgent | None = None

    def start(self, listener: Recorder) -> None:  # type: ignore[override]  # all that the suite gives
        if self._host in self._network.running:
            raise Unreachable(f"an agent of the same address can't start: {self._host}")
        self._agent = self._network.agent(self._agent_name, self._host)
        super().start(listener)

    def stop(self) -> None:
        super().stop()
        if self._agent is not None:
            self._agent.kill()
            self._agent = None


class TestContract(MembershipSuite):
    """The promises of every engine."""

    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        network = FakeAgents()
        harness = Harness(lambda name, host, tags: NodeWithAgent(network, name, host, tags))
        yield harness
        harness.stop()


HOST = "127.0.0.1"


class Shared:
    """One running engine on an agent that others share."""

    def __init__(self) -> None:
        self.network = FakeAgents()
        self.agent = self.network.agent("agent", fresh_host())
        self.agent.tags = {"role": "operator's", "zone": "left behind"}
        self.agent.miss(self.agent.row())
        self.recorder = Recorder()
        self.notices = Notices()
        own = frozenset({"http", "zone"})
        self.engine = make_engine(self.agent.host, {"http": "5000"}, notices=self.notices, own_tags=own)

    def start(self) -> "Shared":
        self.engine.start(self.recorder)
        return self

    def other(self, name: str) -> FakeAgent:
        """Another agent, which joins ours."""
        other = self.network.agent(name, fresh_host())
        assert self.engine.join([(other.host, 7946)]) == 1
        return other

    def agent_again(self, name: str = "agent") -> FakeAgent:
        """The agent, started anew: it has forgotten everything."""
        self.agent = self.network.agent(name, self.agent.host)
        return self.agent

    def stop(self) -> None:
        self.engine.stop()
        self.network.stop()


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    monkeypatch.setattr(engine_module, "RETRY_S", (0.001, 0.01))
    shared = Shared()
    yield shared
    shared.stop()


def test_our_tags_beside_the_operator_s(shared: Shared) -> None:
    """The operator's tags stay; what an earlier start of ours left behind, and ours no longer is, goes."""
    shared.start()
    assert shared.agent.tags == {"role": "operator's", "http": "5000"}
    assert dict(shared.engine.local().tags) == {"http": "5000"}
    shared.engine.set_tags({"zone": "b"})
    wait(lambda: shared.agent.tags == {"role": "operator's", "zone": "b"})


def test_tags_that_are_too_large_beside_the_operator_s(shared: Shared) -> None:
    """What the agent would refuse is refused at once."""
    shared.start()
    shared.engine.set_tags({"zone": "z" * 470})
    shared.agent.tags["role"] = "r" * 100
    shared.agent.drop()
    wait(lambda: "serf agent not back yet" in shared.notices.events())
    shared.agent.tags["role"] = "r"
    wait(lambda: "serf agent is back" in shared.notices.events())
    with pytest.raises(UsageError, match="512"):
        shared.engine.set_tags({"zone": "z" * 500})


def test_members_there_before_us(shared: Shared) -> None:
    """Whom the agent knows already is told as joined."""
    shared.agent.miss(FakeAgent(shared.network, "early", fresh_host()).row())
    shared.start()
    assert shared.recorder.told == [("joined", "early")]
    assert states(shared.engine) == {"agent": MemberState.ALIVE, "early": MemberState.ALIVE}


def test_nobody_answers() -> None:
    """At start that is an error that names the address and the option."""
    host = fresh_host()
    engine = make_engine(host)
    with pytest.raises(Unreachable, match=rf"{host}:7373: Connection refused.*--serf-rpc-addr"):
        engine.start(Recorder())
    assert not engine.alive
    engine.stop()


def test_no_agent_answers(shared: Shared) -> None:
    """Something else at that address is an error too, and nothing stays open."""
    shared.agent.garbage["handshake"] = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with pytest.raises(Unreachable, match="no agent's RPC"):
        shared.start()


def test_started_once(shared: Shared) -> None:
    """A second start is the caller's mistake."""
    shared.start()
    with pytest.raises(UsageError, match="already"):
        shared.engine.start(Recorder())


def test_goodbye_leaves_the_agent_alone(shared: Shared) -> None:
    """After `leave` the others see us left, the operator's tags and the agent are there; a new start takes it back."""
    shared.start()
    watcher = Recorder()
    other = shared.other("other")
    watching = make_engine(other.host)
    watching.start(watcher)
    assert shared.engine.leave(5.0)
    wait(lambda: watcher.count("left", "agent") == 1)
    assert shared.agent.tags == {"role": "operator's", "bye": "1"}
    shared.engine.broadcast("late", b"")
    shared.engine.stop()
    again = make_engine(shared.agent.host, {"http": "5001"})
    again.start(Recorder())
    wait(lambda: watcher.count("joined", "agent") == 2)
    assert dict(watcher.members["agent"].tags) == {"role": "operator's", "http": "5001"}
    assert watcher.payloads == []
    again.stop()
    watching.stop()


def test_a_goodbye_that_nobody_takes(shared: Shared) -> None:
    """An agent that hangs or refuses does not hold up the end, and the caller hears that it was not told."""
    shared.start()
    shared.agent.refusals["tags"] = "no"
    assert not shared.engine.leave(5.0)
    shared.agent.refusals.clear()
    shared.agent.silent.add("tags")
    assert not shared.engine.leave(0.01)
    shared.agent.kill()
    assert not shared.engine.leave(5.0)


def test_the_agent_is_restarted(shared: Shared) -> None:
    """The engine finds it again, gives it its tags and its members back, tells of gaps, and nobody went meanwhile."""
    shared.start()
    other = shared.other("other")
    told = list(shared.recorder.told)
    shared.agent.kill()
    wait(lambda: "serf agent lost, trying again" in shared.notices.events())
    shared.engine.broadcast("kept", b"until it is back")
    assert shared.engine.alive
    assert states(shared.engine) == {"agent": MemberState.ALIVE, "other": MemberState.ALIVE}
    assert shared.engine.join([(other.host, 7946)]) == 0
    shared.agent_again()
    wait(lambda: shared.recorder.count("lost", "") == 1)
    assert shared.agent.tags == {"http": "5000"}
    assert shared.recorder.told == [*told, ("lost", "")]
    wait(lambda: ("event", {"Name": "kept", "Payload": "until it is back", "Coalesce": False}) in shared.agent.asked)
    assert shared.recorder.payloads == []


def test_what_happened_while_the_connection_was_lost(shared: Shared) -> None:
    """A fresh listing tells who came, went, left and changed."""
    shared.start()
    gone, leaver, changed = (shared.other(name) for name in ("gone", "leaver", "changed"))
    reaped = shared.other("reaped")
    late = FakeAgent(shared.network, "late", fresh_host())
    told = len(shared.recorder.told)
    changed.tags = {"new": "tag"}
    for row in (gone.row("failed"), leaver.row("left"), changed.row(), late.row()):
        shared.agent.miss(row)
    shared.agent._rows.pop(reaped.name)
    shared.agent.drop()
    wait(lambda: shared.recorder.count("lost", "") == 1)
    news = {("failed", "gone"), ("left", "leaver"), ("updated", "changed"), ("joined", "late"), ("failed", "reaped")}
    assert set(shared.recorder.told[told:]) == {*news, ("lost", "")}


def test_events_that_the_stream_dropped(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing now and then finds them."""
    monkeypatch.setattr(engine_module, "LISTING_INTERVAL_S", 0.01)
    shared.start()
    shared.agent.miss(FakeAgent(shared.network, "quiet", fresh_host()).row())
    wait(lambda: shared.recorder.count("joined", "quiet") == 1)


def test_an_agent_that_hangs(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by the listing, and taken again when it answers."""
    monkeypatch.setattr(engine_module, "LISTING_INTERVAL_S", 0.01)
    shared.engine._access = Access(shared.agent.host, RPC_PORT, timeout_s=0.05)
    shared.start()
    shared.agent.silent.add("members")
    wait(lambda: "serf agent lost, trying again" in shared.notices.events())
    shared.agent.silent.clear()
    wait(lambda: "serf agent is back" in shared.notices.events())
    lost = next(dict(notice.fields) for notice in shared.notices.kept if notice.event.startswith("serf agent lost"))
    assert "did not answer `members` within 0.05 s" in str(lost["reason"])


def test_another_agent_at_the_address(shared: Shared) -> None:
    """Others know our content under the old agent's name: the engine ends, and says that only a restart helps."""
    shared.start()
    shared.agent.kill()
    shared.agent_again("stranger")
    wait(lambda: not shared.engine.alive)
    (failed,) = [notice for notice in shared.notices.kept if notice.event == "gossip engine failed"]
    assert "now called stranger, and was agent" in str(dict(failed.fields)["error"])


def test_bytes_that_are_no_answer(shared: Shared) -> None:
    """They end the connection, not the engine."""
    shared.start()
    shared.agent.say(b"\xc1\xc1\xc1")
    wait(lambda: shared.recorder.count("lost", "") == 1)
    assert shared.engine.alive


def test_a_member_that_can_t_be_read(shared: Shared) -> None:
    """What one odd node gossips costs nobody else anything."""
    odd = FakeAgent(shared.network, "odd", fresh_host()).row() | {"Addr": b"12345"}
    shared.agent.miss(odd)
    shared.start()
    shared.agent.learn(odd, "member-update")
    shared.other("other")
    assert set(states(shared.engine)) == {"agent", "other"}
    assert shared.recorder.count("lost", "") == 0


def test_reaped_members(shared: Shared) -> None:
    """They leave the table; nothing is told, as they were gone."""
    shared.start()
    other = shared.other("other")
    other.kill()
    wait(lambda: shared.recorder.count("failed", "other") == 1)
    shared.agent.forget("other")
    wait(lambda: set(states(shared.engine)) == {"agent"})
    assert shared.recorder.told == [("joined", "other"), ("failed", "other")]


def test_broadcasts_while_the_agent_is_away(shared: Shared) -> None:
    """As many as are sensible wait; the rest is dropped, which is said once."""
    shared.start()
    shared.agent.kill()
    wait(lambda: "serf agent lost, trying again" in shared.notices.events())
    for number in range(1100):
        shared.engine.broadcast("t", b"%d" % number)
    assert shared.notices.events().count("serf agent is slow or away, broadcasts dropped") == 1
    agent = shared.agent_again()
    wait(lambda: sum(1 for command, _ in agent.asked if command == "event") == 1024)


def test_a_refused_broadcast(shared: Shared) -> None:
    """It is said; an equal one of another node is no echo of it."""
    shared.start()
    other = shared.other("other")
    shared.agent.refusals["event"] = "user event exceeds limit"
    shared.engine.broadcast("t", b"x")
    wait(lambda: "serf agent refuses a broadcast" in shared.notices.events())
    sender = make_engine(other.host)
    sender.start(Recorder())
    sender.broadcast("t", b"x")
    wait(lambda: shared.recorder.payloads == [("t", b"x")])
    sender.stop()


def test_a_join_that_the_agent_does_not_answer(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reaches nobody, ends, and holds up nothing else meanwhile: the agent dials dead addresses for long."""
    monkeypatch.setattr(engine_module, "_JOIN_PATIENCE_S", 0.2)
    shared.start()
    shared.agent.silent.add("join")
    joining = gevent.spawn(shared.engine.join, [(HOST, 1)])
    wait(lambda: "join" in dict(shared.agent.asked))
    shared.engine.broadcast("t", b"x")
    wait(lambda: "event" in dict(shared.agent.asked))
    assert not joining.ready()
    assert joining.get(timeout=10) == 0
    assert shared.recorder.count("lost", "") == 0


def test_tags_that_are_still_being_told(shared: Shared) -> None:
    """The agent has taken them, and tells those who are slow later: that is no refusal. A real one is a warning."""
    shared.agent.refusals["tags"] = "timeout waiting for update broadcast"
    shared.start()
    shared.engine.set_tags({"zone": "a"})
    wait(lambda: [command for command, _ in shared.agent.asked].count("tags") == 2)
    shared.agent.refusals["tags"] = "no"
    shared.engine.set_tags({"zone": "b"})
    wait(lambda: "serf agent took no order" in shared.notices.events())
    assert [notice.level for notice in shared.notices.kept] == ["warning"]


def test_orders_before_the_start_and_after_the_end(shared: Shared) -> None:
    """They are no errors where the contract has none."""
    shared.engine.broadcast("t", b"early")
    assert shared.engine.members() == ()
    assert not shared.engine.leave(0.1)
    with pytest.raises(UsageError):
        shared.engine.local()
    shared.start()
    shared.engine.stop()
    assert not shared.engine.alive
    shared.engine.broadcast("t", b"late")
    assert shared.engine.join([(HOST, 1)]) == 0
    assert not [command for command, _ in shared.agent.asked if command == "event"]


def test_a_broken_listener(shared: Shared) -> None:
    """An error of ours in the reader is told as the reason of a lost connection, which is made anew."""

    class Broken(Recorder):
        def joined(self, member: Member) -> None:
            if not self.told:
                self.told.append(("tried", member.name))
                raise RuntimeError("broken listener")
            super().joined(member)

    shared.recorder = Broken()
    shared.start()
    other = FakeAgent(shared.network, "other", fresh_host())
    shared.agent.learn(other.row(), "member-join")
    wait(lambda: shared.recorder.count("lost", "") == 1)
    assert shared.engine.alive
    gevent.sleep(0)
