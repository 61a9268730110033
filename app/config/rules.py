"""What holds between settings: those that follow from others, and those that are wrong together.

Pure; works on values by field name as `option.read` gives them, before they become a `Config`. A field that is
wrong by itself is not there, and what follows from it is not asked: that would only confuse.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.address import Address, host_port
from app.config.addresses import WILDCARDS, wildcard
from app.config.values import NODE_NAME


@dataclass(frozen=True, slots=True)
class _Rule:
    """`check` gets the values of `fields` and returns what is wrong with them together, or None."""

    fields: tuple[str, ...]
    check: Callable[..., str | None]


def settle_node_name(found: dict[str, Any], host_name: Callable[[], str]) -> Iterator[str]:
    """Name a node that was given no name after its host; yields what is wrong with that name."""
    if found.get("node_name", "") is not None:
        return
    name = host_name()
    try:
        found["node_name"] = NODE_NAME(name)
    except ValueError as wrong:
        yield f"the host name {name!r}, which is the default of --node-name, {wrong}: give --node-name"


def settle_addresses(found: dict[str, Any], route_address: Callable[[], str | None]) -> Iterator[str]:
    """Settle the advertised address, the hosts of wildcards and the ports of peers; yields what is wrong."""
    if "gossip_addr" not in found or "advertise_addr" not in found:
        return
    gossip_host, gossip_port = found["gossip_addr"]
    advertised = found["advertise_addr"] or _specific(gossip_host) or route_address()
    if advertised is None:
        del found["advertise_addr"]
        yield (
            "--advertise-addr is not given and this machine has no default route to take it from:"
            " give the address at which the other nodes reach this one, or 127.0.0.1 for a trial on one machine"
        )
        return
    found["advertise_addr"] = advertised
    for field in ("registry_addr", "metrics_addr", "gossip_addr"):
        if field in found:
            host, port = found[field]
            found[field] = (host or wildcard(advertised), port)
    if found.get("bootstrap_peers"):
        found["bootstrap_peers"] = tuple((host, port or gossip_port) for host, port in found["bootstrap_peers"])


def contradictions(found: Mapping[str, Any]) -> Iterator[str]:
    """Every rule that these values break, as a line with the remedy."""
    for rule in _RULES:
        if all(field in found for field in rule.fields):
            wrong = rule.check(*(found[field] for field in rule.fields))
            if wrong is not None:
                yield wrong


def _specific(host: str) -> str | None:
    """The host to advertise when it is bound alone; None for a wildcard."""
    return None if host in ("", *WILDCARDS) else host


def _layout_has_path(store: str, path: Path | None) -> str | None:
    if store == "layout" and path is None:
        return "--store layout needs --layout-path: give the directory that has the file oci-layout"
    if store != "layout" and path is not None:
        return f"--layout-path '{path}' has no effect with --store {store}: give --store layout, or leave it out"
    return None


def _static_has_peers(bootstrap: str, peers: tuple[Address, ...] | None) -> str | None:
    if bootstrap == "static" and not peers:
        return "--bootstrap static needs --bootstrap-peers: give some members as host[:port], with commas between them"
    if bootstrap != "static" and peers:
        return f"--bootstrap-peers has no effect with --bootstrap {bootstrap}: give --bootstrap static, or leave it out"
    return None


def _dns_has_name(bootstrap: str, name: str | None) -> str | None:
    if bootstrap == "dns" and name is None:
        return "--bootstrap dns needs --bootstrap-dns-name: give the name of a headless Service or of other A records"
    if bootstrap != "dns" and name is not None:
        return f"--bootstrap-dns-name '{name}' has no effect with --bootstrap {bootstrap}: give --bootstrap dns"
    return None


def _keys_have_an_engine(engine: str, key_file: Path | None) -> str | None:
    if engine != "swim" and key_file is not None:
        return (
            f"--gossip-key-file '{key_file}' has no effect with --engine {engine}: give the keys to its agent,"
            " or --engine swim"
        )
    return None


def _serf_has_auth_file(engine: str, auth_file: Path | None) -> str | None:
    if engine != "serf" and auth_file is not None:
        return (
            f"--serf-rpc-auth-file '{auth_file}' has no effect with --engine {engine}:"
            " give --engine serf, or leave it out"
        )
    return None


def _timeout_within_deadline(timeout_s: float, deadline_s: float) -> str | None:
    if timeout_s <= deadline_s:
        return None
    return (
        f"--resolve-timeout ({timeout_s:g} s) is longer than --probe-deadline ({deadline_s:g} s), so that no second"
        " group of candidates would ever be asked: make it shorter, or the deadline longer"
    )


def _differ(first_flag: str, second_flag: str) -> Callable[[Address, Address], str | None]:
    def check(first: Address, second: Address) -> str | None:
        if first[1] != second[1] or not _overlap(first[0], second[0]):
            return None
        return f"{first_flag} and {second_flag} are both {host_port(*second)}: give one of them another port"

    return check


def _overlap(first: str, second: str) -> bool:
    """Whether two hosts with the same port would be in each other's way."""
    return first == second or first in WILDCARDS or second in WILDCARDS


def _reachable(gossip_addr: Address, advertised: str) -> str | None:
    host = gossip_addr[0]
    if host == "::" or (":" in host) == (":" in advertised):
        return None
    return (
        f"--advertise-addr {advertised} is of another address family than --gossip-addr {host_port(*gossip_addr)}:"
        " nobody would get an answer there; give two of the same family"
    )


_RULES = (
    _Rule(("store", "layout_path"), _layout_has_path),
    _Rule(("bootstrap", "bootstrap_peers"), _static_has_peers),
    _Rule(("bootstrap", "bootstrap_dns_name"), _dns_has_name),
    _Rule(("engine", "gossip_key_file"), _keys_have_an_engine),
    _Rule(("engine", "serf_rpc_auth_file"), _serf_has_auth_file),
    _Rule(("resolve_timeout_s", "probe_deadline_s"), _timeout_within_deadline),
    _Rule(("registry_addr", "metrics_addr"), _differ("--registry-addr", "--metrics-addr")),
    _Rule(("registry_addr", "gossip_addr"), _differ("--registry-addr", "--gossip-addr")),
    _Rule(("metrics_addr", "gossip_addr"), _differ("--metrics-addr", "--gossip-addr")),
    _Rule(("gossip_addr", "advertise_addr"), _reachable),
)
