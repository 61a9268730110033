"""The settings of a node as a whole: defaults, what follows from what, and all mistakes at once."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from app.config.config import Config
from app.config.option import ConfigError, options_of
from app.config.rules import contradictions


def _config(
    environ: Mapping[str, str] | None = None, route: str | None = "10.0.0.7", **given: str | list[str]
) -> Config:
    return Config.from_options(given, environ, host_name=lambda: "node-7", route_address=lambda: route)


def _mistakes(environ: Mapping[str, str] | None = None, route: str | None = "10.0.0.7", **given: str) -> Sequence[str]:
    with pytest.raises(ConfigError) as refused:
        _config(environ, route, **given)
    assert str(refused.value) == "\n".join(refused.value.mistakes)
    return refused.value.mistakes


def test_the_defaults_are_those_of_the_documented_interface() -> None:
    """Scripts of others are written to these values."""
    config = _config()
    assert (config.node_name, config.zone, config.region) == ("node-7", "", "")
    assert config.registry_addr == ("0.0.0.0", 5000)
    assert config.metrics_addr == ("0.0.0.0", 9090)
    assert config.gossip_addr == ("0.0.0.0", 7946)
    assert config.advertise_addr == "10.0.0.7"
    assert (config.store, config.layout_path, config.layout_name) == ("containerd", None, None)
    assert config.containerd_socket == Path("/run/containerd/containerd.sock")
    assert (config.containerd_namespace, config.containerd_content_path) == ("k8s.io", None)
    assert (config.engine, config.bootstrap) == ("swim", "none")
    assert (config.resolve_timeout_s, config.resolve_retries, config.probe_deadline_s) == (0.02, 3, 1.0)
    assert (config.resolve_tags, config.mutable_tags.pattern) == (True, "latest")
    assert (config.default_registry, config.mirrored_registries, config.registry_filters) == ("docker.io", (), ())
    assert (config.drain_timeout_s, config.log_level, config.log_format) == (30.0, "info", "auto")


def test_settings_survive_pickling() -> None:
    """They may be handed to another process."""
    config = _config(registry_filter=["^a/", "b$"], layout_path="/l", store="layout")
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_server_without_a_command_line_reads_the_environment() -> None:
    """Every option has its variable; lists are split at white space."""
    config = _config({"RYKTE_REGISTRY_ADDR": "127.0.0.1:6000", "RYKTE_MIRRORED_REGISTRY": "docker.io ghcr.io"})
    assert config.registry_addr == ("127.0.0.1", 6000)
    assert config.mirrored_registries == ("docker.io", "ghcr.io")


def test_a_bound_gossip_host_is_advertised() -> None:
    """Who binds one address is reached there, whatever the default route says."""
    assert _config(gossip_addr="127.0.0.5:7946").advertise_addr == "127.0.0.5"


def test_all_interfaces_are_those_of_the_advertised_family() -> None:
    """On an IPv6 network a wildcard has to be `::`."""
    config = _config(route="fd00::7")
    assert config.registry_addr == ("::", 5000)
    assert config.gossip_addr == ("::", 7946)


def test_peers_without_port_get_the_own_gossip_port() -> None:
    """All nodes of a cluster are set up alike."""
    config = _config(bootstrap="static", bootstrap_peers="a.test,b.test:1", gossip_addr=":7000")
    assert config.bootstrap_peers == (("a.test", 7000), ("b.test", 1))


def test_all_mistakes_come_in_one_message() -> None:
    """An operator mends them in one go."""
    mistakes = _mistakes(
        {"RYKTE_ZONE": "a b"}, registry_addr="5000", resolve_timeout="20", bootstrap="http", store="layout"
    )
    assert mistakes == (
        "--registry-addr '5000' has no port: write :5000 for all interfaces, 127.0.0.1:5000 or [::1]:5000",
        "--zone 'a b' (from the variable RYKTE_ZONE) is no name:"
        " write at most 63 letters, digits, dots, dashes and underscores",
        "--bootstrap 'http' is no choice here: write none or static or dns",
        "--resolve-timeout '20' has no unit: write 20ms or 20s",
        "--store layout needs --layout-path: give the directory that has the file oci-layout",
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"store": "layout"}, "--store layout needs --layout-path"),
        ({"layout_path": "/l"}, "--layout-path '/l' has no effect with --store containerd"),
        ({"bootstrap": "static"}, "--bootstrap static needs --bootstrap-peers"),
        ({"bootstrap": "static", "bootstrap_peers": ", "}, "--bootstrap static needs --bootstrap-peers"),
        ({"bootstrap_peers": "a"}, "--bootstrap-peers has no effect with --bootstrap none"),
        ({"bootstrap": "dns"}, "--bootstrap dns needs --bootstrap-dns-name"),
        ({"bootstrap_dns_name": "a"}, "--bootstrap-dns-name 'a' has no effect with --bootstrap none"),
        ({"resolve_timeout": "2s"}, "--resolve-timeout (2 s) is longer than --probe-deadline (1 s)"),
        ({"metrics_addr": ":5000"}, "--registry-addr and --metrics-addr are both 0.0.0.0:5000"),
        ({"metrics_addr": "127.0.0.1:5000"}, "--registry-addr and --metrics-addr are both 127.0.0.1:5000"),
        ({"gossip_addr": ":9090"}, "--metrics-addr and --gossip-addr are both 0.0.0.0:9090"),
        ({"gossip_addr": ":5000"}, "--registry-addr and --gossip-addr are both 0.0.0.0:5000"),
        ({"gossip_addr": "10.0.0.1:7946", "advertise_addr": "fd00::1"}, "of another address family"),
        ({"engine": "raft"}, "--engine 'raft' is no choice here: write swim or serf"),
        ({"engine": "serf", "gossip_key_file": "/k"}, "--gossip-key-file '/k' has no effect with --engine serf"),
        ({"serf_rpc_addr": ":7373"}, "--serf-rpc-addr ':7373' has no host: write 127.0.0.1:7373"),
        ({"serf_rpc_auth_file": "/f"}, "--serf-rpc-auth-file '/f' has no effect with --engine swim"),
        ({"bootstrap": "lease"}, "--bootstrap 'lease' is no choice here"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_with_the_remedy(given: dict[str, str], words: str) -> None:
    """One line each, which begins with the flag."""
    mistakes = _mistakes(None, "10.0.0.7", **given)
    assert len(mistakes) == 1
    assert words in mistakes[0]


def test_keys_are_for_the_engine_that_seals() -> None:
    """An agent that gossips for us has keys of its own: ours would be a false comfort."""
    keys = {"gossip_key_file": Path("keys")}
    assert list(contradictions({"engine": "swim", **keys})) == []
    (mistake,) = contradictions({"engine": "serf", **keys})
    assert "--gossip-key-file 'keys' has no effect with --engine serf: give" in mistake


def test_the_same_port_on_two_addresses_is_no_conflict() -> None:
    """Several nodes share one machine in this way."""
    config = _config(registry_addr="127.0.0.2:5000", metrics_addr="127.0.0.3:5000")
    assert config.registry_addr[1] == config.metrics_addr[1]


def test_ipv4_may_be_advertised_from_a_dual_stack_socket() -> None:
    """`::` takes IPv4 as well."""
    assert _config(gossip_addr="[::]:7946", advertise_addr="10.0.0.1").gossip_addr == ("::", 7946)


def test_without_a_route_the_advertised_address_has_to_be_given() -> None:
    """The message says how, for a cluster and for a trial."""
    (mistake,) = _mistakes(route=None)
    assert "--advertise-addr is not given" in mistake
    assert "127.0.0.1" in mistake
    assert _config(route=None, advertise_addr="127.0.0.1").advertise_addr == "127.0.0.1"


def test_a_host_name_that_is_no_node_name_is_a_mistake_with_a_remedy() -> None:
    """The value did not come from a flag, so the message says from where."""
    with pytest.raises(
        ConfigError, match=r"the host name 'a b', which is the default of --node-name, .*: give --node-name"
    ):
        Config.from_options({}, host_name=lambda: "a b", route_address=lambda: "10.0.0.1")


def test_a_wrong_field_silences_the_rules_that_need_it() -> None:
    """What follows from a mistake is not told as another one."""
    assert len(_mistakes(gossip_addr="x", route=None)) == 1


def test_admission_is_built_from_the_settings() -> None:
    """Allow list, filters and mutable tags arrive where they are asked."""
    admission = _config(
        mirrored_registry=["docker.io"], registry_filter=["/secret/"], mutable_tags="v[0-9]+", resolve_tags="false"
    ).admission()
    assert admission.admits("docker.io", "library/nginx")
    assert not admission.admits("ghcr.io", "library/nginx")
    assert not admission.admits("docker.io", "a/secret/b")
    assert (admission.mutable_tags.pattern, admission.resolve_tags) == ("v[0-9]+", False)


def test_every_option_has_a_help_and_a_default_to_show() -> None:
    """The table is what the documentation is made from."""
    for each in options_of(Config):
        assert each.help.endswith("."), each.flag
        assert each.shown_default
        assert each.flag.startswith("--")
