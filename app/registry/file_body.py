"""A blob's bytes on their way to a client: by sendfile(2) where there is a file, else by reading.

gevent's own `socket.sendfile` reads and sends 8 KiB at a time, a third of the throughput; so the system call is
made here.
"""

import errno
import os
from collections.abc import Iterator

from gevent.socket import socket

from app.content.store import Blob, StoreError
from app.server.sockets import SLICE_BYTES, wait_writable
from app.source import Interrupted, Span

#: How far ahead of the transfer the kernel is asked to read: a cold slice blocks the hub up to 11 ms, advised 4 ms.
_READ_AHEAD_BYTES = 8 * 1024 * 1024
#: What the file system, not the client, is to blame for.
_NO_SENDFILE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ESPIPE)


class FileBody:
    """The bytes `span` of an open blob. Owns the blob: `close` closes it."""

    def __init__(self, blob: Blob, span: Span) -> None:
        self._blob = blob
        self._span = span
        self._offset = span.start

    @property
    def length(self) -> int:
        return self._span.length

    @property
    def sent(self) -> int:
        return self._offset - self._span.start

    def send_to(self, client: socket) -> None:
        """See `Body`."""
        descriptor = self._blob.fileno()
        if descriptor is None or not self._send_file(descriptor, client):
            self._send_read(client)

    def __iter__(self) -> Iterator[bytes]:
        while self._offset < self._span.stop:
            chunk = self._read()
            self._offset += len(chunk)
            yield chunk

    def close(self) -> None:
        self._blob.close()

    def _send_file(self, descriptor: int, client: socket) -> bool:
        """True when all was sent; False if this file system can't do it and the rest has to be read."""
        advised = self._offset
        while self._offset < self._span.stop:
            if self._offset >= advised:
                advised = self._offset + _READ_AHEAD_BYTES
                _advise(descriptor, self._offset)
            count = min(SLICE_BYTES, self._span.stop - self._offset)
            try:
                sent = os.sendfile(client.fileno(), descriptor, self._offset, count)
            except BlockingIOError:
                wait_writable(client)
                continue
            except OSError as error:
                if error.errno in _NO_SENDFILE:
                    return False
                if error.errno == errno.EIO:
                    raise Interrupted(f"reading the blob failed at byte {self._offset}: {error}") from error
                raise
            if sent == 0:
                raise Interrupted(f"the blob ended at byte {self._offset} of {self._span.stop}")
            self._offset += sent
            if self._offset < self._span.stop:
                wait_writable(client)
        return True

    def _send_read(self, client: socket) -> None:
        while self._offset < self._span.stop:
            chunk = self._read()
            client.sendall(chunk)
            self._offset += len(chunk)
            if self._offset < self._span.stop:
                wait_writable(client)

    def _read(self) -> bytes:
        """The next slice, never empty. Raises `Interrupted`."""
        try:
            chunk = self._blob.pread(min(SLICE_BYTES, self._span.stop - self._offset), self._offset)
        except (StoreError, OSError) as error:
            raise Interrupted(f"reading the blob failed at byte {self._offset}: {error}") from error
        if not chunk:
            raise Interrupted(f"the blob ended at byte {self._offset} of {self._span.stop}")
        return chunk


def _advise(descriptor: int, offset: int) -> None:
    """Ask the kernel to read what comes next; a hint, that some files do not take."""
    try:
        os.posix_fadvise(descriptor, offset, 2 * _READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
    except OSError:
        pass
