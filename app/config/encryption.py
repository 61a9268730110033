"""The option that encrypts the gossip; a row of the table in `config.py`."""

from pathlib import Path

from app.config import values
from app.config.option import option

KEY_FILE: Path | None = option(
    "--gossip-key-file",
    "FILE",
    values.path,
    group="Cluster",
    default_shown="none, the gossip is not encrypted",
    help="Keys that encrypt the gossip, in base64, one a line: the first seals, all open. Blank lines and what"
    " follows a `#` count for nothing; `rykte keygen` prints a key. Every member must hold the key that any other"
    " seals with. The file is read again when it changes, so keys are exchanged without a restart (the order:"
    " docs/decisions/0004-gossip-encryption.md). To begin or end encrypting takes a restart of all nodes.",
)
