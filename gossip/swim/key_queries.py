"""The queries by which `serf keys` reads and changes the keys of every member of a running cluster.

Answered as an agent does (Serf `internal_query.go`), except that nothing is written to a file: a key that came by a
query is here until the process ends, unless the key file names it too.
"""

from collections.abc import Callable

from gossip.errors import UsageError, WireError
from gossip.swim.outbox import Outbox
from gossip.wire.keyring import Key, Keyring
from gossip.wire.messages import KeyRequest, KeyResponse
from gossip.wire.serf import decode_serf

LIST_KEYS = "_serf_list-keys"
INSTALL_KEY = "_serf_install-key"
USE_KEY = "_serf_use-key"
REMOVE_KEY = "_serf_remove-key"

_CHANGES: dict[str, tuple[Callable[[Keyring, Key], None], str]] = {
    INSTALL_KEY: (Keyring.add, "gossip key installed by a query"),
    USE_KEY: (Keyring.use, "gossip key taken for sealing by a query"),
    REMOVE_KEY: (Keyring.remove, "gossip key removed by a query"),
}


class KeyQueries:
    """Answers for one node; without a ring it says so."""

    def __init__(self, keyring: Keyring | None, outbox: Outbox) -> None:
        self._keyring = keyring
        self._outbox = outbox

    def answer(self, name: str, payload: bytes, now: float) -> KeyResponse | None:
        """Do what the query of this name asks; None if it is not about keys."""
        if name != LIST_KEYS and name not in _CHANGES:
            return None
        if self._keyring is None:
            return KeyResponse(False, "this node has no keys: its gossip is not encrypted")
        if name == LIST_KEYS:
            keys = tuple(key.text() for key in self._keyring.keys)
            return KeyResponse(True, keys=keys, primary_key=keys[0])
        change, done = _CHANGES[name]
        try:
            change(self._keyring, _requested(payload))
        except (UsageError, WireError) as error:
            self._outbox.complain("query about gossip keys refused", now, query=name, error=str(error))
            return KeyResponse(False, str(error))
        self._outbox.notice("info", done, keys=len(self._keyring.keys))
        return KeyResponse(True)


def _requested(payload: bytes) -> Key:
    """The key that a query is about. Raises `WireError` and `UsageError`."""
    request = decode_serf(payload)
    if not isinstance(request, KeyRequest):
        raise WireError(f"a {type(request).__name__} where a key was expected")
    return Key(request.key)
