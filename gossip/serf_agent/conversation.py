"""The agent's RPC as a conversation of bytes, without I/O: requests out, answers and records of streams in.

A stream of msgpack objects each way (Serf `cmd/serf/command/agent/ipc.go`, IPC version 1). A request is a header
`{Command, Seq}` and for some commands a body; an answer is a header `{Seq, Error}` and for some commands a body; after
a `stream` request was granted, every event comes as a header with that `Seq` and a body. Answers come in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import msgpack

from gossip.errors import WireError
from gossip.wire import fields
from gossip.wire.fields import Fields

#: All that the agent may say before an object is complete. A listing of 20,000 members has 8 MB.
MAX_OBJECT_BYTES = 16 << 20
_MAX_ERROR_BYTES = 64 << 10
#: Commands whose answer has a body, also when it has an error: the agent's handler sends both.
_WITH_BODY = frozenset({"join", "members", "stats"})
#: Errors from before the command's handler, which come alone.
AUTHENTICATION_REQUIRED = "Authentication required"
_BEFORE_HANDLER = frozenset(
    {"Unsupported command", "Handshake required", AUTHENTICATION_REQUIRED, "Invalid authentication token"}
)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the request `seq`; `error` is empty if it was granted."""

    seq: int
    error: str
    body: Fields | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One event of the stream that the request `seq` opened."""

    seq: int
    body: Fields


class Conversation:
    """One connection's worth. After a `WireError` it is of no more use: the place of the next object is lost."""

    def __init__(self) -> None:
        self._seqs = count(1)
        self._asked: dict[int, str] = {}
        self._streams: set[int] = set()
        self._header: tuple[int, str] | None = None
        self._containers = 0
        self._objects = msgpack.Unpacker(
            raw=True,
            strict_map_key=False,
            object_hook=self._counted,
            list_hook=self._counted,
            max_buffer_size=MAX_OBJECT_BYTES,
            max_array_len=fields.MAX_TABLE_ITEMS,
            max_map_len=fields.MAX_FLAT_ITEMS,
        )

    def request(self, command: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """The number that the answer will carry, and the bytes to send."""
        seq = next(self._seqs)
        self._asked[seq] = command
        header = fields.pack({"Command": command, "Seq": seq})
        return seq, header if body is None else header + fields.pack(body)

    def feed(self, data: bytes) -> list[Reply | Record]:
        """What became complete by these bytes, cut anyhow. Raises `WireError`."""
        heard: list[Reply | Record] = []
        try:
            self._objects.feed(data)
            while True:
                item = self._take(fields.as_fields(self._objects.unpack()))
                self._containers = 0
                if item is not None:
                    heard.append(item)
        except msgpack.OutOfData:
            return heard
        except fields.MSGPACK_ERRORS as error:
            raise WireError(f"the agent sent no msgpack object: {error}") from error

    def _take(self, value: Fields) -> Reply | Record | None:
        if self._header is None:
            return self._take_header(value)
        (seq, error), self._header = self._header, None
        return Record(seq, value) if seq in self._streams else Reply(seq, error, value)

    def _take_header(self, header: Fields) -> Reply | None:
        seq = fields.uint(header, b"Seq", 64)
        error = fields.text(header, b"Error", _MAX_ERROR_BYTES)
        if seq in self._streams:
            if error:
                raise WireError(f"the agent ended a stream: {error[:100]}")
            self._header = (seq, error)
            return None
        command = self._asked.pop(seq, None)
        if command is None:
            raise WireError(f"the agent answered the request {seq}, which was not asked")
        if command in _WITH_BODY and error not in _BEFORE_HANDLER:
            self._header = (seq, error)
            return None
        if command == "stream" and not error:
            self._streams.add(seq)
        return Reply(seq, error)

    def _counted(self, container: Any) -> Any:
        """Bound what one object takes in memory: an empty map is one byte on the wire."""
        self._containers += 1
        if self._containers > fields.MAX_CONTAINERS:
            raise ValueError(f"more than {fields.MAX_CONTAINERS} arrays and maps in one object")
        return container
