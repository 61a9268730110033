"""Pulls by real containerds through Rykte, on three nodes and a fourth that comes later, with a real registry upstream.

What counts is what containerd ends up with and what reached the upstream registry. Each test has an image of its own.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from tests.real.lab.image import MEBIBYTE, Image
from tests.real.lab.lab import Lab
from tests.real.lab.node import Node
from tests.real.lab.upstream import NAME, Request
from tests.real.lab.waiting import eventually


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """Everything runs and all mirrors know of each other."""
    shared_lab.heal()
    shared_lab.start_mirrors()
    return shared_lab


def requests_during(lab: Lab, act: Callable[[], object]) -> list[Request]:
    """What reached the upstream registry while `act` ran."""
    before = len(lab.upstream.requests())
    act()
    return lab.upstream.requests()[before:]


def served_by_peers(node: Node) -> float:
    """Requests that this node's mirror answered with a peer's content so far."""
    return node.rykte.sample("rykte_mirror_requests_total", outcome="hit", source="peer")


def test_peers_serve_while_upstream_is_stopped(lab: Lab):
    """One node has pulled; with the registry stopped the others pull by tag and by digest, at once and right."""
    image = Image.of("peers", 1000, 4 * MEBIBYTE, 12 * MEBIBYTE)
    lab.upstream.push(image, "team/peers", "v1")
    first, second, third = lab.nodes["n1"], lab.nodes["n2"], lab.nodes["n3"]
    first.pull("team/peers:v1")
    lab.upstream.process.stop()
    calls = [second.start_pull("team/peers:v1"), third.start_pull(f"team/peers@{image.digest}")]
    assert [outcome for call in calls if not (outcome := call.outcome()).ok] == []
    assert second.has_whole(image)
    assert third.has_whole(image)
    assert second.points_to("team/peers:v1") == image.digest
    assert served_by_peers(second) > 0
    assert served_by_peers(third) > 0


def test_peers_serve_ctr(lab: Lab):
    """containerd's own command pulls from a peer as the kubelet does."""
    image = Image.of("ctr", 1000, MEBIBYTE)
    lab.upstream.push(image, "team/ctr", "v1")
    lab.nodes["n3"].pull("team/ctr:v1")
    lab.upstream.process.stop()
    lab.nodes["n1"].pull_by_ctr("team/ctr:v1")
    assert lab.nodes["n1"].has_whole(image)


def head(node: Node, repository: str, image: Image, reference: str) -> int:
    """The status with which a node's mirror answers for the tag or for one of the contents of `image`."""
    is_blob = reference in image.digests and reference != image.digest
    return node.rykte.registry("HEAD", f"{repository}/{'blobs' if is_blob else 'manifests'}/{reference}").status


def wait_until_collected(node: Node, repository: str, image: Image, digest: str) -> None:
    """containerd takes the file in its own time; from then on the mirror may not serve it."""
    eventually(lambda: not node.has_file(digest), 30, f"garbage collection has taken {digest}")
    eventually(lambda: head(node, repository, image, digest) == 404, 2, f"{digest} is not served any more")


def wait_until_told(lab: Lab, node: Node, reference: str, timeout_s: float, *, held: bool) -> None:
    """All other mirrors take `node` for a holder, or none does."""
    others = [other for other in lab.nodes.values() if other is not node]
    eventually(
        lambda: all((node.name in other.rykte.holders(reference)) is held for other in others),
        timeout_s,
        f"all other mirrors know that {node.name} {'has' if held else 'has not'} {reference}",
    )


def test_removed_image(lab: Lab):
    """A removed image: its tag is gone at once, a digest as soon as its file is, all of it from all filters in 90 s."""
    image, node, tag = Image.of("removed", 1000, MEBIBYTE), lab.nodes["n1"], f"{NAME}/team/removed:v1"
    lab.upstream.push(image, "team/removed", "v1")
    node.pull("team/removed:v1")
    for reference in (tag, *image.digests):
        wait_until_told(lab, node, reference, 10, held=True)
    assert {head(node, "team/removed", image, reference) for reference in ("v1", *image.digests)} == {200}
    node.remove("team/removed:v1")
    eventually(lambda: head(node, "team/removed", image, "v1") == 404, 2, "the tag is not served any more")
    for digest in image.digests:
        wait_until_collected(node, "team/removed", image, digest)
    for reference in (tag, *image.digests):
        wait_until_told(lab, node, reference, 90, held=False)


def test_nobody_has_it(lab: Lab):
    """What no node has is a 404 of the mirror with an OCI error, and the pull goes to the registry and ends right."""
    image = Image.of("nobody", 1000, MEBIBYTE)
    lab.upstream.push(image, "team/nobody", "v1")
    node = lab.nodes["n2"]
    answer = node.rykte.registry("GET", "team/nobody/manifests/v1")
    assert answer.status == 404
    assert json.loads(answer.body)["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    answer = node.rykte.registry("GET", f"team/nobody/blobs/{image.layers[1].digest}")
    assert answer.status == 404
    assert json.loads(answer.body)["errors"][0]["code"] == "BLOB_UNKNOWN"
    asked = requests_during(lab, lambda: node.pull("team/nobody:v1"))
    assert node.has_whole(image)
    assert any(image.layers[1].digest in request.path for request in asked)


def test_nothing_anywhere(lab: Lab):
    """What neither a node nor the registry has ends as not found, and nothing else."""
    outcome = lab.nodes["n2"].try_pull("team/nothing:v1")
    assert not outcome.ok
    assert "not found" in outcome.message


def kill(node: Node) -> None:
    """kill -9 of the mirror's master and worker at once."""
    node.rykte.process.kill()


def cut(node: Node) -> None:
    """Its packets vanish."""
    node.namespace.cut()


@pytest.mark.parametrize(("fault", "size"), [(kill, 200 * MEBIBYTE), (cut, 64 * MEBIBYTE)])
def test_serving_mirror_lost_mid_layer(lab: Lab, fault: Callable[[Node], None], size: int):
    """The serving mirror is lost amid a layer that another node has: the pull ends right, nothing from upstream."""
    repository = f"team/{fault.__name__}"
    image = Image.of(fault.__name__, size)
    lab.upstream.push(image, repository, "v1")
    holders, puller = [lab.nodes["n1"], lab.nodes["n2"]], lab.nodes["n3"]
    for holder in holders:
        holder.pull(f"{repository}:v1")
    for holder in holders:
        wait_until_told(lab, holder, image.layers[0].digest, 10, held=True)
        holder.namespace.slow_down(megabit_per_s=160)
    before = {holder: holder.namespace.sent_bytes() for holder in holders}

    def serving() -> Node | None:
        sent = {holder: holder.namespace.sent_bytes() - before[holder] for holder in holders}
        return next((holder for holder in holders if sent[holder] > 8 * MEBIBYTE), None)

    def pull() -> None:
        call = puller.start_pull(f"{repository}:v1", timeout_s=90)
        lost = eventually(serving, 20, "a holder is serving the layer")
        (other,) = (holder for holder in holders if holder is not lost)
        assert not call.is_done()
        fault(lost)
        assert lost.namespace.sent_bytes() - before[lost] < size
        other.namespace.full_speed()
        outcome = call.outcome()
        assert outcome.ok, outcome

    assert requests_during(lab, pull) == []
    assert puller.has_whole(image)
    assert puller.rykte.sample("rykte_relay_failovers_total") >= 1


def test_containerd_restarted(lab: Lab):
    """containerd comes back under a running mirror: what it had is served, what it pulls then is found by others."""
    old, new = Image.of("restart-old", 1000, MEBIBYTE), Image.of("restart-new", 1000, MEBIBYTE)
    lab.upstream.push(old, "team/restart", "old")
    lab.upstream.push(new, "team/restart", "new")
    node, mirror = lab.nodes["n1"], lab.nodes["n1"].rykte.process.pid
    node.pull("team/restart:old")
    node.containerd.process.kill()
    lab.start_containerds("n1")
    node.pull("team/restart:new")
    lab.upstream.process.stop()
    wait_until_told(lab, node, new.digest, 20, held=True)
    lab.nodes["n2"].pull("team/restart:new")
    lab.nodes["n3"].pull("team/restart:old")
    assert lab.nodes["n2"].has_whole(new)
    assert lab.nodes["n3"].has_whole(old)
    assert node.rykte.process.is_running()
    assert node.rykte.process.pid == mirror


def test_mutable_tag_moves(lab: Lab):
    """`latest` pushed anew upstream is followed at once, by the node that has the old one and by the others."""
    old, new = Image.of("latest-old", 1000), Image.of("latest-new", 1000)
    lab.upstream.push(old, "team/moves", "latest")
    first, second = lab.nodes["n1"], lab.nodes["n2"]
    first.pull("team/moves:latest")
    assert first.points_to("team/moves:latest") == old.digest
    lab.upstream.push(new, "team/moves", "latest")
    for node in (second, first):
        node.pull("team/moves:latest")
        assert node.points_to("team/moves:latest") == new.digest
        assert node.has_whole(new)


def test_late_joiner(lab: Lab):
    """A node that joins later is served at once by those that were there, and serves them what it pulls."""
    image, own = Image.of("late", 1000, 4 * MEBIBYTE), Image.of("late-own", 1000, MEBIBYTE)
    lab.upstream.push(image, "team/late", "v1")
    lab.upstream.push(own, "team/late", "own")
    lab.nodes["n1"].pull("team/late:v1")
    joiner = lab.add_node("n4")
    lab.start_containerds("n4")
    lab.start_mirrors("n4")
    asked = requests_during(lab, lambda: joiner.pull("team/late:v1"))
    assert asked == []
    assert joiner.has_whole(image)
    joiner.pull("team/late:own")
    lab.upstream.process.stop()
    lab.nodes["n2"].pull("team/late:own")
    assert lab.nodes["n2"].has_whole(own)
