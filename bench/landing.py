"""How long after a layer has landed on one node another node finds it: real containerds, real gossip.

Method: four nodes in network namespaces, each with its own containerd and Rykte; node 1 pulls images of 24 layers of
64 kB from a real registry. inotify on its content store tells when a layer's file is in place; so many milliseconds
later node 4's mirror is asked once by HEAD. A row says how many of 24 were found. Needs root and the parts that
`make setup` brings; run it on a quiet machine: `python -m bench.landing [--nodes 4] [--release 1.6]`.
"""

# ruff: noqa: E402 - the lab's gRPC client needs the patch before its imports
from gevent import monkey

monkey.patch_all()

import argparse
import time

import gevent
from gevent.socket import wait_read
from inotify_simple import INotify, flags

from tests.real.lab.containerd import Release, releases
from tests.real.lab.image import Image
from tests.real.lab.lab import Lab
from tests.real.lab.node import Node

DELAYS_MS = (5, 20, 50, 100, 300)
LAYERS = 24
LAYER_BYTES = 64 * 1024


def found_after(lab: Lab, delay_ms: int) -> int:
    """How many layers of a new image the last node finds so long after each has landed on the first."""
    first, *_, last = lab.nodes.values()
    image = Image.of(f"landing-{delay_ms}-{time.time_ns()}", *[LAYER_BYTES] * LAYERS)
    tag = f"d{delay_ms}"
    lab.upstream.push(image, "bench/landing", tag)
    layers = {layer.digest.partition(":")[2] for layer in image.layers}
    watch = INotify(nonblocking=True)
    watch.add_watch(first.containerd.content / "blobs/sha256", flags.MOVED_TO)
    pull = gevent.spawn(first.pull, f"bench/landing:{tag}")
    questions: list[gevent.Greenlet[..., int]] = []
    give_up_at = time.monotonic() + 60
    while len(questions) < LAYERS and time.monotonic() < give_up_at:
        wait_read(watch.fileno(), timeout=60)
        for event in watch.read(timeout=0):
            if event.name in layers:
                questions.append(gevent.spawn_later(delay_ms / 1e3, ask, last, event.name))
    pull.get()
    watch.close()
    return sum(question.get() == 200 for question in questions)


def ask(node: Node, hexadecimal: str) -> int:
    return node.rykte.registry("HEAD", f"bench/landing/blobs/sha256:{hexadecimal}").status


def measure(release: Release, nodes: int) -> None:
    """Print one row for this containerd."""
    with Lab(release, [f"n{number}" for number in range(1, nodes + 1)]) as lab:
        lab.heal()
        lab.start_mirrors()
        warm_up = Image.of("warm-up", LAYER_BYTES)
        lab.upstream.push(warm_up, "bench/landing", "warm-up")
        lab.nodes["n1"].pull("bench/landing:warm-up")
        cells = [f"{found_after(lab, delay_ms):>5}" for delay_ms in DELAYS_MS]
        print(f"{release.label:<16}{nodes:>6}  " + "".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.landing", description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--release", default="", help="part of a release's name, such as 1.6; default: all")
    options = parser.parse_args()
    print(f"found, of {LAYERS} asked once, so many ms after landing:")
    print(f"{'containerd':<16}{'nodes':>6}  " + "".join(f"{delay:>5}" for delay in DELAYS_MS))
    for release in releases():
        if options.release in release.label:
            measure(release, options.nodes)


if __name__ == "__main__":
    main()
