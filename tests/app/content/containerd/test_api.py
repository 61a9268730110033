"""What becomes of containerd's messages."""

import grpc._common
import pytest
from google.protobuf.any_pb2 import Any

from app.content.containerd import containerd_pb2 as pb
from app.content.containerd.api import (
    ContentCreated,
    ContentDeleted,
    Event,
    ImageDeleted,
    ImageSet,
    _to_content,
    _to_event,
    _to_image,
    is_image_id,
    prepare_grpc,
)
from app.content.store import Descriptor
from app.key import Digest, InvalidName

DIGEST = Digest.of(b"x")


def _envelope(topic: str, message: pb.ImageEvent | pb.ContentEvent) -> pb.Envelope:
    # the type's url differs between versions and must not matter
    return pb.Envelope(topic=topic, event=Any(type_url="whatever", value=message.SerializeToString()))


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        (_envelope("/images/create", pb.ImageEvent(name="r.test/x:1")), ImageSet("r.test/x:1")),
        (_envelope("/images/update", pb.ImageEvent(name="r.test/x:1")), ImageSet("r.test/x:1")),
        (_envelope("/images/delete", pb.ImageEvent(name="r.test/x:1")), ImageDeleted("r.test/x:1")),
        (_envelope("/images/create", pb.ImageEvent(name=str(DIGEST))), None),
        (_envelope("/content/create", pb.ContentEvent(digest=str(DIGEST), size=7)), ContentCreated(DIGEST, 7)),
        (_envelope("/content/delete", pb.ContentEvent(digest=str(DIGEST))), ContentDeleted(DIGEST)),
        (_envelope("/content/create", pb.ContentEvent(digest="sha384:00", size=7)), None),
        (_envelope("/tasks/start", pb.ImageEvent(name="x")), None),
    ],
)
def test_events(envelope: pb.Envelope, expected: Event | None) -> None:
    """An event is told by its topic; what does not concern us is nothing."""
    assert _to_event(envelope) == expected


def test_image() -> None:
    """An image's target and time are taken over; a digest of an unknown kind is an error."""
    image = pb.Image(name="r.test/x:1", target=pb.Descriptor(media_type="t", digest=str(DIGEST), size=7))
    image.updated_at.seconds, image.updated_at.nanos = 12, 500_000_000
    found = _to_image(image)
    assert (found.name, found.target, found.updated_at) == ("r.test/x:1", Descriptor(DIGEST, 7, "t"), 12.5)
    image.target.digest = "sha384:00"
    with pytest.raises(InvalidName):
        _to_image(image)


def test_source_labels() -> None:
    """Each repository of each source label is a pair; other labels are none."""
    labels = {
        "containerd.io/distribution.source.r.test": "a/b,c",
        "containerd.io/distribution.source.s.test": "d",
        "containerd.io/uncompressed": str(DIGEST),
        "containerd.io/distribution.source.empty.test": "",
    }
    content = _to_content(pb.Info(digest=str(DIGEST), size=7, labels=labels))
    assert content.size == 7
    assert content.sources == {("r.test", "a/b"), ("r.test", "c"), ("s.test", "d")}


def test_image_ids() -> None:
    """A bare digest is CRI's name for an image id, a name with a digest in it is not."""
    assert is_image_id(str(DIGEST))
    assert not is_image_id(f"r.test/x@{DIGEST}")
    assert not is_image_id("r.test/x:1")


def test_prepare_grpc_twice() -> None:
    """Preparing twice is preparing once, and the hub is no longer woken ten times a second."""
    prepare_grpc()
    prepare_grpc()
    assert grpc._common.MAXIMUM_WAIT_TIMEOUT == 30.0
