"""Waits for what takes its own time, with a deadline and a reason."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout_s: float, what: str) -> T:
    """The first true answer of `condition`. Raises `AssertionError` that tells what did not come."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what} (last answer: {answer!r})")
        time.sleep(0.05)
