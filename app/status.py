"""What a node says of itself: the JSON of the metrics port's API and the answers of its health probes."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from gevent.pool import Pool

from app import __version__
from app.address import host_port
from app.config.config import Config
from app.content.store import ContentStore, StoreError
from app.directory.directory import FilterRow
from app.key import Digest, Key, parse_image_name
from app.tags import node_name, zone
from gossip.membership import Member, Membership

_CONFIRMS_AT_ONCE = 16

#: Asks one member whether it really has the key now; False also when it does not answer.
Confirm = Callable[[Member, Key], bool]


class Filters(Protocol):
    """The part of the directory that is shown."""

    def candidates(self, fingerprint: int) -> Sequence[Member]:
        """Live members that may hold the key with this fingerprint, the own one left out."""

    def filters(self) -> Iterable[FilterRow]:
        """What is known of each member's filter."""


class Status:
    """Snapshots on demand; holds no state of its own but the time of start."""

    def __init__(
        self,
        config: Config,
        store: ContentStore,
        membership: Membership,
        directory: Filters,
        *,
        not_ready: Callable[[], str | None],
        confirm: Confirm,
    ) -> None:
        self._config = config
        self._store = store
        self._membership = membership
        self._directory = directory
        self._not_ready = not_ready
        self._confirm = confirm
        self._started = time.monotonic()

    def status(self) -> dict[str, Any]:
        """The node in one object."""
        reason = self._not_ready()
        config = self._config
        return {
            "node": config.node_name,
            "version": __version__,
            "ready": reason is None,
            "reason": reason,
            "uptime_s": round(time.monotonic() - self._started, 1),
            "store": {
                "kind": config.store,
                "images": sum(1 for _ in self._store.images()),
                "keys": sum(1 for _ in self._store.digests()),
                "problem": self._store.problem(),
            },
            "members": dict(self.members_by_state()),
            "engine": config.engine,
            "addresses": {
                "registry": host_port(*config.registry_addr),
                "metrics": host_port(*config.metrics_addr),
                **self._gossip_address(),
            },
        }

    def _gossip_address(self) -> dict[str, str]:
        """Where gossip listens; of an agent, where it is asked."""
        if self._config.engine == "serf":
            return {"agent": host_port(*self._config.serf_rpc_addr)}
        return {"gossip": host_port(*self._config.gossip_addr)}

    def members(self) -> dict[str, Any]:
        """All members known, with the age and size of their filters where they have one."""
        filters = {row.member.name: row for row in self._directory.filters()}
        rows = []
        for member in self._membership.members():
            known = filters.get(member.name)
            rows.append(
                {
                    "name": member.name,
                    "node": node_name(member),
                    "host": member.host,
                    "port": member.port,
                    "http": member.tags.get("http"),
                    "state": member.state.value,
                    "zone": zone(member),
                    "keys": None if known is None else known.keys,
                    "age_s": None if known is None else round(known.age_s, 1),
                }
            )
        return {"members": sorted(rows, key=lambda row: (str(row["node"]), str(row["name"])))}

    def holders(self, text: str) -> dict[str, Any]:
        """Who may hold a full reference or a digest, each one asked. Raises `InvalidName`."""
        key = parse_operand(text)
        candidates = self._directory.candidates(key.fingerprint)
        confirmed = self._confirm_all(candidates, key)
        rows = [_holder(member, is_confirmed) for member, is_confirmed in zip(candidates, confirmed, strict=True)]
        if self._held_here(key):
            rows.insert(0, _holder(self._membership.local(), True))
        shown = key.reference if isinstance(key.reference, Digest) else key
        return {"key": str(shown), "holders": rows}

    def members_by_state(self) -> Iterable[tuple[str, int]]:
        """How many members are in each state; states without a member are left out."""
        return sorted(Counter(member.state.value for member in self._membership.members()).items())

    def _confirm_all(self, members: Sequence[Member], key: Key) -> list[bool]:
        """Several at once: a few dead holders must not cost the operator a second each."""
        asking = Pool(_CONFIRMS_AT_ONCE)
        try:
            return list(asking.map(lambda member: self._confirm(member, key), members))
        finally:
            asking.kill()

    def _held_here(self, key: Key) -> bool:
        try:
            if isinstance(key.reference, Digest):
                self._store.stat(key.reference)
            else:
                self._store.resolve(key)
        except StoreError:
            return False
        return True


def _holder(member: Member, confirmed: bool) -> dict[str, Any]:
    return {
        "node": node_name(member),
        "host": member.host,
        "state": member.state.value,
        "confirmed": confirmed,
    }


def parse_operand(text: str) -> Key:
    """A key from what an operator types: `host/repository:tag`, `host/repository@digest` or a bare digest.

    A bare digest is asked for under a name that stands for any repository. Raises `InvalidName`.
    """
    if "/" not in text and ":" in text:
        return Key("localhost", "any", Digest.parse(text))
    return parse_image_name(text)
