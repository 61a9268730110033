"""Who this node is in the gossip: the tags that tell the others of it, and a name that is unique per start.

An external agent has a name of its own, which outlives our starts: there the tag `start` tells them apart.
"""

import time
from random import Random

from app.config.config import Config
from gossip.swim.protocol import LocalNode

#: Version of what mirrors say to each other: deltas, filters, anti-entropy. Members of another version are no peers.
PROTOCOL_VERSION = "1"

_SUFFIX_DIGITS = 6


#: All tags that a node may have of us.
TAG_NAMES = frozenset({"node", "v", "http", "start", "zone", "region"})


def local_tags(config: Config) -> dict[str, str]:
    """What the others are told of this start of the node.

    `node` is the name that people see, `v` the protocol, `http` the registry's port, `start` the time of start,
    `zone` and `region` are there where given.
    """
    tags = {
        "node": config.node_name,
        "v": PROTOCOL_VERSION,
        "http": str(config.registry_addr[1]),
        "start": str(int(time.time())),
        "zone": config.zone,
        "region": config.region,
    }
    return {name: value for name, value in tags.items() if value}


def local_node(config: Config, rng: Random) -> LocalNode:
    """The member that this start of the node is, for the embedded engine.

    The gossip name is the node's name and a random suffix: a name that came back with another address after a crash
    would be refused by the others for half a minute.
    """
    suffix = "".join(rng.choices("0123456789abcdef", k=_SUFFIX_DIGITS))
    return LocalNode(
        name=f"{config.node_name}-{suffix}",
        host=config.advertise_addr,
        port=config.gossip_addr[1],
        tags=local_tags(config),
    )
