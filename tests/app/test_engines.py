"""The engines that the configuration can name."""

from random import Random

import pytest

from app.config.config import Config
from app.config.option import options_of
from app.engines import ENGINES
from app.gossip_keys.file import GossipKeys
from gossip.errors import Unreachable
from tests.contracts.membership import Recorder
from tests.fake_agent import FakeAgents
from tests.gossip.loopback import Notices, fresh_host


def test_each_choice_has_an_engine() -> None:
    """And no other has."""
    (engine,) = (each for each in options_of(Config) if each.flag == "--engine")
    for name in ENGINES:
        assert engine.parse(name) == name
    with pytest.raises(ValueError, match="write " + " or ".join(ENGINES)):
        engine.parse("other")


def test_making_one_starts_nothing() -> None:
    """It is not alive, and can be stopped."""
    for name in ENGINES:
        config = Config.from_options({"engine": name, "advertise_addr": "127.0.0.1", "node_name": "n"})
        engine = ENGINES[name](config, GossipKeys(None), Random(1), Notices())
        assert not engine.alive
        engine.stop()


def test_the_agent_that_the_options_name() -> None:
    """It gets the node's tags; where none answers, the error names the address."""
    network, host = FakeAgents(), fresh_host()
    given = {"engine": "serf", "serf_rpc_addr": f"{host}:7373", "advertise_addr": host, "node_name": "n", "zone": "z"}
    make = ENGINES["serf"]
    absent = make(Config.from_options(given), GossipKeys(None), Random(1), Notices())
    with pytest.raises(Unreachable, match=f"{host}:7373"):
        absent.start(Recorder())
    absent.stop()
    agent = network.agent("agent", host)
    agent.tags = {"region": "of an earlier start", "role": "operator's"}
    agent.miss(agent.row())
    engine = make(Config.from_options(given), GossipKeys(None), Random(1), Notices())
    engine.start(Recorder())
    assert set(agent.tags) == {"node", "v", "http", "start", "zone", "role"}
    assert agent.tags["node"] == "n"
    engine.stop()
    network.stop()
