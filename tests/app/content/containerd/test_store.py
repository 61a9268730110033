"""The containerd store without a containerd: what it refuses, and what it says while there is none.

What it does with one is in tests/real/test_containerd_store.py.
"""

from pathlib import Path

import pytest
from gevent import socket

from app.content.containerd.api import ContainerdApi, prepare_grpc
from app.content.containerd.store import ContainerdStore
from app.content.store import NotFound, StoreUnavailable
from app.key import Digest
from tests.contracts.content_store import RecordingWatcher


@pytest.mark.parametrize("namespace", ["", "a b", 'x",topic=="y', "-x", "x" * 77, "ü"])
def test_no_namespace(tmp_path: Path, namespace: str) -> None:
    """What containerd would refuse as a namespace is refused with the value and the usual one."""
    with pytest.raises(StoreUnavailable, match=r"no containerd namespace.*k8s\.io"):
        ContainerdStore(tmp_path / "socket", namespace)


def test_not_started(tmp_path: Path) -> None:
    """A store that is not started holds nothing and says so."""
    store = ContainerdStore(tmp_path / "socket", "k8s.io")
    assert store.problem() == "the store is not started"
    assert not store.wait_listed(0)
    assert (store.images(), store.digests(), store.skipped()) == ([], [], 0)
    assert store.ingest(Digest.of(b"x")) is None
    with pytest.raises(NotFound):
        store.stat(Digest.of(b"x"))
    store.stop()


def test_stops_while_it_waits(tmp_path: Path) -> None:
    """A store without a containerd starts at once and can be stopped at any time."""
    store = ContainerdStore(tmp_path / "socket", "k8s.io")
    store.start(RecordingWatcher())
    assert store.problem() is not None
    store.stop()


@pytest.fixture
def api(tmp_path: Path):
    prepare_grpc()
    api = ContainerdApi(tmp_path / "containerd.sock", "k8s.io")
    yield api
    api.close()


def test_no_socket(api: ContainerdApi) -> None:
    """A socket that is not there is told by its path, with what to look at."""
    with pytest.raises(StoreUnavailable, match=r"containerd\.sock does not exist.*--containerd-socket"):
        api.version(0.1)


def test_dead_socket(api: ContainerdApi, tmp_path: Path) -> None:
    """A socket that a killed containerd left behind is told apart."""
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "containerd.sock"))
    left.close()
    with pytest.raises(StoreUnavailable, match="nobody listens"):
        api.version(0.1)


def test_silent_socket(api: ContainerdApi, tmp_path: Path) -> None:
    """A socket behind which nobody speaks costs the time given, not more, and is told."""
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(tmp_path / "containerd.sock"))
    silent.listen()
    with pytest.raises(StoreUnavailable, match=r"does not answer.*is it running"):
        api.version(0.1)
    silent.close()


def test_no_socket_but_a_file(api: ContainerdApi, tmp_path: Path) -> None:
    """A file in the place of the socket is told."""
    (tmp_path / "containerd.sock").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match=r"containerd\.sock"):
        api.version(0.1)


def test_closed(tmp_path: Path) -> None:
    """After `close` every call fails with a store's error."""
    prepare_grpc()
    api = ContainerdApi(tmp_path / "containerd.sock", "k8s.io")
    api.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        api.namespaces()
