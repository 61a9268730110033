"""What mirrors say to each other about who holds what: bytes in, bytes out, under `/_rykte/v1/directory/`.

The version is in the path. What the bytes mean only `app/directory` knows.
"""

from typing import Protocol

import gevent
from flask import Blueprint, Response, request

from app.access import authorize
from app.registry.errors import Fault, OciError

PREFIX = "/_rykte/v1/directory"
#: A question is a version vector at most: some 40 bytes a member.
MAX_BODY_BYTES = 1024 * 1024
_BODY_DEADLINE_S = 10.0


class ExchangeError(Exception):
    """The question can't be answered because it makes no sense; the text says why. Answered by 400."""


class UnknownExchange(ExchangeError):
    """There is no such question in this version. Answered by 404."""


class Exchange(Protocol):
    """Answers the questions of other mirrors' directories."""

    def answer(self, what: str, body: bytes) -> bytes:
        """Raises `ExchangeError`. `what` is a path component, and like `body` it is whatever somebody sent."""


def exchange_blueprint(exchange: Exchange) -> Blueprint:
    """The endpoint in front of `exchange`."""
    blueprint = Blueprint("exchange", __name__)

    def ask(what: str) -> Response:
        authorize(request.environ)
        request.max_content_length = MAX_BODY_BYTES
        with gevent.Timeout(_BODY_DEADLINE_S, OciError(Fault.MALFORMED, "the body did not come in time")):
            body = request.get_data(cache=False)
        try:
            answer = exchange.answer(what, body)
        except UnknownExchange as error:
            raise OciError(Fault.NO_ENDPOINT, str(error)) from error
        except ExchangeError as error:
            raise OciError(Fault.MALFORMED, str(error)) from error
        return Response(answer, content_type="application/octet-stream")

    blueprint.add_url_rule(f"{PREFIX}/<what>", view_func=ask, methods=["POST"], provide_automatic_options=False)
    return blueprint
