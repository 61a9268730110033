"""One client's connection: requests one after another, until either side ends it.

Reads with gunicorn's parser and writes heads with its response; the rest is ours, for what the stock loop lacks: a
deadline for a head that trickles in, a turn for the others after each request (a client whose next request is in the
buffer already would otherwise keep the hub to itself), bodies that send themselves, and ends by FIN. Not a server:
who listens, and how many connections there may be, is `app/server/listener.py`'s.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import gevent
from gevent.socket import socket, wait_read
from gunicorn.config import Config as GunicornConfig
from gunicorn.http import errors, wsgi
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

from app.server.sockets import CLIENT_PATIENCE_S, end
from app.source import Interrupted

WsgiApp: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: What a head that can't be read is answered with; the first row that fits counts.
_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (errors.LimitRequestLine, "414 URI Too Long"),
    (errors.LimitRequestHeaders, "431 Request Header Fields Too Large"),
    (errors.UnsupportedTransferCoding, "501 Not Implemented"),
    (errors.ExpectationFailed, "417 Expectation Failed"),
    (errors.ParseException, "400 Bad Request"),
)
#: How long the rest of a request's body, that nobody asked for, is waited for before the next request.
_BODY_REST_S = 2.0

# not structlog, which costs the master 7 MB: this module is loaded there
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client is waited for, in seconds.

    `idle_s` between two requests: longer than other mirrors keep their idle connections, so that it is they who
    close. `head_s` from the first byte of a request's head to its last. `stall_s` for a client that takes no byte.
    """

    idle_s: float = 60.0
    head_s: float = 10.0
    stall_s: float = CLIENT_PATIENCE_S


class _HeadTooSlow(Exception):
    """The head was begun and did not come in time."""


class Connection:
    """Owns the client's socket from `serve` on; `busy` while a request is being answered.

    `idle_since` (monotonic seconds) is when it was accepted, or its last answer ended.
    """

    def __init__(
        self,
        client: socket,
        address: tuple[Any, ...],
        app: WsgiApp,
        *,
        settings: GunicornConfig,
        patience: Patience,
        last: Callable[[], bool],
    ) -> None:
        """`last` is asked after each request: True ends the connection, and tells the client so where it still can."""
        self.client = client
        self.busy = False
        self.idle_since = time.monotonic()
        self._address = address
        self._app = app
        self._settings = settings
        self._patience = patience
        self._last = last

    def serve(self) -> None:
        """Answer requests until the end; the socket is closed then. Raises nothing of the client's doing."""
        self.client.settimeout(self._patience.stall_s)
        parser = RequestParser(self._settings, self.client, self._address)
        try:
            while self._next_begins(parser) and self._serve_one(parser):
                gevent.sleep(0)  # the others' turn
        except OSError as error:
            log.debug("client %s went away: %s", self._address[0], error)
        finally:
            end(self.client)

    def _next_begins(self, parser: RequestParser) -> bool:
        """Wait for the first byte of a request; False if none comes."""
        held = parser.unreader.take_buffered()
        if held:
            parser.unreader.unread(held)
            return True
        try:
            wait_read(self.client.fileno(), timeout=self._patience.idle_s)
        except TimeoutError:
            return False
        return True

    def _serve_one(self, parser: RequestParser) -> bool:
        """Read and answer one request; whether another may follow."""
        request = self._read_head(parser)
        if request is None:
            return False
        self.busy = True
        try:
            if not self._answer(request):
                return False
            # where the next request begins is known only when this one's body has been read
            return bool(parser.finish_body(deadline=time.monotonic() + _BODY_REST_S)) and not self._last()
        except errors.ParseException:
            return False
        finally:
            self.busy = False
            self.idle_since = time.monotonic()

    def _read_head(self, parser: RequestParser) -> Request | None:
        """None when there is no request to answer; what could not be read has been refused then."""
        try:
            with gevent.Timeout(self._patience.head_s, _HeadTooSlow):
                return next(parser)
        except (StopIteration, errors.NoMoreData):
            return None
        except _HeadTooSlow:
            self._refuse("408 Request Timeout")
        except errors.ParseException as error:
            log.info("refused what %s sent: %s", self._address[0], error)
            self._refuse(next(status for kind, status in _REFUSALS if isinstance(error, kind)))
        return None

    def _answer(self, request: Request) -> bool:
        """Answer; whether the connection is in a state to go on."""
        try:
            response, environ = wsgi.create(
                request, self.client, self._address, self.client.getsockname(), self._settings
            )
        except errors.ParseException:
            self._refuse("400 Bad Request")
            return False
        if self._last():
            response.force_close()
        try:
            self._run(environ, response)
        except Interrupted:
            return False  # the body's owner has said why; the head promised more: end short
        except OSError:
            raise
        except Exception:  # the root of what an app may raise
            log.exception("%s %.300s failed", request.method, request.path)
            if not response.headers_sent:
                self._refuse("500 Internal Server Error")
            return False
        return not response.should_close()

    def _run(self, environ: dict[str, Any], response: wsgi.Response) -> None:
        body = self._app(environ, response.start_response)
        try:
            send_to = getattr(body, "send_to", None)
            if send_to is not None:
                response.send_headers()
                send_to(self.client)
            else:
                for chunk in body:
                    response.write(chunk)
            response.close()
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def _refuse(self, status: str) -> None:
        text = f"{status[4:]}\n".encode()
        head = (
            f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        self.client.sendall(head.encode() + text)
