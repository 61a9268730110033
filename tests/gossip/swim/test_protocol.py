"""The core as a whole: what it refuses to be, what strangers can't do to it, and that it repeats itself."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip.errors import UsageError
from gossip.membership import MemberState
from gossip.swim.effects import Address, Notice, SendDatagram
from gossip.swim.protocol import LocalNode, Swim
from gossip.swim.settings import LAN
from gossip.wire import codec, envelope
from gossip.wire.keyring import Keyring
from gossip.wire.messages import (
    Ack,
    ErrorReply,
    KeyRequest,
    KeyResponse,
    Message,
    Ping,
    PushPull,
    Query,
    QueryResponse,
    UserMessage,
)
from gossip.wire.sealing import Sealer
from gossip.wire.serf import decode_serf, encode_serf
from gossip.wire.stream import encode_stream
from tests.gossip.swim.cores import ME, MY_ADDRESS, QUIET, Core, address_of, alive, entry, sent, serf
from tests.gossip.wire.samples import DATAGRAMS
from tests.gossip.wire.sealing import KEYS, SECRETS, sealer

SOMEBODY = ("10.0.99.9", 7946)


@pytest.mark.parametrize(
    ("local", "problem"),
    [
        (LocalNode("", "10.0.0.1", 7946), "name is empty"),
        (LocalNode("me", "example.org", 7946), "'example.org' is no IPv4 or IPv6 address"),
        (LocalNode("me", "10.0.0.1", 7946, {"tag": "x" * 600}), "512"),
    ],
)
def test_impossible_node(local: LocalNode, problem: str) -> None:
    """A node that can't be told to others is refused when it is made, and the error names the value."""
    with pytest.raises(UsageError, match=problem):
        Swim(LAN, local, Random(1))


def test_local_before_start() -> None:
    """Before the start there is no local member, and the error says why."""
    with pytest.raises(UsageError, match="not been started"):
        Swim(LAN, LocalNode("me", "10.0.0.1", 7946), Random(1)).local()


def test_ipv6_member() -> None:
    """A node may live at an IPv6 address."""
    swim = Swim(LAN, LocalNode("me", "fd00::1", 7946), Random(1))
    swim.start(0.0)
    assert swim.local().host == "fd00::1"


def test_one_bad_message_does_not_spoil_a_packet() -> None:
    """In a compound each message stands for itself: what can't be understood is left out and complained of."""
    core = Core(QUIET, "m1")
    parts = [codec.encode(alive("m2")), b"\x63junk", codec.encode(UserMessage(b"\x63")), codec.encode(Ping(7, ME))]
    packet = bytes((7, len(parts))) + b"".join(len(part).to_bytes(2, "big") for part in parts) + b"".join(parts)
    core.swim.receive_datagram(packet, SOMEBODY, core.now)
    effects = core.swim.effects()
    assert core.state("m2") is MemberState.ALIVE
    assert Ack(7) in [message for _, message in sent(effects)]
    notices = [effect.event for effect in effects if isinstance(effect, Notice)]
    assert notices == ["message not understood"]


def test_unexpected_message_in_a_datagram() -> None:
    """What belongs on a stream is complained of and ignored."""
    core = Core(QUIET)
    assert [type(effect) for effect in core.hear(ErrorReply("no"))] == [Notice]


def mutilated(data: bytes) -> st.SearchStrategy[bytes]:
    """A message with a byte changed, cut short, or with junk behind it."""
    position = st.integers(0, len(data) - 1)
    return st.one_of(
        st.builds(lambda at, byte: data[:at] + bytes((byte,)) + data[at + 1 :], position, st.integers(0, 255)),
        st.builds(lambda at: data[:at], position),
        st.builds(lambda junk: data + junk, st.binary(max_size=20)),
    )


DATAGRAM = st.one_of(
    st.binary(max_size=200), st.sampled_from([codec.encode(message) for message in DATAGRAMS]).flatmap(mutilated)
)
STREAM = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [encode_stream(PushPull(True, (entry("m1"), entry("m2")), b"\x02\x80")), encode_stream(Ping(1, ME))]
    ).flatmap(mutilated),
)


@given(st.lists(st.one_of(st.tuples(st.just("datagram"), DATAGRAM), st.tuples(st.just("stream"), STREAM)), max_size=20))
def test_junk_never_raises_and_we_stay_alive(inputs: list[tuple[str, bytes]]) -> None:
    """Whatever bytes come in, nothing is raised, the local node stays alive, and it still answers pings."""
    core = Core(QUIET, "m1")
    for number, (kind, data) in enumerate(inputs, 2):
        if kind == "datagram":
            core.swim.receive_datagram(data, SOMEBODY, core.now)
        else:
            core.swim.stream_accepted(-number, SOMEBODY, core.now)
            core.swim.receive_stream(-number, data, core.now)
            core.swim.stream_closed(-number, "", core.now)
        core.after(0.1)
    assert core.state(ME) is MemberState.ALIVE
    assert (SOMEBODY, Ack(77)) in sent(core.hear(Ping(77, ME), sender=SOMEBODY))


@given(st.binary(max_size=200).map(lambda junk: b"\x63" + junk))
def test_malformed_input_changes_nothing(data: bytes) -> None:
    """Bytes that are no message leave the member table as it was."""
    core = Core(QUIET, "m1", "m2")
    before = core.table()
    core.swim.receive_datagram(data, SOMEBODY, core.now)
    core.swim.stream_accepted(-7, SOMEBODY, core.now)
    core.swim.receive_stream(-7, data, core.now)
    core.swim.effects()
    assert core.table() == before


def test_same_inputs_same_effects() -> None:
    """Two cores with equal seeds and inputs do the same; another seed does something else."""

    def life(seed: int) -> str:
        core = Core(QUIET, *(f"m{number}" for number in range(1, 20)), seed=seed)
        core.silent.append("m3")
        core.swim.broadcast("topic", b"payload", core.now)
        core.after(30)
        return repr(core.effects)

    assert life(1) == life(1)
    assert life(1) != life(2)


class Sealed:
    """A node with two keys, spoken to by a member `m1` that has one of them."""

    def __init__(self, theirs: Sealer) -> None:
        self.ring = Keyring(KEYS[:2])
        self.theirs = theirs
        self.swim = Swim(QUIET, LocalNode(ME, *MY_ADDRESS), Random(1), Sealer(self.ring, Random(2).randbytes))
        self.swim.start(0.0)
        self.swim.effects()

    def hear(self, *messages: Message) -> list[tuple[Address, Message]]:
        """What goes out when these come in, sealed by `m1`; all of it must be sealed."""
        data = envelope.pack([codec.encode(message) for message in messages], self.theirs)
        self.swim.receive_datagram(data, address_of("m1"), 0.0)
        answers = []
        for effect in self.swim.effects():
            if isinstance(effect, SendDatagram):
                for part in envelope.unpack(effect.data, self.theirs):
                    answers.append((effect.to, codec.decode(part)))
        return answers


def test_sealed_datagrams() -> None:
    """With keys a ping sealed by any of them is answered, sealed by the first."""
    node = Sealed(sealer(KEYS[1], KEYS[0]))
    assert node.hear(Ping(7, ME)) == [(address_of("m1"), Ack(7))]
    node.ring.use(KEYS[1])
    node.theirs = sealer(KEYS[1])
    assert node.hear(Ping(8, ME)) == [(address_of("m1"), Ack(8))]


@pytest.mark.parametrize(
    "data",
    [
        codec.encode(Ping(7, ME)),
        codec.encode(alive("m1")),
        envelope.pack([codec.encode(alive("m1"))] * 2),
        sealer(KEYS[3]).seal(codec.encode(Ping(7, ME))),
        b"",
    ],
)
def test_what_is_not_sealed_by_our_keys_is_dropped(data: bytes) -> None:
    """Plain datagrams and those of another key change nothing and get no answer; the log has a line."""
    swim = Sealed(sealer()).swim
    swim.receive_datagram(data, address_of("m1"), 0.0)
    (notice,) = swim.effects()
    assert isinstance(notice, Notice)
    assert notice.event == "datagram not understood"
    assert [member.name for member in swim.members()] == [ME]


def test_a_sealed_datagram_without_keys_is_dropped() -> None:
    """A node whose gossip is plain takes an envelope for nonsense."""
    core = Core(QUIET)
    core.swim.receive_datagram(sealer().seal(codec.encode(Ping(7, ME))), address_of("m1"), core.now)
    assert [type(effect) for effect in core.swim.effects()] == [Notice]


def key_query(name: str, ltime: int, about: bytes = b"") -> UserMessage:
    """A query about keys by `m1`, as an agent sends it: no ack, no filters."""
    asker = alive("m1")
    payload = encode_serf(KeyRequest(about))
    return serf(Query(ltime, ltime, asker.addr, asker.port, "m1", (), 0, 0, 10**9, name, payload))


def test_key_queries_are_answered_and_told_on() -> None:
    """A rotation by queries: each is answered to the asker, and takes effect for what is sent next."""
    node = Sealed(sealer(KEYS[0], KEYS[2]))
    node.hear(alive("m1"))
    for ltime, name, after in (
        (1, "_serf_install-key", (0, 1, 2)),
        (2, "_serf_use-key", (2, 0, 1)),
        (3, "_serf_list-keys", (2, 0, 1)),
        (4, "_serf_remove-key", (2, 0, 1)),
    ):
        responses = [
            response
            for to, message in node.hear(key_query(name, ltime, SECRETS[2]))
            if isinstance(message, UserMessage) and to == address_of("m1")
            if isinstance(response := decode_serf(message.payload), QueryResponse)
        ]
        (response,) = responses
        answer = decode_serf(response.payload)
        assert isinstance(answer, KeyResponse)
        assert (response.id, response.sender, response.flags) == (ltime, ME, 0)
        assert answer.result is (name != "_serf_remove-key")
        assert answer.keys == (tuple(KEYS[number].text() for number in after) if "list" in name else ())
        assert node.ring.keys == tuple(KEYS[number] for number in after)
