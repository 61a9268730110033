"""Which membership engines there are, and how each is made from the configuration."""

from collections.abc import Callable, Mapping
from random import Random

from app.config.config import Config
from app.gossip_keys.file import GossipKeys
from app.identity import TAG_NAMES, local_node, local_tags
from gossip.engine_thread import Engine
from gossip.serf_agent.connection import Access
from gossip.serf_agent.engine import SerfAgentEngine
from gossip.swim.effects import Notice
from gossip.swim.settings import Settings
from gossip.thread import ThreadedMembership
from gossip.udp import UdpDriver

Notify = Callable[[Notice], None]


def _swim(config: Config, keys: GossipKeys, rng: Random, notify: Notify) -> Engine:
    """The embedded engine, in a thread of its own: a web hub that is busy must not miss a probe."""
    local = local_node(config, rng)
    of_the_thread = Random(rng.getrandbits(64))  # noqa: S311 - delays and orders, no secrets
    membership = ThreadedMembership(
        lambda notify: UdpDriver(
            Settings(), local, rng=of_the_thread, notify=notify, bind=config.gossip_addr, keyring=keys.keyring
        ),
        notify=notify,
    )
    keys.bind(membership.in_engine_thread)
    return membership


def _serf(config: Config, _keys: GossipKeys, rng: Random, notify: Notify) -> Engine:
    """The agent of this node, in the web hub: it is the agent that answers the probes, and that has the keys."""
    access = Access(*config.serf_rpc_addr, config.serf_rpc_auth_file)
    return SerfAgentEngine(access, local_tags(config), rng=rng, notify=notify, own_tags=TAG_NAMES)


#: By the words of `--engine`. Making one starts nothing.
ENGINES: Mapping[str, Callable[[Config, GossipKeys, Random, Notify], Engine]] = {"swim": _swim, "serf": _serf}
