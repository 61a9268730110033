"""The broadcast queue: who goes first, who goes out, and that it ends."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gossip.swim.queue import BroadcastQueue

OVERHEAD = 2


def filled(*messages: bytes, limit: int = 100) -> BroadcastQueue:
    """A queue with these messages."""
    queue = BroadcastQueue(limit, 1000)
    for message in messages:
        queue.push(message)
    return queue


def test_fewest_transmits_first() -> None:
    """News goes before what has been told already, however small."""
    queue = filled(b"old-and-long")
    queue.take(100, OVERHEAD, 4, 99)
    queue.push(b"new")
    assert queue.take(100, OVERHEAD, 4, 99) == [b"new", b"old-and-long"]


def test_largest_that_fits_then_newest() -> None:
    """Within a transmit count the largest that still fits goes first, of equal ones the newest."""
    queue = filled(b"a1", b"large", b"a2", b"too-large-for-this")
    assert queue.take(5 + 2 + 3 * OVERHEAD, OVERHEAD, 4, 99) == [b"large", b"a2"]


def test_counts_the_overhead() -> None:
    """A message fits only with its overhead; nothing at all fits into nothing."""
    queue = filled(b"12345")
    assert queue.take(5 + OVERHEAD - 1, OVERHEAD, 4, 99) == []
    assert queue.take(0, OVERHEAD, 4, 99) == []
    assert queue.take(5 + OVERHEAD, OVERHEAD, 4, 99) == [b"12345"]


def test_no_more_than_fit_into_a_compound() -> None:
    """However small they are, a packet gets at most so many messages."""
    queue = filled(b"a", b"b", b"c")
    assert queue.take(1000, OVERHEAD, 4, 2) == [b"c", b"b"]


def test_out_after_the_limit() -> None:
    """After the last transmit a message is gone, and its completion is signalled then and once."""
    queue, done = BroadcastQueue(10, 1000), []
    queue.push(b"message", None, lambda: done.append("done"))
    assert [queue.take(100, OVERHEAD, 3, 99) for _ in range(2)] == [[b"message"]] * 2
    assert done == []
    assert queue.take(100, OVERHEAD, 3, 99) == [b"message"]
    assert (done, len(queue), queue.take(100, OVERHEAD, 3, 99)) == (["done"], 0, [])


def test_same_subject_is_replaced() -> None:
    """A message about a subject takes the place of the older one, which counts as done; others stay."""
    queue, done = BroadcastQueue(10, 1000), []
    queue.push(b"suspect", "x", lambda: done.append("suspect"))
    queue.push(b"alive-y", "y")
    queue.take(100, OVERHEAD, 4, 99)
    queue.push(b"dead", "x")
    assert done == ["suspect"]
    assert queue.take(100, OVERHEAD, 4, 99) == [b"dead", b"alive-y"]


def test_too_large_is_refused() -> None:
    """What fits into no packet would stay for ever: it is refused."""
    queue = BroadcastQueue(10, 5)
    assert not queue.push(b"123456")
    assert queue.push(b"12345")
    assert len(queue) == 1


def test_full_queue_drops_the_most_told() -> None:
    """Beyond its limit the queue drops what has been told most often, and says so to who waits for it."""
    queue, done = BroadcastQueue(2, 1000), []
    queue.push(b"told", None, lambda: done.append("told"))
    queue.take(100, OVERHEAD, 4, 99)
    queue.push(b"new1")
    queue.push(b"new2")
    assert (len(queue), done) == (2, ["told"])
    assert sorted(queue.take(100, OVERHEAD, 4, 99)) == [b"new1", b"new2"]


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from([None, "x", "y"])), max_size=30),
    st.integers(10, 120),
    st.integers(1, 5),
)
def test_every_message_goes_out_as_often_as_it_should(
    messages: list[tuple[bytes, str | None]], budget: int, limit: int
) -> None:
    """Each message that was not replaced is transmitted exactly `limit` times, in packets that fit."""
    queue = BroadcastQueue(100, 200)
    current: dict[object, bytes] = {}
    for number, (data, subject) in enumerate(messages):
        if len(data) + OVERHEAD <= budget:
            queue.push(data, subject)
            current[subject or number] = data
    assert len(queue) == len(current)
    transmits: Counter[bytes] = Counter()
    while packet := queue.take(budget, OVERHEAD, limit, 99):
        assert sum(len(data) + OVERHEAD for data in packet) <= budget
        transmits.update(packet)
    expected: Counter[bytes] = Counter()
    for data in current.values():
        expected[data] += limit
    assert transmits == expected
    assert len(queue) == 0
