"""The metrics port's own app: metrics, health probes and the JSON API. It answers nothing of the registry's.

It only shows what it is given; what a node is like is known to `app/node.py`.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from flask import Flask, Response, request
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from werkzeug.exceptions import HTTPException

#: Says what is wrong, None when all is well.
Check = Callable[[], str | None]

log = structlog.get_logger()


def create_admin(
    *,
    registry: CollectorRegistry,
    alive: Check,
    ready: Check,
    status: Callable[[], Mapping[str, Any]],
    members: Callable[[], Mapping[str, Any]],
    holders: Callable[[str], Mapping[str, Any]],
) -> Flask:
    """The app. `holders` takes a full reference or a digest and raises `ValueError` for what is neither."""
    app = Flask("rykte.admin", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    read: dict[str, Any] = {"methods": ["GET", "HEAD"], "provide_automatic_options": False}

    def metrics() -> Response:
        encode, content_type = _encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), content_type=content_type)

    def ask_holders() -> Response:
        references = request.args.getlist("ref")
        if len(references) != 1:
            return _failure(400, "give exactly one ref: /api/v1/holders?ref=REFERENCE|DIGEST")
        try:
            return _document(holders(references[0]))
        except ValueError as error:
            return _failure(400, f"{error}; ref is a full reference (registry/repository:tag) or a digest")

    app.add_url_rule("/metrics", "metrics", metrics, **read)
    app.add_url_rule("/livez", "livez", lambda: _verdict(alive()), **read)
    app.add_url_rule("/readyz", "readyz", lambda: _verdict(ready()), **read)
    app.add_url_rule("/api/v1/status", "status", lambda: _document(status()), **read)
    app.add_url_rule("/api/v1/members", "members", lambda: _document(members()), **read)
    app.add_url_rule("/api/v1/holders", "holders", ask_holders, **read)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    return app


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    """The format that is asked for, the plain text for what can't be understood."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # prometheus_client compares whatever stands as a version with numbers
        return choose_encoder("")


def _verdict(problem: str | None) -> Response:
    if problem is None:
        return Response("ok\n", content_type="text/plain; charset=utf-8")
    return Response(f"{problem}\n", status=503, content_type="text/plain; charset=utf-8")


def _document(content: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(content) + "\n", status=status, content_type="application/json")


def _failure(status: int, text: str) -> Response:
    return _document({"error": text}, status)


def _http_error(error: HTTPException) -> Response:
    answer = _failure(error.code or 500, f"{request.method} {request.path[:100]}: {error.name}")
    if error.code == 405:
        answer.headers["Allow"] = "GET, HEAD"
    return answer


def _unexpected(error: Exception) -> Response:
    log.exception("admin request failed", path=request.path[:300], error=repr(error))
    return _failure(500, "unexpected error, see the log")
