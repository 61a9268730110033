"""A graceful leave in order: the intent, then the good-bye, each told often enough before the next step.

Serf `serf.go` `Leave`: without an intent before it, stock agents show a good-bye as a failure.
"""

from collections.abc import Callable

from gossip.swim.context import Context
from gossip.swim.dissemination import Dissemination
from gossip.swim.effects import LeaveFinished
from gossip.swim.serf import Serf
from gossip.swim.timers import Timer
from gossip.swim.view import View


class Departure:
    """Leads one leave; `LeaveFinished` says whether everything was told in time."""

    def __init__(self, context: Context, view: View, serf: Serf, dissemination: Dissemination) -> None:
        self._view = view
        self._serf = serf
        self._dissemination = dissemination
        self._timers = context.timers
        self._outbox = context.outbox
        self._finished: bool | None = None
        self._deadline: Timer | None = None
        self._goodbye_said = False
        self._began_at = 0.0

    def begin(self, timeout_s: float, now: float, stop_background: Callable[[], None]) -> None:
        """Leave within `timeout_s`. A second call waits for the first; one after its end is answered at once."""
        if self._finished is not None:
            self._outbox.put(LeaveFinished(self._finished))
            return
        if self._view.leaving:
            return
        self._view.leaving = True
        self._began_at = now
        stop_background()
        self._deadline = self._timers.at(now + timeout_s, lambda _: self._finish(False))
        self._timers.at(now + timeout_s / 2, self._say_goodbye)  # also if the intent could not be told by then
        self._dissemination.hurry(now)
        anyone = self._view.anyone_else()
        self._serf.announce_leave(now, self._soon(self._say_goodbye))
        if not anyone:
            self._say_goodbye(now)
            self._finish(True)

    def _soon(self, step: Callable[[float], None]) -> Callable[[], None]:
        """A queue's completion as a step of its own: not in the middle of filling a packet."""

        def done() -> None:
            self._timers.at(self._began_at, step)

        return done

    def _say_goodbye(self, now: float) -> None:
        if not self._goodbye_said:
            self._goodbye_said = True
            claim = self._view.leave(now)
            done = self._soon(lambda _: self._finish(True))
            self._dissemination.tell_membership(claim, claim.node, now, done)

    def _finish(self, told: bool) -> None:
        if self._finished is None:
            self._finished = told
            if self._deadline is not None:
                self._deadline.cancel()
            self._outbox.put(LeaveFinished(told))
