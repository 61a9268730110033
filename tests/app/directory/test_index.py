"""The index answers like looking into every filter one by one, only faster."""

import random

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.directory.bloom import Bloom
from app.directory.index import FilterIndex

OWNERS = st.integers(0, 20)
KEYS = st.integers(0, 9).map(lambda n: n * 0x9E3779B97F4A7C15 % 2**64)
ALL_KEYS = [n * 0x9E3779B97F4A7C15 % 2**64 for n in range(10)]


class IndexMachine(RuleBasedStateMachine):
    """The index beside a dictionary of filters."""

    def __init__(self) -> None:
        super().__init__()
        self.index: FilterIndex[int] = FilterIndex()
        self.filters: dict[int, Bloom] = {}
        self.live: set[int] = set()

    @rule(owner=OWNERS, keys=st.sets(KEYS), log2=st.integers(14, 16), live=st.booleans())
    def put(self, owner: int, keys: set[int], log2: int, live: bool) -> None:
        self.filters[owner] = Bloom.of(keys, log2)
        self.index.put(owner, Bloom.of(keys, log2), live)
        self._set(owner, live)

    @rule(owner=OWNERS, key=KEYS)
    def add(self, owner: int, key: int) -> None:
        if owner in self.filters:
            known = key in self.filters[owner]
            assert self.index.add(owner, key) is not known
            self.filters[owner].add(key)

    @rule(owner=OWNERS, live=st.booleans())
    def set_live(self, owner: int, live: bool) -> None:
        if owner in self.filters:
            self.index.set_live(owner, live)
            self._set(owner, live)

    @rule(owner=OWNERS)
    def remove(self, owner: int) -> None:
        self.index.remove(owner)
        self.filters.pop(owner, None)
        self.live.discard(owner)

    def _set(self, owner: int, live: bool) -> None:
        (self.live.add if live else self.live.discard)(owner)

    @invariant()
    def the_same_answers(self) -> None:
        for key in ALL_KEYS:
            expected = {owner for owner in self.live if key in self.filters[owner]}
            assert set(self.index.match(key)) == expected
            assert self.index.count(key) == len(expected)
        assert len(self.index) == len(self.filters)
        assert all(owner in self.index for owner in self.filters)

    def teardown(self) -> None:
        for owner, filter_ in self.filters.items():
            assert self.index.get(owner) == filter_


IndexMachine.TestCase.__doc__ = "Any sequence of changes leaves the index equal to the filters."
TestIndexMachine = IndexMachine.TestCase


def test_it_grows_beyond_its_first_slots() -> None:
    """Filters that were there before the matrix grew are still there after it, each in its own column."""
    index: FilterIndex[int] = FilterIndex()
    for owner in range(150):
        index.put(owner, Bloom.of([owner, 1000], 14), True)
    assert all(index.get(owner) == Bloom.of([owner, 1000], 14) for owner in range(150))
    assert sorted(index.match(1000)) == list(range(150))
    assert index.count(1000) == 150


def test_slots_are_used_again() -> None:
    """Names are unique per start: a thousand that come and go must not make the matrix grow."""
    index: FilterIndex[int] = FilterIndex()
    index.put(-1, Bloom(14), True)
    for owner in range(1000):
        index.put(owner, Bloom.of([owner], 14), True)
        index.remove(owner)
    filters, owners = index._classes[14]
    assert owners == {0: -1}
    assert len(filters) == 1
    assert filters.take_slot() == 1


def test_a_reused_slot_is_empty() -> None:
    """Nothing of the one who had it before is found under the new owner."""
    index: FilterIndex[str] = FilterIndex()
    index.put("other", Bloom(14), True)
    index.put("old", Bloom.of([7], 14), True)
    index.remove("old")
    index.put("new", Bloom.of([8], 14), True)
    assert index.match(7) == []
    assert index.get("new") == Bloom.of([8], 14)


def test_a_size_that_nobody_has_any_more_is_dropped() -> None:
    """A lookup visits no empty class, and its memory is free."""
    index: FilterIndex[str] = FilterIndex()
    index.put("a", Bloom.of([7], 14), True)
    index.put("a", Bloom.of([7], 18), True)
    assert list(index._classes) == [18]
    index.remove("a")
    assert not index._classes
    assert index.match(7) == []


@given(st.sets(st.integers(0, 2**64 - 1), max_size=30), st.integers(14, 18), st.integers(0, 20))
def test_a_filter_comes_out_as_it_went_in(keys: set[int], log2: int, neighbours: int) -> None:
    """Bit for bit, whatever its neighbours in the matrix hold."""
    rng = random.Random(neighbours)
    index: FilterIndex[int] = FilterIndex()
    for owner in range(neighbours):
        index.put(owner, Bloom.of([rng.getrandbits(64) for _ in range(20)], log2), True)
    index.put(99, Bloom.of(keys, log2), False)
    assert index.get(99) == Bloom.of(keys, log2)
