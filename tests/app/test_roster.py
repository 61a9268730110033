"""What is counted, logged and let go when members come and go."""

import pytest
from structlog.testing import capture_logs

from app.metrics import Metrics
from app.roster import Roster
from gossip.membership import Member, MemberState

MEMBER = Member("node-1-abc123", "fd00::1", 7946, MemberState.ALIVE, {"node": "node-1", "http": "5000"})


class Bench:
    """A roster, its metrics, and who was let go."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.gone: list[Member] = []
        self.roster = Roster(self.metrics, self.gone.append)

    def counted(self, event: str) -> float | None:
        return self.metrics.registry.get_sample_value("rykte_gossip_events_total", {"event": event})


@pytest.mark.parametrize(("event", "is_gone"), [("joined", False), ("left", True), ("failed", True)])
def test_a_change_is_counted_and_said(event: str, is_gone: bool) -> None:
    """By the operator's name of the node, with the address; who has gone is let go of."""
    bench = Bench()
    with capture_logs() as lines:
        getattr(bench.roster, event)(MEMBER)
    (line,) = lines
    assert line == {
        "event": f"member {event}",
        "log_level": "info",
        "node": "node-1",
        "member": "node-1-abc123",
        "address": "[fd00::1]:7946",
    }
    assert bench.counted(event) == 1
    assert bench.gone == ([MEMBER] if is_gone else [])


def test_an_update_is_no_event() -> None:
    """Suspicion comes and goes; it is of use only when faults are searched for."""
    bench = Bench()
    with capture_logs() as lines:
        bench.roster.updated(MEMBER)
    assert [line["log_level"] for line in lines] == ["debug"]
    assert [bench.counted(event) for event in ("joined", "left", "failed")] == [None, None, None]
    assert bench.gone == []


def test_a_member_that_is_no_mirror_any_more_is_let_go() -> None:
    """Its agent goes on without the mirror: nobody will ask it again."""
    bench = Bench()
    ended = Member("agent", "fd00::1", 7946, MemberState.ALIVE, {"bye": "1"})
    bench.roster.updated(ended)
    assert bench.gone == [ended]


def test_lost_payloads_are_a_warning() -> None:
    """The hub did not keep up with the gossip, which somebody has to know; a payload alone is nobody's news."""
    bench = Bench()
    with capture_logs() as lines:
        bench.roster.received("rykte", b"payload")
        bench.roster.lost()
    assert [line["log_level"] for line in lines] == ["warning"]
