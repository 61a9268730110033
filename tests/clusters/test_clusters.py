"""Whole clusters on the virtual network: they form, notice, forget, split and heal as the protocol promises."""

import pytest

from gossip.membership import MemberState
from tests.clusters.cluster import Cluster


@pytest.mark.parametrize("seed", [1, 2])
def test_join_storm(seed: int) -> None:
    """A hundred nodes that start in the same instant all know each other within seconds."""
    cluster = Cluster(100, seed=seed)
    assert cluster.until(cluster.complete, 10) < 5


def test_join_storm_with_loss() -> None:
    """With 5 % of the datagrams lost sixty nodes find each other, and then none is taken for dead for a minute."""
    cluster = Cluster(60, loss=0.05, spread_s=1.0)
    cluster.until(cluster.complete, 30)
    cluster.simulation.run(60)
    assert cluster.complete()
    assert not any(what == "failed" for recorder in cluster.recorders.values() for what, _ in recorder.told)


def test_broadcast_reaches_all() -> None:
    """A broadcast is at all hundred nodes in a fraction of a second, by the eager rounds; never at its sender."""
    cluster = Cluster(100)
    cluster.until(cluster.complete, 10)
    cluster.simulation.run(5)
    cluster.nodes["n7"].broadcast("topic", b"news")
    assert cluster.until(lambda: cluster.heard(b"news") == 99, 5) < 0.5
    cluster.simulation.run(5)
    assert cluster.recorders["n7"].payloads == []
    assert all(len(recorder.payloads) <= 1 for recorder in cluster.recorders.values())


def test_burst_of_broadcasts_under_loss() -> None:
    """Of 50 broadcasts from all over a lossy cluster at least 99 % of the copies arrive: a hint, but a good one."""
    cluster = Cluster(50, loss=0.05)
    cluster.until(cluster.complete, 30)
    for number in range(50):
        cluster.nodes[f"n{number}"].broadcast("topic", b"%d" % number)
    cluster.simulation.run(20)
    copies = sum(cluster.heard(b"%d" % number) for number in range(50))
    assert copies >= 0.99 * 50 * 49


def test_crash_is_found_by_all() -> None:
    """A killed node is failed everywhere within the time of a suspicion with confirmations."""
    cluster = Cluster(60)
    cluster.until(cluster.complete, 10)
    cluster.kill("n50")
    assert cluster.until(lambda: cluster.all_see(["n50"], MemberState.FAILED), 60) < 20
    assert cluster.all_see([name for name in cluster.nodes if name != "n50"], MemberState.ALIVE)


def test_many_crashes_at_once() -> None:
    """When a third of the cluster dies in one instant the others find all of it, and none of each other."""
    cluster = Cluster(45)
    cluster.until(cluster.complete, 10)
    dead = [f"n{number}" for number in range(0, 45, 3)]
    for name in dead:
        cluster.kill(name)
    cluster.until(lambda: cluster.all_see(dead, MemberState.FAILED), 180)
    cluster.until(cluster.complete, 30)


def test_graceful_leave_is_left_at_all() -> None:
    """Who says good-bye is left everywhere, and nowhere ever failed."""
    cluster = Cluster(60)
    cluster.until(cluster.complete, 10)
    leaver = cluster.nodes.pop("n10")
    assert leaver.leave(5.0)
    leaver.stop()
    assert cluster.until(lambda: cluster.all_see(["n10"], MemberState.LEFT), 10) < 2
    cluster.simulation.run(30)
    assert not any(recorder.count("failed", "n10") for recorder in cluster.recorders.values())


@pytest.mark.parametrize("cut_s", [10, 90])
def test_partition_and_heal(cut_s: float) -> None:
    """Two halves that could not see each other, briefly or until they were declared dead, become one cluster again."""
    cluster = Cluster(30)
    cluster.until(cluster.complete, 10)
    half = [f"n{number}" for number in range(15)]
    rest = [f"n{number}" for number in range(15, 30)]
    cluster.simulation.network.partition(cluster.hosts(half))
    cluster.simulation.run(cut_s)
    if cut_s > 60:
        assert cluster.all_see(rest, MemberState.FAILED, seen_by=half)
        assert cluster.all_see(half, MemberState.FAILED, seen_by=rest)
    cluster.simulation.network.heal()
    cluster.until(cluster.complete, 60)


def test_isolated_node_returns() -> None:
    """One node that was cut off until it was dead to all finds back by itself, though nobody joins it."""
    cluster = Cluster(20)
    cluster.until(cluster.complete, 10)
    cluster.simulation.network.partition(cluster.hosts(["n4"]))
    cluster.until(lambda: cluster.all_see(["n4"], MemberState.FAILED, seen_by=["n0", "n1", "n19"]), 60)
    cluster.simulation.run(60)
    cluster.simulation.network.heal()
    cluster.until(cluster.complete, 60)


def test_restart_under_a_new_name() -> None:
    """A killed node that comes back at its address under a new name is there at once, its old name is failed later."""
    cluster = Cluster(40)
    cluster.until(cluster.complete, 10)
    host = cluster.nodes["n20"].address[0]
    cluster.kill("n20")
    cluster.add("n20-again", host=host)
    assert cluster.until(lambda: cluster.all_see(["n20-again"], MemberState.ALIVE), 10) < 3
    cluster.until(lambda: cluster.all_see(["n20"], MemberState.FAILED), 60)
    assert cluster.complete()


def test_rolling_restart() -> None:
    """All nodes, one after the other, leave and come back under a new name; in the end all are there, none failed."""
    cluster = Cluster(20)
    cluster.until(cluster.complete, 10)
    for name in list(cluster.nodes):
        leaver = cluster.nodes.pop(name)
        assert leaver.leave(5.0)
        leaver.stop()
        cluster.add(f"{name}-again", host=leaver.address[0])
        cluster.simulation.run(1)
    cluster.until(cluster.complete, 30)
    assert not any(what == "failed" for recorder in cluster.recorders.values() for what, _ in recorder.told)


def test_muted_datagrams_are_survived() -> None:
    """A node whose datagrams are lost for six seconds, while streams work, is not taken for dead."""
    cluster = Cluster(10)
    cluster.until(cluster.complete, 10)
    cluster.simulation.run(3)
    cluster.simulation.network.conditions.muted.extend(cluster.hosts(["n3"]))
    cluster.simulation.run(6)
    cluster.simulation.network.conditions.muted.clear()
    cluster.simulation.run(30)
    assert not any(recorder.count("failed", "n3") for recorder in cluster.recorders.values())
    assert cluster.complete()


def test_stalled_node_does_not_slander() -> None:
    """A node whose processor is gone for 2 s again and again accuses nobody to death, and is itself kept."""
    cluster = Cluster(10)
    cluster.until(cluster.complete, 10)
    for _ in range(10):
        cluster.nodes["n3"].stall(2.0)
        cluster.simulation.run(3)
    cluster.simulation.run(30)
    assert not any(what == "failed" for recorder in cluster.recorders.values() for what, _ in recorder.told)
    assert cluster.complete()


def test_churn_ends_in_agreement() -> None:
    """Nodes that come, crash and leave all the time: when it stops, all agree on who is there."""
    cluster = Cluster(30, seed=5)
    cluster.until(cluster.complete, 10)
    for number in range(15):
        cluster.kill(f"n{2 * number}")
        cluster.add(f"x{number}")
        cluster.simulation.run(0.7)
    cluster.until(cluster.complete, 60)
    gone = [f"n{2 * number}" for number in range(15)]
    first = [name for name in cluster.nodes if name.startswith("n")]
    cluster.until(lambda: cluster.all_see(gone, MemberState.FAILED, seen_by=first), 180)
