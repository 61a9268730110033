"""The few things that are done with a client's or a listening socket, each with its trap.

Two rules hold everywhere: between two slices of a body one waits until the socket is writable, even if it already
is, and a connection that carried a body ends by FIN, never by RST.
"""

import _socket  # the interpreter's own module: `socket` is gevent's in this process
import errno
import time

from gevent import socket
from gevent.socket import wait_read, wait_write

from app.address import Address

#: A client that takes no byte for so long is given up; containerd's `image_pull_progress_timeout` is as long.
CLIENT_PATIENCE_S = 300.0
#: Bytes of a body between two waits. Measured with eight streams: requests beside them wait 2 ms at p99 while files are
#: sent and 4.4 ms while peers' bodies are relayed; with 1 MiB it is more than twice as long.
SLICE_BYTES = 512 * 1024
_LINGER_S = 1.0
_LINGER_BYTES = 256 * 1024
_GONE = (errno.ENOTCONN, errno.EBADF)


def listen(address: Address, backlog: int = 1024) -> socket.socket:
    """A listening TCP socket; an empty host means all IPv4 interfaces. Raises `OSError`."""
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # inherited by what is accepted: heads go out at once, and a client whose machine has gone is noticed
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.bind((host or "0.0.0.0", port))  # noqa: S104  - what `:5000` says
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def wait_writable(client: socket.socket) -> None:
    """Give the other greenlets a turn, until `client` takes bytes. Raises `TimeoutError` after its time-out.

    Not `gevent.sleep(0)`: the hub runs queued callbacks for up to 5 ms before it looks at sockets again, so that
    streams which sleep hand the turn to each other only; measured, that triples the tail of small requests.
    """
    wait_write(client.fileno(), timeout=client.gettimeout())


def shut_down(client: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    """End a connection that another greenlet may be using: that one sees a plain end of file or EPIPE.

    gevent's own `shutdown` throws EBADF into a greenlet that waits for the socket, so the call is made through another
    object of the same descriptor. Not on a duplicate: this is also how room is made when there are no more descriptors.
    """
    descriptor = client.fileno()
    if descriptor < 0:
        return  # closed already
    twin = _socket.socket(fileno=descriptor)
    try:
        twin.shutdown(how)
    except OSError as error:
        if error.errno not in _GONE:
            raise
    finally:
        twin.detach()


def end(client: socket.socket) -> None:
    """Close by FIN: say that nothing follows, then read what the client still sends, for a moment.

    Closing with unread input makes the kernel send RST, which destroys what the client has not read yet; containerd
    fails a pull that ends so, and resumes one that ends by FIN.
    """
    shut_down(client, socket.SHUT_WR)
    deadline = time.monotonic() + _LINGER_S
    left = _LINGER_BYTES
    try:
        while left > 0:
            wait_read(client.fileno(), timeout=max(0.0, deadline - time.monotonic()))
            received = client.recv(min(left, 16384))
            if not received:
                break
            left -= len(received)
    except OSError:
        pass  # reset, or silent for too long: it has been told
    finally:
        client.close()
