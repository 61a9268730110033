"""The endpoint that mirrors ask; what it answers is in `test_views.py`."""

import io
from typing import Any

import pytest
from flask import Flask
from gevent.event import Event
from gunicorn.http.errors import InvalidChunkSize

from app.registry.errors import Fault, OciError
from app.registry.exchange import exchange_blueprint


class NeverAsked:
    """No question arrives here."""

    def answer(self, what: str, body: bytes) -> bytes:
        raise AssertionError("was asked")


class Stalled(io.RawIOBase):
    """A body whose next byte does not come."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any) -> int:
        Event().wait()
        return 0


def test_a_question_that_does_not_come_is_given_up() -> None:
    """A client that stalls in its body does not hold a connection for longer than the deadline."""
    app = Flask("test", static_folder=None)
    app.register_blueprint(exchange_blueprint(NeverAsked(), body_deadline_s=0.01))
    app.testing = True
    stalled = {"wsgi.input": io.BufferedReader(Stalled()), "CONTENT_LENGTH": "10"}
    with pytest.raises(OciError) as caught:
        app.test_client().post("/_rykte/v1/directory/x", environ_overrides=stalled)
    assert caught.value.fault is Fault.MALFORMED


class Garbled(io.RawIOBase):
    """A chunked body whose second chunk is none; gunicorn says so when it is read."""

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: Any) -> int:
        raise InvalidChunkSize(b"zz")


def test_a_question_in_broken_chunks_is_the_clients_mistake() -> None:
    """It is refused, and nothing is said of an error of ours."""
    app = Flask("test", static_folder=None)
    app.register_blueprint(exchange_blueprint(NeverAsked()))
    app.testing = True
    garbled = {"wsgi.input": Garbled(), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    with pytest.raises(OciError, match="zz") as caught:
        app.test_client().post("/_rykte/v1/directory/x", environ_overrides=garbled)
    assert caught.value.fault is Fault.MALFORMED
