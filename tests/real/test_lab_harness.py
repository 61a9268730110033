"""The lab by itself, without Rykte: what it promises its tests is true, and it leaves nothing behind."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.lab import leftovers
from tests.real.lab.image import MEBIBYTE, Image
from tests.real.lab.lab import Lab
from tests.real.lab.runname import RunName
from tests.real.lab.waiting import eventually

# A lab in a process of its own that says so when it is up, then waits to be ended.
_OWNER = """
import sys, time
from tests.real.conftest import pytest_configure
from tests.real.lab.containerd import releases
from tests.real.lab.lab import Lab
pytest_configure(None)
with Lab(releases()[0], ["a", "b"]) as lab:
    lab.start_upstream()
    lab.start_containerds()
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lab(shared_lab: Lab) -> Lab:
    """Upstream and containerds running, links whole, containerd asks the registry directly."""
    shared_lab.heal()
    shared_lab.without_mirrors()
    return shared_lab


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    """A process with a lab that is up."""
    process = subprocess.Popen([sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.communicate()


def run_of(process: subprocess.Popen[str]) -> RunName:
    """The name of the process's run, which has things on the machine."""
    names = filter(None, (RunName.of(entry.name) for entry in Path("/run/netns").iterdir()))
    (name,) = {name for name in names if name.pid == process.pid}
    return name


def remains(name: RunName) -> dict[str, list[object]]:
    """What is on the machine of this run, by kind."""
    found = {
        "namespaces": leftovers.namespaces_of(name),
        "processes": leftovers.processes_of(name),
        "mounts": leftovers.mounts_of(name),
        "files": [path for path in [leftovers.directory_of(name)] if path.exists()],
    }
    return {kind: things for kind, things in found.items() if things}


def test_pull_by_cri(lab: Lab):
    """A pull by CRI brings each content of the image from upstream, and the log of the registry tells of it."""
    image = Image.of("harness-cri", 1000, 2 * MEBIBYTE)
    lab.upstream.push(image, "harness/cri", "v1")
    before = len(lab.upstream.requests())
    node = lab.nodes["n1"]
    node.pull("harness/cri:v1")
    assert node.has_whole(image)
    assert node.points_to("harness/cri:v1") == image.digest
    requests = lab.upstream.requests()[before:]
    assert {request.client for request in requests} == {node.namespace.address}
    assert sum(request.sent_bytes for request in requests if request.method == "GET") > 2 * MEBIBYTE


def test_pull_by_ctr(lab: Lab):
    """A pull by ctr takes the same way."""
    image = Image.of("harness-ctr", 1000)
    lab.upstream.push(image, "harness/ctr", "v1")
    lab.nodes["n1"].pull_by_ctr("harness/ctr:v1")
    assert lab.nodes["n1"].has_whole(image)


def test_unknown_image(lab: Lab):
    """A pull of what upstream does not have ends as not found."""
    outcome = lab.nodes["n1"].try_pull("harness/nothing:v1")
    assert not outcome.ok
    assert "not found" in outcome.message


def test_remove(lab: Lab):
    """RemoveImage takes the name away, and garbage collection the files."""
    image = Image.of("harness-remove", 1000)
    lab.upstream.push(image, "harness/remove", "v1")
    node = lab.nodes["n2"]
    node.pull("harness/remove:v1")
    node.remove("harness/remove:v1")
    with pytest.raises(RuntimeError, match="no image"):
        node.points_to("harness/remove:v1")
    eventually(lambda: not any(map(node.has_file, image.digests)), 30, "garbage collection has taken all files")


def test_upstream_stopped(lab: Lab):
    """With the registry stopped a pull fails; started again it still has what was pushed."""
    image = Image.of("harness-stopped", 1000)
    lab.upstream.push(image, "harness/stopped", "v1")
    lab.upstream.process.stop()
    assert not lab.nodes["n1"].try_pull("harness/stopped:v1", timeout_s=5).ok
    lab.start_upstream()
    lab.nodes["n1"].pull("harness/stopped:v1")


def test_cut_link(lab: Lab):
    """A node whose link is cut reaches nobody until it is mended; the other nodes go on."""
    image = Image.of("harness-cut", 1000)
    lab.upstream.push(image, "harness/cut", "v1")
    lab.nodes["n1"].namespace.cut()
    # at the deadline either side may be the first to give up
    assert lab.nodes["n1"].try_pull("harness/cut:v1", timeout_s=2).status in {"DEADLINE_EXCEEDED", "CANCELLED"}
    lab.nodes["n2"].pull("harness/cut:v1")
    lab.nodes["n1"].namespace.mend()
    lab.nodes["n1"].pull("harness/cut:v1")


def test_slow_link(lab: Lab):
    """A slowed host is still sending a large layer when a fast one would long have ended, and the pull ends right."""
    image = Image.of("harness-slow", 16 * MEBIBYTE)
    lab.upstream.push(image, "harness/slow", "v1")
    lab.upstream.namespace.slow_down(megabit_per_s=80)
    try:
        call = lab.nodes["n1"].start_pull("harness/slow:v1")
        first = lab.upstream.namespace.sent_bytes()
        eventually(lambda: lab.upstream.namespace.sent_bytes() > first + MEBIBYTE, 10, "the layer is on its way")
        assert not lab.nodes["n1"].has_file(image.layers[0].digest)
        assert not call.is_done()
        assert call.outcome().ok
    finally:
        lab.upstream.namespace.full_speed()
    assert lab.nodes["n1"].has_whole(image)


def test_containerd_restarts(lab: Lab):
    """A containerd that was killed comes back with what it had."""
    image = Image.of("harness-restart", 1000)
    lab.upstream.push(image, "harness/restart", "v1")
    node = lab.nodes["n1"]
    node.pull("harness/restart:v1")
    node.containerd.process.kill()
    lab.start_containerds("n1")
    assert node.points_to("harness/restart:v1") == image.digest


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_interrupted(owner: subprocess.Popen[str], signum: signal.Signals):
    """A run that is interrupted takes its namespaces, processes, mounts and files away."""
    name = run_of(owner)
    assert remains(name).keys() == {"namespaces", "processes", "mounts", "files"}
    owner.send_signal(signum)
    owner.wait(20)
    assert remains(name) == {}


def test_killed(owner: subprocess.Popen[str]):
    """What a killed run could not take away is found and removed by the next one; its programs died with it."""
    name = run_of(owner)
    owner.kill()
    owner.wait(20)
    eventually(lambda: leftovers.processes_of(name) == [], 10, "the programs of the killed run are gone")
    assert "namespaces" in remains(name)
    assert name in leftovers.sweep()
    assert remains(name) == {}


def test_running_ones_are_left_alone(owner: subprocess.Popen[str]):
    """The sweep does not touch a run whose process lives."""
    name = run_of(owner)
    before = remains(name)
    leftovers.sweep()
    assert remains(name) == before
