"""`rykte status`, `members` and `holders`: what a running node says of itself, as text or as its own JSON."""

import json
from collections.abc import Mapping
from typing import Any

from app.address import host_port
from app.commands.api import Api, printable, take
from app.commands.tables import columns, span

Document = Mapping[str, Any]


def status(api: Api, *, as_json: bool) -> tuple[str, bool]:
    """The node in some lines, and whether it is ready."""
    document = api.get("status")
    ready = take(document, "ready", bool)
    return (_json(document) if as_json else _status_text(document)), ready


def members(api: Api, *, as_json: bool) -> str:
    """One line for each member, by node name."""
    document = api.get("members")
    return _json(document) if as_json else _members_text(document)


def holders(api: Api, reference: str, *, as_json: bool) -> str:
    """One line for each member that has the key, or may have it."""
    document = api.get("holders", ref=reference)
    return _json(document) if as_json else _holders_text(document)


def _status_text(document: Document) -> str:
    store, addresses = take(document, "store", dict), take(document, "addresses", dict)
    ready, reason = take(document, "ready", bool), take(document, "reason", str, type(None))
    problem = take(store, "problem", str, type(None))
    counted = take(document, "members", dict)
    gossip = "agent" if "agent" in addresses else "gossip"
    rows = [
        ("node", take(document, "node", str)),
        ("version", take(document, "version", str)),
        ("ready", "yes" if ready else f"no: {reason or 'no reason given'}"),
        ("uptime", span(take(document, "uptime_s", int, float))),
        ("store", f"{take(store, 'kind', str)}, {take(store, 'images', int)} images, {take(store, 'keys', int)} keys"),
        *([("problem", problem)] if problem else []),
        ("engine", take(document, "engine", str)),
        ("members", ", ".join(f"{number} {state}" for state, number in counted.items()) or "none"),
        *((name, take(addresses, name, str)) for name in ("registry", "metrics", gossip)),
    ]
    return columns([(name, printable(value)) for name, value in rows])


def _members_text(document: Document) -> str:
    rows: list[tuple[str, ...]] = [("NODE", "ADDRESS", "HTTP", "STATE", "ZONE", "KEYS", "FILTER AGE")]
    for each in _objects(document, "members"):
        keys, age_s = take(each, "keys", int, type(None)), take(each, "age_s", int, float, type(None))
        rows.append(
            (
                take(each, "node", str),
                host_port(take(each, "host", str), take(each, "port", int)),
                str(take(each, "http", int, str, type(None)) or ""),
                take(each, "state", str),
                take(each, "zone", str, type(None)) or "",
                "" if keys is None else str(keys),
                "" if age_s is None else span(age_s),
            )
        )
    return _table(rows)


def _holders_text(document: Document) -> str:
    rows: list[tuple[str, ...]] = [("NODE", "ADDRESS", "STATE", "CONFIRMED")]
    for each in _objects(document, "holders"):
        confirmed = "yes" if take(each, "confirmed", bool) else "no"
        rows.append((take(each, "node", str), take(each, "host", str), take(each, "state", str), confirmed))
    if len(rows) == 1:
        return f"no member is known to have {printable(take(document, 'key', str))}"
    return _table(rows)


def _table(rows: list[tuple[str, ...]]) -> str:
    head, *body = rows
    return columns([head, *sorted(tuple(map(printable, row)) for row in body)])


def _objects(document: Document, name: str) -> list[Document]:
    found = take(document, name, list)
    return [take({name: each}, name, dict) for each in found]


def _json(document: Document) -> str:
    return json.dumps(document, indent=2)
