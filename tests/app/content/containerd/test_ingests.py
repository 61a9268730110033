"""Downloads in progress, as containerd leaves them on disk."""

from pathlib import Path

from app.content.containerd.ingests import find_ingest
from app.key import Digest

DIGEST = Digest.of(b"wanted")


def _write(root: Path, directory: str, ref: str | bytes, data: bytes | None, total: str | None = None) -> Path:
    path = root / "ingest" / directory
    path.mkdir(parents=True)
    (path / "ref").write_bytes(ref.encode() if isinstance(ref, str) else ref)
    if data is not None:
        (path / "data").write_bytes(data)
    if total is not None:
        (path / "total").write_text(total)
    return path


def test_found(tmp_path: Path) -> None:
    """A download is found by the end of its ref, whatever kind and name stand before the digest."""
    path = _write(tmp_path, "a", f"k8s.io/1/layer-{DIGEST}", b"abc", "10")
    found = find_ingest(tmp_path, "k8s.io", DIGEST)
    assert found is not None
    assert (found.path, found.offset, found.total) == (str(path / "data"), 3, 10)
    _write(tmp_path, "b", f"k8s.io/2/prefix-registry.test/x@{DIGEST}", b"abcd")
    found = find_ingest(tmp_path, "k8s.io", DIGEST)
    assert found is not None
    assert (found.offset, found.total) == (4, None)


def test_others(tmp_path: Path) -> None:
    """Another namespace's, another digest's, a half-made and an unreadable one are none."""
    _write(tmp_path, "a", f"other/1/layer-{DIGEST}", b"abc")
    _write(tmp_path, "b", f"k8s.io/1/layer-{Digest.of(b'x')}", b"abc")
    _write(tmp_path, "c", f"k8s.io/1/layer-{DIGEST}", None)
    _write(tmp_path, "d", b"\xff\xfe", b"abc")
    (tmp_path / "ingest/e").mkdir()
    (tmp_path / "ingest/f").write_bytes(b"no directory")
    assert find_ingest(tmp_path, "k8s.io", DIGEST) is None
    assert find_ingest(tmp_path / "nowhere", "k8s.io", DIGEST) is None


def test_strange_total(tmp_path: Path) -> None:
    """A total that is no number is none."""
    _write(tmp_path, "a", f"k8s.io/1/layer-{DIGEST}", b"abc", "ten")
    found = find_ingest(tmp_path, "k8s.io", DIGEST)
    assert found is not None
    assert found.total is None
