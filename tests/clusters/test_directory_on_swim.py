"""The directory over the real gossip protocol, on its virtual clock: both together keep what each promises."""

import random

from app.directory.feed import Noted
from tests.clusters.directory_on_swim import SwimDirectories

KEY = 0x0123456789ABCDEF


def test_a_new_key_is_known_to_all_within_a_second() -> None:
    """Thirty nodes, no loss: by gossip alone, without a gap."""
    cluster = SwimDirectories(30, seed=1)
    assert cluster.settle()
    gaps = cluster.total(Noted.GAP)

    cluster.nodes[7].add(KEY)

    assert cluster.simulation.run_until(lambda: cluster.knowing(KEY, "n7") == 29, 1.0)
    assert cluster.total(Noted.GAP) == gaps


def test_lost_datagrams_are_repaired() -> None:
    """A tenth of all datagrams lost, every node with news for ten seconds: a minute later all directories are equal."""
    cluster = SwimDirectories(12, seed=2)
    assert cluster.settle()
    cluster.simulation.network.conditions.loss = 0.1
    rng = random.Random(2)
    for _ in range(10):
        for node in cluster.nodes:
            for _ in range(3):
                node.add(rng.getrandbits(64))
        cluster.simulation.run(1.0)

    assert cluster.simulation.run_until(lambda: cluster.differences() == 0, 60.0)


def test_a_node_that_vanishes_is_no_candidate_once_it_is_found_dead() -> None:
    """The failure detector's verdict takes it out of all answers."""
    cluster = SwimDirectories(6, seed=3)
    assert cluster.settle()
    cluster.nodes[2].add(KEY)
    assert cluster.simulation.run_until(lambda: cluster.knowing(KEY, "n2") == 5, 5.0)

    cluster.nodes[2].kill()

    assert cluster.simulation.run_until(lambda: cluster.knowing(KEY, "n2") == 0, 60.0)
