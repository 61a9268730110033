"""Directories of a whole cluster become equal, whatever the network does. A failure prints the seed."""

import random
from functools import partial

import pytest

from app.directory.feed import Noted
from app.directory.schedule import SETTLE_S
from tests.clusters.directory_cluster import DirectoryCluster

SEEDS = [1, 2, 3]


def keys(rng: random.Random, count: int) -> list[int]:
    return [rng.getrandbits(64) for _ in range(count)]


def cluster_of(size: int, seed: int, loss: float) -> DirectoryCluster:
    cluster = DirectoryCluster(seed, loss)
    for number in range(size):
        cluster.add(f"node-{number}")
    return cluster


@pytest.mark.parametrize("seed", SEEDS)
def test_all_directories_are_equal_after_changes_with_loss(seed: int) -> None:
    """Twenty nodes, 5 % of broadcasts and fetches lost, additions and removals for a minute: all equal in the end."""
    cluster = cluster_of(20, seed, loss=0.05)
    rng = random.Random(seed)
    pool = keys(rng, 500)
    held: dict[str, list[int]] = {name: [] for name in cluster.nodes}
    for _ in range(60):
        for name in rng.sample(sorted(held), 5):
            for key in rng.sample(pool, 6):
                cluster.add_key(name, key)
                held[name].append(key)
            if rng.random() < 0.3:
                cluster.remove_key(name, held[name].pop(rng.randrange(len(held[name]))))
        cluster.run(1.0)

    cluster.run(180.0)

    assert cluster.differences() == []
    assert cluster.total(Noted.GAP) > 0
    assert cluster.total(Noted.SYNC_FAILED) > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_joiner_equals_its_seed_after_one_request(seed: int) -> None:
    """It asks one member once, and has what that one had."""
    cluster = cluster_of(10, seed, loss=0.0)
    rng = random.Random(seed)
    for name in cluster.nodes:
        for key in keys(rng, 100):
            cluster.add_key(name, key)
    cluster.run(60.0)
    assert cluster.differences() == []

    joiner = cluster.add("joiner")
    cluster.run(SETTLE_S + 2 * cluster.latency_s)

    assert joiner.fetches == 1
    assert joiner.feed.synchronised
    assert not [line for line in cluster.differences() if line.startswith("joiner")]


def test_a_cold_start_of_all_nodes_at_once() -> None:
    """Nobody listens for two seconds, everybody has a store full of keys: within half a minute all is known."""
    cluster = DirectoryCluster(seed=5, loss=0.02)
    rng = random.Random(5)
    for number in range(15):
        cluster.add(f"node-{number}", listens_after_s=2.0)
        for key in keys(rng, 600):
            cluster.add_key(f"node-{number}", key)

    cluster.run(30.0)

    assert cluster.differences() == []


def test_a_pull_of_one_image_by_all_does_not_flood_the_gossip() -> None:
    """From 32 holders on its keys go by anti-entropy only: far fewer broadcasts than nodes, and still all is known."""
    cluster = cluster_of(60, seed=7, loss=0.0)
    cluster.run(20.0)
    image = keys(random.Random(7), 15)
    before = cluster.total(Noted.DELTA_SENT)
    for number in range(60):
        for key in image:
            cluster.at(cluster.now + number * 0.5, partial(cluster.add_key, f"node-{number}", key))

    cluster.run(30.0)
    told = cluster.total(Noted.DELTA_SENT) - before
    cluster.run(90.0)

    assert 32 <= told <= 36
    assert cluster.differences() == []


def test_removed_content_is_out_of_all_filters_within_ninety_seconds() -> None:
    """Also where the node rebuilt its filter a moment before, and the network loses broadcasts."""
    cluster = cluster_of(10, seed=11, loss=0.05)
    first, second, third = keys(random.Random(11), 3)
    for key in (first, second, third):
        cluster.add_key("node-0", key)
    cluster.run(20.0)
    cluster.remove_key("node-0", first)
    cluster.run(6.0)
    cluster.remove_key("node-0", second)

    cluster.run(90.0)

    for node in cluster.nodes.values():
        assert node.feed.directory.holders(second) == 0
    assert cluster.nodes["node-1"].feed.directory.holders(third) == 1


def test_a_quiet_cluster_is_quiet() -> None:
    """Ten minutes without changes: one sign of life per node, a few bytes compared, and all filters stay in use."""
    cluster = cluster_of(10, seed=13, loss=0.0)
    cluster.add_key("node-0", 42)
    cluster.run(60.0)
    told, answered = cluster.total(Noted.DELTA_SENT), sum(node.answered_bytes for node in cluster.nodes.values())

    cluster.run(600.0)

    assert cluster.total(Noted.DELTA_SENT) - told <= 15
    assert sum(node.answered_bytes for node in cluster.nodes.values()) - answered < 10 * 600 * 5
    assert all(node.feed.directory.usable() == 9 for node in cluster.nodes.values())
    assert cluster.differences() == []


def test_members_that_fail_and_return_are_found_again() -> None:
    """A node that was cut off for a minute and changed meanwhile is up to date with all, and they with it."""
    cluster = cluster_of(8, seed=17, loss=0.0)
    for name in cluster.nodes:
        cluster.add_key(name, 1)
    cluster.run(30.0)
    cluster.cut("node-3")
    cluster.add_key("node-3", 2)
    cluster.add_key("node-4", 3)
    cluster.run(60.0)
    assert cluster.nodes["node-0"].feed.directory.holders(1) == 6

    cluster.heal("node-3")
    cluster.run(30.0)

    assert cluster.differences() == []
    assert cluster.nodes["node-0"].feed.directory.holders(2) == 1
    assert cluster.nodes["node-3"].feed.directory.holders(3) == 1


def test_the_same_seed_gives_the_same_run() -> None:
    """So that a failure can be run again."""

    def run() -> list[tuple[str, int, int]]:
        cluster = cluster_of(6, seed=19, loss=0.1)
        for key in range(50):
            cluster.add_key(f"node-{key % 6}", key)
            cluster.run(0.3)
        return [(name, node.fetches, node.answered_bytes) for name, node in cluster.nodes.items()]

    assert run() == run()
