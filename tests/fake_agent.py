"""A Serf agent's RPC in memory: answers as the stock one does, and misbehaves as a test wants.

Agents of one `FakeAgents` know each other once they have joined; what happens at one is told at all others at once.
It passes `tests/contracts/membership.py` under the engine, as the stock agent does.
"""

import ipaddress
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgpack
from gevent import socket
from gevent.server import StreamServer

RPC_PORT = 7373
GOSSIP_PORT = 7946
_MAX_META_BYTES = 512
#: Requests that come with a body.
_WITH_BODY = frozenset({"handshake", "auth", "event", "join", "tags", "stream"})


class FakeAgents:
    """The network between fake agents."""

    def __init__(self) -> None:
        self.running: dict[str, FakeAgent] = {}

    def agent(self, name: str, host: str, **more: Any) -> "FakeAgent":
        """An agent that listens on its RPC port from now on."""
        return FakeAgent(self, name, host, **more)

    def stop(self) -> None:
        """End all agents that run."""
        for agent in list(self.running.values()):
            agent.kill()


@dataclass
class _Session:
    """One RPC connection, as the agent sees it."""

    socket: socket.socket
    shaken: bool = False
    trusted: bool = False
    streams: list[int] = field(default_factory=list)

    def send(self, *objects: Any) -> None:
        packer = msgpack.Packer(use_bin_type=True)  # as the stock agent: it sends the new format
        with suppress(OSError):  # the client has gone
            self.socket.sendall(b"".join(packer.pack(each) for each in objects))


class FakeAgent:
    """One agent. Set the public attributes to make it misbehave."""

    def __init__(self, network: FakeAgents, name: str, host: str, *, auth_key: str = "") -> None:
        self.name = name
        self.host = host
        self.auth_key = auth_key
        self.tags: dict[str, str] = {}
        self.silent: set[str] = set()
        """Commands that are not answered."""
        self.refusals: dict[str, str] = {}
        """Errors by the command that is answered with them."""
        self.garbage: dict[str, bytes] = {}
        """Bytes by the command that is answered with them."""
        self.asked: list[tuple[str, Any]] = []
        """Every request so far, with its body."""
        self._network = network
        self._rows: dict[str, dict[str, Any]] = {}
        self._sessions: list[_Session] = []
        self._server = StreamServer((host, RPC_PORT), self._serve)
        self._server.start()
        network.running[host] = self
        self._rows[name] = self.row()

    # -- what a test does --

    def row(self, status: str = "alive") -> dict[str, Any]:
        """This agent as a record of a member."""
        address = ipaddress.ip_address(self.host).packed
        return {
            "Name": self.name,
            "Addr": bytes(10) + b"\xff\xff" + address if len(address) == 4 else address,
            "Port": GOSSIP_PORT,
            "Tags": dict(self.tags),
            "Status": status,
            "ProtocolCur": 2,
        }

    def kill(self) -> None:
        """As a crash: connections break, the others find it failed."""
        self.drop()
        self._server.stop(timeout=1)
        if self._network.running.pop(self.host, None) is not None:
            for other in self._others():
                other.learn(self.row("failed"), "member-failed")

    def drop(self) -> None:
        """Close all RPC connections."""
        for session in self._sessions:
            with suppress(OSError):  # the client was quicker
                session.socket.shutdown(socket.SHUT_RDWR)
        self._sessions.clear()

    def learn(self, row: dict[str, Any], event: str) -> None:
        """Take over a member and tell the streams."""
        self._rows[row["Name"]] = row
        self.emit({"Event": event, "Members": [row]})

    def forget(self, name: str) -> None:
        """Take a member out of the table, as reaping does, and tell the streams."""
        row = self._rows.pop(name)
        self.emit({"Event": "member-reap", "Members": [row]})

    def miss(self, row: dict[str, Any]) -> None:
        """Take over a member without a word: the stream dropped the event."""
        self._rows[row["Name"]] = row

    def emit(self, body: dict[str, Any]) -> None:
        """Tell an event to all streams."""
        for session in list(self._sessions):
            for seq in session.streams:
                session.send({"Seq": seq, "Error": ""}, body)

    def say(self, data: bytes) -> None:
        """Send bytes on all connections."""
        for session in list(self._sessions):
            session.socket.sendall(data)

    def knows(self, name: str) -> bool:
        return name in self._rows

    # -- the agent --

    def _others(self) -> "list[FakeAgent]":
        return [agent for agent in self._network.running.values() if agent is not self and agent.knows(self.name)]

    def _serve(self, client: socket.socket, _address: object) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as Go's listeners do
        session = _Session(client)
        self._sessions.append(session)
        unpacker = msgpack.Unpacker(raw=False, unicode_errors="surrogateescape")
        wanted: dict[str, Any] | None = None
        with suppress(OSError):
            while data := client.recv(65536):
                unpacker.feed(data)
                for item in unpacker:
                    if wanted is None and item["Command"] in _WITH_BODY:
                        wanted = item
                        continue
                    header, body = (item, None) if wanted is None else (wanted, item)
                    wanted = None
                    self._answer(session, header["Command"], header["Seq"], body)
        if session in self._sessions:
            self._sessions.remove(session)

    def _answer(self, session: _Session, command: str, seq: int, body: Any) -> None:
        self.asked.append((command, body))
        if command in self.silent:
            return
        if command in self.garbage:
            session.socket.sendall(self.garbage[command])
            return
        error = self._barred(session, command) or self.refusals.get(command, "")
        if error:
            session.send({"Seq": seq, "Error": error})
            return
        handlers: dict[str, Callable[[_Session, int, Any], None]] = {
            "handshake": self._handshake,
            "auth": self._auth,
            "stats": self._stats,
            "members": self._members,
            "event": self._event,
            "tags": self._set_tags,
            "join": self._join,
            "stream": self._stream,
        }
        handlers[command](session, seq, body)

    def _barred(self, session: _Session, command: str) -> str:
        if not session.shaken and command != "handshake":
            return "Handshake required"
        if self.auth_key and not session.trusted and command not in ("handshake", "auth"):
            return "Authentication required"
        return ""

    def _handshake(self, session: _Session, seq: int, body: Any) -> None:
        session.shaken = body["Version"] == 1
        session.send({"Seq": seq, "Error": "" if session.shaken else "Unsupported IPC version"})

    def _auth(self, session: _Session, seq: int, body: Any) -> None:
        session.trusted = body["AuthKey"] == self.auth_key
        session.send({"Seq": seq, "Error": "" if session.trusted else "Invalid authentication token"})

    def _stats(self, session: _Session, seq: int, _body: Any) -> None:
        session.send({"Seq": seq, "Error": ""}, {"agent": {"name": self.name}, "serf": {"members": "1"}})

    def _members(self, session: _Session, seq: int, _body: Any) -> None:
        session.send({"Seq": seq, "Error": ""}, {"Members": list(self._rows.values())})

    def _event(self, session: _Session, seq: int, body: Any) -> None:
        payload = body["Payload"].encode(errors="surrogateescape")  # it came in the old format, as raw
        told = {"Event": "user", "LTime": 1, "Name": body["Name"], "Payload": payload, "Coalesce": False}
        self.emit(told)
        session.send({"Seq": seq, "Error": ""})
        for other in self._others():
            other.emit(told)

    def _set_tags(self, session: _Session, seq: int, body: Any) -> None:
        tags = {name: value for name, value in self.tags.items() if name not in body["DeleteTags"]} | body["Tags"]
        if len(msgpack.packb(tags)) >= _MAX_META_BYTES:
            session.send({"Seq": seq, "Error": "Encoded length of tags exceeds limit of 512 bytes"})
            return
        self.tags = tags
        self._rows[self.name] = self.row()
        session.send({"Seq": seq, "Error": ""})
        for agent in (self, *self._others()):
            agent.learn(self.row(), "member-update")

    def _join(self, session: _Session, seq: int, body: Any) -> None:
        reached = 0
        for address in body["Existing"]:
            other = self._network.running.get(address.rpartition(":")[0].strip("[]"))
            if other is not None:
                reached += 1
                self._meet(other)
        failed = len(body["Existing"]) - reached
        session.send({"Seq": seq, "Error": f"{failed} nodes don't answer" if failed else ""}, {"Num": reached})

    def _meet(self, peer: "FakeAgent") -> None:
        mine, theirs = (self, *self._others()), (peer, *peer._others())
        for here in mine:
            for there in theirs:
                if here is not there:
                    here.learn(there.row(), "member-join")
                    there.learn(here.row(), "member-join")

    def _stream(self, session: _Session, seq: int, body: Any) -> None:
        assert "user" in body["Type"]
        session.streams.append(seq)
        session.send({"Seq": seq, "Error": ""})
