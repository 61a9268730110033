"""The core's alarm clock: callbacks at times of the driver's clock, in the order of their times.

Reads no clock: `run` is told the time, `next_deadline` tells the driver when to come back.
"""

import heapq
from collections.abc import Callable
from itertools import count

Callback = Callable[[float], None]


class Timer:
    """One pending callback. `cancel` is idempotent and may come after the callback ran."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callback) -> None:
        self.when = when
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """The callback will not run; its memory is freed at once, its place in the heap when its time comes."""
        self.callback = None


class Timers:
    """A heap of timers; equal times run in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()

    def at(self, when: float, callback: Callback) -> Timer:
        """Run `callback(now)` in the first `run` whose `now` is at or after `when`."""
        timer = Timer(when, callback)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        return timer

    def run(self, now: float) -> None:
        """Run what is due. What a callback sets for the same moment waits for the next `run`, so this always ends."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        for timer in due:
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback(now)

    def next_deadline(self) -> float | None:
        """When `run` has something to do; None if never."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
