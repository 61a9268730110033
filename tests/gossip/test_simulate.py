"""The simulated driver: it keeps the contract, stalls like a real process, and repeats itself exactly."""

from collections.abc import Callable, Mapping

import pytest

from gossip.errors import UsageError
from gossip.membership import Membership
from gossip.simulate import SimulatedMembership, Simulation
from gossip.wire.keyring import Keyring
from tests.contracts.membership import Harness, MembershipSuite, Recorder
from tests.gossip.wire.sealing import KEYS


class SimulatedHarness:
    """Time is virtual, so everybody may take a minute."""

    def __init__(self, *, sealed: bool = False) -> None:
        self.simulation = Simulation(seed=1)
        self._sealed = sealed

    def node(self, name: str, tags: Mapping[str, str] | None = None, *, host: str = "") -> Membership:
        return self.simulation.node(name, tags, host=host, keyring=Keyring(KEYS[:2]) if self._sealed else None)

    def wait(self, condition: Callable[[], bool]) -> None:
        assert self.simulation.run_until(condition, 60.0)

    def settle(self) -> None:
        self.simulation.run(5.0)


class TestSimulatedMembership(MembershipSuite):
    """The contract, on the simulation."""

    @pytest.fixture
    def harness(self) -> Harness:
        return SimulatedHarness()


class TestSealedMembership(MembershipSuite):
    """The contract, with encryption."""

    @pytest.fixture
    def harness(self) -> Harness:
        return SimulatedHarness(sealed=True)


def pair(simulation: Simulation) -> tuple[SimulatedMembership, SimulatedMembership]:
    """Two nodes that know each other."""
    one, two = simulation.node("one"), simulation.node("two")
    one.start(Recorder())
    two.start(Recorder())
    assert two.join([one.address]) == 1
    return one, two


def life(seed: int) -> str:
    """The trace of a little cluster's first half minute."""
    simulation = Simulation(seed)
    one, two = pair(simulation)
    one.broadcast("topic", b"payload")
    simulation.run(20)
    two.stop()
    simulation.run(10)
    return simulation.trace()


def test_same_seed_same_trace() -> None:
    """A seed gives the same run twice, another seed another run."""
    assert life(1) == life(1)
    assert life(1) != life(2)


def test_stalled_node_answers_late() -> None:
    """While a node's processor is gone nothing of it is sent; what came in meanwhile is handled afterwards."""
    simulation = Simulation(1)
    one, two = pair(simulation)
    two.stall(0.3)
    before = dict(simulation.network.bytes_sent)
    one.broadcast("topic", b"payload")
    simulation.run(0.25)
    assert simulation.network.bytes_sent[two.address[0]] == before[two.address[0]]
    simulation.run(2)
    assert simulation.network.bytes_sent[two.address[0]] > before[two.address[0]]


def test_join_inside_an_event_is_refused() -> None:
    """What blocks would run the clock inside the clock: an error says so, and `begin_join` works."""
    simulation = Simulation(1)
    one, two = simulation.node("one"), simulation.node("two")
    one.start(Recorder())
    two.start(Recorder())
    results: list[object] = []

    def inside() -> None:
        two.begin_join([one.address], results.append)
        try:
            two.join([one.address])
        except UsageError as error:
            results.append(str(error))

    simulation.schedule(1.0, inside)
    simulation.run(5)
    assert 1 in results
    assert any("inside an event" in str(result) for result in results)
