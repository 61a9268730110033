"""A real containerd of a test's own, without network, and its owner's side: content and names put in and taken out.

Root, state, socket and configuration lie in a directory of the test; mounts stay in a mount namespace of its own.
Changes go through containerd's gRPC API with messages encoded here, so that the product's proto stays what the product
needs.
"""

import itertools
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import grpc

from app.content.containerd.api import prepare_grpc
from app.content.store import Descriptor
from app.key import Digest
from tests.images import TestImage
from tests.real.lab.containerd import Home, Release

# Without CRI it starts in a fraction of the time. Every containerd reads this version of the format.
_CONFIG_VERSION = 2
_SETTINGS = (
    'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]'
)
_START_S = 20.0
_CALL_S = 10.0
_KEEP = {"containerd.io/gc.root": "kept for a test"}
_COMMIT = 2  # WriteAction
_CHUNK = 1 << 20

Fields = Mapping[int, "int | str | bytes | list[bytes]"]


class LocalContainerd:
    """See above. `start` and `stop` may alternate."""

    def __init__(self, release: Release, home: Path) -> None:
        release.check()
        self.release = release
        self._home = Home(release, home)
        self.socket, self.content = self._home.socket, self._home.content
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        prepare_grpc()
        backoff = [(f"grpc.{which}_reconnect_backoff_ms", 100) for which in ("initial", "min", "max")]
        self._channel = grpc.insecure_channel(f"unix://{self.socket}", options=backoff)

    def start(self) -> None:
        """Returns when its API answers."""
        command = ["unshare", "--mount", "--propagation", "private", "setpriv", "--pdeathsig", "KILL"]
        command += self._home.command(_CONFIG_VERSION, _SETTINGS)
        with self._home.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        version = self._channel.unary_unary("/containerd.services.version.v1.Version/Version")
        version(b"", timeout=_START_S, wait_for_ready=True)

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """Ends it and waits for its end. Does nothing if it does not run."""
        if self._process is not None:
            self._process.send_signal(signal_number)
            self._process.wait(_START_S)
            self._process = None

    def close(self) -> None:
        self.stop(signal.SIGKILL)
        self._channel.close()

    def freeze(self) -> None:
        """It stops to answer, with its socket open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    # -- content and names ----------------------------------------------------

    def put_blob(self, namespace: str, content: bytes, labels: Mapping[str, str] = _KEEP) -> Digest:
        """Write and commit content; without the usual labels the next collection takes it."""
        digest = Digest.of(content)
        ref = f"test-{next(self._numbers)}-{digest}"
        chunks = [content[at : at + _CHUNK] for at in range(0, len(content), _CHUNK)]
        requests = [_write(1, ref, len(content), {5: number * _CHUNK, 6: chunk}) for number, chunk in enumerate(chunks)]
        commit = _write(_COMMIT, ref, len(content), {4: str(digest), 5: len(content), 7: _map(labels)})
        try:
            self._write(namespace, [*requests, commit])
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        return digest

    def begin_ingest(self, namespace: str, ref: str, total: int, content: bytes) -> None:
        """Write the beginning of some content and leave it at that, as a pull under way does."""
        self._write(namespace, [_write(1, ref, total, {6: content})])

    def delete_blob(self, namespace: str, digest: Digest) -> None:
        """Delete it by name: gone for the namespace at once, its file when garbage is collected."""
        self._call(namespace, "content.v1.Content/Delete", {1: str(digest)})

    def release_blob(self, namespace: str, digest: Digest) -> None:
        """Let garbage collection have it."""
        self._call(namespace, "content.v1.Content/Update", {1: encode({1: str(digest)}), 2: encode({1: "labels"})})

    def collect_garbage(self, namespace: str) -> None:
        """Returns when it was collected."""
        name = f"garbage.test/collect:{next(self._numbers)}"
        self.put_name(namespace, name, Descriptor(Digest.of(b"nothing"), 1, "application/octet-stream"))
        self.drop_name(namespace, name)

    def put_name(self, namespace: str, name: str, target: Descriptor) -> None:
        image = {1: name, 3: encode({1: target.media_type, 2: str(target.digest), 3: target.size})}
        request: Fields = {1: encode(image)}
        try:
            self._call(namespace, "images.v1.Images/Create", request)
        except grpc.RpcError as error:
            if not isinstance(error, grpc.Call) or error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
            self._call(namespace, "images.v1.Images/Update", request)

    def drop_name(self, namespace: str, name: str) -> None:
        """Delete the name and collect garbage, as CRI's RemoveImage does."""
        self._call(namespace, "images.v1.Images/Delete", {1: name, 2: 1})

    def put_image(self, namespace: str, name: str, image: TestImage) -> None:
        for blob in image.blobs.values():
            self.put_blob(namespace, blob.content)
        self.put_name(namespace, name, image.target)

    def ctr(self, namespace: str, *words: str, stdin: bytes = b"") -> str:
        """What `ctr` prints."""
        command = self._home.ctr(namespace, *words)
        return subprocess.run(command, input=stdin, capture_output=True, check=True, timeout=60).stdout.decode()

    def _write(self, namespace: str, requests: list[bytes]) -> None:
        call = self._channel.stream_stream("/containerd.services.content.v1.Content/Write")
        for _ in call(iter(requests), timeout=_CALL_S, metadata=_metadata(namespace)):
            pass

    def _call(self, namespace: str, method: str, request: Fields) -> None:
        call = self._channel.unary_unary(f"/containerd.services.{method}")
        call(encode(request), timeout=_CALL_S, metadata=_metadata(namespace))


def encode(fields: Fields) -> bytes:
    """A protobuf message of these fields: numbers as varints, text and bytes by their length, lists repeated."""
    parts = []
    for number, value in fields.items():
        if isinstance(value, int):
            parts.append(_varint(number << 3) + _varint(value))
            continue
        for item in value if isinstance(value, list) else [value]:
            content = item.encode() if isinstance(item, str) else item
            parts.append(_varint(number << 3 | 2) + _varint(len(content)) + content)
    return b"".join(parts)


def _write(action: int, ref: str, total: int, more: Fields) -> bytes:
    return encode({1: action, 2: ref, 3: total, **more})


def _map(entries: Mapping[str, str]) -> list[bytes]:
    return [encode({1: key, 2: value}) for key, value in entries.items()]


def _metadata(namespace: str) -> tuple[tuple[str, str], ...]:
    return (("containerd-namespace", namespace),)


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
