"""What a node says of itself: the JSON of the metrics port's API and the answers of its health probes."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from app import __version__
from app.address import host_port
from app.config.config import Config
from app.content.store import ContentStore
from app.directory.service import DirectoryService
from app.key import Digest, Key, Tag, parse_image_name
from app.tags import node_name, zone
from gossip.membership import Member, Membership

#: Asks one member whether it really has the key now; False also when it does not answer.
Confirm = Callable[[Member, Key], bool]


class Status:
    """Snapshots on demand; holds no state of its own but the time of start."""

    def __init__(
        self,
        config: Config,
        store: ContentStore,
        membership: Membership,
        directory: DirectoryService,
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
                "gossip": host_port(*config.gossip_addr),
            },
        }

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
        rows = [
            {
                "node": node_name(member),
                "host": member.host,
                "state": member.state.value,
                "confirmed": self._confirm(member, key),
            }
            for member in candidates
        ]
        if self._held_here(key):
            local = self._membership.local()
            rows.insert(0, {"node": node_name(local), "host": local.host, "state": "alive", "confirmed": True})
        shown = key.reference if isinstance(key.reference, Digest) else key
        return {"key": str(shown), "holders": rows}

    def members_by_state(self) -> Iterable[tuple[str, int]]:
        """How many members are in each state; states without a member are left out."""
        return sorted(Counter(member.state.value for member in self._membership.members()).items())

    def _held_here(self, key: Key) -> bool:
        if isinstance(key.reference, Tag):
            return any(image.name == key.image_name for image in self._store.images())
        return key.reference in set(self._store.digests())


def parse_operand(text: str) -> Key:
    """A key from what an operator types: `host/repository:tag`, `host/repository@digest` or a bare digest.

    A bare digest is asked for under a name that stands for any repository. Raises `InvalidName`.
    """
    if "/" not in text and ":" in text:
        return Key("localhost", "any", Digest.parse(text))
    return parse_image_name(text)
