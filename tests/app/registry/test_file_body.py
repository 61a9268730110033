"""A blob's bytes to a client's socket, by each of the ways."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import gevent
import pytest
from gevent import socket

from app.content.blob import FileBlob
from app.content.store import Blob, StoreUnavailable
from app.registry.file_body import FileBody
from app.server.sockets import SLICE_BYTES
from app.source import Interrupted, Span
from tests.fake_store import MemoryBlob

CONTENT = bytes(range(256)) * (SLICE_BYTES // 256) * 3 + b"tail"


class BrokenBlob(MemoryBlob):
    """Can be read up to the middle."""

    def pread(self, count: int, offset: int) -> bytes:
        if offset >= self.size // 2:
            raise StoreUnavailable("the disk is gone")
        return super().pread(min(count, self.size // 2 - offset), offset)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of a connection."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with closing(ours), closing(theirs):
        yield ours, theirs


def file_blob(path: Path, content: bytes, size: int | None = None) -> FileBlob:
    path.write_bytes(content)
    return FileBlob(os.open(path, os.O_RDONLY), len(content) if size is None else size)


def received(body: FileBody, pair: tuple[socket.socket, socket.socket]) -> bytes:
    """What the client gets, reading as it comes."""
    ours, theirs = pair
    chunks: list[bytes] = []

    def read() -> None:
        while chunk := theirs.recv(65536):
            chunks.append(chunk)

    reader = gevent.spawn(read)
    try:
        body.send_to(ours)
    finally:
        ours.close()
        reader.get()
        body.close()
    return b"".join(chunks)


@pytest.mark.parametrize(
    "span", [Span(0, len(CONTENT)), Span(5, 6), Span(SLICE_BYTES - 1, 2 * SLICE_BYTES + 1), Span(7, 7)]
)
@pytest.mark.parametrize("way", ["file", "memory"])
def test_exactly_the_span_is_sent(
    span: Span, way: str, tmp_path: Path, pair: tuple[socket.socket, socket.socket]
) -> None:
    """By sendfile(2) where there is a file, by reading where there is none."""
    blob: Blob = file_blob(tmp_path / "blob", CONTENT) if way == "file" else MemoryBlob(CONTENT)
    body = FileBody(blob, span)
    assert received(body, pair) == CONTENT[span.start : span.stop]
    assert body.sent == body.length == span.length


def test_the_portable_way_gives_the_same_bytes(tmp_path: Path) -> None:
    """In slices of bounded size."""
    body = FileBody(file_blob(tmp_path / "blob", CONTENT), Span(1, len(CONTENT)))
    chunks = list(body)
    body.close()
    assert b"".join(chunks) == CONTENT[1:]
    assert max(map(len, chunks)) <= SLICE_BYTES


def test_a_file_that_is_no_regular_one_is_read(pair: tuple[socket.socket, socket.socket]) -> None:
    """Where sendfile(2) is refused (EINVAL) the bytes are read and sent."""

    class OddBlob(MemoryBlob):
        """Has a descriptor that sendfile does not take."""

        def fileno(self) -> int:  # type: ignore[override]
            return descriptor

    descriptor = os.eventfd(0)
    try:
        assert received(FileBody(OddBlob(b"content"), Span(0, 7)), pair) == b"content"
    finally:
        os.close(descriptor)


def test_a_file_that_shrank_interrupts(tmp_path: Path, pair: tuple[socket.socket, socket.socket]) -> None:
    """What is missing is never made up, nor silently left out."""
    body = FileBody(file_blob(tmp_path / "blob", b"half", size=8), Span(0, 8))
    with pytest.raises(Interrupted, match="byte 4 of 8"):
        received(body, pair)
    assert body.sent == 4


@pytest.mark.parametrize("way", ["socket", "portable"])
def test_a_store_that_fails_interrupts(way: str, pair: tuple[socket.socket, socket.socket]) -> None:
    """After the bytes that could be read."""
    body = FileBody(BrokenBlob(b"01234567"), Span(0, 8))
    with pytest.raises(Interrupted, match="the disk is gone"):
        received(body, pair) if way == "socket" else list(body)
    assert body.sent == 4


@pytest.mark.parametrize("way", ["file", "memory"])
def test_a_client_that_goes_away_is_an_os_error(
    way: str, tmp_path: Path, pair: tuple[socket.socket, socket.socket]
) -> None:
    """The sender is told by the error, not by silence."""
    blob: Blob = file_blob(tmp_path / "blob", CONTENT) if way == "file" else MemoryBlob(CONTENT)
    ours, theirs = pair
    theirs.close()
    with closing(FileBody(blob, Span(0, len(CONTENT)))) as body, pytest.raises(BrokenPipeError):
        body.send_to(ours)


def test_a_client_that_takes_nothing_is_given_up(tmp_path: Path, pair: tuple[socket.socket, socket.socket]) -> None:
    """After the socket's own time-out."""
    ours, _theirs = pair
    ours.settimeout(0.01)
    body = FileBody(file_blob(tmp_path / "blob", CONTENT), Span(0, len(CONTENT)))
    with closing(body), pytest.raises(TimeoutError):
        body.send_to(ours)
    assert 0 < body.sent < body.length


def test_a_fast_client_does_not_keep_the_hub(tmp_path: Path, pair: tuple[socket.socket, socket.socket]) -> None:
    """Another greenlet has its turn before a body of several slices has ended."""
    order: list[str] = []
    ours, theirs = pair
    body = FileBody(file_blob(tmp_path / "blob", CONTENT), Span(0, len(CONTENT)))

    def drain() -> None:
        left = len(CONTENT)
        while left:
            left -= len(theirs.recv(1 << 20))

    def send() -> None:
        body.send_to(ours)
        order.append("body")

    for job in (gevent.spawn(send), gevent.spawn(drain), gevent.spawn(order.append, "other")):
        job.get()
    body.close()
    assert order == ["other", "body"]
