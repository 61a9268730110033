"""The composition root: a configuration goes in, a node that can be started and stopped comes out.

The only module that knows all parts. Nothing here is a module-level singleton, so that a test builds three nodes in
one process. It is the `Service` that `app/server/worker.py` runs; the order of its life is told there.
"""

import random
import secrets
import time
from ipaddress import ip_address

import structlog

from app.admin import create_admin
from app.bootstrap import make_bootstrapper
from app.bootstrap.loop import Bootstrap
from app.config.config import Config
from app.content.containerd.store import ContainerdStore
from app.content.layout.store import LayoutStore
from app.content.store import ContentStore, StoreUnavailable
from app.directory.antientropy import MAX_ANSWER_BYTES
from app.directory.service import DirectoryService
from app.engines import ENGINES
from app.fanout import Fanout
from app.gossip_keys.file import GossipKeys, KeyFileError
from app.key import Digest, Key
from app.metrics import Metrics
from app.peers.client import Peers
from app.peers.errors import PeerError
from app.registry.exchange import PREFIX as EXCHANGE_PREFIX
from app.registry.local import LocalSource
from app.registry.views import create_app
from app.registry_labels import RegistryLabels
from app.relay.source import PeerSource
from app.resolver.health import PeerHealth
from app.resolver.probe import path_of
from app.resolver.resolver import Resolver
from app.roster import Roster
from app.server.connection import WsgiApp
from app.server.worker import StartError
from app.source import Kind
from app.status import Status
from app.tracker import Tracker
from gossip.errors import GossipError
from gossip.membership import Member
from gossip.swim.effects import Notice

log = structlog.get_logger()

#: How long the registry waits at start for the first whole listing. A store that is down must not keep the node from
#: relaying what its peers have.
LISTING_PATIENCE_S = 2.0
#: The leave is told in 0.15 s; longer only when the network is at fault.
LEAVE_PATIENCE_S = 1.5
_CONFIRM_S = 1.0


class Node:
    """All parts of one node. Building it starts nothing and touches no file and no socket; raises `StartError`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._rng = random.Random(secrets.randbits(64))  # noqa: S311 - order of peers and delays, no secrets
        self._ready = False
        self.metrics = Metrics()
        self.store = make_store(config, self.metrics)
        self._keys = GossipKeys(config.gossip_key_file)
        self.membership = ENGINES[config.engine](config, self._keys, self._rng, log_notice)
        self.peers = Peers(config.node_name)
        self.health = PeerHealth(time.monotonic)
        self.directory = DirectoryService(
            self.membership, self._ask_directory, metrics=self.metrics, rng=self._rng, clock=time.monotonic
        )
        self._tracker = self._make_tracker()
        self._bootstrap = Bootstrap(self.membership, make_bootstrapper(config), rng=self._rng, clock=time.monotonic)
        self._resolver = self._make_resolver()
        self.registry_addr, self.metrics_addr = config.registry_addr, config.metrics_addr
        self.drain_s = config.drain_timeout_s
        self.registry_app: WsgiApp = self._make_registry_app()
        self.admin_app: WsgiApp = self._make_admin_app()

    # -- the Service that the worker runs --

    def start(self) -> None:
        """Take part: gossip, directory, store, then look for the others. Raises `StartError`."""
        roster = Roster(self.metrics, self._member_gone)
        try:
            self._keys.load()
            self.membership.start(Fanout([self.directory, roster]))
            self.directory.start()
            self.store.start(self._tracker)
        except (GossipError, KeyFileError, StoreUnavailable) as error:
            raise StartError(str(error)) from error
        self._check_address()
        self._keys.start()
        self._tracker.start()
        self._bootstrap.start()
        if not self.store.wait_listed(LISTING_PATIENCE_S):
            log.warning("store not listed yet, serving what the peers have", problem=self.store.problem())
        self._ready = True

    def leave(self) -> None:
        """Out of the gossip, still serving."""
        self._ready = False
        self._bootstrap.stop()
        if not self.membership.leave(LEAVE_PATIENCE_S):
            log.warning("leave was not told to all: the others will see a failure", patience_s=LEAVE_PATIENCE_S)

    def stop(self) -> None:
        """Free everything. Safe also after a `start` that failed half-way."""
        self._ready = False
        self._bootstrap.stop()
        self._keys.stop()
        self._tracker.stop()
        self.store.stop()
        self.directory.stop()
        self._resolver.stop()
        self.peers.close()
        self.membership.stop()

    # -- health --

    def not_ready(self) -> str | None:
        """Why the node can't be relied on now, None when it can."""
        if not self._ready:
            return "starting or stopping"
        return self.not_alive() or self._bootstrap.not_connected()

    def not_alive(self) -> str | None:
        """What only a restart cures, None when there is nothing of the kind."""
        if self._ready and not self.membership.alive:
            return "the gossip engine has ended, see the log: restart the process"
        return None

    # -- building --

    def _make_tracker(self) -> Tracker:
        return Tracker(self.store, self.directory, admission=self._config.admission(), metrics=self.metrics)

    def _make_resolver(self) -> Resolver:
        config = self._config
        return Resolver(
            self.directory,
            self.peers,
            self.health,
            metrics=self.metrics,
            rng=self._rng,
            clock=time.monotonic,
            resolve_timeout_s=config.resolve_timeout_s,
            retries=config.resolve_retries,
            probe_deadline_s=config.probe_deadline_s,
            zone=config.zone,
        )

    def _make_registry_app(self) -> WsgiApp:
        config = self._config
        always = (config.default_registry, *config.mirrored_registries)
        return create_app(
            [
                LocalSource(self.store, self.metrics),
                PeerSource(self._resolver, self.peers, self.health, metrics=self.metrics),
            ],
            metrics=self.metrics,
            default_registry=config.default_registry,
            admits=config.admission().admits_key,
            registries=RegistryLabels(self.store, always, time.monotonic),
            exchange=self.directory,
            node_name=config.node_name,
        )

    def _make_admin_app(self) -> WsgiApp:
        status = Status(
            self._config,
            self.store,
            self.membership,
            self.directory,
            not_ready=self.not_ready,
            confirm=self._confirm,
        )
        self.metrics.members(status.members_by_state)
        return create_admin(
            registry=self.metrics.registry,
            alive=self.not_alive,
            ready=self.not_ready,
            status=status.status,
            members=status.members,
            holders=status.holders,
        )

    # -- other nodes --

    def _check_address(self) -> None:
        """Others take a node's address from the gossip, which for an agent is the agent's own setting."""
        gossiped, advertised = self.membership.local().host, self._config.advertise_addr
        if ip_address(gossiped) != ip_address(advertised):
            log.warning(
                "the agent gossips another address than --advertise-addr: other nodes ask this one there",
                agent=gossiped,
                advertise_addr=advertised,
            )

    def _member_gone(self, member: Member) -> None:
        self.peers.forget(member)
        self.health.forget(member.name)
        self._bootstrap.wake()  # it may have been the last one: don't wait for the next minute

    def _ask_directory(self, member: Member, what: str, body: bytes) -> bytes:
        try:
            return self.peers.post(member, f"{EXCHANGE_PREFIX}/{what}", body, MAX_ANSWER_BYTES)
        except PeerError as error:
            raise ConnectionError(str(error)) from error

    def _confirm(self, member: Member, key: Key) -> bool:
        kind = Kind.BLOB if isinstance(key.reference, Digest) else Kind.MANIFEST
        try:
            return self.peers.head(member, path_of(kind, key), {}, _CONFIRM_S).status == 200
        except PeerError:
            return False


def make_store(config: Config, metrics: Metrics) -> ContentStore:
    """The store that the configuration names. Raises `StartError` for settings that it refuses."""
    try:
        if config.store == "layout":
            assert config.layout_path is not None  # the configuration has been checked
            name = None if config.layout_name is None else "/".join(config.layout_name)
            return LayoutStore(config.layout_path, name, metrics=metrics)
        return ContainerdStore(
            config.containerd_socket, config.containerd_namespace, config.containerd_content_path, metrics=metrics
        )
    except StoreUnavailable as error:
        raise StartError(str(error)) from error


def log_notice(notice: Notice) -> None:
    """A line of the gossip engine, in the log's own form."""
    getattr(log, notice.level)(f"gossip: {notice.event}", **dict(notice.fields))
