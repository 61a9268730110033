"""What a lookup costs, and how fast a cluster learns who holds what, by its size.

Method. Lookups: this process, filters of 1,000 keys, medians of 2,000 questions; `nobody` is a key that no filter has,
`three` one that three have, `all` one that all have. `load` is taking in one whole filter.
Spreading: the simulated gossip (virtual clock, 0.2 to 1 ms one way, no loss, LAN settings, seed 1). `one key`: seconds
from a node's new key until half, and 99 % of the others take it for a holder, medians of five. `same image`: every node
gains the same 15 keys, at random moments of 30 s; `other images`: 15 keys of its own each. For both, the deltas sent
by all, the bytes a second that a node sends (datagrams and streams of the gossip; anti-entropy apart), and the
seconds after the end of the 30 s until all directories are exact.

Usage: python -m bench.directory [SIZE ...]
"""

import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from app.directory.bloom import Bloom, log2_for
from app.directory.feed import Noted
from app.directory.index import FilterIndex
from tests.clusters.directory_on_swim import SwimDirectories

_PULL_S, _KEYS = 30.0, 15


def main(sizes: list[int]) -> None:
    """Print both tables."""
    print("lookup, microseconds\n  filters  nobody  three    all   load")
    for size in (50, 500, 1000, 5000):
        print(f"  {size:7}  " + "  ".join(f"{value:5.1f}" for value in lookups(size)))
    print("spreading\n  nodes  one key 50 %, 99 % (s)   same image: deltas, B/s, s    other images: deltas, B/s, s")
    for size in sizes:
        half, most = one_key(size)
        same, other = pull(size, same=True), pull(size, same=False)
        print(f"  {size:5}  {half:11.3f}, {most:6.3f}        {same:>28}  {other:>30}", flush=True)


def lookups(size: int) -> tuple[float, float, float, float]:
    """Nobody, three, all, load."""
    rng = random.Random(1)
    log2 = log2_for(1000, size)
    filters = [Bloom.of((rng.getrandbits(64) for _ in range(1000)), log2) for _ in range(16)]
    index: FilterIndex[int] = FilterIndex()
    load = statistics.median(timed(partial(index.put, owner, filters[owner % 16], True)) for owner in range(size))
    nobody = statistics.median(timed(partial(index.match, rng.getrandbits(64))) for _ in range(2000))
    key = rng.getrandbits(64)
    for owner in range(3):
        index.add(owner * size // 3, key)
    three = statistics.median(timed(partial(index.match, key)) for _ in range(2000))
    for owner in range(size):
        index.add(owner, key)
    return nobody, three, statistics.median(timed(partial(index.match, key)) for _ in range(200)), load


def timed(act: Callable[[], object]) -> float:
    """Microseconds."""
    begin = time.perf_counter()
    act()
    return (time.perf_counter() - begin) * 1e6


def settled(size: int) -> SwimDirectories:
    """A cluster at rest."""
    cluster = SwimDirectories(size, seed=1)
    cluster.settle()
    cluster.simulation.run(30.0)
    return cluster


def one_key(size: int) -> tuple[float, float]:
    """Seconds until 50 % and 99 % know."""
    cluster, rng = settled(size), random.Random(1)
    took: list[tuple[float, float]] = []
    for number in range(5):
        node, key = cluster.nodes[number * (size - 1) // 4], rng.getrandbits(64)
        begin = cluster.simulation.now
        node.add(key)
        times = []
        for share in (0.5, 0.99):
            enough = share * (size - 1)
            cluster.simulation.run_until(partial(known, cluster, key, node.name, enough), 60.0)
            times.append(cluster.simulation.now - begin)
        took.append((times[0], times[1]))
        cluster.simulation.run(5.0)
    return statistics.median(each[0] for each in took), statistics.median(each[1] for each in took)


def known(cluster: SwimDirectories, key: int, holder: str, enough: float) -> bool:
    """Whether so many know that the holder has the key."""
    return cluster.knowing(key, holder) >= enough


def pull(size: int, *, same: bool) -> str:
    """Deltas, bytes a second and node, seconds until all is exact."""
    cluster, rng = settled(size), random.Random(2)
    simulation = cluster.simulation
    image = [rng.getrandbits(64) for _ in range(_KEYS)]
    deltas, sent = cluster.total(Noted.DELTA_SENT), sum(simulation.network.bytes_sent.values())
    for node in cluster.nodes:
        begin = simulation.now + rng.uniform(0.0, 0.8 * _PULL_S)
        for number, key in enumerate(image if same else [rng.getrandbits(64) for _ in range(_KEYS)]):
            # layers land one after another, within a fifth of the time
            simulation.schedule(begin + 0.2 * _PULL_S * number / _KEYS, partial(node.add, key))
    simulation.run(_PULL_S)
    deltas, sent = cluster.total(Noted.DELTA_SENT) - deltas, sum(simulation.network.bytes_sent.values()) - sent
    begin = simulation.now
    for _ in range(120):
        if not cluster.differences():
            break
        simulation.run(1.0)
    return f"{deltas:6}, {sent / size / _PULL_S:8.0f}, {simulation.now - begin:4.0f}"


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [10, 50])
