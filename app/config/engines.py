"""The options that choose a membership engine and reach its agent; fields of `Config`, see there."""

from app.config import values
from app.config.option import option

ENGINE = option(
    "--engine",
    "KIND",
    values.choice("swim", "serf"),
    group="Cluster",
    default="swim",
    help="The membership engine. `swim` is built in and speaks the protocol of memberlist and Serf; `serf` uses the"
    " Serf agent of this node. Nodes of both kinds find each other; docs/engines.md says when to take which.",
)
SERF_RPC_ADDR = option(
    "--serf-rpc-addr",
    "HOST:PORT",
    values.agent_address,
    group="Cluster",
    default="127.0.0.1:7373",
    help="For `--engine serf`: where the agent's RPC listens.",
)
SERF_RPC_AUTH_FILE = option(
    "--serf-rpc-auth-file",
    "PATH",
    values.path,
    group="Cluster",
    default_shown="none",
    help="For `--engine serf`: a file with the agent's `rpc_auth`, read at each connect.",
)
