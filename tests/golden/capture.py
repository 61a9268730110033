"""Record what a stock `serf agent` says: run by hand, see README.md; its output is committed.

Three agents on 127.0.9.1 to .3 and an ear on 127.0.9.9, which takes part just enough to be talked to: it answers
pings and push/pulls until told to play dead. The first datagram of each kind and every stream goes into a file, in hex.
With a key behind the folder the agents encrypt by it, and so does the ear.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gossip.wire.codec import MessageType, decode, encode
from gossip.wire.envelope import pack, unpack
from gossip.wire.keyring import Key, Keyring
from gossip.wire.messages import Ack, Message, NodeEntry, Ping, PushPull, WireState
from gossip.wire.sealing import Sealer
from gossip.wire.stream import StreamDecoder, encode_stream

EAR = "127.0.9.9"
PORT = 7946
DEADLINE_S = 30


class Ear:
    """A member that writes down what it hears."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._sealer = Sealer(Keyring([Key.parse(key)]), os.urandom) if key else None
        self.answers_datagrams = True
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((EAR, PORT))
        self._tcp = socket.create_server((EAR, PORT))
        for loop in (self._hear_datagrams, self._hear_streams):
            threading.Thread(target=loop, daemon=True).start()

    def has(self, name: str) -> bool:
        return any(name in path.stem for path in self._folder.glob("*.hex"))

    def join(self, host: str) -> None:
        with socket.create_connection((host, PORT), 5) as stream:
            stream.sendall(self._on_stream(self._table(join=True)))
            self._save("stream-push-pull-reply", self._read_message(stream)[1])

    def _on_stream(self, message: Message) -> bytes:
        data = encode_stream(message)
        return data if self._sealer is None else self._sealer.seal_stream(data)

    def _table(self, *, join: bool) -> PushPull:
        row = NodeEntry("ear", socket.inet_aton(EAR), PORT, b"\xff\x81\xa4role\xa3ear", 1, WireState.ALIVE)
        return PushPull(join, (row,))

    def _hear_datagrams(self) -> None:
        while True:
            data, sender = self._udp.recvfrom(65536)
            plain = data if self._sealer is None else self._sealer.open(data)
            self._save(f"datagram-{label(plain)}", data)
            for message in map(decode, unpack(plain)):
                if isinstance(message, Ping) and message.node in ("", "ear") and self.answers_datagrams:
                    self._udp.sendto(pack([encode(Ack(message.seq_no))], self._sealer), sender)

    def _hear_streams(self) -> None:
        while True:
            stream, _ = self._tcp.accept()
            with stream:
                message, data = self._read_message(stream)
                self._save(f"stream-{type(message).__name__.lower()}", data)
                if isinstance(message, PushPull):
                    stream.sendall(self._on_stream(self._table(join=message.join)))
                elif isinstance(message, Ping):
                    stream.sendall(self._on_stream(Ack(message.seq_no)))

    def _read_message(self, stream: socket.socket) -> tuple[object, bytes]:
        decoder, data = StreamDecoder(sealer=self._sealer), b""
        while piece := stream.recv(65536):
            data += piece
            if (message := decoder.feed(piece)) is not None:
                return message, data
        decoder.finish()
        return None, data

    def _save(self, name: str, data: bytes) -> None:
        path = self._folder / f"{name}.hex"
        if not path.exists():
            text = data.hex()
            path.write_text("\n".join(text[at : at + 120] for at in range(0, len(text), 120)) + "\n")


def label(data: bytes) -> str:
    """What a datagram holds, outermost first: `crc-compound-ping-alive`."""
    words = []
    if data[0] == MessageType.CRC:
        words.append("crc")
        data = data[5:]
    if data[0] in (MessageType.COMPOUND, MessageType.COMPRESSED):
        words.append(MessageType(data[0]).name.lower())
    for message in unpack(data):
        kind = MessageType(message[0]).name.lower().replace("_", "-")
        words.append(f"user{message[1]}" if kind == "user" else kind)
    return "-".join(words)


def start(number: int, key: str) -> "subprocess.Popen[bytes]":
    host = f"127.0.9.{number}"
    agent = subprocess.Popen(
        ["serf", "agent", f"-node=stock{number}", f"-bind={host}:{PORT}", f"-rpc-addr={host}:7373", "-tag=role=web"]
        + [f"-encrypt={key}"] * bool(key),
        stdout=subprocess.DEVNULL,
    )
    wait(lambda: ask(number, "members").returncode == 0, f"agent {number} answers")
    return agent


def ask(number: int, *command: str) -> "subprocess.CompletedProcess[bytes]":
    verb, *rest = command
    return subprocess.run(["serf", verb, f"-rpc-addr=127.0.9.{number}:7373", *rest], capture_output=True)


def wait(condition: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > give_up:
            sys.exit(f"not within {DEADLINE_S} s: {what}")
        time.sleep(0.1)


def main(folder: Path, key: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ear = Ear(folder, key)
    agents = [start(number, key) for number in (1, 2, 3)]
    try:
        ear.join("127.0.9.1")
        ask(1, "join", EAR, "127.0.9.2", "127.0.9.3")
        wait(lambda: ear.has("alive"), "an alive")
        ask(1, "event", "deploy", "version 7")
        wait(lambda: ear.has("user3"), "a user event")
        ask(1, "event", "zeros", "0" * 400)  # repeats itself, so it comes compressed
        wait(lambda: ear.has("compressed"), "a compressed datagram")
        ask(1, "query", "-timeout=500ms", "uptime", "-")
        wait(lambda: ear.has("user4"), "a query")
        if key:
            ask(1, "keys", f"-install={key}")
        ask(1, "tags", "-set", "zone=north")
        ask(3, "leave")
        wait(lambda: ear.has("user0"), "a leave intent")
        agents[1].send_signal(signal.SIGSTOP)
        wait(lambda: ear.has("indirect-ping"), "an indirect ping")
        wait(lambda: ear.has("suspect") and ear.has("dead"), "a suspicion and a death")
        agents[1].send_signal(signal.SIGCONT)
        ear.answers_datagrams = False
        wait(lambda: ear.has("stream-ping"), "the stream's ping")
    finally:
        for agent in agents:
            agent.kill()
            agent.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
