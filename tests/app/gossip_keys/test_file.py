"""The key file on disk: read at the start, followed while the node runs, and kept to when it becomes bad."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from structlog.testing import capture_logs

from app.gossip_keys.file import MAX_BYTES, GossipKeys, KeyFileError
from gossip.wire.keyring import Key

FIRST, SECOND = Key(b"1" * 32), Key(b"2" * 32)


def write(path: Path, *keys: Key) -> Path:
    path.write_text("".join(f"{key.text()}\n" for key in keys))
    return path


def loaded(path: Path) -> GossipKeys:
    keys = GossipKeys(path)
    keys.load()
    return keys


def ring(keys: GossipKeys) -> tuple[Key, ...]:
    assert keys.keyring is not None
    return keys.keyring.keys


def looked(keys: GossipKeys) -> list[Any]:
    """What a look at the file says for the log."""
    with capture_logs() as lines:
        keys.look()
    return lines


def test_without_a_file_there_is_no_ring() -> None:
    """No path, no encryption, nothing to follow."""
    keys = GossipKeys(None)
    keys.load()
    keys.start()
    keys.look()
    keys.stop()
    assert keys.keyring is None


def test_the_file_is_read_at_the_start(tmp_path: Path) -> None:
    """Its first key seals, the log says how many there are; a byte order mark that an editor left is no matter."""
    path = tmp_path / "keys"
    path.write_text(f"\ufeff{FIRST.text()}\n{SECOND.text()}\n", encoding="utf-8")
    with capture_logs() as lines:
        assert ring(loaded(path)) == (FIRST, SECOND)
    assert [(line["event"], line["keys"]) for line in lines] == [("gossip is encrypted", 2)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "can't be read.*No such file.*rykte keygen"),
        (b"", "holds no key"),
        (b"\n\xff\xfe\n", "line 2: a key is written in base64"),
        (b"#" * (MAX_BYTES + 1), "more than 16384 bytes"),
    ],
)
def test_a_bad_file_at_the_start(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    """The error names the option, the file and the remedy."""
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeyFileError, match=complaint) as refused:
        loaded(path)
    assert str(refused.value).startswith(f"--gossip-key-file '{path}'")


def test_a_changed_file_is_taken_over(tmp_path: Path) -> None:
    """A look after a change takes the new keys over and says so once; a key is not said."""
    path = write(tmp_path / "keys", FIRST)
    keys = loaded(path)
    assert looked(keys) == []
    write(path, SECOND, FIRST)
    (line,) = looked(keys)
    assert (line["log_level"], line["event"], line["keys"]) == ("info", "gossip keys read again", 2)
    assert not any(key.text() in str(line) for key in (FIRST, SECOND))
    assert ring(keys) == (SECOND, FIRST)
    assert looked(keys) == []


def test_a_replaced_link_is_followed(tmp_path: Path) -> None:
    """As Kubernetes replaces a mounted Secret: a directory link above the file points elsewhere."""
    for name, key in (("old", FIRST), ("new", SECOND)):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "keys", key)
    (tmp_path / "data").symlink_to("old")
    keys = loaded(tmp_path / "data" / "keys")
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").replace(tmp_path / "data")
    looked(keys)
    assert ring(keys) == (SECOND,)


def test_a_file_that_becomes_bad_changes_nothing(tmp_path: Path) -> None:
    """The keys read before stay, each problem is said once, and a good file counts again."""
    path = write(tmp_path / "keys", FIRST)
    keys = loaded(path)
    for spoil in (lambda: path.write_text("half a ke"), lambda: path.write_text(""), path.unlink):
        spoil()
        (line,) = looked(keys)
        assert line["log_level"] == "error"
        assert str(path) in line["error"]
        assert "half" not in line["error"]
        assert looked(keys) == []
        assert ring(keys) == (FIRST,)
    write(path, SECOND, FIRST)
    looked(keys)
    assert ring(keys) == (SECOND, FIRST)


def test_a_file_that_comes_and_goes_is_said_each_time(tmp_path: Path) -> None:
    """A file that went away, came back as it was, and went away again is a problem twice."""
    path = write(tmp_path / "keys", FIRST)
    keys = loaded(path)
    for _ in range(2):
        path.unlink()
        assert [line["log_level"] for line in looked(keys)] == ["error"]
        write(path, FIRST)
        assert looked(keys) == []


def test_keys_of_queries_stay(tmp_path: Path) -> None:
    """What `serf keys -install` added while we ran stays, behind the file's."""
    path = write(tmp_path / "keys", FIRST)
    keys = loaded(path)
    assert keys.keyring is not None
    keys.keyring.add(added := Key(b"3" * 16))
    write(path, SECOND)
    looked(keys)
    assert ring(keys) == (SECOND, added)


def test_changes_are_made_where_the_ring_belongs(tmp_path: Path) -> None:
    """A bound order gets the change to make, and until it has made it the ring is as it was."""
    path = write(tmp_path / "keys", FIRST)
    keys = loaded(path)
    changes: list[Callable[[], object]] = []
    keys.bind(changes.append)
    write(path, SECOND)
    looked(keys)
    assert ring(keys) == (FIRST,)
    (change,) = changes
    change()
    assert ring(keys) == (SECOND,)


def test_start_and_stop(tmp_path: Path) -> None:
    """The following ends with `stop`, which may come twice, and needs no start."""
    keys = loaded(write(tmp_path / "keys", FIRST))
    keys.stop()
    keys.start()
    gevent.sleep(0)
    keys.stop()
    keys.stop()
