"""A connection to the agent: let in or told why not, and ended with a reason."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import Timeout, socket

from gossip.errors import Unreachable
from gossip.serf_agent.connection import Access, Connection
from tests.fake_agent import RPC_PORT, FakeAgent, FakeAgents
from tests.gossip.loopback import fresh_host, wait


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    network = FakeAgents()
    yield network.agent("agent", fresh_host())
    network.stop()


def connect(agent: FakeAgent, auth_file: Path | None = None, records: list[Any] | None = None) -> Connection:
    heard = [] if records is None else records
    return Connection(Access(agent.host, RPC_PORT, auth_file, timeout_s=5.0), heard.append)


def test_the_token(agent: FakeAgent, tmp_path: Path) -> None:
    """It is read from the file at each connect; without it, or with another one, the error says what to do."""
    agent.auth_key = "secret"
    token = tmp_path / "token"
    token.write_text("secret\n")
    connection = connect(agent, token)
    assert connection.ask("members")
    connection.close()
    token.write_text("wrong")
    with pytest.raises(Unreachable, match=rf"refuses the token in {token}"):
        connect(agent, token)
    for text in ("", "\n"):
        token.write_text(text)
        with pytest.raises(Unreachable, match="is empty"):
            connect(agent, token)
    with pytest.raises(Unreachable, match="can't be read"):
        connect(agent, tmp_path / "missing")
    without = connect(agent)
    with pytest.raises(Unreachable, match="--serf-rpc-auth-file"):
        without.ask("members")
    without.close()


def test_a_refusal(agent: FakeAgent) -> None:
    """`ask` raises it, `call` returns it; the connection goes on."""
    agent.refusals["event"] = "not today"
    connection = connect(agent)
    event = {"Name": "n", "Payload": b"", "Coalesce": False}
    with pytest.raises(Unreachable, match="refuses `event`: not today"):
        connection.ask("event", event)
    assert connection.call("event", event).error == "not today"
    assert connection.ask("members")
    connection.close()


def test_an_agent_that_closes(agent: FakeAgent) -> None:
    """Those who wait and those who come later hear why."""
    connection = connect(agent)
    agent.silent.add("stats")
    waiting = gevent.spawn(connection.call, "stats")
    wait(lambda: ("stats", None) in agent.asked)
    agent.drop()
    with pytest.raises(Unreachable, match="closed the connection"):
        waiting.get(timeout=10)
    with pytest.raises(Unreachable, match="closed the connection"):
        connection.call("stats")
    connection.close()


def test_a_silent_agent(agent: FakeAgent) -> None:
    """A call that is not answered in time ends the connection: its answer could come at any moment."""
    connection = connect(agent)
    agent.silent.add("stats")
    with pytest.raises(Unreachable, match=r"did not answer `stats` within 0.01 s"):
        connection.call("stats", timeout_s=0.01)
    assert connection.ended.is_set()
    connection.close()


def test_the_caller_s_own_timeout(agent: FakeAgent) -> None:
    """A timer of the caller's is the caller's, and the connection goes on."""
    connection = connect(agent)
    agent.silent.add("stats")
    with pytest.raises(Timeout), Timeout(0.01):
        connection.call("stats")
    assert connection.ask("members")
    connection.close()


def test_several_calls_at_once(agent: FakeAgent) -> None:
    """Each gets its own answer, whatever comes between."""
    records: list[Any] = []
    connection = connect(agent, records=records)
    connection.ask("stream", {"Type": "user"})
    calls = [gevent.spawn(connection.ask, command) for command in ("members", "stats") * 20]
    agent.emit({"Event": "user", "Name": "n", "Payload": b""})
    answers = [call.get(timeout=10) for call in calls]
    assert [b"Members" in answer for answer in answers] == [True, False] * 20
    assert len(records) == 1
    connection.close()


def test_a_handshake_that_never_ends(agent: FakeAgent) -> None:
    """An agent that says nothing is no agent, and nothing stays open."""
    agent.silent.add("handshake")
    with pytest.raises(Unreachable, match="did not answer `handshake`"):
        Connection(Access(agent.host, RPC_PORT, timeout_s=0.01), lambda record: None)


def test_a_slow_agent() -> None:
    """Bytes that come one by one are put together."""
    answers = (b"\x82\xa3Seq\x01\xa5Error\xa0", b"\x82\xa3Seq\x02\xa5Error\xa0\x81\xa7Members\x90")

    def trickle(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            for answer in answers:
                client.recv(1 << 16)
                for byte in answer:
                    client.sendall(bytes((byte,)))
                    gevent.sleep(0)

    with socket.create_server((fresh_host(), RPC_PORT)) as server:
        slow = gevent.spawn(trickle, server)
        connection = Connection(Access(server.getsockname()[0], RPC_PORT), lambda record: None)
        assert connection.ask("members") == {b"Members": []}
        connection.close()
        slow.join(timeout=10)


def test_how_an_address_is_shown() -> None:
    """An IPv6 host stands in brackets."""
    assert Access("::1", 7373).shown == "[::1]:7373"
    assert Access("127.0.0.1", 7373).shown == "127.0.0.1:7373"
