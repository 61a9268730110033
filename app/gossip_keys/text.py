"""The text of a key file -> keys. Pure.

One key a line, in base64; the first seals, all open. Blank lines and what follows a `#` count for nothing.
"""

from gossip.errors import UsageError
from gossip.wire.keyring import MAX_KEYS, Key


def parse_keys(text: str) -> tuple[Key, ...]:
    """The keys in order, one at least. Raises ValueError, which names the line and the remedy and shows no key."""
    keys: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        written = line.partition("#")[0].strip()
        if not written:
            continue
        try:
            keys.append(Key.parse(written))
        except UsageError as error:
            raise ValueError(f"line {number}: {error}") from None
    if not keys:
        raise ValueError("it holds no key: put one a line, `rykte keygen` prints one")
    if len(keys) > MAX_KEYS:
        raise ValueError(f"it holds {len(keys)} keys, at most {MAX_KEYS} are taken: drop those that nobody seals with")
    return tuple(keys)
