"""A queue from any native thread to one gevent hub: a deque and an async watcher, nothing else.

Everything of gevent's but an async watcher's `send` belongs to one thread. A patched lock shared by two hubs can
end in an assertion of gevent's, and a native one held over a switch stops a hub; so there is no lock at all:
`deque.append` and `popleft` are atomic.
"""

from collections import deque
from typing import Generic, TypeVar

import gevent
from gevent.event import Event

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Made, read and closed in the receiving hub; `post` and `len` may be called from anywhere.

    It has no bound of its own: those who post look at `len` first and know what they can do without.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._arrived = Event()
        self._watcher = gevent.get_hub().loop.async_()
        self._watcher.start(self._arrived.set)
        self.closed = False

    def __len__(self) -> int:
        return len(self._items)

    def post(self, item: T) -> None:
        """Leave `item` and wake the reader. Never blocks. Not after `close`."""
        self._items.append(item)
        self._watcher.send()

    def wake(self) -> None:
        """Wake the reader although nothing was left."""
        self._watcher.send()

    def wait(self) -> None:
        """Block until something may be there."""
        self._arrived.wait()
        self._arrived.clear()

    def take(self) -> T | None:
        """The oldest item, or None."""
        return self._items.popleft() if self._items else None

    def close(self) -> None:
        """Free the watcher. What was not read is lost."""
        self.closed = True
        self._watcher.stop()
        self._watcher.close()
