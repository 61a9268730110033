"""Who this node is in the gossip: its name there, unique per start, and the tags that tell the others the rest."""

import time
from random import Random

from app.config.config import Config
from gossip.swim.protocol import LocalNode

#: Version of what mirrors say to each other: deltas, filters, anti-entropy. Members of another version are no peers.
PROTOCOL_VERSION = "1"

_SUFFIX_DIGITS = 6


def local_node(config: Config, rng: Random) -> LocalNode:
    """The member that this start of the node is.

    The gossip name is the node's name and a random suffix: a name that came back with another address after a crash
    would be refused by the others for half a minute. Tags: `node` the name that people see, `v` the protocol, `http`
    the registry's port, `start` the time of start, `zone` and `region` where given.
    """
    suffix = "".join(rng.choices("0123456789abcdef", k=_SUFFIX_DIGITS))
    tags = {
        "node": config.node_name,
        "v": PROTOCOL_VERSION,
        "http": str(config.registry_addr[1]),
        "start": str(int(time.time())),
        "zone": config.zone,
        "region": config.region,
    }
    return LocalNode(
        name=f"{config.node_name}-{suffix}",
        host=config.advertise_addr,
        port=config.gossip_addr[1],
        tags={name: value for name, value in tags.items() if value},
    )
