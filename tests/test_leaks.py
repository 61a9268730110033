"""The leak fixture's own tests: each kind of leak is seen, and what ends by itself is none."""

import os

import gevent
import pytest
from gevent import monkey

from tests.leaks import Census, GreenletRegister

_start_thread = monkey.get_original("_thread", "start_new_thread")
_allocate_lock = monkey.get_original("_thread", "allocate_lock")


@pytest.fixture
def census(greenlet_register: GreenletRegister):
    """The state before, and a way to ask what is new."""
    before = Census.take(greenlet_register)
    return lambda patience_s=0.0: before.what_is_new(greenlet_register, patience_s)


def test_nothing_is_left(census):
    """A test that leaves nothing is told of nothing."""
    assert census() == []


def test_greenlet(census):
    """A greenlet that still waits is named with the place where it waits."""
    greenlet = gevent.spawn(gevent.sleep, 60)
    gevent.idle()
    (line,) = census()
    assert line.startswith("greenlet")
    assert "sleep" in line
    greenlet.kill()


def test_ending_greenlet(census):
    """A greenlet that ends by itself within the patience is no leak."""
    greenlet = gevent.spawn(gevent.sleep, 0)
    assert census(patience_s=1.0) == []
    greenlet.join()


def test_descriptor(census):
    """An open descriptor is named with what it is."""
    readable, writable = os.pipe()
    lines = census()
    os.close(readable)
    os.close(writable)
    assert len(lines) == 2
    assert all("pipe:" in line for line in lines)


def test_native_thread(census):
    """A thread started behind threading's back is named by its function."""
    running, release, ended = _allocate_lock(), _allocate_lock(), _allocate_lock()
    for lock in (running, release, ended):
        lock.acquire()

    def stays() -> None:
        running.release()
        release.acquire()
        ended.release()

    _start_thread(stays, ())
    running.acquire()
    (line,) = census()
    release.release()
    ended.acquire()
    assert "stays" in line
