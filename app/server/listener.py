"""One listening port: who comes in, how many, and how they are sent away at the end.

A client is served, refused or told that there is no room, never left waiting: containerd has no time-out for an
answer's head, and a connection in a backlog that nobody empties would hold its pull for minutes.
"""

import json
import logging
from collections.abc import Iterable
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.socket import socket, wait_read
from gunicorn.config import Config as GunicornConfig

from app.address import Address
from app.server.connection import Connection, Patience, WsgiApp
from app.server.sockets import listen, shut_down

#: Connections beyond the limit that are told so at the same time; those behind them wait for a moment at most.
_TURNED_AWAY_AT_ONCE = 64
_TURNED_AWAY_HEAD_S = 1.0
#: Pause after a connection could not be accepted: out of descriptors, trying at once only burns the processor.
_ACCEPT_PAUSE_S = 0.1
_TURNED_AWAY_BODY = json.dumps(
    {"errors": [{"code": "TOOMANYREQUESTS", "message": "too many connections", "detail": "ask the next host"}]}
).encode()

# not structlog, which costs the master 7 MB: this module is loaded there
log = logging.getLogger(__name__)


class Listener:
    """Listens as soon as it is made. Owns its connections and their greenlets."""

    def __init__(
        self,
        address: Address,
        app: WsgiApp,
        settings: GunicornConfig,
        *,
        max_connections: int,
        patience: Patience | None = None,
    ) -> None:
        """Raises `OSError` if it can't listen there."""
        self._app = app
        self._settings = settings
        self._max_connections = max_connections
        self._patience = patience or Patience()
        self._connections: set[Connection] = set()
        self._turned_away: set[Connection] = set()
        self._draining = False
        self._pool = Pool(max_connections + _TURNED_AWAY_AT_ONCE)
        self._socket = listen(address)
        self.address: tuple[Any, ...] = self._socket.getsockname()
        self._acceptor = gevent.spawn(self._accept)

    @property
    def busy(self) -> int:
        """How many connections are being answered."""
        return sum(connection.busy for connection in self._connections)

    def drain(self, timeout_s: float) -> None:
        """Refuse new connections, end idle ones, and wait for the busy ones, so long at most."""
        self._close()
        for connection in [*self._connections, *self._turned_away]:
            if not connection.busy:
                shut_down(connection.client)
        self._pool.join(timeout=timeout_s)

    def cut(self, timeout_s: float = 0.5) -> None:
        """End all connections now, whatever is under way ends short. Idempotent."""
        self._close()
        if self._connections:
            log.info("cutting %d connections, %d of them busy", len(self._connections), self.busy)
        for connection in [*self._connections, *self._turned_away]:
            shut_down(connection.client)
        self._pool.join(timeout=timeout_s)
        self._pool.kill(block=False)

    def _close(self) -> None:
        self._draining = True
        self._acceptor.kill()
        self._socket.close()

    def _accept(self) -> None:
        """The greenlet's root. gevent's own server tells what goes wrong here by a traceback for each try."""
        failing = False
        while True:
            self._pool.wait_available()
            # first: out of descriptors, `accept` fails also when nobody is there to be accepted
            wait_read(self._socket.fileno())
            try:
                client, address = self._socket.accept()
            except OSError as error:
                if not failing:
                    log.warning("connections not accepted: %s; ending idle ones", error)
                failing = True
                self._make_room()
                gevent.sleep(_ACCEPT_PAUSE_S)
                continue
            failing = False
            self._pool.spawn(self._handle, client, address)
            gevent.sleep(0)  # the others' turn

    def _handle(self, client: socket, address: tuple[Any, ...]) -> None:
        full = len(self._connections) >= self._max_connections and not self._make_room()
        connection = Connection(
            client,
            address,
            _turn_away if full else self._app,
            settings=self._settings,
            patience=Patience(_TURNED_AWAY_HEAD_S, _TURNED_AWAY_HEAD_S, _TURNED_AWAY_HEAD_S)
            if full
            else self._patience,
            last=lambda: full or self._draining,
        )
        ours = self._turned_away if full else self._connections
        ours.add(connection)
        try:
            if self._draining:
                shut_down(client)
            connection.serve()
        finally:
            ours.discard(connection)

    def _make_room(self) -> bool:
        """End the connection that has been idle for longest; False if all are busy.

        A client that holds connections open must not keep others out, and one whose idle connection ends opens another.
        """
        idle = [connection for connection in self._connections if not connection.busy]
        if not idle:
            return False
        oldest = min(idle, key=lambda connection: connection.idle_since)
        self._connections.discard(oldest)
        shut_down(oldest.client)
        return True


def _turn_away(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """What a connection beyond the limit is answered: 503, which sends containerd to the next host at once."""
    log.warning("no room for a connection from %s", environ.get("REMOTE_ADDR"))
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(_TURNED_AWAY_BODY)))]
    start_response("503 Service Unavailable", headers)
    return [_TURNED_AWAY_BODY]
