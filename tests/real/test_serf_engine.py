"""The Serf engine keeps the contract with stock agents: one agent for each node, started and killed with it.

The suite is the embedded engine's. What an agent can't do is in docs/engines.md; nothing of it is in the suite.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from random import Random

import pytest

from gossip.errors import Unreachable
from gossip.membership import MembershipListener
from gossip.serf_agent.connection import Access
from gossip.serf_agent.engine import SerfAgentEngine
from tests.contracts.membership import MembershipSuite, Recorder, states
from tests.gossip.loopback import PORT, Harness, Notices, fresh_host
from tests.real.serf_agent import AgentFailed, SerfAgent

#: Agents hold events back until none has come for 1 s, at most 3 s.
SETTLE_S = 3.5


class NodeWithAgent(SerfAgentEngine):
    """An engine and the agent that belongs to it alone."""

    def __init__(self, name: str, host: str, rpc_port: int, tags: Mapping[str, str]) -> None:
        self.notices = Notices()
        super().__init__(Access(host, rpc_port), tags, rng=Random(name), notify=self.notices)
        self._agent = SerfAgent(name, host, PORT, rpc_port=rpc_port)

    def start(self, listener: MembershipListener) -> None:
        try:
            self._agent.start()
        except AgentFailed:  # its address is taken: then nobody answers the engine
            self._agent.kill()
        super().start(listener)

    def stop(self) -> None:
        super().stop()
        self._agent.close()


class TestSerfAgentEngine(MembershipSuite):
    """The contract, on stock agents."""

    @pytest.fixture
    def harness(self) -> Iterator[Harness]:
        rpc_ports = count(7373)
        harness = Harness(lambda name, host, tags: NodeWithAgent(name, host, next(rpc_ports), tags), SETTLE_S)
        yield harness
        harness.stop()


def test_an_agent_with_a_token_and_tags_of_its_own(tmp_path: Path) -> None:
    """The operator's tags stay beside ours from start to goodbye, and the agent lives on."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    with SerfAgent("agent", fresh_host(), PORT, {"role": "operators"}, token="secret") as agent:
        access = Access(agent.host, agent.rpc_port, token)
        engine = SerfAgentEngine(access, {"http": "5000"}, rng=Random(1), notify=Notices())
        engine.start(Recorder())
        assert agent.members()["agent"] == ("alive", {"role": "operators", "http": "5000"})
        assert states(engine).keys() == {"agent"}
        assert engine.leave(5.0)
        engine.stop()
        assert agent.members()["agent"] == ("alive", {"role": "operators", "bye": "1"})


def test_a_token_that_is_missing_or_wrong(tmp_path: Path) -> None:
    """The start fails, and the error says what to give."""
    token = tmp_path / "token"
    token.write_text("wrong\n")
    with SerfAgent("agent", fresh_host(), PORT, token="secret") as agent:
        for file, words in ((None, "--serf-rpc-auth-file"), (token, f"refuses the token in {token}")):
            access = Access(agent.host, agent.rpc_port, file)
            engine = SerfAgentEngine(access, {}, rng=Random(1), notify=Notices())
            with pytest.raises(Unreachable, match=words):
                engine.start(Recorder())
            engine.stop()
