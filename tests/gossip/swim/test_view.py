"""What claims do to a node's view: acceptance, suspicion, refutation, and who may come back where."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gossip.membership import MemberState
from gossip.swim.effects import Effect, MemberFailed, MemberJoined, MemberUpdated
from gossip.swim.settings import MAX_INCARNATION
from gossip.swim.view import speakable
from gossip.wire.messages import SERF_VERSIONS, Alive, Dead, Message, SerfMessage, Suspect, Versions, WireState
from tests.gossip.swim.cores import ME, QUIET, Core, alive, entry, told

FIVE = ("m1", "m2", "m3", "m4", "m5")


def told_on(core: Core, *messages: Message) -> list[Message | SerfMessage]:
    """What a node tells on after these."""
    return told([*core.hear(*messages), *core.after(1.5)])


def test_newcomer_is_accepted_and_told_on() -> None:
    """An alive message of somebody unknown makes a member, is told to the user and to others, and only once."""
    core = Core(QUIET, "m1")
    effects = core.hear(alive("m2", tags={"zone": "a"}))
    joined = [effect.member for effect in effects if isinstance(effect, MemberJoined)]
    assert [(member.name, member.host, dict(member.tags)) for member in joined] == [("m2", "10.0.2.2", {"zone": "a"})]
    assert alive("m2", tags={"zone": "a"}) in told(core.after(3))
    assert core.hear(alive("m2", tags={"zone": "a"})) == []


@pytest.mark.parametrize(
    "claim",
    [
        replace(alive("m9"), incarnation=0),
        replace(alive("m9"), port=0),
        replace(alive("m9"), versions=()),
        replace(alive("m9"), versions=(1, 5, 2, 0, 0, 0)),
        replace(alive("m9"), versions=(0, 0, 0, 2, 5, 5)),
        replace(alive("m9"), versions=(1, 5, 2, 6, 9, 9)),
    ],
)
def test_unacceptable_newcomer(claim: Alive) -> None:
    """No incarnation, no port, or versions that we don't speak: not taken in, so that it can't spoil push/pulls."""
    core = Core(QUIET, "m1")
    core.hear(claim)
    assert core.state("m9") is None
    assert "m9" not in core.table()


@pytest.mark.parametrize(
    ("versions", "spoken"),
    [
        (SERF_VERSIONS, True),
        ((1, 5, 2, 2, 5, 4), True),
        ((1, 5, 5, 2, 5, 5), True),
        ((1, 2, 2, 2, 5, 2), True),
        ((3, 5, 3, 2, 5, 5), False),  # does not understand what we speak
        ((1, 9, 9, 2, 5, 5), False),  # speaks what we don't understand
        ((0, 5, 2, 2, 5, 5), False),  # stock nodes ignore it
        ((1, 5, 2), False),
    ],
)
def test_speakable(versions: Versions, spoken: bool) -> None:
    """Each side has to understand what the other speaks, in both protocols."""
    assert speakable(versions) is spoken


def test_member_limit() -> None:
    """Beyond the limit newcomers are ignored, those who are known already are not."""
    core = Core(replace(QUIET, member_limit=3), "m1", "m2")
    core.hear(alive("m3"), alive("m2", 2))
    assert core.state("m3") is None
    assert core.table()["m2"].incarnation == 2


def test_new_tags_are_an_update() -> None:
    """A larger incarnation with other tags changes them, and the user is told."""
    core = Core(QUIET, "m1")
    effects = core.hear(alive("m1", 2, {"zone": "b"}))
    assert [dict(effect.member.tags) for effect in effects if isinstance(effect, MemberUpdated)] == [{"zone": "b"}]


def test_suspicion_ends_in_death() -> None:
    """A suspect that nobody clears is dead after the longest time, told on in our own name."""
    core = Core(QUIET, *FIVE)
    core.hear(Suspect(1, "m1", "m2"))
    assert core.state("m1") is MemberState.SUSPECT
    core.after(23.9)  # 6 members: 4 s, and six times as long without confirmation
    assert core.state("m1") is MemberState.SUSPECT
    effects = core.after(0.2)
    assert [effect.member.name for effect in effects if isinstance(effect, MemberFailed)] == ["m1"]
    assert Dead(1, "m1", ME) in told([*effects, *core.after(1)])


def test_confirmations_shorten_the_suspicion() -> None:
    """With two more accusers the shortest time holds, from the start; each is told on."""
    core = Core(QUIET, *FIVE)
    for accuser in ("m2", "m3", "m4"):
        assert Suspect(1, "m1", accuser) in told(core.hear(Suspect(1, "m1", accuser)) + core.after(1.0))
    assert core.state("m1") is MemberState.SUSPECT
    core.after(1.1)
    assert core.state("m1") is MemberState.FAILED


def test_repeated_accusation_is_no_confirmation() -> None:
    """The same accuser again, or more than are needed, shortens nothing and is not told on."""
    core = Core(QUIET, *FIVE)
    core.hear(Suspect(1, "m1", "m2"))
    core.after(3)
    assert Suspect(1, "m1", "m2") not in told_on(core, Suspect(1, "m1", "m2"))
    core.after(18)
    assert core.state("m1") is MemberState.SUSPECT


def test_refuted_suspicion() -> None:
    """A larger incarnation clears the suspect for good; the same one does not."""
    core = Core(QUIET, *FIVE)
    core.hear(Suspect(1, "m1", "m2"))
    core.hear(alive("m1", 1))
    assert core.state("m1") is MemberState.SUSPECT
    core.hear(alive("m1", 2))
    core.after(60)
    assert core.state("m1") is MemberState.ALIVE


@pytest.mark.parametrize("state", [WireState.SUSPECT, WireState.DEAD])
def test_remote_death_is_a_suspicion(state: WireState) -> None:
    """What a push/pull calls dead is only suspected here: the accused gets its chance."""
    core = Core(QUIET, *FIVE)
    core.push_pull([entry("m1", state)])
    assert core.state("m1") is MemberState.SUSPECT


def test_death_is_told_once() -> None:
    """The first death message is told on and to the user, a repeated one is not."""
    core = Core(QUIET, *FIVE)
    assert Dead(1, "m1", "m2") in told_on(core, Dead(1, "m1", "m2"))
    assert told_on(core, Dead(1, "m1", "m3")) == []
    assert core.state("m1") is MemberState.FAILED


@pytest.mark.parametrize("claim", [Suspect(7, ME, "m1"), Dead(7, ME, "m1"), Suspect(0, ME, "m1")])
def test_accused_node_refutes(claim: Suspect | Dead) -> None:
    """We answer an accusation that counts by a larger incarnation, and trust ourselves less; a stale one is ignored."""
    core = Core(QUIET, "m1", "m2")
    effects = core.hear(claim)
    counts = claim.incarnation > 0
    assert core.swim.health == counts
    said = [message for message in told(effects + core.after(2)) if isinstance(message, Alive)]
    assert {message.incarnation for message in said} == ({8} if counts else set())


def test_earlier_life_is_outbid() -> None:
    """After a restart the cluster still has our old incarnation and tags: we go beyond it."""
    core = Core(QUIET, "m1")
    old = Alive(5, ME, b"\x0a\0\0\1", 7946, b"\xff\x80", SERF_VERSIONS)
    core.push_pull([entry("m1"), entry("m1")])
    core.hear(old)
    assert core.table()[ME].incarnation == 6


def test_own_news_coming_back_is_ignored() -> None:
    """Hearing our own words is no accusation."""
    core = Core(QUIET, "m1")
    mine = core.table()[ME]
    core.hear(Alive(mine.incarnation, ME, mine.addr, mine.port, mine.meta, mine.versions))
    assert core.table()[ME] == mine
    assert core.swim.health == 0


def test_last_incarnation_cannot_be_refuted() -> None:
    """An accusation with the largest number of 32 bits is ignored: there is none larger to answer with."""
    core = Core(QUIET, "m1")
    core.hear(Suspect(MAX_INCARNATION, ME, "m1"))
    assert core.table()[ME].incarnation == 1
    core.hear(Suspect(MAX_INCARNATION - 1, ME, "m1"))
    assert core.table()[ME].incarnation == MAX_INCARNATION


def moved(name: str, incarnation: int) -> Alive:
    """A member at another address than usual."""
    return replace(alive(name, incarnation), addr=b"\x0a\x63\x63\x63")


def test_name_is_bound_to_its_address() -> None:
    """Alive or dead, a name does not move; after a good-bye it may, whatever the incarnation."""
    core = Core(QUIET, *FIVE)
    core.hear(moved("m1", 9))
    assert core.table()["m1"].addr == b"\x0a\0\1\2"
    core.hear(Dead(1, "m1", "m2"), moved("m1", 9))
    assert core.table()["m1"].state is WireState.DEAD
    core.hear(Dead(3, "m2", "m2"), replace(moved("m2", 4), port=0), replace(moved("m2", 4), versions=()))
    assert core.table()["m2"].state is WireState.LEFT
    core.hear(moved("m2", 1))
    assert (core.table()["m2"].addr, core.table()["m2"].state) == (b"\x0a\x63\x63\x63", WireState.ALIVE)


def test_nothing_of_ourselves_before_the_first_push_pull() -> None:
    """A node that the cluster has not merged with does not gossip its own alive; afterwards it does."""
    core = Core(QUIET, settled=False)
    core.hear(alive("m1"), alive("m2"))
    core.swim.set_tags({"zone": "a"}, core.now)
    assert [item for item in told(core.after(5)) if isinstance(item, Alive) and item.node == ME] == []
    core.push_pull([entry("m1")])
    own = [item for item in told(core.after(5)) if isinstance(item, Alive) and item.node == ME]
    assert {(item.incarnation, item.meta != b"\xff\x80") for item in own} == {(2, True)}


CLAIMS = st.one_of(
    st.builds(alive, st.sampled_from(FIVE), st.integers(0, 4)),
    st.builds(Suspect, st.integers(0, 4), st.sampled_from(FIVE), st.sampled_from(FIVE)),
    st.builds(
        lambda incarnation, node, sender: Dead(incarnation, node, sender),
        st.integers(0, 4),
        st.sampled_from(FIVE),
        st.sampled_from([*FIVE, ME]),
    ),
)


def lives(core: Core) -> dict[str, tuple[int, WireState]]:
    """The table once all suspicions have run out."""
    core.after(25)
    return {row.name: (row.incarnation, row.state) for row in core.table().values()}


@settings(max_examples=60)
@given(st.lists(CLAIMS, max_size=6).flatmap(lambda claims: st.tuples(st.just(claims), st.permutations(claims))))
def test_claims_in_any_order_end_in_the_same_table(orders: tuple[list[Message], list[Message]]) -> None:
    """Two nodes that hear the same claims in different order agree in the end (the table forgets nobody here)."""
    forgets_nobody = replace(QUIET, gossip_to_the_dead_s=1e9)
    one, two = Core(forgets_nobody, *FIVE), Core(forgets_nobody, *FIVE)
    for core, claims in zip((one, two), orders, strict=True):
        for claim in claims:
            core.hear(claim)
    assert lives(one) == lives(two)


class TableMachine(RuleBasedStateMachine):
    """Claims, accusations and time in any order: the invariants of one node's view."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Core(QUIET, *FIVE)
        self.announced: dict[str, MemberState] = dict.fromkeys(FIVE, MemberState.ALIVE)
        self.highest = dict.fromkeys((*FIVE, ME), 0)

    @rule(claim=CLAIMS)
    def hear(self, claim: Message) -> None:
        """Somebody claims something."""
        self._note(self.core.hear(claim))

    @rule(accused=st.integers(0, 50), dead=st.booleans())
    def accuse(self, accused: int, dead: bool) -> None:
        """Somebody accuses us."""
        self._note(self.core.hear(Dead(accused, ME, "m1") if dead else Suspect(accused, ME, "m1")))

    @rule(state=st.sampled_from(WireState), name=st.sampled_from(FIVE), incarnation=st.integers(0, 4))
    def push_pull(self, state: WireState, name: str, incarnation: int) -> None:
        """Somebody lays its table beside ours."""
        before = len(self.core.effects)
        self.core.push_pull([entry(name, state, incarnation)])
        self._note(self.core.effects[before:])

    @rule(seconds=st.sampled_from([1, 5, 30, 300]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self._note(self.core.after(seconds))

    @invariant()
    def we_are_alive(self) -> None:
        """Nobody can talk us into our own death."""
        assert self.core.state(ME) is MemberState.ALIVE

    @invariant()
    def announcements_match_the_members(self) -> None:
        """Who follows the announcements knows exactly the states that `members` gives (reaped ones stay absent)."""
        for name, announced in self.announced.items():
            assert self.core.state(name) in (announced, None)
            if self.core.state(name) is None:
                assert announced.absent

    @invariant()
    def incarnations_only_grow(self) -> None:
        """As long as the table knows a member, its incarnation never falls."""
        for name, row in self.core.table().items():
            assert row.incarnation >= self.highest[name]
        rows = self.core.table()
        self.highest = {name: rows[name].incarnation if name in rows else 0 for name in self.highest}

    def _note(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            member = getattr(effect, "member", None)
            if member is not None:
                absent = self.announced[member.name].absent
                assert isinstance(effect, MemberJoined) == (absent and member.state is not MemberState.LEFT)
                self.announced[member.name] = member.state


TestTableMachine = TableMachine.TestCase
TestTableMachine.settings = settings(max_examples=40, stateful_step_count=25)
