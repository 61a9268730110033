"""The schedule of questions about what has landed."""

import itertools

from app.content.containerd.landing import Landings
from app.key import Digest

A, B = Digest.of(b"a"), Digest.of(b"b")


def _ask_all(landings: Landings) -> list[float]:
    """When each question is due, if the answer is always "not yet"."""
    times = []
    while (due := landings.next_due()) is not None:
        digest = landings.due(due)
        if digest is not None:
            times.append(due)
            landings.again(digest, due)
    return times


def test_grows_and_ends() -> None:
    """A question is repeated at growing intervals, soon enough for a database 3 ms late, and then given up."""
    landings = Landings()
    landings.add(A, now=0.0)
    times = _ask_all(landings)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == sorted(gaps)
    assert sum(at <= 0.011 for at in times) >= 4
    assert 2.0 < times[-1] < 4.0
    assert A not in landings
    assert len(landings) == 0


def test_not_due_yet() -> None:
    """Nothing is asked before its time."""
    landings = Landings()
    landings.add(A, now=10.0)
    assert landings.due(10.0) is None
    assert landings.due(10.01) == A
    assert landings.due(10.01) is None


def test_once_only() -> None:
    """To ask again for what is being asked about changes nothing."""
    landings = Landings()
    assert landings.add(A, now=0.0)
    assert landings.add(A, now=0.0)
    assert landings.due(1.0) == A
    assert landings.due(1.0) is None


def test_discard() -> None:
    """What was discarded, also while its answer was under way, is not asked about again."""
    landings = Landings()
    landings.add(A, now=0.0)
    landings.add(B, now=0.0)
    landings.discard(A)
    assert landings.due(1.0) == B
    landings.discard(B)
    landings.again(B, 1.0)
    assert landings.due(100.0) is None
    assert landings.next_due() is None


def test_added_anew() -> None:
    """What landed again after it was discarded is asked about anew, from the first interval on."""
    landings = Landings()
    landings.add(A, now=0.0)
    landings.due(1.0)
    landings.again(A, 1.0)
    landings.discard(A)
    landings.add(A, now=2.0)
    assert len(_ask_all(landings)) == len(_fresh())


def _fresh() -> list[float]:
    landings = Landings()
    landings.add(A, now=0.0)
    return _ask_all(landings)


def test_bounded() -> None:
    """There is room for ten thousand; further ones are refused, so that the caller lists instead."""
    landings = Landings()
    assert all(landings.add(Digest.of(b"%d" % number), now=0.0) for number in range(10_000))
    assert not landings.add(A, now=0.0)
    digest = landings.due(1.0)
    assert digest is not None
    landings.discard(digest)
    assert landings.add(A, now=0.0)
