"""Effects on their way to the driver, and the core's lines for the log.

What strangers can trigger is noticed at most once a second per kind: a flood of junk must not become a flood of lines.
"""

from gossip.swim.effects import Effect, Notice

QUIET_S = 1.0


class Outbox:
    """Collects effects in the order in which they have to be carried out."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._quiet_until: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}
        self.put = self._effects.append

    def drain(self) -> list[Effect]:
        """All effects since the last call."""
        drained = self._effects[:]
        self._effects.clear()
        return drained

    def notice(self, level: str, event: str, **fields: str | int | float) -> None:
        """A line for the log."""
        self.put(Notice(level, event, tuple(fields.items())))

    def complain(self, event: str, now: float, **fields: str | int | float) -> None:
        """A warning about what somebody else sent; `event` is one of a fixed set of texts.

        Within `QUIET_S` of the last line of this kind it is only counted; the next line tells the count.
        """
        if now < self._quiet_until.get(event, now):
            self._suppressed[event] = self._suppressed.get(event, 0) + 1
            return
        self._quiet_until[event] = now + QUIET_S
        suppressed = self._suppressed.pop(event, 0)
        if suppressed:
            fields["suppressed"] = suppressed
        self.notice("warning", event, **fields)
