"""Whether a sender makes enough progress, measured in time spent waiting for it. Pure.

A socket's time-out sees silence, not a trickle; and a clock on the wall would blame a peer for a slow client. So this
meter is told how long its owner *waited for the peer*, and what came.
"""


class ProgressMeter:
    """At least `floor_bytes`, or all that is left if that is less, in each `window_s` seconds of waiting."""

    def __init__(self, *, floor_bytes: int, window_s: float, total: int) -> None:
        """`total` is the number of bytes that are to come."""
        self._floor_bytes = floor_bytes
        self._window_s = window_s
        self._left = total
        self._begin_window()

    def _begin_window(self) -> None:
        self._waited_s = 0.0
        self._missing = min(self._floor_bytes, self._left)

    @property
    def patience_s(self) -> float:
        """How much longer one may wait before the sender counts as stalled; 0.0 once it does."""
        return max(0.0, self._window_s - self._waited_s)

    @property
    def stalled(self) -> bool:
        """The window has passed and too little came in it. Ask before waiting, not after: bytes may be there."""
        return self._left > 0 and self._waited_s >= self._window_s

    def waited(self, seconds: float) -> None:
        """So long was spent waiting."""
        self._waited_s += seconds

    def received(self, count: int) -> None:
        """So many bytes came; enough of them begin a new window."""
        self._left -= count
        self._missing -= count
        if self._missing <= 0:
            self._begin_window()
