"""The outbox: effects come out once and in order, and complaints about strangers are rationed."""

from gossip.swim.effects import CloseStream, Notice
from gossip.swim.outbox import Outbox


def test_drains_once_and_in_order() -> None:
    """Each effect is given exactly once, in the order of its making."""
    outbox = Outbox()
    outbox.put(CloseStream(1))
    outbox.notice("info", "text", number=2)
    assert outbox.drain() == [CloseStream(1), Notice("info", "text", (("number", 2),))]
    assert outbox.drain() == []


def test_complaints_are_rationed_by_kind() -> None:
    """A kind of complaint comes at most once a second, the next one tells how many were kept back."""
    outbox = Outbox()
    for tenth in range(10):
        outbox.complain("junk", 100 + tenth / 10)
    outbox.complain("other", 100.5)
    outbox.complain("junk", 101.0, peer="x")
    assert outbox.drain() == [
        Notice("warning", "junk"),
        Notice("warning", "other"),
        Notice("warning", "junk", (("peer", "x"), ("suppressed", 9))),
    ]
