"""Which user events are our own: an agent gives back on the stream what it was told to broadcast. Pure.

An event carries no sender. Each of ours comes back exactly once, so it is enough to count: when another node sends
the same bytes, it does not matter which of the two is taken for the echo.
"""

from collections import Counter, deque

#: Echoes waited for. One that never comes (the agent drops events for slow readers) must not be waited for for ever.
MAX_EXPECTED = 1024

_Event = tuple[str, bytes]


class Echoes:
    """What was broadcast and has not come back."""

    def __init__(self) -> None:
        self._order: deque[_Event] = deque()
        self._expected: Counter[_Event] = Counter()

    def expect(self, topic: str, payload: bytes) -> None:
        """This is being broadcast; the oldest is given up if too many are waited for."""
        self._order.append((topic, payload))
        self._expected[topic, payload] += 1
        if len(self._order) > MAX_EXPECTED:
            self._discount(self._order.popleft())

    def is_echo(self, topic: str, payload: bytes) -> bool:
        """Whether this event is one of ours; it is waited for no longer then."""
        event = (topic, payload)
        if event not in self._expected:
            return False
        self._discount(event)
        self._order.remove(event)
        return True

    def _discount(self, event: _Event) -> None:
        self._expected[event] -= 1
        if not self._expected[event]:
            del self._expected[event]
