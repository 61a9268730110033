"""Bytes from one socket to another through a kernel pipe, never through this process's memory (splice(2), Linux)."""

import errno
import fcntl
import os

from gevent.socket import socket

from app.server.sockets import wait_writable

#: What the kernel says when it can't do this here: no splice, sockets of a kind that has none, no pages for the pipe.
_REFUSALS = frozenset({errno.EINVAL, errno.EPERM, errno.ENOSYS})


class SpliceRefused(Exception):
    """Not possible here; nothing was moved. Copy instead."""


def splice(source: int, target: int, limit: int) -> int:
    """Move up to `limit` bytes between file descriptors, one of them a pipe; 0 at the source's end.

    Raises `BlockingIOError` when nothing can be moved now, `SpliceRefused`, or what the network has to say (`OSError`).
    """
    try:
        return os.splice(source, target, limit, flags=os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno in _REFUSALS:
            raise SpliceRefused(f"splice: {error.strerror}") from error
        raise


class Pipe:
    """A pipe that is empty between two turns of its owner. One that may hold bytes is closed, never used again."""

    def __init__(self, size: int) -> None:
        """Raises `SpliceRefused` if there is no splice here or no pipe of this size (in bytes, a power of two)."""
        if not hasattr(os, "splice"):
            raise SpliceRefused("splice: not on this system")
        try:
            self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise SpliceRefused(f"pipe: {error.strerror}") from error
        self.size = size
        try:
            fcntl.fcntl(self._write, fcntl.F_SETPIPE_SZ, size)
        except OSError as error:
            # Users without privileges share some 64 MiB of pipe pages (pipe(7), pipe-user-pages-soft).
            self.close()
            raise SpliceRefused(f"a pipe of {size} bytes: {error.strerror}") from error

    @property
    def entrance(self) -> int:
        """The file descriptor to splice into."""
        return self._write

    def drain(self, client: socket, count: int) -> None:
        """Send the `count` bytes that are in the pipe. Raises `OSError` for the client, its time-out included."""
        while count:
            try:
                count -= splice(self._read, client.fileno(), count)
            except BlockingIOError:
                wait_writable(client)
            except SpliceRefused:
                piece = os.read(self._read, count)
                client.sendall(piece)
                count -= len(piece)

    def close(self) -> None:
        """Call once."""
        os.close(self._read)
        os.close(self._write)
