"""What containerd's hosts.toml files shall look like, so that it asks the mirrors first. Pure; no file is touched here.

Format and search order: containerd's docs/hosts.md and its `remotes/docker/config` package. What its versions do
with it decides three things here:

- Hosts are tried in the order of the file, so ours come first and whatever was configured before stays behind them:
  a private mirror, a plain-http registry or a client certificate goes on working as the way out when we answer 404.
- A directory of its own hides `_default` from a registry altogether, and a hosts.toml hides the certificate files
  that lie beside it in Docker's manner. What would be hidden is taken over.
- A file that can't be parsed is ignored in silence, and so would ours be if we copied its mistakes: it is refused.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import tomli_w

from app.key import InvalidName, parse_registry

#: The directory for all registries that have none of their own.
DEFAULT = "_default"
DEFAULT_DIAL_TIMEOUT = "200ms"

# Docker Hub's images are named after a host that is not its API.
_API_HOSTS = {"docker.io": "registry-1.docker.io"}
_HEAD = "# Written by `rykte mirror add`. `rykte mirror remove` gives back what was here before.\n"


class MirrorError(Exception):
    """hosts.toml files can't be made or given back; the text names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry to be mirrored: its host as image names have it, or `_default`, and where it really is."""

    host: str
    server: str | None

    @classmethod
    def parse(cls, text: str) -> "Registry":
        """A URL, a bare host for https, or `_default`. Raises ValueError, whose words continue a sentence on `text`."""
        if text == DEFAULT:
            return cls(DEFAULT, None)
        url = _url(text if "://" in text else f"https://{text}")
        scheme, host = url.split("://")
        return cls(host, f"{scheme}://{_API_HOSTS.get(host, host)}")

    @property
    def directories(self) -> tuple[str, ...]:
        """The directory's names for which containerd looks, in its order; the last is the usual one."""
        name, colon, port = self.host.rpartition(":")
        return (f"{name}_{port}_", self.host) if colon else (self.host,)


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The mirrors to be asked, in this order. `header` holds secrets: a file with one is for its owner only."""

    urls: tuple[str, ...]
    resolve_tags: bool = True
    dial_timeout: str = DEFAULT_DIAL_TIMEOUT
    header: Mapping[str, str] = field(default_factory=dict)

    def table(self) -> dict[str, Any]:
        """One host's entry."""
        capabilities = ["pull", "resolve"] if self.resolve_tags else ["pull"]
        entry: dict[str, Any] = {"capabilities": capabilities, "dial_timeout": self.dial_timeout}
        return {**entry, "header": dict(self.header)} if self.header else entry


@dataclass(frozen=True, slots=True)
class Existing:
    """What holds for a registry without us: a hosts.toml, or files in Docker's manner beside where one would be.

    `path` is for messages. `moved_from` is the directory whose file this is, seen from the one that is written.
    """

    path: str = ""
    content: bytes | None = None
    beside: tuple[str, ...] = ()
    moved_from: str = ""


def mirror_url(text: str) -> str:
    """A mirror's address, normalised. Raises ValueError, whose words continue a sentence on `text`."""
    if "://" not in text:
        raise ValueError("has no scheme: write http://HOST:PORT, such as http://127.0.0.1:5000")
    return _url(text)


def hosts_toml(registry: Registry, mirrors: Mirrors, existing: Existing) -> bytes:
    """The file for one registry. The same arguments give the same bytes. Raises `MirrorError`."""
    document = _document(existing)
    hosts = document.pop("host", {})
    server = {} if registry.server is None else {"server": registry.server}
    ours = {url: {**hosts.get(url, {}), **mirrors.table()} for url in mirrors.urls}
    behind = {url: table for url, table in hosts.items() if url not in ours}
    return (_HEAD + tomli_w.dumps({**server, **document, "host": ours | behind})).encode()


def names_any(content: bytes, urls: Iterable[str]) -> bool:
    """Whether a hosts.toml, also one that can't be parsed, has one of these hosts."""
    text = content.decode(errors="replace")
    return any(re.search(re.escape(url) + r"(?![0-9A-Za-z.:-])", text) for url in urls)


def _document(existing: Existing) -> dict[str, Any]:
    """The existing settings as a table, with paths that are right in the new place."""
    if existing.content is None:
        return _from_certificates(existing.beside)
    try:
        document = tomllib.loads(existing.content.decode())
    except (ValueError, RecursionError) as error:
        raise MirrorError(
            f"{existing.path} is no TOML that can be kept behind the mirror ({error}), and containerd ignores it:"
            " mend or remove it, then run this again"
        ) from error
    hosts = document.get("host", {})
    if not isinstance(hosts, dict) or not all(isinstance(table, dict) for table in hosts.values()):
        raise MirrorError(f"{existing.path} has a `host` that is no table: mend or remove it, then run this again")
    if existing.moved_from:
        for table in (document, *hosts.values()):
            for key in ("ca", "client"):
                if key in table:
                    table[key] = _moved(table[key], existing.moved_from)
    return document


def _from_certificates(names: Iterable[str]) -> dict[str, Any]:
    """What containerd makes of certificate files without a hosts.toml: `.crt` to trust, `.cert` and `.key` to show."""
    files = sorted(names)
    trusted = [name for name in files if name.endswith(".crt")]
    shown = [[name, f"{name.removesuffix('.cert')}.key"] for name in files if name.endswith(".cert")]
    return {**({"ca": trusted} if trusted else {}), **({"client": shown} if shown else {})}


def _moved(value: Any, directory: str) -> Any:
    """Relative paths, singly or in lists, as seen from a directory beside."""
    if isinstance(value, list):
        return [_moved(each, directory) for each in value]
    if not isinstance(value, str) or not value or PurePosixPath(value).is_absolute():
        return value
    return f"../{directory}/{value}"


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parse_registry(parts.netloc)
    except (InvalidName, ValueError):
        raise ValueError("has no host that can be used: write http://HOST:PORT or https://HOST") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"has the scheme {parts.scheme}: write http:// or https://")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("has something behind the host: write the host and port alone")
    return f"{parts.scheme}://{host}"
