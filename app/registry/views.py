"""The `/v2/` handlers: parse, ask the sources in order, answer.

By the OCI distribution spec, its pull part. Nothing is compressed (a layer is already, and a digest is of the bytes as
they are) and nothing is redirected. What is answered twice is answered alike: no cache stands between a question and
its sources.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Flask, Response, request
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.access import FORWARDED_BY, UPDATED, Denied, authorize
from app.key import Key
from app.metrics import Metrics
from app.registry.errors import Fault, OciError, unknown
from app.registry.exchange import Exchange, exchange_blueprint
from app.registry.path import parse_query
from app.registry.ranges import Unsatisfiable, etag, requested_span
from app.registry.record import Record, RecordedBody, Recorder
from app.source import Content, Kind, Query, Source, SourceGone, Span

_API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATUS_FAULTS = {404: Fault.NO_ENDPOINT, 405: Fault.READ_ONLY, 413: Fault.TOO_LARGE}
_NODE_NAME_SHOWN = 128
_LOCAL = "local"

log = structlog.get_logger()


def create_app(
    sources: Sequence[Source],
    *,
    metrics: Metrics,
    default_registry: str,
    admits: Callable[[Key], bool],
    registries: Callable[[], Collection[str]],
    exchange: Exchange | None,
    node_name: str,
) -> Flask:
    """The app of the registry port.

    `sources` are asked in this order; of a mirror's request only the one named `local` is. `admits` says whether a key
    may be served at all, `registries` which get a metric label of their own. `exchange` answers other mirrors'
    directories; without it there is no such endpoint.
    """
    app = Flask("rykte.registry", static_folder=None)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    registry = _Registry(sources, Recorder(metrics, registries), default_registry, admits)
    # first, so that its hooks see every request
    PrometheusMetrics(app, path=None, registry=metrics.registry, group_by="endpoint")
    read: dict[str, Any] = {"methods": ["GET", "HEAD"], "provide_automatic_options": False}
    app.add_url_rule("/v2/", "version", lambda: _version(node_name), **read)
    app.add_url_rule("/v2/<path:path>", "content", registry.content, **read)
    if exchange is not None:
        app.register_blueprint(exchange_blueprint(exchange))
    app.register_error_handler(OciError, _oci_error)
    app.register_error_handler(Denied, lambda error: _oci_error(OciError(Fault.DENIED, str(error))))
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    app.wsgi_app = _bounded_methods(app.wsgi_app)  # type: ignore[method-assign, assignment]  # Flask's documented way
    return app


@dataclass(frozen=True, slots=True)
class _Registry:
    """Answers requests for content."""

    sources: Sequence[Source]
    recorder: Recorder
    default_registry: str
    admits: Callable[[Key], bool]

    def content(self, path: str) -> Response:
        forwarded_by = request.headers.get(FORWARDED_BY)
        query = parse_query(
            path,
            request.args.getlist("ns"),
            default_registry=self.default_registry,
            accept=request.headers.get("Accept", ""),
            forwarded_by=None if forwarded_by is None else forwarded_by[:_NODE_NAME_SHOWN],
        )
        if forwarded_by is not None:
            authorize(request.environ)
        record = self.recorder.begin(query, request.method)
        try:
            return self._answer(query, record)
        except OciError as error:
            record.first_byte()
            record.close(problem=None if error.fault.status == 404 else str(error))
            raise
        except BaseException as error:
            record.close(problem=repr(error))
            raise

    def _answer(self, query: Query, record: Record) -> Response:
        if not self.admits(query.key):
            record.refused()
            raise unknown(query.kind, str(query.key))
        for source in self.sources:
            if query.forwarded_by is not None and source.name != _LOCAL:
                continue  # a mirror asks on behalf of its client; to forward that could go round in circles
            content = source.find(query)
            if content is None:
                continue
            record.found(source.name)
            try:
                response = _respond(query, content, record)
            except SourceGone as gone:
                log.info("found, but not to be had", key=str(query.key), source=source.name, reason=str(gone))
                continue
            if request.method == "HEAD" or response.status_code == 304:
                record.first_byte()
                record.close()
            return response
        record.missed()
        raise unknown(query.kind, str(query.key))


def _respond(query: Query, content: Content, record: Record) -> Response:
    """The answer from what a source has. Raises `SourceGone` and `OciError`."""
    descriptor = content.descriptor
    tag = etag(descriptor.digest)
    headers = {"Docker-Content-Digest": str(descriptor.digest), "Accept-Ranges": "bytes", "ETag": tag}
    if query.forwarded_by is not None and content.updated_at is not None:
        headers[UPDATED] = f"{content.updated_at:.6f}"
    if tag.strip('"') in request.if_none_match:
        return Response(status=304, headers=headers)
    span, status = Span(0, descriptor.size), 200
    if request.method == "GET":  # RFC 9110 §14.2: Range means nothing to any other method
        span, status = _requested(content, headers)
    headers["Content-Length"] = str(span.length)
    media_type = descriptor.media_type if query.kind is Kind.MANIFEST else "application/octet-stream"
    body = RecordedBody(content.open(span), record) if request.method == "GET" else None
    return Response(body, status=status, headers=headers, content_type=media_type, direct_passthrough=True)


def _requested(content: Content, headers: dict[str, str]) -> tuple[Span, int]:
    """The bytes to send, and the status; `headers` gets what belongs to it."""
    size = content.descriptor.size
    try:
        span = requested_span(
            request.headers.get("Range"), request.headers.get("If-Range"), content.descriptor.digest, size
        )
    except Unsatisfiable as error:
        raise OciError(Fault.RANGE_INVALID, str(error), {"Content-Range": f"bytes */{size}"}) from error
    if span is None:
        return Span(0, size), 200
    headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    return span, 206


def _version(node_name: str) -> Response:
    return Response(b"{}", headers=[_API_VERSION, ("Rykte-Node", node_name)], content_type="application/json")


def _oci_error(error: OciError) -> Response:
    headers = [*error.headers.items(), _API_VERSION]
    return Response(error.body(), status=error.fault.status, headers=headers, content_type="application/json")


def _http_error(error: HTTPException) -> Response:
    """What Flask itself refuses."""
    fault = _STATUS_FAULTS.get(error.code or 500, Fault.MALFORMED)
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return _oci_error(OciError(fault, f"{request.method} {request.path[:100]}", headers))


def _unexpected(error: Exception) -> Response:
    log.exception("request failed", method=request.method, path=request.path[:300], error=repr(error))
    return _oci_error(OciError(Fault.INTERNAL))


def _bounded_methods(app: Callable[[dict[str, Any], Any], Any]) -> Callable[[dict[str, Any], Any], Any]:
    """Show the app at most one method that it does not know: the exporter makes a label of it."""

    def bounded(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] not in _METHODS:
            environ["REQUEST_METHOD"] = "OTHER"
        return app(environ, start_response)

    return bounded
