"""The two calls by which a kubelet makes containerd pull and remove images, as a program and as its caller.

It is a program of its own so that the test process has no gRPC threads, and so that a pull can be watched from
outside. The messages follow the Kubernetes CRI API (runtime/v1, Apache-2.0): both requests have an ImageSpec as
field 1, whose field 1 is the name; the answers are not looked at.

    python cri.py SOCKET PullImage|RemoveImage IMAGE TIMEOUT_S
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: gRPC's status name (`OK` when it was right), its message, and the time it took."""

    status: str
    message: str
    seconds: float

    @property
    def ok(self) -> bool:
        return self.status == "OK"


class Call:
    """A call on its way; several may be."""

    def __init__(self, socket: Path, method: str, image: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._told = f"{method} {image}"
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(socket), method, image, str(timeout_s)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def is_done(self) -> bool:
        return self._process.poll() is not None

    def outcome(self) -> Outcome:
        """Wait for its end, which the call's own deadline brings."""
        try:
            output, _ = self._process.communicate(timeout=self._timeout_s + 20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        if self._process.returncode != 0:
            raise RuntimeError(f"{self._told}: cri.py ended with {self._process.returncode}: {output}")
        return Outcome(**json.loads(output.splitlines()[-1]))


def _nested_text(text: str) -> bytes:
    """Protobuf: field 1 is a message whose field 1 is `text`."""
    inner = _field_1(text.encode())
    return _field_1(inner)


def _field_1(payload: bytes) -> bytes:
    length, varint = len(payload), bytearray()
    while length >= 0x80:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    varint.append(length)
    return b"\x0a" + bytes(varint) + payload  # 0x0a: field 1, length-delimited


def _call(socket: str, method: str, image: str, timeout_s: float) -> Outcome:
    import grpc  # here only: the test process, which imports this file for `Call`, does without

    started = time.monotonic()
    with grpc.insecure_channel(f"unix://{socket}") as channel:
        invoke: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/runtime.v1.ImageService/{method}")
        try:
            invoke(_nested_text(image), timeout=timeout_s)
        except grpc.RpcError as problem:
            return Outcome(problem.code().name, problem.details() or "", time.monotonic() - started)
    return Outcome("OK", "", time.monotonic() - started)


if __name__ == "__main__":
    _socket, _method, _image, _timeout = sys.argv[1:]
    _outcome = _call(_socket, _method, _image, float(_timeout))
    print(json.dumps({"status": _outcome.status, "message": _outcome.message, "seconds": _outcome.seconds}))
