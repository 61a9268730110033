"""Finding the first members of the cluster: several bootstrappers, one loop."""

from collections.abc import Callable, Mapping

from app.bootstrap.contract import Bootstrapper
from app.bootstrap.dns import DnsBootstrapper
from app.bootstrap.none import NoBootstrapper
from app.bootstrap.static import StaticBootstrapper
from app.config.config import Config

#: By the value of `--bootstrap`. `config/rules.py` has seen to it that each finds what it needs.
BOOTSTRAPPERS: Mapping[str, Callable[[Config], Bootstrapper]] = {
    "none": lambda _: NoBootstrapper(),
    "static": lambda config: StaticBootstrapper(config.bootstrap_peers or ()),
    "dns": lambda config: DnsBootstrapper(config.bootstrap_dns_name or "", config.gossip_addr[1]),
}


def make_bootstrapper(config: Config) -> Bootstrapper:
    """The bootstrapper that these settings ask for."""
    return BOOTSTRAPPERS[config.bootstrap](config)
