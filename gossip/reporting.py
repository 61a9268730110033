"""How a listener is told what an engine has to report. Shared by all drivers of a core."""

from gossip.membership import MembershipListener
from gossip.swim.effects import MemberFailed, MemberJoined, MemberLeft, MemberUpdated, Received, Report


def report(listener: MembershipListener, happened: Report) -> None:
    """Call the one method of `listener` that is about what happened."""
    match happened:
        case MemberJoined(member):
            listener.joined(member)
        case MemberUpdated(member):
            listener.updated(member)
        case MemberLeft(member):
            listener.left(member)
        case MemberFailed(member):
            listener.failed(member)
        case Received(topic, payload):
            listener.received(topic, payload)
