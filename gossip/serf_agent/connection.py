"""One TCP connection to the agent: calls that wait for their answers, and a stream's records as they come.

The agent answers a connection's requests one after another, so what takes long should have a connection of its own.

One greenlet reads; whoever calls writes. Any trouble ends the connection for good, with a reason: a call that the
agent does not answer in time, bytes that are no answer, the end of data. Making a new one is the engine's business.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from gevent import Greenlet, Timeout, socket
from gevent.event import AsyncResult, Event
from gevent.lock import RLock

from gossip.errors import Unreachable, WireError
from gossip.serf_agent.conversation import AUTHENTICATION_REQUIRED, Conversation, Record, Reply
from gossip.wire.fields import Fields

_IPC_VERSION = 1
_PIECE_BYTES = 64 << 10

OnRecord = Callable[[Fields], None]


@dataclass(frozen=True, slots=True)
class Access:
    """How an agent is reached. `auth_file` holds its RPC token, None where it asks for none; read at each connect.

    An answer may take `timeout_s`: new tags have to be told to the cluster first, for which the agent has 5 s.
    """

    host: str
    port: int
    auth_file: Path | None = None
    timeout_s: float = 10.0

    @property
    def shown(self) -> str:
        """The RPC address as it is written in options."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def token(self) -> str | None:
        """The token now. Raises `Unreachable` for a file that can't be read or has none."""
        if self.auth_file is None:
            return None
        try:
            token = self.auth_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Unreachable(f"the agent's token in {self.auth_file} can't be read: {error}") from error
        if not token:
            raise Unreachable(f"{self.auth_file} is empty: write the agent's rpc_auth into it")
        return token


class Connection:
    """Open from construction on, which blocks until the agent has let us in."""

    def __init__(self, access: Access, on_record: OnRecord) -> None:
        """`on_record` must not switch greenlets. Raises `Unreachable` with the remedy; nothing is left open then."""
        self._access = access
        self._on_record = on_record
        self._conversation = Conversation()
        self._waiting: dict[int, AsyncResult[Reply]] = {}
        self._writing = RLock()
        self.ended = Event()
        self.reason = ""
        token = access.token()
        try:
            self._socket = socket.create_connection((access.host, access.port), access.timeout_s)
        except OSError as error:
            raise Unreachable(
                f"no Serf agent answers at {access.shown}: {error.strerror or error};"
                " start `serf agent`, or give its RPC address by --serf-rpc-addr"
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(None)  # an agent of a calm cluster is silent for long
        self._reader: Greenlet[..., Any] = gevent.spawn(self._read)
        try:
            self._introduce(token)
        except BaseException:
            self.close()
            raise

    def call(self, command: str, body: Mapping[str, Any] | None = None, timeout_s: float | None = None) -> Reply:
        """What the agent answers, a refusal too. Blocks. Raises `Unreachable` when no answer will come."""
        limit_s = timeout_s or self._access.timeout_s
        patience = Timeout(limit_s)
        try:
            with patience:
                reply = self._send(command, body).get()
        except Timeout as over:
            if over is not patience:
                raise
            self._end(f"the Serf agent at {self._access.shown} did not answer `{command}` within {limit_s:g} s")
            raise Unreachable(self.reason) from over
        assert reply is not None
        return reply

    def ask(self, command: str, body: Mapping[str, Any] | None = None) -> Fields:
        """The body of an answer, empty where it has none. Raises `Unreachable`, also for a refusal."""
        reply = self.call(command, body)
        if reply.error == AUTHENTICATION_REQUIRED:
            raise Unreachable(
                f"the Serf agent at {self._access.shown} asks for a token:"
                " give a file with its rpc_auth by --serf-rpc-auth-file"
            )
        if reply.error:
            raise Unreachable(f"the Serf agent at {self._access.shown} refuses `{command}`: {reply.error}")
        return {} if reply.body is None else reply.body

    def fail(self, reason: str) -> None:
        """End it for a reason that the caller found."""
        self._end(reason)

    def close(self) -> None:
        """End it and wait for the reader. Idempotent; not to be called by `on_record`."""
        self._end("closed")
        self._reader.kill()
        self._socket.close()

    def _introduce(self, token: str | None) -> None:
        self.ask("handshake", {"Version": _IPC_VERSION})
        if token is not None and self.call("auth", {"AuthKey": token}).error:
            raise Unreachable(
                f"the Serf agent at {self._access.shown} refuses the token in {self._access.auth_file}:"
                " write the agent's rpc_auth into that file"
            )

    def _send(self, command: str, body: Mapping[str, Any] | None) -> "AsyncResult[Reply]":
        """One request at a time goes out whole; its answer will be in what is returned."""
        answer: AsyncResult[Reply] = AsyncResult()
        with self._writing:
            if self.ended.is_set():
                raise Unreachable(self.reason)
            seq, data = self._conversation.request(command, body)
            self._waiting[seq] = answer
            try:
                self._socket.sendall(data)
            except OSError as error:
                self._end(f"the Serf agent at {self._access.shown} is lost: {error}")
        return answer

    def _read(self) -> None:
        try:
            while data := self._socket.recv(_PIECE_BYTES):
                for heard in self._conversation.feed(data):
                    self._dispatch(heard)
            reason = "it closed the connection"
        except OSError as error:
            reason = str(error)
        except WireError as error:
            reason = f"what it says is no agent's RPC ({error}); is that the RPC address?"
        except Exception as error:  # noqa: BLE001 (a root: the engine must hear of the end in any case)
            reason = f"reading failed: {error!r}"
        self._end(f"the Serf agent at {self._access.shown} is lost: {reason}")

    def _dispatch(self, heard: Reply | Record) -> None:
        match heard:
            case Record(_, body):
                self._on_record(body)
            case Reply(seq):
                if answer := self._waiting.pop(seq, None):
                    answer.set(heard)

    def _end(self, reason: str) -> None:
        """Release all who wait; the first reason is the one that counts."""
        if not self.ended.is_set():
            self.reason = reason
            self.ended.set()
        while self._waiting:
            _, answer = self._waiting.popitem()
            answer.set_exception(Unreachable(self.reason))
