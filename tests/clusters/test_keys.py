"""Clusters with keys: as good as those without, and keys that are exchanged under traffic without anybody noticing."""

from collections.abc import Callable
from functools import partial
from operator import methodcaller

from gossip.wire.keyring import Key, Keyring
from tests.clusters.cluster import Cluster
from tests.contracts.membership import Recorder
from tests.gossip.wire.sealing import KEYS

OLD, NEW, OTHER = KEYS[:3]
#: From one node that takes a step of the rotation to the next: files and Secrets arrive one after the other.
STEP_S = 0.5


def formed(size: int) -> Cluster:
    cluster = Cluster(size, spread_s=1.0, keys=[OLD])
    cluster.until(cluster.complete, 30)
    cluster.simulation.run(10)
    return cluster


def untroubled(cluster: Cluster) -> bool:
    """Whether nobody is or ever was suspected, failed or left in anybody's eyes."""
    told = {what for recorder in cluster.recorders.values() for what, _ in recorder.told}
    return cluster.complete() and told == {"joined"} and all(node.swim.health == 0 for node in cluster.nodes.values())


def step(cluster: Cluster, change: Callable[[Keyring], None]) -> None:
    """Change one node's ring after the other's, while each in turn tells the others something."""
    for number, name in enumerate(list(cluster.nodes)):
        change(cluster.keyrings[name])
        cluster.nodes[name].broadcast("rotation", b"%d" % number)
        cluster.simulation.run(STEP_S)
        cluster.until(partial(all_heard, cluster, b"%d" % number), 5)
    for recorder in cluster.recorders.values():
        recorder.payloads.clear()


def all_heard(cluster: Cluster, payload: bytes) -> bool:
    return cluster.heard(payload) == len(cluster.nodes) - 1


def follows(*keys: Key) -> Callable[[Keyring], None]:
    """A key file that holds these now."""
    return lambda ring: ring.follow(keys)


def test_a_large_cluster_with_keys() -> None:
    """A hundred nodes with a key find each other, and hear a broadcast, as fast as those without."""
    cluster = Cluster(100, keys=[OLD])
    assert cluster.until(cluster.complete, 10) < 5
    cluster.simulation.run(5)
    cluster.nodes["n7"].broadcast("topic", b"news")
    assert cluster.until(lambda: cluster.heard(b"news") == 99, 5) < 0.5


def test_rotation_by_files() -> None:
    """Second to all, first to all, old one dropped, node by node: every broadcast arrives, nobody is suspected."""
    cluster = formed(20)
    for change in (follows(OLD, NEW), follows(NEW, OLD), follows(NEW)):
        step(cluster, change)
        assert untroubled(cluster)
    assert all(ring.keys == (NEW,) for ring in cluster.keyrings.values())
    cluster.keys = [NEW]
    cluster.add("late")
    cluster.until(cluster.complete, 10)


def test_rotation_by_queries() -> None:
    """The steps as `serf keys` takes them: installed, used, the old one removed."""
    cluster = formed(12)
    for change in (methodcaller("add", NEW), methodcaller("use", NEW), methodcaller("remove", OLD)):
        step(cluster, change)
        assert untroubled(cluster)
    assert all(ring.keys == (NEW,) for ring in cluster.keyrings.values())


def test_a_rotation_in_the_wrong_order_is_noticed() -> None:
    """A node that seals with a key which the others don't have yet is found failed; with the key they all return."""
    cluster = formed(8)
    cluster.keyrings["n3"].follow([NEW])
    others = [recorder for name, recorder in cluster.recorders.items() if name != "n3"]
    cluster.until(lambda: all(recorder.count("failed", "n3") for recorder in others), 60)
    cluster.keyrings["n3"].follow([OLD, NEW])
    cluster.until(cluster.complete, 60)


def test_strangers_stay_outside() -> None:
    """A node with another key, or with none, reaches nobody and is known to nobody."""
    cluster = formed(5)
    seeds = [node.address for node in cluster.nodes.values()]
    notices: list[str] = []
    for name, keyring in (("plain", None), ("other", Keyring([OTHER]))):
        stranger = cluster.simulation.node(name, keyring=keyring, notify=lambda notice: notices.append(notice.event))
        stranger.start(Recorder())
        assert stranger.join(seeds) == 0
        assert [member.name for member in stranger.members()] == [name]
        stranger.stop()
    assert "stream refused" in notices
    assert untroubled(cluster)
    assert {len(node.members()) for node in cluster.nodes.values()} == {5}
