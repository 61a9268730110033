"""containerd's gRPC API as far as the store needs it: calls in, values of ours out.

The one place where gRPC is imported, and the boundary where its errors become `StoreError`s. Calls block the greenlet,
never the hub. Methods are named by their paths, so that the messages of `proto/containerd.proto` are all there is to
generate and one client speaks with containerd 1.6 to 2.x.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import grpc
import grpc._common
import grpc.experimental.gevent
from gevent import socket
from gevent.lock import BoundedSemaphore
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from app.content.containerd import containerd_pb2 as pb
from app.content.inventory import Content
from app.content.store import Descriptor, Image, NotFound, StoreUnavailable
from app.key import Digest, InvalidName

# Below this one, gRPC's waiting stream reader wakes the hub ten times a second, more than all else that an idle node
# does. Nothing but Python's signal checks hangs on it.
_WAIT_S = 30.0
_CALL_S = 5.0
_LIST_S = 60.0
# gRPC keeps a thread of gevent's pool for each call that waits.
_PARALLEL_CALLS = 8
_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),  # the names of 20,000 images come in one message of more than 4 MiB
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),
]
_SERVICES = "/containerd.services."
Reply = TypeVar("Reply", bound=Message)
_SOURCE_LABEL = "containerd.io/distribution.source."


@dataclass(frozen=True, slots=True)
class ImageSet:
    """An image name was made, or points elsewhere."""

    name: str


@dataclass(frozen=True, slots=True)
class ImageDeleted:
    name: str


@dataclass(frozen=True, slots=True)
class ContentCreated:
    """A blob was committed. containerd says so from 2.1 on; its labels come later."""

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class ContentDeleted:
    """Somebody deleted a blob by name. Garbage collection says nothing."""

    digest: Digest


Event = ImageSet | ImageDeleted | ContentCreated | ContentDeleted


@dataclass(frozen=True, slots=True)
class ImageList:
    """`refused`: image name -> why its target means nothing to us."""

    images: list[Image]
    refused: dict[str, str]


def prepare_grpc() -> None:
    """Make gRPC wait by gevent's hub. Call it after `monkey.patch_all()` and before the first channel; idempotent."""
    assert hasattr(grpc._common, "MAXIMUM_WAIT_TIMEOUT"), "this grpcio waits by another name: look at grpc/_common.py"
    if grpc._common.MAXIMUM_WAIT_TIMEOUT != _WAIT_S:
        grpc.experimental.gevent.init_gevent()
        grpc._common.MAXIMUM_WAIT_TIMEOUT = _WAIT_S


class ContainerdApi:
    """A connection to one containerd, for one of its namespaces. Reconnects by itself."""

    def __init__(self, socket_path: Path, namespace: str) -> None:
        self._socket_path = socket_path
        self.namespace = namespace
        self._metadata = (("containerd-namespace", namespace),)
        self._channel = grpc.insecure_channel(f"unix://{socket_path.absolute()}", options=_OPTIONS)
        self._calls = BoundedSemaphore(_PARALLEL_CALLS)

    def close(self) -> None:
        """Ends the calls that are under way."""
        self._channel.close()

    def version(self, timeout_s: float) -> str:
        """Waits until there is a containerd. Raises `StoreUnavailable` with the reason why there is none."""
        self._check_socket()
        reply = self._unary("version.v1.Version/Version", Empty(), pb.VersionResponse, timeout_s, wait=True)
        return reply.version

    def namespaces(self) -> list[str]:
        reply = self._unary("namespaces.v1.Namespaces/List", pb.ListNamespacesRequest(), pb.ListNamespacesResponse)
        return [namespace.name for namespace in reply.namespaces]

    def content_root(self) -> Path | None:
        """Where containerd keeps content, as it sees it itself."""
        request = pb.PluginsRequest(filters=["type==io.containerd.content.v1"])
        reply = self._unary("introspection.v1.Introspection/Plugins", request, pb.PluginsResponse)
        roots = [plugin.exports["root"] for plugin in reply.plugins if plugin.exports.get("root")]
        return Path(roots[0]) if roots else None

    def images(self) -> ImageList:
        """All names but those that CRI gives to image ids (`sha256:…`)."""
        request = pb.ListImagesRequest()
        reply = self._unary("images.v1.Images/List", request, pb.ListImagesResponse, _LIST_S)
        listed = ImageList([], {})
        for image in reply.images:
            if is_image_id(image.name):
                continue
            try:
                listed.images.append(_to_image(image))
            except InvalidName as error:
                listed.refused[image.name] = str(error)
        return listed

    def image(self, name: str) -> Image:
        """Raises `NotFound`, `InvalidName` for a target whose digest means nothing to us."""
        reply = self._unary("images.v1.Images/Get", pb.GetImageRequest(name=name), pb.GetImageResponse)
        return _to_image(reply.image)

    def contents(self) -> dict[Digest, Content]:
        """All content of the namespace, but for digests of an unknown algorithm."""
        found = {}
        for reply in self._stream("content.v1.Content/List", pb.ListContentRequest(), pb.ListContentResponse, _LIST_S):
            for info in reply.info:
                try:
                    found[Digest.parse(info.digest)] = _to_content(info)
                except InvalidName:
                    continue
        return found

    def content(self, digest: Digest) -> Content:
        """Raises `NotFound`, also when only another namespace has it."""
        reply = self._unary("content.v1.Content/Info", pb.InfoRequest(digest=str(digest)), pb.InfoResponse)
        return _to_content(reply.info)

    def read(self, digest: Digest, count: int, offset: int) -> bytes:
        """Exactly `count` bytes; the range must be within the content. Raises `NotFound`."""
        request = pb.ReadContentRequest(digest=str(digest), offset=offset, size=count)
        replies = self._stream("content.v1.Content/Read", request, pb.ReadContentResponse, _LIST_S)
        return b"".join(reply.data for reply in replies)

    @contextmanager
    def events(self) -> Iterator[Iterator[Event]]:
        """Subscribe; the iterator gives what happens from about now on and raises `StoreUnavailable` at its end.

        Nothing is replayed, and containerd does not say when the subscription begins: list afterwards.
        """
        filters = [f'topic~="^/{kind}/",namespace=="{self.namespace}"' for kind in ("images", "content")]
        call = self._channel.unary_stream(
            _SERVICES + "events.v1.Events/Subscribe",
            request_serializer=pb.SubscribeRequest.SerializeToString,
            response_deserializer=pb.Envelope.FromString,
        )(pb.SubscribeRequest(filters=filters), metadata=self._metadata)
        try:
            yield self._decode(call)
        finally:
            call.cancel()

    def _decode(self, envelopes: Iterator[pb.Envelope]) -> Iterator[Event]:
        with self._translated():
            for envelope in envelopes:
                event = _to_event(envelope)
                if event is not None:
                    yield event
        raise StoreUnavailable(f"containerd at {self._socket_path} ended the event stream")

    def _unary(
        self, method: str, request: Message, reply: type[Reply], timeout_s: float = _CALL_S, *, wait: bool = False
    ) -> Reply:
        call = self._channel.unary_unary(
            _SERVICES + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        with self._calls, self._translated():
            return call(request, timeout=timeout_s, metadata=self._metadata, wait_for_ready=wait)

    def _stream(self, method: str, request: Message, reply: type[Reply], timeout_s: float) -> Iterator[Reply]:
        call = self._channel.unary_stream(
            _SERVICES + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply.FromString,
        )
        with self._calls, self._translated():
            yield from call(request, timeout=timeout_s, metadata=self._metadata)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
            details = error.details() if isinstance(error, grpc.Call) else str(error)
            if code is grpc.StatusCode.NOT_FOUND:
                raise NotFound(f"containerd: {details}") from error
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
                raise StoreUnavailable(
                    f"containerd at {self._socket_path} does not answer: {details} (is it running?)"
                ) from error
            raise StoreUnavailable(
                f"containerd at {self._socket_path} refuses, namespace {self.namespace!r}: {code.name} {details}"
            ) from error
        except ValueError as error:  # what grpc raises for a closed channel
            raise StoreUnavailable(f"the connection to containerd at {self._socket_path} is closed") from error

    def _check_socket(self) -> None:
        """Raises `StoreUnavailable` with what gRPC would keep for itself: why connecting fails."""
        where = f"containerd's socket {self._socket_path}"
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_CALL_S)
            try:
                probe.connect(str(self._socket_path))
            except FileNotFoundError as error:
                raise StoreUnavailable(
                    f"{where} does not exist: is containerd running, is --containerd-socket right?"
                ) from error
            except PermissionError as error:
                raise StoreUnavailable(f"{where} may not be opened: run as a user who may read and write it") from error
            except ConnectionRefusedError as error:
                raise StoreUnavailable(f"nobody listens at {where}: is containerd running?") from error
            except OSError as error:
                raise StoreUnavailable(f"{where} can't be reached: {error}") from error


def is_image_id(name: str) -> bool:
    """Whether this is the name that CRI gives to an image's id besides its real ones: a bare digest."""
    try:
        Digest.parse(name)
    except InvalidName:
        return False
    return True


def _to_image(image: pb.Image) -> Image:
    target = Descriptor(Digest.parse(image.target.digest), image.target.size, image.target.media_type)
    return Image(image.name, target, image.updated_at.seconds + image.updated_at.nanos / 1e9)


def _to_content(info: pb.Info) -> Content:
    """The labels name the repositories that containerd has pulled it from, by the registry's host without the port."""
    sources = frozenset(
        (label.removeprefix(_SOURCE_LABEL), repository)
        for label, repositories in info.labels.items()
        if label.startswith(_SOURCE_LABEL)
        for repository in repositories.split(",")
        if repository
    )
    return Content(info.size, sources)


def _to_event(envelope: pb.Envelope) -> Event | None:
    """None for what does not concern us. The topic says which message it is; type urls differ between versions."""
    value = envelope.event.value
    match envelope.topic:
        case "/images/create" | "/images/update":
            name = pb.ImageEvent.FromString(value).name
            return None if is_image_id(name) else ImageSet(name)
        case "/images/delete":
            return ImageDeleted(pb.ImageEvent.FromString(value).name)
        case "/content/create" | "/content/delete" as topic:
            content = pb.ContentEvent.FromString(value)
            try:
                digest = Digest.parse(content.digest)
            except InvalidName:
                return None
            return ContentCreated(digest, content.size) if topic == "/content/create" else ContentDeleted(digest)
    return None
