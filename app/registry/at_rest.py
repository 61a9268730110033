"""Small content is hashed before it is first served, so that a rotten file never leaves this node.

A client that trusts a digest refuses wrong bytes, but containerd then fails the pull without asking the next host:
a bad file must look as if it were not there. Once per file: a store's owner does not change what it has committed, but
the file of a layout is anybody's. What was right is remembered, the latest few thousand digests. Bigger content is not
looked at here.
"""

import hashlib
import os
from collections import OrderedDict

from gevent import sleep

from app.content.store import Blob
from app.key import Digest
from app.server.sockets import SLICE_BYTES
from app.verify import SMALL_BYTES

_REMEMBERED = 8192


class AtRest:
    """Which digests were found right on this disk."""

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self._right: OrderedDict[Digest, tuple[int, ...]] = OrderedDict()  # -> the state of the file that was right
        self._remembered = remembered

    def trusts(self, digest: Digest, blob: Blob) -> bool:
        """Whether the bytes of `blob` are those of `digest`, or are too many to look at. Raises `StoreUnavailable`."""
        if blob.size > SMALL_BYTES:
            return True
        state = _state(blob)
        if self._right.get(digest) == state:
            self._right.move_to_end(digest)
            return True
        if _hash(digest.algorithm, blob) != digest.hex:
            return False
        self._right[digest] = state
        self._right.move_to_end(digest)
        if len(self._right) > self._remembered:
            self._right.popitem(last=False)
        return True


def _state(blob: Blob) -> tuple[int, ...]:
    """What is another after each change of the bytes. Where there is no file only the size can be told."""
    descriptor = blob.fileno()
    if descriptor is None:
        return (blob.size,)
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns


def _hash(algorithm: str, blob: Blob) -> str:
    state = hashlib.new(algorithm)
    offset = 0
    while chunk := blob.pread(SLICE_BYTES, offset):
        state.update(chunk)
        offset += len(chunk)
        sleep(0)  # the others' turn
    return state.hexdigest()
