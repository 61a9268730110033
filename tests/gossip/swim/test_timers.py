"""The alarm clock: order, cancellation, and that it always ends."""

from gossip.swim.timers import Callback, Timers


def test_runs_in_order_of_time_then_of_setting() -> None:
    """Callbacks run by time; equal times in the order in which they were set; each gets the time of the run."""
    timers = Timers()
    ran: list[tuple[str, float]] = []

    def note(name: str) -> Callback:
        return lambda now: ran.append((name, now))

    for name, when in (("c", 3.0), ("a", 1.0), ("b1", 2.0), ("b2", 2.0)):
        timers.at(when, note(name))
    assert timers.next_deadline() == 1.0
    timers.run(2.5)
    assert ran == [("a", 2.5), ("b1", 2.5), ("b2", 2.5)]
    assert timers.next_deadline() == 3.0


def test_cancelled_never_runs() -> None:
    """A cancelled timer does not run and is no deadline, also when a callback of the same run cancels it."""
    timers = Timers()
    ran: list[float] = []
    later = timers.at(2.0, ran.append)
    timers.at(1.0, lambda _now: later.cancel())
    timers.run(5.0)
    assert ran == []
    timers.at(6.0, ran.append).cancel()
    assert timers.next_deadline() is None


def test_cancel_after_the_run_is_harmless() -> None:
    """Cancelling twice, or after the callback ran, does nothing."""
    timers = Timers()
    ran: list[float] = []
    timer = timers.at(1.0, ran.append)
    timers.run(1.0)
    timer.cancel()
    timer.cancel()
    assert ran == [1.0]


def test_a_callback_that_sets_itself_again_does_not_run_twice() -> None:
    """What is set for this very moment waits for the next run, so that a run always ends."""
    timers = Timers()
    ran: list[float] = []

    def again(now: float) -> None:
        ran.append(now)
        timers.at(now, again)

    timers.at(1.0, again)
    timers.run(1.0)
    assert ran == [1.0]
    assert timers.next_deadline() == 1.0
