"""Who a node says it is."""

import re
from random import Random

from app.config.config import Config
from app.identity import TAG_NAMES, local_node, local_tags
from app.tags import node_name, registry_port, start, zone
from gossip.membership import Member, MemberState
from gossip.wire.serf import encode_tags

GIVEN = {"node_name": "node-1", "advertise_addr": "10.0.0.1", "registry_addr": ":5001", "gossip_addr": ":7000"}


def test_each_start_is_another_member() -> None:
    """The gossip refuses a name that comes back elsewhere; people see the node's own name all the same."""
    rng = Random(1)
    config = Config.from_options(GIVEN)
    first, second = local_node(config, rng), local_node(config, rng)
    assert first.name != second.name
    assert re.fullmatch(r"node-1-[0-9a-f]{6}", first.name)
    assert first.tags["node"] == second.tags["node"] == "node-1"
    assert (first.host, first.port) == ("10.0.0.1", 7000)


def test_what_is_written_is_what_the_others_read() -> None:
    """Name, port and zone come back from the tags."""
    local = local_node(Config.from_options({**GIVEN, "zone": "zone-a"}), Random(1))
    seen = Member(local.name, local.host, local.port, MemberState.ALIVE, local.tags)
    assert (node_name(seen), registry_port(seen), zone(seen)) == ("node-1", 5001, "zone-a")
    assert seen.tags["v"] == "1"
    assert int(start(seen)) > 0


def test_what_was_not_given_has_no_tag() -> None:
    """Tags travel in every alive message."""
    assert set(local_node(Config.from_options(GIVEN), Random(1)).tags) == {"node", "v", "http", "start"}


def test_the_longest_names_fit() -> None:
    """A gossip message carries 512 bytes of tags."""
    longest = {**GIVEN, "node_name": "n" * 253, "zone": "z" * 63, "region": "r" * 63, "registry_addr": ":65535"}
    assert len(encode_tags(local_node(Config.from_options(longest), Random(1)).tags)) <= 512


def test_all_our_tags_have_known_names() -> None:
    """On an agent that goes on from start to start, those that are not given any more have to be taken away."""
    assert set(local_tags(Config.from_options({**GIVEN, "zone": "z", "region": "r"}))) == TAG_NAMES
