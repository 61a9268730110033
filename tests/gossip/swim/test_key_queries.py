"""What `serf keys` asks of a member, and what a member does and answers."""

from collections.abc import Sequence

import pytest

from gossip.swim.effects import Notice
from gossip.swim.key_queries import INSTALL_KEY, LIST_KEYS, REMOVE_KEY, USE_KEY, KeyQueries
from gossip.swim.outbox import Outbox
from gossip.wire.keyring import MAX_KEYS, Key, Keyring
from gossip.wire.messages import JoinIntent, KeyRequest, KeyResponse, SerfMessage
from gossip.wire.serf import encode_serf
from tests.gossip.wire.sealing import KEYS, SECRETS


class Fixture:
    """A ring of keys (or none), questions to it, and the lines for the log."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.outbox = Outbox()
        self.ring = Keyring(keys) if keys else None
        self.queries = KeyQueries(self.ring, self.outbox)

    def ask(self, name: str, about: bytes = b"") -> KeyResponse | None:
        return self.ask_with(name, KeyRequest(about))

    def ask_with(self, name: str, payload: SerfMessage) -> KeyResponse | None:
        return self.queries.answer(name, encode_serf(payload), 0.0)

    def notices(self) -> list[Notice]:
        return [effect for effect in self.outbox.drain() if isinstance(effect, Notice)]


@pytest.fixture
def two() -> Fixture:
    """The first of two keys seals."""
    return Fixture(KEYS[:2])


def keys(fixture: Fixture) -> tuple[Key, ...]:
    assert fixture.ring is not None
    return fixture.ring.keys


def test_list(two: Fixture) -> None:
    """All keys in base64, the primary first and named."""
    first, second = (key.text() for key in KEYS[:2])
    assert two.ask(LIST_KEYS) == KeyResponse(True, "", (first, second), first)
    assert two.notices() == []


def test_the_longest_list_fits_into_an_answer() -> None:
    """Serf's limit of a response is 1024 bytes; a full ring stays below it, so no list is cut."""
    answer = Fixture([Key(bytes((number,)) * 32) for number in range(MAX_KEYS)]).ask(LIST_KEYS)
    assert answer is not None
    assert len(answer.keys) == MAX_KEYS
    assert len(encode_serf(answer)) < 1000


def test_install_use_remove(two: Fixture) -> None:
    """A rotation, step by step, each answered by a plain yes and told to the operator without the key."""
    for name, about, after in (
        (INSTALL_KEY, 2, (0, 1, 2)),
        (INSTALL_KEY, 2, (0, 1, 2)),
        (USE_KEY, 2, (2, 0, 1)),
        (REMOVE_KEY, 0, (2, 1)),
        (REMOVE_KEY, 0, (2, 1)),
    ):
        assert two.ask(name, SECRETS[about]) == KeyResponse(True)
        assert keys(two) == tuple(KEYS[number] for number in after)
        (notice,) = two.notices()
        assert notice.level == "info"
        assert not any(key.text() in repr(notice) for key in KEYS)


@pytest.mark.parametrize(
    ("name", "about", "why"),
    [
        (USE_KEY, SECRETS[2], "not in the keyring"),
        (REMOVE_KEY, SECRETS[0], "primary key is not allowed"),
        (INSTALL_KEY, b"seventeen bytes..", "16, 24 or 32 bytes"),
        (INSTALL_KEY, b"", "16, 24 or 32 bytes"),
        (INSTALL_KEY, bytes(65), "more than 64"),
    ],
)
def test_what_serf_refuses_is_refused(two: Fixture, name: str, about: bytes, why: str) -> None:
    """The answer says why, the log too, and no key changes."""
    answer = two.ask(name, about)
    assert answer is not None
    assert not answer.result
    assert why in answer.message
    assert keys(two) == KEYS[:2]
    (notice,) = two.notices()
    assert (notice.level, dict(notice.fields)["query"]) == ("warning", name)


def test_a_query_about_no_key_is_refused(two: Fixture) -> None:
    """A payload of another kind, or none, is answered as well: silence would look like a dead member."""
    answers = [two.ask_with(INSTALL_KEY, JoinIntent(1, "a")), two.queries.answer(USE_KEY, b"", 0.0)]
    assert [answer.result for answer in answers if answer] == [False, False]


def test_without_keys() -> None:
    """A node whose gossip is plain says that it has none, as an agent does."""
    plain = Fixture([])
    for name in (LIST_KEYS, INSTALL_KEY, USE_KEY, REMOVE_KEY):
        answer = plain.ask(name, SECRETS[0])
        assert answer is not None
        assert (answer.result, answer.keys) == (False, ())
        assert "not encrypted" in answer.message


def test_other_queries_are_not_ours(two: Fixture) -> None:
    """What is not about keys is somebody else's to answer."""
    assert two.ask("_serf_ping") is None
    assert two.ask("list-keys") is None
