"""Texts that operators write -> values, or a ValueError that says what is wrong and what to write instead.

Pure. The words of an error continue a sentence that begins with the flag and the text, such as
`--probe-deadline '20' has no unit: write 20ms or 20s`.
"""

import ipaddress
import re
import warnings
from collections.abc import Callable
from pathlib import Path

from app.address import Address
from app.key import InvalidName, parse_registry, parse_repository

_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+", re.ASCII)
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
# containerd's own grammar of identifiers (its pkg/identifiers): a namespace that breaks it is refused there.
_CONTAINERD_IDENTIFIER = re.compile(r"[A-Za-z0-9]+(?:[-._][A-Za-z0-9]+)*", re.ASCII)
_CONTAINERD_IDENTIFIER_MAX = 76
_DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
_DNS_NAME_MAX = 253
_LONGEST_TEXT = 4096
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def duration(minimum: str, maximum: str) -> Callable[[str], float]:
    """A parser of `20ms`, `1.5s`, `1m30s` to seconds, both limits allowed."""
    lowest, highest = seconds(minimum), seconds(maximum)

    def parse(text: str) -> float:
        value = seconds(text)
        if not lowest <= value <= highest:
            raise ValueError(f"is out of range: write {minimum} to {maximum}")
        return value

    return parse


def seconds(text: str) -> float:
    """Seconds of a duration with units, as Go programs write them."""
    if len(text) > _LONGEST_TEXT or not _DURATION.fullmatch(text):
        if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", text, re.ASCII):
            raise ValueError(f"has no unit: write {text}ms or {text}s")
        raise ValueError("is no duration: write a number and ms, s, m or h, such as 20ms or 1m30s")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def count(minimum: int, maximum: int) -> Callable[[str], int]:
    """A parser of whole numbers, both limits allowed."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise ValueError(f"is no such number: write {minimum} to {maximum}")
        return int(text)

    return parse


def choice(*names: str) -> Callable[[str], str]:
    """A parser that takes one of these words."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"is no choice here: write {' or '.join(names)}")
        return text

    return parse


def boolean(text: str) -> bool:
    """`true` or `false`, and the usual other spellings of the two."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("is neither yes nor no: write true or false")


def label(longest: int, *, may_be_empty: bool = False) -> Callable[[str], str]:
    """A parser of names that Kubernetes would take as a label's value: they travel in gossip tags of bounded size."""

    def parse(text: str) -> str:
        if may_be_empty and not text:
            return text
        if len(text) > longest or not _LABEL.fullmatch(text):
            raise ValueError(f"is no name: write at most {longest} letters, digits, dots, dashes and underscores")
        return text

    return parse


#: A node's name: as long as Kubernetes lets one be.
NODE_NAME = label(253)


def containerd_namespace(text: str) -> str:
    """A namespace as containerd allows it."""
    if len(text) > _CONTAINERD_IDENTIFIER_MAX or not _CONTAINERD_IDENTIFIER.fullmatch(text):
        raise ValueError("is no containerd namespace: `ctr namespaces list` shows them; Kubernetes uses k8s.io")
    return text


def path(text: str) -> Path:
    """A path; nothing is looked up."""
    if not text or "\0" in text:
        raise ValueError("is no path")
    return Path(text)


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression; one that Python warns of, such as `[[:alpha:]]`, does not mean what its writer thinks."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            return re.compile(text)
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression that Python understands ({error})") from None


def registry(text: str) -> str:
    """A registry's host with an optional port, as image names write it; a leading `https://` is forgiven."""
    host = re.sub(r"^https?://", "", text).removesuffix("/")
    try:
        return parse_registry(host)
    except InvalidName:
        raise ValueError(
            "is no registry: write a host and perhaps a port, such as docker.io or reg.test:5000"
        ) from None


def repository_name(text: str) -> tuple[str, str]:
    """`registry/repository` as a pair."""
    host, _, name = text.partition("/")
    try:
        return parse_registry(host), parse_repository(name)
    except InvalidName as wrong:
        raise ValueError(f"is no registry/repository ({wrong}): write one such as docker.io/library/nginx") from None


def listen_address(text: str) -> Address:
    """`127.0.0.1:5000`, `[::1]:5000`, or `:5000` for all interfaces, whose host is empty then."""
    host, port = _host_and_port(text)
    if port is None:
        raise ValueError("has no port: write :5000 for all interfaces, 127.0.0.1:5000 or [::1]:5000")
    return (host and _ip(host)), port


def agent_address(text: str) -> Address:
    """`127.0.0.1:7373` or `[::1]:7373`: where something of this node listens."""
    host, port = listen_address(text)
    if not host:
        raise ValueError("has no host: write 127.0.0.1:7373 or [::1]:7373")
    return host, port


def ip_address(text: str) -> str:
    """One IPv4 or IPv6 address that others can reach."""
    address = _ip(text.removeprefix("[").removesuffix("]"))
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified or parsed.is_multicast or address == "255.255.255.255":
        raise ValueError("is no address that others can reach: write one of this machine's own, see `ip address`")
    return address


def peers(text: str) -> tuple[tuple[str, int | None], ...]:
    """A comma list of `host[:port]`, a host being a name or an address; None where no port is given."""
    return tuple(peer(part.strip()) for part in text.split(",") if part.strip())


def peer(text: str) -> tuple[str, int | None]:
    """One `host[:port]`."""
    host, port = _host_and_port(text)
    if not host:
        raise ValueError(f"names no host in {text!r}: write host or host:port, several with commas between them")
    return (host if _is_ip(host) else dns_name(host)), port


def dns_name(text: str) -> str:
    """A name for the resolver, with or without a final dot."""
    labels = text.removesuffix(".").split(".")
    if len(text) > _DNS_NAME_MAX or not all(_DNS_LABEL.fullmatch(each) for each in labels):
        raise ValueError("is no DNS name: write one such as rykte-bootstrap.rykte.svc.cluster.local.")
    return text


def _host_and_port(text: str) -> tuple[str, int | None]:
    """Split `host:port`, `host`, `:port`, `[v6]:port`, `[v6]` and a bare IPv6 address."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("has an unpaired bracket: write [::1]:5000")
        return _ip(host), (_port(rest[1:]) if rest else None)
    if _is_ip(text):
        return text, None
    host, colon, port = text.rpartition(":")
    if not colon:
        return text, None
    if ":" in host:
        raise ValueError("has too many colons: write an IPv6 address in brackets, such as [::1]:5000")
    return host, _port(port)


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 0 < int(text) < 65536:
        raise ValueError(
            f"has {text!r} for a port: write 1 to 65535 (the others are told it, so it can't be left open)"
        )
    return int(text)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _ip(text: str) -> str:
    if not _is_ip(text):
        raise ValueError(f"has {text!r} where an IP address is needed: write one such as 127.0.0.1 or [::1]")
    return str(ipaddress.ip_address(text))
