"""A small registry client: pulls an image by tag from one registry, as containerd would, and checks every digest."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from app.media_types import MANIFEST_TYPES

_MANIFESTS = ", ".join(sorted(MANIFEST_TYPES))
_TIMEOUT_S = 30


class PullFailed(Exception):
    """The registry did not give the image, or gave wrong bytes; the text says which content and why."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """One content that arrived, its digest checked."""

    digest: str
    media_type: str
    size: int
    seconds: float


def pull(registry: str, name: str, keep: Callable[[str, bytes], None] = lambda _digest, _content: None) -> list[Pulled]:
    """Pull `host/repository:tag` from the mirror at `registry` (a URL); `keep(digest, content)` gets each content.

    Raises `PullFailed`.
    """
    host, _, rest = name.partition("/")
    repository, _, tag = rest.rpartition(":")
    session = requests.Session()
    base = f"{registry}/v2/{repository}"
    query = {"ns": host}
    head = session.head(f"{base}/manifests/{tag}", params=query, headers={"Accept": _MANIFESTS}, timeout=_TIMEOUT_S)
    if head.status_code != 200 or "Docker-Content-Digest" not in head.headers:
        raise PullFailed(f"{name}: HEAD of the tag at {registry} gave {head.status_code}")
    pulled: list[Pulled] = []

    def fetch(kind: str, digest: str) -> bytes:
        begun = time.monotonic()
        answer = session.get(
            f"{base}/{kind}/{digest}", params=query, headers={"Accept": f"{_MANIFESTS}, */*"}, timeout=_TIMEOUT_S
        )
        if answer.status_code != 200:
            raise PullFailed(f"{digest}: GET at {registry} gave {answer.status_code}: {answer.text[:200]}")
        got = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        if got != digest:
            raise PullFailed(f"{digest}: the bytes from {registry} hash to {got}")
        keep(digest, answer.content)
        kind_of = answer.headers.get("Content-Type", "")
        pulled.append(Pulled(digest, kind_of, len(answer.content), time.monotonic() - begun))
        return answer.content

    manifest: dict[str, Any] = json.loads(fetch("manifests", head.headers["Docker-Content-Digest"]))
    if "manifests" in manifest:
        manifest = json.loads(fetch("manifests", manifest["manifests"][0]["digest"]))
    for descriptor in (manifest["config"], *manifest["layers"]):
        fetch("blobs", descriptor["digest"])
    return pulled
