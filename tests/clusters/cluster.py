"""Many simulated nodes at once, and the questions that tests ask of them."""

from collections.abc import Callable, Sequence
from functools import partial

from gossip.membership import MemberState
from gossip.simulate import SimulatedMembership, Simulation
from gossip.swim.settings import LAN, Settings
from gossip.virtual import Conditions
from gossip.wire.keyring import Key, Keyring
from tests.contracts.membership import Recorder

PRESENT = (MemberState.ALIVE, MemberState.SUSPECT)


class Cluster:
    """Nodes `n0`, `n1` ... that have all been started and have begun to join the first three."""

    def __init__(
        self,
        size: int,
        *,
        seed: int = 1,
        loss: float = 0.0,
        settings: Settings = LAN,
        spread_s: float = 0.0,
        keys: Sequence[Key] = (),
    ) -> None:
        """`spread_s` is the time in which the nodes appear, evenly; 0 is all at once. With `keys` all is encrypted."""
        self.simulation = Simulation(seed, Conditions(loss=loss))
        self.settings = settings
        self.keys = keys
        self.keyrings: dict[str, Keyring] = {}
        self.nodes: dict[str, SimulatedMembership] = {}
        self.recorders: dict[str, Recorder] = {}
        for number in range(size):
            self.simulation.schedule(spread_s * number / size, partial(self._appear, f"n{number}"))
        self.simulation.run(spread_s)

    def add(self, name: str, host: str = "") -> SimulatedMembership:
        """One more node, which begins to join the first three there are."""
        if self.keys:
            self.keyrings[name] = Keyring(self.keys)
        node = self.simulation.node(name, host=host, settings=self.settings, keyring=self.keyrings.get(name))
        recorder = Recorder()
        seeds = [other.address for other in list(self.nodes.values())[:3]]
        self.nodes[name], self.recorders[name] = node, recorder
        node.start(recorder)
        node.begin_join(seeds, lambda _reached: None)
        return node

    def _appear(self, name: str) -> None:
        self.add(name)

    def kill(self, name: str) -> None:
        """A node vanishes; nobody asks it any more."""
        self.nodes.pop(name).stop()

    def hosts(self, names: Sequence[str]) -> list[str]:
        """Where these nodes live."""
        return [self.nodes[name].address[0] for name in names]

    def all_see(self, names: Sequence[str], state: MemberState, seen_by: Sequence[str] | None = None) -> bool:
        """Whether all nodes (or those of `seen_by`) hold all these members for being in this state."""
        return all(self._state(observer, name) is state for observer in seen_by or self.nodes for name in names)

    def complete(self) -> bool:
        """Whether every node sees every other alive."""
        return self.all_see(list(self.nodes), MemberState.ALIVE)

    def until(self, condition: Callable[[], bool], timeout_s: float) -> float:
        """Let time pass until `condition` holds; returns how long it took. The seed is in the error."""
        started = self.simulation.now
        steps = 0
        # Asked every 20 ms of the virtual clock, not after every event: the question costs n x n.
        while not condition():
            self.simulation.run(0.02)
            steps += 1
            if self.simulation.now - started > timeout_s:
                raise AssertionError(f"not within {timeout_s} s; seed {self.simulation.seed}")
        return self.simulation.now - started

    def heard(self, payload: bytes) -> int:
        """How many nodes have received this payload."""
        return sum(any(item[1] == payload for item in self.recorders[name].payloads) for name in self.nodes)

    def _state(self, observer: str, name: str) -> MemberState | None:
        entry = self.recorders[observer].members.get(name)
        if observer == name:
            return self.nodes[name].local().state
        return None if entry is None else entry.state
