"""The service on a fake membership, with the other services' `answer` in place of HTTP."""

import random
import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event
from structlog.testing import capture_logs

from app.directory.antientropy import What, encode_compare, encode_wanted
from app.directory.errors import DirectoryError, UnknownQuestion
from app.directory.service import DirectoryService
from app.metrics import Metrics
from gossip.membership import Member, MemberState
from tests.fake_membership import FakeCluster, FakeMembership

KEY = 0x0123456789ABCDEF
TAGS = {"v": "1", "http": "5000"}


class Node:
    def __init__(self, lab: "Lab", name: str) -> None:
        self.membership: FakeMembership = lab.cluster.node(name, TAGS)
        self.metrics = Metrics()
        self.service = DirectoryService(
            self.membership, lab.fetch, metrics=self.metrics, rng=random.Random(name), clock=time.monotonic
        )

    def start(self) -> None:
        self.membership.start(self.service)
        self.service.start()

    def count(self, sample: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(sample, labels) or 0.0


class Lab:
    """Services in one cluster. `down` are those that refuse HTTP."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.nodes: dict[str, Node] = {}
        self.down: set[str] = set()

    def node(self, name: str) -> Node:
        node = self.nodes[name] = Node(self, name)
        return node

    def started(self, name: str) -> Node:
        node = self.node(name)
        node.start()
        node.membership.join([other.membership.address for other in self.nodes.values() if other is not node])
        return node

    def fetch(self, member: Member, what: str, body: bytes) -> bytes:
        gevent.sleep(0)
        if member.name in self.down:
            raise ConnectionRefusedError(f"{member.name} does not listen")
        return self.nodes[member.name].service.answer(what, body)


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab()
    yield lab
    for node in lab.nodes.values():
        node.service.stop()


def until(condition: Callable[[], object]) -> None:
    """Let other greenlets run until it holds."""
    with gevent.Timeout(30):
        while not condition():
            gevent.sleep(0.001)


def names(members: list[Member]) -> list[str]:
    return sorted(member.name for member in members)


def test_a_joiner_learns_what_was_there(lab: Lab) -> None:
    """Also what was announced before the service started."""
    seed = lab.node("seed")
    seed.service.announce(KEY)
    seed.service.announce(KEY + 1)
    seed.service.withdraw(KEY + 1)
    seed.start()
    joiner = lab.started("joiner")

    until(lambda: joiner.service.synchronised)

    assert names(joiner.service.candidates(KEY)) == ["seed"]
    assert joiner.service.candidates(KEY + 1) == []
    assert joiner.service.holders(KEY) == 1
    (row,) = joiner.service.filters()
    assert (row.member.name, row.keys) == ("seed", 1)


def test_an_announcement_reaches_everybody(lab: Lab) -> None:
    """By broadcast, counted at both ends."""
    a, b, c = (lab.started(name) for name in "abc")
    until(lambda: all(node.service.synchronised for node in (a, b, c)))

    b.service.announce(KEY)
    until(lambda: a.service.holders(KEY) and c.service.holders(KEY))

    assert b.count("rykte_directory_deltas_total", direction="sent") == 1
    assert a.count("rykte_directory_deltas_total", direction="received") == 1
    until(lambda: a.count("rykte_directory_filters") == 2)


def test_what_is_due_earlier_wakes_the_timer(lab: Lab) -> None:
    """A new key leaves within a millisecond, not when the timer would have looked anyway."""
    a, b = lab.started("a"), lab.started("b")
    until(lambda: a.service.synchronised and b.service.synchronised)
    until(lambda: not a.service._wake.is_set())
    a.service.announce(KEY)
    assert a.service._wake.is_set()


def test_members_that_were_there_before_the_start_are_known(lab: Lab) -> None:
    """What the membership says before the service starts is not lost."""
    lab.started("seed").service.announce(KEY)
    late = lab.node("late")
    late.membership.start(late.service)
    late.membership.join([lab.nodes["seed"].membership.address])
    assert late.service.candidates(KEY) == []
    assert late.service.holders(KEY) == 0
    assert late.service.filters() == []

    late.service.start()
    until(lambda: names(late.service.candidates(KEY)) == ["seed"])


def test_a_peer_that_does_not_listen_yet_is_tried_again(lab: Lab) -> None:
    """All nodes of a cluster may start at once."""
    lab.started("seed").service.announce(KEY)
    lab.down.add("seed")
    joiner = lab.started("joiner")
    until(lambda: joiner.count("rykte_directory_syncs_total", result="failed"))
    assert not joiner.service.synchronised

    lab.down.clear()
    until(lambda: names(joiner.service.candidates(KEY)) == ["seed"])
    assert joiner.count("rykte_directory_syncs_total", result="repaired") >= 1


def test_a_suspect_stays_a_candidate_a_dead_one_does_not(lab: Lab) -> None:
    """And one that left is forgotten."""
    a, b = lab.started("a"), lab.started("b")
    b.service.announce(KEY)
    until(lambda: a.service.holders(KEY))

    a.membership.suspect("b")
    assert [member.state for member in a.service.candidates(KEY)] == [MemberState.SUSPECT]

    b.service.stop()
    b.membership.leave(1.0)
    assert a.service.candidates(KEY) == []
    b.membership.stop()

    c = lab.started("c")
    c.service.announce(KEY)
    until(lambda: a.service.holders(KEY))
    c.membership.stop()
    assert a.service.candidates(KEY) == []


def test_other_topics_are_none_of_ours(lab: Lab) -> None:
    """Somebody else may use the same gossip; what is ours and not understood is counted."""
    a, b = lab.started("a"), lab.started("b")
    b.membership.broadcast("deploy", b"v2")
    b.membership.broadcast("rykte", b"\x02 the next version")
    assert a.count("rykte_directory_deltas_total", direction="refused") == 1


def test_lost_broadcasts_are_repaired(lab: Lab) -> None:
    """The next round comes at once when the bridge to the gossip thread was full."""
    a, b = lab.started("a"), lab.started("b")
    until(lambda: a.service.synchronised and b.service.synchronised)
    b.service._membership = lab.cluster.node("nowhere")  # its broadcasts reach nobody
    b.service.announce(KEY)

    a.membership.lose()

    until(lambda: a.service.holders(KEY))


def test_answers(lab: Lab) -> None:
    """Both questions are answered; any other is unknown, and a bad one is refused."""
    service = lab.started("a").service
    assert service.answer("compare", encode_compare({}))[:2] == b"\x01\x00"
    assert service.answer("filters", encode_wanted({}, everything=True))[0] == 1
    with pytest.raises(UnknownQuestion, match="compare, filters"):
        service.answer("everything", b"")
    with pytest.raises(DirectoryError):
        service.answer(What.COMPARE.value, b"nonsense")


def test_no_answer_before_the_start(lab: Lab) -> None:
    """The one who asks tries again."""
    with pytest.raises(UnknownQuestion, match="not started"):
        lab.node("a").service.answer("compare", encode_compare({}))


def test_a_fault_in_the_fetcher_is_logged_and_ends_nothing(lab: Lab) -> None:
    """An error that is no OSError is a bug of ours: it is told with its traceback, and the exchange is tried again."""
    seed = lab.started("seed")
    seed.service.announce(KEY)
    faults = iter([ZeroDivisionError("bug")])

    def fetch(member: Member, what: str, body: bytes) -> bytes:
        for fault in faults:
            raise fault
        return lab.fetch(member, what, body)

    joiner = lab.node("joiner")
    joiner.service._fetch = fetch
    with capture_logs() as logs:
        joiner.start()
        joiner.membership.join([seed.membership.address])
        until(lambda: joiner.service.holders(KEY))
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["directory conversation failed"]


def test_stop_ends_everything(lab: Lab) -> None:
    """Also a conversation that hangs; twice is no error, and nothing is asked any more."""
    seed = lab.started("seed")
    asked = []

    def hang(member: Member, what: str, body: bytes) -> bytes:
        asked.append(what)
        Event().wait()
        return b""

    joiner = lab.node("joiner")
    joiner.service._fetch = hang
    joiner.start()
    joiner.membership.join([seed.membership.address])
    until(lambda: asked)

    joiner.service.stop()
    joiner.service.stop()

    assert len(joiner.service._conversations) == 0
