"""How a listener is told."""

import pytest

from gossip.membership import Member, MemberState
from gossip.reporting import report
from gossip.swim.effects import MemberFailed, MemberJoined, MemberLeft, MemberUpdated, Received, Report
from tests.contracts.membership import Recorder

MEMBER = Member("m", "10.0.0.1", 7946, MemberState.ALIVE)


@pytest.mark.parametrize(
    ("happened", "told"),
    [
        (MemberJoined(MEMBER), "joined"),
        (MemberUpdated(MEMBER), "updated"),
        (MemberLeft(MEMBER), "left"),
        (MemberFailed(MEMBER), "failed"),
    ],
)
def test_each_report_has_its_method(happened: Report, told: str) -> None:
    """One call, of the method with the report's name, with the member."""
    recorder = Recorder()
    report(recorder, happened)
    assert recorder.told == [(told, "m")]
    assert recorder.members == {"m": MEMBER}


def test_payloads_are_received() -> None:
    """Topic and payload as they are."""
    recorder = Recorder()
    report(recorder, Received("topic", b"payload"))
    assert recorder.payloads == [("topic", b"payload")]
