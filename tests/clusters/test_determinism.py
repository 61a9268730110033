"""The same seed gives the same run, also in another process with other hash values."""

import os
import subprocess
import sys
from pathlib import Path

from tests.clusters.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "from tests.clusters.test_determinism import eventful_life; print(eventful_life(7))"


def eventful_life(seed: int) -> str:
    """The trace of twenty nodes with loss, a broadcast, a crash, a leave and a partition."""
    cluster = Cluster(20, seed=seed, loss=0.05)
    cluster.until(cluster.complete, 30)
    cluster.nodes["n1"].broadcast("topic", b"payload")
    cluster.kill("n2")
    cluster.nodes["n3"].set_tags({"zone": "b", "role": "x"})
    cluster.nodes["n4"].begin_leave(5.0, lambda _told: None)
    cluster.simulation.network.partition(cluster.hosts(["n5", "n6", "n7"]))
    cluster.simulation.run(40)
    cluster.simulation.network.heal()
    cluster.simulation.run(20)
    return cluster.simulation.trace()


def test_same_trace_in_two_processes() -> None:
    """Whatever PYTHONHASHSEED is, a seed's trace is one and the same; another seed's is another."""
    traces = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        finished = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        traces.append(finished.stdout.strip())
    assert len(traces[0]) == 32
    assert traces == [eventful_life(7)] * 2
    assert eventful_life(8) != traces[0]
