"""What mirrors say to each other about who holds what: bytes in, bytes out, under `/_rykte/v1/directory/`.

The version is in the path. What the bytes mean only `app/directory` knows.
"""

from typing import Protocol

import gevent
from flask import Blueprint, Response, request
from gunicorn.http.errors import ParseException

from app.access import authorize
from app.directory.antientropy import MAX_REQUEST_BYTES
from app.directory.errors import DirectoryError, UnknownQuestion
from app.registry.errors import Fault, OciError

PREFIX = "/_rykte/v1/directory"
BODY_DEADLINE_S = 10.0


class Exchange(Protocol):
    """Answers the questions of other mirrors' directories."""

    def answer(self, what: str, body: bytes) -> bytes:
        """Raises `UnknownQuestion`, `DirectoryError`. Both arguments are whatever somebody sent."""


def exchange_blueprint(exchange: Exchange, body_deadline_s: float = BODY_DEADLINE_S) -> Blueprint:
    """The endpoint in front of `exchange`; a question has to come whole within `body_deadline_s`."""
    blueprint = Blueprint("exchange", __name__)

    def ask(what: str) -> Response:
        authorize(request.environ)
        request.max_content_length = MAX_REQUEST_BYTES
        with gevent.Timeout(body_deadline_s, OciError(Fault.MALFORMED, "the body did not come in time")):
            body = _read_body()
        try:
            answer = exchange.answer(what, body)
        except UnknownQuestion as error:
            raise OciError(Fault.NO_ENDPOINT, str(error)) from error
        except DirectoryError as error:
            raise OciError(Fault.MALFORMED, str(error)) from error
        return Response(answer, content_type="application/octet-stream")

    blueprint.add_url_rule(f"{PREFIX}/<what>", view_func=ask, methods=["POST"], provide_automatic_options=False)
    return blueprint


def _read_body() -> bytes:
    """The request's body. Raises `OciError` for chunks that are none; Flask itself refuses what is too large."""
    try:
        return request.get_data(cache=False)
    except ParseException as error:
        raise OciError(Fault.MALFORMED, f"the body can't be read: {error}") from error
