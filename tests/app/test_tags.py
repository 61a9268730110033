"""What is read from a member's tags, whatever somebody wrote into them."""

from collections.abc import Mapping

import pytest

from app.tags import node_name, registry_port, start, zone
from gossip.membership import Member, MemberState


def member(tags: Mapping[str, str]) -> Member:
    return Member("node-1-abc123", "10.0.0.1", 7946, MemberState.ALIVE, tags)


def test_a_stock_agent_is_called_by_its_gossip_name() -> None:
    """It carries no tag `node`, and no zone."""
    assert (node_name(member({})), zone(member({}))) == ("node-1-abc123", "")
    assert (node_name(member({"node": "node-1"})), zone(member({"zone": "a"}))) == ("node-1", "a")


@pytest.mark.parametrize(
    ("text", "port"),
    [("5000", 5000), ("1", 1), ("65535", 65535), ("0", None), ("65536", None), ("", None), ("-1", None), ("5e3", None)],
)
def test_only_a_port_is_a_port(text: str, port: int | None) -> None:
    """A number from 1 to 65535 in decimal digits."""
    assert registry_port(member({"http": text})) == port


@pytest.mark.parametrize("text", ["\N{ARABIC-INDIC DIGIT FIVE}", "9" * 5000])
def test_odd_digits_are_no_port_either(text: str) -> None:
    """Digits of other scripts, and more of them than Python would convert."""
    assert registry_port(member({"http": text})) is None


def test_no_tag_is_no_port() -> None:
    """Not every member is a mirror."""
    assert registry_port(member({})) is None


def test_starts_are_told_apart() -> None:
    """By whatever the tag says; a member that says nothing has one start."""
    assert start(member({"start": "7"})) == "7"
    assert start(member({})) == ""
