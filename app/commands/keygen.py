"""`rykte keygen`: a new key for the gossip."""

import base64
import secrets

#: AES-256.
_KEY_BYTES = 32


def new_key() -> str:
    """A random key, as a line of a key file has it and as `serf keys -install` takes it."""
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
