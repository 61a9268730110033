"""The greenlet that joins the cluster."""

import random
from collections.abc import Sequence

import gevent
import pytest
from gevent.event import Event
from structlog.testing import capture_logs

from app.address import Address
from app.bootstrap import BOOTSTRAPPERS, make_bootstrapper
from app.bootstrap.contract import BootstrapError, Bootstrapper
from app.bootstrap.loop import Bootstrap
from app.bootstrap.schedule import FAILURES_UNTIL_SETTLED
from app.config.config import Config
from app.config.option import options_of
from gossip.membership import Member, MembershipListener
from tests.fake_membership import FakeCluster, FakeMembership


class _Listener(MembershipListener):
    """Hears nothing."""

    def joined(self, member: Member) -> None: ...
    def updated(self, member: Member) -> None: ...
    def left(self, member: Member) -> None: ...
    def failed(self, member: Member) -> None: ...
    def received(self, topic: str, payload: bytes) -> None: ...
    def lost(self) -> None: ...


class _Place:
    """A bootstrapper whose answers a test writes."""

    def __init__(self, answer: Sequence[Address] | BootstrapError | Exception = ()) -> None:
        self.answer = answer
        self.asked = 0
        self.asked_often = Event()

    def addresses(self) -> Sequence[Address]:
        self.asked += 1
        if self.asked > 1:
            self.asked_often.set()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class _World:
    """A node that looks for its cluster, and some that are there."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.now = 100.0

    def node(self, name: str) -> FakeMembership:
        node = self.cluster.node(name)
        node.start(_Listener())
        return node

    def bootstrap(self, node: FakeMembership, place: Bootstrapper) -> Bootstrap:
        return Bootstrap(node, place, rng=random.Random(1), clock=lambda: self.now)


def _turns() -> None:
    """Let every greenlet that can run do so."""
    for _ in range(5):
        gevent.sleep(0)


@pytest.fixture
def world() -> _World:
    """A cluster in memory."""
    return _World()


def test_a_node_joins_who_is_there(world: _World) -> None:
    """Past addresses that nobody answers at, the own one left out."""
    first, second = world.node("first"), world.node("second")
    place = _Place([second.address, first.address, ("10.9.9.9", 7946), ("10.9.9.8", 7946)])
    bootstrap = world.bootstrap(second, place)
    assert bootstrap.round() > 15.0
    assert {each.name for each in second.members()} == {"first", "second"}
    assert bootstrap.not_connected() is None


def test_groups_are_tried_until_one_answers(world: _World) -> None:
    """A list that is mostly out of date still leads to the cluster, in one round."""
    first, second = world.node("first"), world.node("second")
    stale = [(f"10.9.9.{number}", 7946) for number in range(1, 13)]
    world.bootstrap(second, _Place([*stale, first.address])).round()
    assert len(second.members()) == 2


def test_a_member_that_is_known_is_not_joined_again(world: _World) -> None:
    """Nothing is tried when everybody who is named is there."""
    first, second = world.node("first"), world.node("second")
    bootstrap = world.bootstrap(second, _Place([first.address, second.address]))
    bootstrap.round()
    assert bootstrap._join_strangers() == 0


def test_two_halves_find_each_other_again(world: _World) -> None:
    """An address that is no member is joined although there is company."""
    one, two, three = (world.node(name) for name in ("one", "two", "three"))
    two.join([one.address])
    world.bootstrap(two, _Place([one.address, three.address])).round()
    assert len(three.members()) == 3


def test_an_address_whose_member_failed_is_joined(world: _World) -> None:
    """A node that was restarted has the old address and a new name."""
    first, second = world.node("first"), world.node("second")
    second.join([first.address])
    first.stop()
    again = world.cluster.node("first-again", host=first.address[0])
    again.start(_Listener())
    world.bootstrap(second, _Place([first.address])).round()
    assert "first-again" in {each.name for each in second.members()}


def test_a_first_node_is_connected_after_one_round(world: _World) -> None:
    """Only itself in the answer, or nobody: it must not wait for a second one."""
    node = world.node("first")
    bootstrap = world.bootstrap(node, _Place([node.address]))
    world.now += 7
    assert bootstrap.not_connected() == "looking for members for 7 s"
    assert bootstrap.round() < 1.0
    assert bootstrap.not_connected() is None


def test_a_place_that_fails_is_shown_and_given_up_for_readiness(world: _World) -> None:
    """The reason is there to read, and the node gets ready all the same."""
    bootstrap = world.bootstrap(world.node("first"), _Place(BootstrapError("can't look up a.test: no server")))
    bootstrap.round()
    assert bootstrap.problem() == "can't look up a.test: no server"
    assert bootstrap.not_connected() == "looking for members for 0 s: can't look up a.test: no server"
    for _ in range(FAILURES_UNTIL_SETTLED - 1):
        bootstrap.round()
    assert bootstrap.not_connected() is None
    assert bootstrap.problem() is not None


def test_being_joined_by_others_connects_too(world: _World) -> None:
    """Whoever made the first step."""
    first, second = world.node("first"), world.node("second")
    bootstrap = world.bootstrap(first, _Place(BootstrapError("no server")))
    second.join([first.address])
    assert bootstrap.not_connected() is None


def test_states_are_logged_once(world: _World) -> None:
    """A failure that lasts is one line, as are being alone and having joined."""
    first, second = world.node("first"), world.node("second")
    place = _Place(BootstrapError("no server"))
    bootstrap = world.bootstrap(second, place)
    with capture_logs() as lines:
        for answer in (BootstrapError("no server"), BootstrapError("no route"), [], [first.address]):
            place.answer = answer
            for _ in range(3):
                bootstrap.round()
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "bootstrap failed"),
        ("warning", "bootstrap failed"),
        ("info", "alone in the cluster"),
        ("info", "cluster joined"),
    ]
    assert (lines[1]["reason"], lines[3]["members"]) == ("no route", 2)


def test_a_failure_that_comes_back_is_logged_again(world: _World) -> None:
    """After better times it is news."""
    first, second = world.node("first"), world.node("second")
    second.join([first.address])
    place = _Place()
    bootstrap = world.bootstrap(second, place)
    with capture_logs() as lines:
        for answer in (BootstrapError("no server"), (), BootstrapError("no server")):
            place.answer = answer
            bootstrap.round()
    assert [line["event"] for line in lines] == ["bootstrap failed", "bootstrap failed"]


def test_it_runs_in_the_background_until_stopped(world: _World) -> None:
    """Stopping ends the greenlet; twice is fine."""
    first, second = world.node("first"), world.node("second")
    place = _Place([first.address])
    bootstrap = world.bootstrap(second, place)
    bootstrap.start()
    _turns()
    bootstrap.stop()
    bootstrap.stop()
    assert (place.asked, len(second.members())) == (1, 2)


def test_waking_asks_at_once_but_only_when_alone(world: _World) -> None:
    """When the last other member goes there is no waiting for the next minute."""
    first, second = world.node("first"), world.node("second")
    place = _Place([first.address])
    bootstrap = world.bootstrap(second, place)
    bootstrap.start()
    _turns()
    bootstrap.wake()
    _turns()
    assert place.asked == 1
    first.stop()
    bootstrap.wake()
    assert place.asked_often.wait(10.0)
    bootstrap.stop()


def test_a_fault_of_the_program_is_logged_and_survived(world: _World) -> None:
    """The greenlet goes on for ever, whatever a bootstrapper raises."""
    place = _Place(RuntimeError("a bug"))
    bootstrap = world.bootstrap(world.node("first"), place)
    with capture_logs() as lines:
        bootstrap.start()
        _turns()
        place.answer = ()
        bootstrap.wake()
        assert place.asked_often.wait(10.0)
        bootstrap.stop()
    assert lines[0]["event"] == "bootstrap round failed"


def test_every_choice_of_the_option_has_a_bootstrapper() -> None:
    """The names in the option's table and in the registry are the same."""
    (bootstrap,) = (each for each in options_of(Config) if each.flag == "--bootstrap")
    assert [bootstrap.parse(name) for name in BOOTSTRAPPERS] == ["none", "static", "dns"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        (
            {"bootstrap": "static", "bootstrap_peers": "127.0.0.2:7000,127.0.0.3"},
            [("127.0.0.2", 7000), ("127.0.0.3", 1)],
        ),
        ({"bootstrap": "dns", "bootstrap_dns_name": "127.0.0.4"}, [("127.0.0.4", 1)]),
    ],
)
def test_the_settings_make_the_bootstrapper(given: dict[str, str], expected: list[Address]) -> None:
    """Peers without a port, and all of a DNS name, have the own gossip port."""
    config = Config.from_options({"gossip_addr": "127.0.0.1:1", **given})
    assert list(make_bootstrapper(config).addresses()) == expected
