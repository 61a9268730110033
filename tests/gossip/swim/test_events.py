"""Lamport clocks and the window of recent broadcasts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.swim import events
from gossip.swim.events import EventWindow, LamportClock
from gossip.swim.settings import MAX_LAMPORT_JUMP


def test_clock_stamps_and_witnesses() -> None:
    """The first event is number 1; what was seen elsewhere pushes the clock beyond it, older things don't."""
    clock = LamportClock()
    assert [clock.stamp(), clock.stamp()] == [1, 2]
    for seen, time in ((7, 8), (7, 8), (3, 8), (8, 9)):
        assert clock.witness(seen)
        assert clock.time == time


@pytest.mark.parametrize(("ahead", "believed"), [(MAX_LAMPORT_JUMP - 1, True), (MAX_LAMPORT_JUMP, False)])
def test_clock_does_not_jump_to_the_end(ahead: int, believed: bool) -> None:
    """A time far ahead of all that has been counted is not believed, and the clock stays where it was."""
    clock = LamportClock()
    assert clock.witness(1 + ahead) is believed
    assert clock.time == (2 + ahead if believed else 1)


class Node:
    """A window and a clock as Serf uses them."""

    def __init__(self, slots: int = 8) -> None:
        self.clock = LamportClock()
        self.window = EventWindow(slots)

    def hear(self, ltime: int, content: bytes = b"x") -> bool:
        self.clock.witness(ltime)
        return self.window.is_new(ltime, content, self.clock)


def test_repetition_is_not_new() -> None:
    """The same content at the same time is heard once; other content at that time, or another time, is new."""
    node = Node()
    assert [node.hear(5), node.hear(5), node.hear(5, b"y"), node.hear(6), node.hear(5)] == [
        True, False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize(("ltime", "new"), [(100, True), (99, True), (93, True), (92, False), (1, False)])
def test_beyond_the_window_is_too_old(ltime: int, new: bool) -> None:
    """With a window of 8 and the clock at 101, times from 93 on can still be told from repetitions."""
    node = Node(slots=8)
    node.clock.witness(100)
    assert node.window.is_new(ltime, b"x", node.clock) is new


def test_floor() -> None:
    """What lies before the floor is ignored."""
    node = Node()
    node.window.floor = 5
    assert [node.hear(4), node.hear(5)] == [False, True]


@given(st.lists(st.tuples(st.integers(1, 40), st.binary(max_size=1)), max_size=60))
def test_nothing_is_new_twice(heard: list[tuple[int, bytes]]) -> None:
    """Whatever arrives in whatever order, no broadcast is taken for news twice."""
    node = Node(slots=8)
    news = [broadcast for broadcast in heard if node.hear(*broadcast)]
    assert len(news) == len(set(news))


def test_flood_shortens_the_window() -> None:
    """A flood within the window is bounded by forgetting the oldest time, which then counts as too old."""
    node = Node(slots=512)
    node.hear(1, b"first")
    for number in range(events.REMEMBERED_LIMIT):
        node.hear(2 + number // 1000, b"%d" % number)
    assert not node.hear(1, b"first")
    assert node.window.floor == 2
    assert node.hear(70, b"after the flood")
