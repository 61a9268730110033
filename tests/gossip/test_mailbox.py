"""The mailbox between a native thread and a hub."""

import gevent
import pytest
from gevent.monkey import get_original

from gossip.mailbox import Mailbox

start_thread = get_original("_thread", "start_new_thread")


@pytest.fixture
def mailbox() -> Mailbox[int]:
    return Mailbox()


def read(mailbox: Mailbox[int], count: int) -> list[int]:
    """The next `count` items, however long they take."""
    items: list[int] = []
    with gevent.Timeout(20):
        while len(items) < count:
            item = mailbox.take()
            if item is None:
                mailbox.wait()
            else:
                items.append(item)
    return items


def test_items_from_another_thread_come_in_order(mailbox: Mailbox[int]) -> None:
    """A thread without a hub posts ten thousand items; the reader gets them all, in order."""

    def post_all() -> None:
        for number in range(10_000):
            mailbox.post(number)

    start_thread(post_all, ())
    assert read(mailbox, 10_000) == list(range(10_000))
    assert mailbox.take() is None
    mailbox.close()


def test_items_of_the_own_thread_wake_the_reader(mailbox: Mailbox[int]) -> None:
    """Who waits is woken by a post from another greenlet as well."""
    reader = gevent.spawn(read, mailbox, 1)
    gevent.sleep(0)
    mailbox.post(7)
    assert reader.get(timeout=20) == [7]
    mailbox.close()


def test_len_counts_what_waits(mailbox: Mailbox[int]) -> None:
    """Who posts can see how much is waiting."""
    mailbox.post(1)
    mailbox.post(2)
    assert len(mailbox) == 2
    assert mailbox.take() == 1
    assert len(mailbox) == 1
    mailbox.close()


def test_wake_without_an_item(mailbox: Mailbox[int]) -> None:
    """A reader can be woken to look at something else."""
    waiting = gevent.spawn(mailbox.wait)
    gevent.sleep(0)
    mailbox.wake()
    waiting.get(timeout=20)
    assert mailbox.take() is None
    mailbox.close()


def test_close(mailbox: Mailbox[int]) -> None:
    """A closed mailbox says so, for those who might post."""
    assert not mailbox.closed
    mailbox.close()
    assert mailbox.closed
