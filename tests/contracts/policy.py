"""What every peer policy promises; `tests/app/resolver/test_policy.py` holds each registered one to it."""

from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

from app.resolver.policy import Policy, Standing
from gossip.membership import Member, MemberState


def member(number: int) -> Member:
    """A member with a name of its own."""
    return Member(f"node-{number}", f"10.0.0.{number % 250 + 1}", 7946, MemberState.ALIVE, {"http": "5000"})


STANDINGS = st.lists(
    st.builds(
        Standing,
        st.integers(0, 300).map(member),
        st.booleans(),
        st.integers(0, 5),
        st.none() | st.floats(0, 60),
        st.booleans(),
    ),
    max_size=30,
    unique_by=lambda standing: standing.member.name,
)


def invents_and_repeats_nobody(policy: Policy, candidates: Sequence[Standing], seed: int) -> None:
    """Everybody who goes in comes out, once."""
    names = sorted(member.name for member in policy(candidates, Random(seed)))
    assert names == sorted(standing.member.name for standing in candidates)


def gives_the_same_order_for_the_same_input(policy: Policy, candidates: Sequence[Standing], seed: int) -> None:
    """Chance comes from the caller's source only."""
    assert policy(candidates, Random(seed)) == policy(candidates, Random(seed))


def puts_the_doubtful_last(policy: Policy, candidates: Sequence[Standing], seed: int) -> None:
    """They are asked after all others, but they are asked."""
    doubtful = {standing.member.name: standing.doubtful for standing in candidates}
    order = [doubtful[member.name] for member in policy(candidates, Random(seed))]
    assert order == sorted(order)


def tells_equals_apart_by_chance(policy: Policy) -> None:
    """Many nodes with the same view don't all ask the same peers first."""
    equals = [Standing(member(number), True, 0, None, False) for number in range(10)]
    assert len({policy(equals, Random(seed))[0].name for seed in range(100)}) > 5
