# ruff: noqa: RUF009 - `option` describes a field, it makes no default value
"""Every option of `rykte serve`, told once: flag, unit, default, and what a larger or a smaller value costs.

The command line, the environment variables (`RYKTE_` and the flag's name in capitals), docs/options.md and the
chart are all made from or checked against this table. A `Config` is immutable, plain and picklable; making one
reads nothing but what it is given, this machine's host name and its default route.
"""

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.address import Address
from app.admission import Admission
from app.config import encryption, engines, values
from app.config.addresses import default_route_address
from app.config.option import ConfigError, Given, option, options_of, read
from app.config.rules import contradictions, settle_addresses, settle_node_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one node. Durations are in seconds; addresses are `(host, port)`, ready to bind."""

    node_name: str = option(
        "--node-name",
        "NAME",
        values.NODE_NAME,
        group="Node",
        default_shown="the host name",
        help="Name that people see for this node. Each start gets a gossip name of its own made from it.",
    )
    registry_addr: Address = option(
        "--registry-addr",
        "[HOST]:PORT",
        values.listen_address,
        group="Node",
        default=":5000",
        help="Where the registry listens, for the node's containerd and for the other mirrors (which also talk under"
        " `/_rykte/v1/`). Without a host: all interfaces, in the family of `--advertise-addr`.",
    )
    metrics_addr: Address = option(
        "--metrics-addr",
        "[HOST]:PORT",
        values.listen_address,
        group="Node",
        default=":9090",
        help="Where `/metrics`, `/livez`, `/readyz` and the JSON API listen; `rykte status` asks here.",
    )
    gossip_addr: Address = option(
        "--gossip-addr",
        "[HOST]:PORT",
        values.listen_address,
        group="Node",
        default=":7946",
        help="Where gossip listens, by UDP and TCP. Members that are named without a port are looked for at this"
        " port, so give all nodes the same. With `--engine serf` only the latter holds: the agent gossips.",
    )
    advertise_addr: str = option(
        "--advertise-addr",
        "IP",
        values.ip_address,
        group="Node",
        default_shown="the host of `--gossip-addr`, else the address of the default route",
        help="Address at which the others reach this node, for gossip and for the registry. With `--engine serf` they"
        " take the agent's, so let its `-advertise` be the same.",
    )
    zone: str = option(
        "--zone",
        "NAME",
        values.label(63, may_be_empty=True),
        group="Node",
        default="",
        help="Failure domain of this node. Peers of the same zone are asked first; empty: no preference.",
    )
    region: str = option(
        "--region",
        "NAME",
        values.label(63, may_be_empty=True),
        group="Node",
        default="",
        help="Region of this node, told to the others beside the zone.",
    )

    store: str = option(
        "--store",
        "KIND",
        values.choice("containerd", "layout"),
        group="Content",
        default="containerd",
        help="Where this node's images are: in `containerd`, or in an OCI image `layout`, a plain directory.",
    )
    layout_path: Path | None = option(
        "--layout-path",
        "DIR",
        values.path,
        group="Content",
        default_shown="none",
        help="The OCI image layout of `--store layout`.",
    )
    layout_name: tuple[str, str] | None = option(
        "--layout-name",
        "REGISTRY/REPOSITORY",
        values.repository_name,
        group="Content",
        default_shown="none",
        help="What the bare tags of a layout are tags of. Without it a bare tag is not served, its digests are.",
    )
    containerd_socket: Path = option(
        "--containerd-socket",
        "PATH",
        values.path,
        group="Content",
        default="/run/containerd/containerd.sock",
        help="containerd's gRPC socket. In a container mount its directory: a restart of containerd makes a new one.",
    )
    containerd_namespace: str = option(
        "--containerd-namespace",
        "NAME",
        values.containerd_namespace,
        group="Content",
        default="k8s.io",
        help="containerd's namespace whose images are served. The kubelet's is `k8s.io`.",
    )
    containerd_content_path: Path | None = option(
        "--containerd-content-path",
        "DIR",
        values.path,
        group="Content",
        default_shown="what containerd says",
        help="containerd's content directory as this process sees it, if it is mounted elsewhere than containerd says.",
    )

    engine: str = engines.ENGINE
    serf_rpc_addr: Address = engines.SERF_RPC_ADDR
    serf_rpc_auth_file: Path | None = engines.SERF_RPC_AUTH_FILE
    bootstrap: str = option(
        "--bootstrap",
        "KIND",
        values.choice("none", "static", "dns"),
        group="Cluster",
        default="none",
        help="How the first members are found. `none`: not at all, others may join this node.",
    )
    bootstrap_peers: tuple[Address, ...] | None = option(
        "--bootstrap-peers",
        "HOST[:PORT],…",
        values.peers,
        group="Cluster",
        default_shown="none",
        help="For `--bootstrap static`: some members, names or addresses. Three that are seldom down at once are"
        " enough; all nodes may have the same list.",
    )
    bootstrap_dns_name: str | None = option(
        "--bootstrap-dns-name",
        "NAME",
        values.dns_name,
        group="Cluster",
        default_shown="none",
        help="For `--bootstrap dns`: a name with the A or AAAA records of the members, such as a headless Service."
        " End it with a dot to spare the resolver its search list.",
    )

    gossip_key_file: Path | None = encryption.KEY_FILE

    resolve_timeout_s: float = option(
        "--resolve-timeout",
        "DURATION",
        values.duration("1ms", "10s"),
        group="Requests",
        default="20ms",
        help="After so long without an answer the next three candidates are asked as well. Smaller finds a way round"
        " a slow peer earlier and sends more probes; answers that come later still count.",
    )
    resolve_retries: int = option(
        "--resolve-retries",
        "N",
        values.count(0, 10),
        group="Requests",
        default="3",
        help="How often three more candidates are asked. More helps when many peers are out of date or down at once,"
        " and costs probes on each miss.",
    )
    probe_deadline_s: float = option(
        "--probe-deadline",
        "DURATION",
        values.duration("10ms", "30s"),
        group="Requests",
        default="1s",
        help="When looking for a holder ends with 404, and containerd goes to the next host. Larger finds content on"
        " very busy peers; it is also the longest that a miss can cost when peers hang.",
    )
    resolve_tags: bool = option(
        "--resolve-tags",
        "BOOL",
        values.boolean,
        group="Requests",
        default="true",
        is_switch=True,
        help="Whether tags are answered and advertised, or digests alone. Without it every tag is resolved upstream.",
    )
    mutable_tags: re.Pattern[str] = option(
        "--mutable-tags",
        "REGEX",
        values.pattern,
        group="Requests",
        default="latest",
        help="Tags that move: those that the expression matches whole are always resolved upstream. An empty one"
        " names none.",
    )
    default_registry: str = option(
        "--default-registry",
        "HOST[:PORT]",
        values.registry,
        group="Requests",
        default="docker.io",
        help="The registry that is meant by a request without `ns`.",
    )
    mirrored_registries: tuple[str, ...] = option(
        "--mirrored-registry",
        "HOST[:PORT]",
        values.registry,
        group="Requests",
        repeatable=True,
        default_shown="all",
        help="A registry whose images are served and advertised; given once or more, no other's are.",
    )
    registry_filters: tuple[re.Pattern[str], ...] = option(
        "--registry-filter",
        "REGEX",
        values.pattern,
        group="Requests",
        repeatable=True,
        default_shown="none",
        help="What matches is neither served nor advertised. Searched in `registry/repository`, and for a tag in"
        " `registry/repository:tag` as well.",
    )

    drain_timeout_s: float = option(
        "--drain-timeout",
        "DURATION",
        values.duration("0s", "1h"),
        group="Process",
        default="30s",
        help="How long requests under way may go on after SIGTERM; then they are ended short, and clients go on"
        " elsewhere. Keep a pod's grace period 5 s above it.",
    )
    log_level: str = option(
        "--log-level",
        "LEVEL",
        values.choice("debug", "info", "warning", "error"),
        group="Process",
        default="info",
        help="The least that is logged. `debug` adds a line for each miss.",
    )
    log_format: str = option(
        "--log-format",
        "FORMAT",
        values.choice("auto", "json", "console"),
        group="Process",
        default="auto",
        help="`json` or `console` lines on stderr; `auto` is `console` on a terminal and `json` elsewhere.",
    )

    @classmethod
    def from_options(
        cls,
        given: Given,
        environ: Mapping[str, str] | None = None,
        *,
        host_name: Callable[[], str] = socket.gethostname,
        route_address: Callable[[], str | None] = default_route_address,
    ) -> Self:
        """Settings from texts by option name (`registry_addr`), and for what is not there from `environ`.

        Raises `ConfigError` with every mistake there is. `from_options({}, os.environ)` is the way in for a server
        that has no command line.
        """
        found, mistakes = read(options_of(cls), given, environ or {})
        mistakes.extend(settle_node_name(found, host_name))
        mistakes.extend(settle_addresses(found, route_address))
        mistakes.extend(contradictions(found))
        if mistakes:
            raise ConfigError(mistakes)
        return cls(**found)

    def admission(self) -> Admission:
        """What may be mirrored at all by these settings."""
        return Admission(
            frozenset(self.mirrored_registries), self.registry_filters, self.mutable_tags, self.resolve_tags
        )
