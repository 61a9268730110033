"""`make run`: three nodes on loopback, and an image that only the first one holds, pulled through the second.

Every node is a real `rykte serve` process with an OCI image layout as its store. There is no upstream
registry, so every byte that the client gets came from a peer. `--once` ends after the pull, with exit
code 0 only if every digest was right; otherwise the nodes stay up until Ctrl-C.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.client import Pulled, PullFailed, pull
from bench.nodes import LoopbackNode, NodeFailed, wait_for
from tests.images import build_image, write_layout

IMAGE = "registry.example/demo/hello:1.0"
LAYER_BYTES = (200_000, 3_000_000, 20_000_000)


def say(text: str) -> None:
    print(text, flush=True)


def prepare(root: Path) -> list[LoopbackNode]:
    """Three nodes; the first one's layout has the image, those of the others are empty."""
    layers = [random.Random(size).randbytes(size) for size in LAYER_BYTES]
    image = build_image(layers=layers)
    nodes = [LoopbackNode.make(number, root) for number in (1, 2, 3)]
    for node in nodes:
        write_layout(node.layout, {IMAGE: image} if node is nodes[0] else {})
    say(f"image    {IMAGE}, {sum(LAYER_BYTES) / 1e6:.1f} MB in {len(LAYER_BYTES)} layers, is on node-1 only")
    return nodes


def form(nodes: list[LoopbackNode]) -> None:
    """Start all nodes and wait until each is ready and sees the others."""
    begun = time.monotonic()
    for node in nodes:
        node.start(seed=None if node is nodes[0] else nodes[0])
    for node in nodes:
        wait_for(f"{node.name} is ready", node.is_ready)
        say(f"start    {node.name}: registry {node.registry}  metrics {node.metrics}/metrics  log {node.log}")
    for node in nodes:
        wait_for(f"{node.name} sees all {len(nodes)} nodes", partial(sees, node, nodes))
    say(f"gossip   all {len(nodes)} nodes see each other, {time.monotonic() - begun:.2f} s after the first was started")


def demonstrate(nodes: list[LoopbackNode]) -> list[Pulled]:
    """Pull through node-2 what node-1 has; say what came and from where."""
    first, second, _third = nodes
    wait_for("node-1's image is known to node-2", partial(second.knows_holders, IMAGE))
    begun = time.monotonic()
    pulled = pull(second.registry, IMAGE)
    seconds = time.monotonic() - begun
    for content in pulled:
        say(
            f"pull     {content.digest[:19]}…  {content.size:>10,} bytes  {content.seconds * 1e3:6.1f} ms  digest right"
        )
    size = sum(content.size for content in pulled)
    rate = size / seconds / 1e6
    say(f"pull     {size / 1e6:.1f} MB through node-2 in {seconds:.3f} s ({rate:.0f} MB/s); upstream: none exists")
    wait_for("node-1 has counted its answers", lambda: first.sample('rykte_sent_bytes_total{source="local"') >= size)
    say(f"proof    node-1 sent {first.sample('rykte_sent_bytes_total'):,.0f} bytes to its peer")
    return pulled


def sees(node: LoopbackNode, others: list[LoopbackNode]) -> bool:
    """Whether the node believes all of these alive; nodes of somebody else on this machine don't count."""
    return {other.name for other in others} <= node.nodes_alive()


def point_the_way(nodes: list[LoopbackNode]) -> None:
    """Say where to look further."""
    api = nodes[1].metrics
    say(f"look     .venv/bin/rykte members --api {api}")
    say(f"look     .venv/bin/rykte holders {IMAGE} --api {api}")
    say(f"look     curl -s {api}/metrics | grep ^rykte_")
    say(f"look     curl -sI '{nodes[2].registry}/v2/demo/hello/manifests/1.0?ns=registry.example'")


def main(arguments: list[str]) -> int:
    """Run the demonstration; the process's exit code."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__.partition("\n")[0])
    parser.add_argument("--once", action="store_true", help="end after the pull")
    once = parser.parse_args(arguments).once
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="rykte-demo-") as directory:
        nodes = prepare(Path(directory))
        try:
            form(nodes)
            demonstrate(nodes)
            point_the_way(nodes)
            if not once:
                say("running  until Ctrl-C")
                signal.pause()
        except (NodeFailed, PullFailed) as error:
            say(f"FAILED   {error}")
            return 1
        except KeyboardInterrupt:
            say("")
        finally:
            for node in reversed(nodes):
                node.stop()
    say("end      all nodes have left")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
