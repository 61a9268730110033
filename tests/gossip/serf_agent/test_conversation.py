"""The RPC as bytes: answers find their requests, streams their events, nonsense is refused."""

import msgpack
import pytest

from gossip.errors import WireError
from gossip.serf_agent.conversation import MAX_OBJECT_BYTES, Conversation, Record, Reply


def said(*objects: object) -> bytes:
    """As the agent sends: the new format, with bin and str8."""
    return b"".join(msgpack.packb(each, use_bin_type=True) for each in objects)


def header(seq: int, error: str = "") -> dict[str, object]:
    return {"Seq": seq, "Error": error}


def test_a_request_is_in_the_old_format() -> None:
    """Header and body, with raw instead of bin: what every agent in the field understands."""
    seq, data = Conversation().request("event", {"Name": "n" * 40, "Payload": b"\xff" * 40})
    unpacker = msgpack.Unpacker(raw=True)
    unpacker.feed(data)
    asked, body = unpacker
    assert asked == {b"Command": b"event", b"Seq": seq}
    assert body == {b"Name": b"n" * 40, b"Payload": b"\xff" * 40}
    assert b"\xd9" not in data
    assert b"\xc4" not in data


@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_answers_and_events_cut_anyhow(cut: int) -> None:
    """Answers in another order than the requests, and events between them."""
    conversation = Conversation()
    stream, _ = conversation.request("stream", {"Type": "user"})
    members, _ = conversation.request("members")
    tags, _ = conversation.request("tags", {})
    data = said(
        *(header(stream), header(tags), header(stream), {"Event": "user", "Payload": b"x" * 300}),
        *(header(members), {"Members": []}, header(stream), {"Event": "user"}),
    )
    heard = [item for at in range(0, len(data), cut) for item in conversation.feed(data[at : at + cut])]
    assert heard == [
        Reply(stream, ""),
        Reply(tags, ""),
        Record(stream, {b"Event": b"user", b"Payload": b"x" * 300}),
        Reply(members, "", {b"Members": []}),
        Record(stream, {b"Event": b"user"}),
    ]


def test_errors_with_and_without_a_body() -> None:
    """A handler's own error comes with the body; one from before the handler comes alone."""
    conversation = Conversation()
    first, _ = conversation.request("join", {})
    second, _ = conversation.request("join", {})
    third, _ = conversation.request("stream", {})
    data = said(header(first, "1 error"), {"Num": 2}, header(second, "Handshake required"), header(third, "no"))
    assert conversation.feed(data) == [
        Reply(first, "1 error", {b"Num": 2}),
        Reply(second, "Handshake required"),
        Reply(third, "no"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        said("text"),
        said({"Seq": -1}),
        said({"Seq": "1"}),
        said({"Seq": 77, "Error": ""}),
        said({"Seq": 1, "Error": 5}),
        said(header(1), ["no map"]),
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xa1x" * 2000,
        said({"Seq": [[]] * 65000, "Error": [[]] * 65000}),
    ],
    ids=lambda data: data[:12].hex(),
)
def test_nonsense(data: bytes) -> None:
    """What can't be an answer is a `WireError`, before it takes memory."""
    conversation = Conversation()
    conversation.request("members")
    with pytest.raises(WireError):
        conversation.feed(data)


def test_an_object_without_end() -> None:
    """One that grows beyond the bound is refused."""
    conversation = Conversation()
    conversation.request("members")
    piece = bytes(MAX_OBJECT_BYTES // 4)
    assert [conversation.feed(b"\xc6\x7f\xff\xff\xff"), *(conversation.feed(piece) for _ in range(3))] == [[]] * 4
    conversation.feed(piece[:-5])
    with pytest.raises(WireError):
        conversation.feed(piece)


def test_an_agent_that_ends_a_stream() -> None:
    """An error on a stream that was granted leaves the events lost: the connection is of no more use."""
    conversation = Conversation()
    seq, _ = conversation.request("stream", {})
    conversation.feed(said(header(seq)))
    with pytest.raises(WireError, match="ended a stream: why"):
        conversation.feed(said(header(seq, "why")))
