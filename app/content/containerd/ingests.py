"""containerd's downloads in progress, as its content store keeps them on disk (`content/local` of containerd).

Each is a directory `ingest/<SHA-256 of its key>` with `data`, which grows, `ref`, the key
(`<namespace>/<number>/<kind>-<digest>`), and `total`, the final size in decimal, if it is known.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from app.content.store import Ingest
from app.key import Digest

_MAX_INGESTS = 1_000  # each pull has three at a time
_MAX_REF_BYTES = 4_096


def find_ingest(root: Path, namespace: str, digest: Digest) -> Ingest | None:
    """The download of this digest in this namespace; of several the one that is furthest. A few small reads."""
    found = [
        ingest
        for directory in _directories(root / "ingest")
        if (ingest := _read_ingest(directory, f"{namespace}/", digest)) is not None
    ]
    return max(found, key=lambda ingest: ingest.offset, default=None)


def _directories(parent: Path) -> Iterator[str]:
    try:
        with os.scandir(parent) as entries:
            for number, entry in enumerate(entries):
                if number == _MAX_INGESTS:
                    return
                yield entry.path
    except OSError:
        return


def _read_ingest(directory: str, prefix: str, digest: Digest) -> Ingest | None:
    ref = _read_small(f"{directory}/ref")
    # a kind can be anything, and a name may stand before the digest: only the two ends are sure
    if ref is None or not ref.startswith(prefix) or not ref.endswith(str(digest)):
        return None
    path = f"{directory}/data"
    try:
        offset = os.stat(path).st_size  # noqa: PTH116 - the path is a text for the contract's sake
    except OSError:
        return None  # committed or aborted just now
    total = _read_small(f"{directory}/total")
    return Ingest(digest, path, offset, int(total) if total is not None and total.isdecimal() else None)


def _read_small(path: str) -> str | None:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MAX_REF_BYTES).decode()
    except (OSError, UnicodeDecodeError):
        return None
