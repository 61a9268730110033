"""What a node says of itself, from a store in memory and a cluster of fakes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import gevent
import pytest

from app.config.config import Config
from app.directory.directory import FilterRow
from app.key import Digest, InvalidName, Key, Tag
from app.status import Status, parse_operand
from gossip.membership import Member
from tests.contracts.membership import Recorder
from tests.fake_membership import FakeCluster, FakeMembership
from tests.fake_store import FakeStore
from tests.images import build_image

NAME = "docker.io/library/nginx:1.27"


@dataclass
class FakeDirectory:
    """Says what it is given, and remembers the fingerprints it was asked for."""

    holders: Sequence[Member] = ()
    rows: Sequence[FilterRow] = ()
    asked: list[int] = field(default_factory=list)

    def candidates(self, fingerprint: int) -> Sequence[Member]:
        self.asked.append(fingerprint)
        return self.holders

    def filters(self) -> Sequence[FilterRow]:
        return self.rows


class Bench:
    """A status whose node is `node-1`, in a cluster with `node-2` and a stock agent."""

    def __init__(self, *, reason: str | None = None, **options: str) -> None:
        cluster = FakeCluster()
        self.node: FakeMembership = cluster.started("node-1-a", {"node": "node-1", "http": "5000"}, Recorder())
        tags = {"node": "node-2", "http": "5000", "zone": "zone-a"}
        self.other = cluster.started("node-2-b", tags, Recorder()).local()
        self.agent = cluster.started("agent", {}, Recorder()).local()
        self.store = FakeStore()
        self.directory = FakeDirectory()
        self.true_holders: set[str] = set()
        self.confirmed: list[tuple[str, Key]] = []
        given = {"node_name": "node-1", "advertise_addr": "fd00::1", "store": "containerd", **options}
        config = Config.from_options(given)
        self.status = Status(
            config, self.store, self.node, self.directory, not_ready=lambda: reason, confirm=self._confirm
        )

    def _confirm(self, member: Member, key: Key) -> bool:
        self.confirmed.append((member.name, key))
        gevent.sleep(0)
        return member.name in self.true_holders


def test_the_node_in_one_object() -> None:
    """Counts of the store and of the members by state; addresses as they are written in options."""
    bench = Bench()
    image = build_image(layers=[b"one", b"two"])
    bench.store.put_image(NAME, image)
    bench.store.trouble = "containerd is not there"
    bench.node.suspect("node-2-b")

    document = bench.status.status()

    assert document.pop("uptime_s") >= 0.0
    assert document.pop("version")
    assert document == {
        "node": "node-1",
        "ready": True,
        "reason": None,
        "store": {
            "kind": "containerd",
            "images": 1,
            "keys": len(image.blobs),
            "problem": "containerd is not there",
        },
        "members": {"alive": 2, "suspect": 1},
        "engine": "swim",
        "addresses": {"registry": "[::]:5000", "metrics": "[::]:9090", "gossip": "[::]:7946"},
    }


def test_the_agent_of_a_node_that_has_one() -> None:
    """Where it is asked stands in place of a gossip port that the node does not have."""
    document = Bench(engine="serf", serf_rpc_addr="127.0.0.1:7374").status.status()
    assert document["engine"] == "serf"
    assert document["addresses"] == {"registry": "[::]:5000", "metrics": "[::]:9090", "agent": "127.0.0.1:7374"}


def test_a_node_that_is_not_ready_says_why() -> None:
    """In the same words as its health probe."""
    document = Bench(reason="looking for members").status.status()
    assert (document["ready"], document["reason"]) == (False, "looking for members")


def test_members_are_listed_by_node_with_their_filters() -> None:
    """Who has no filter has no age and no number of keys; an agent is called by its gossip name."""
    bench = Bench()
    bench.directory.rows = [FilterRow(bench.other, keys=165, age_s=3.14159)]

    agent, first, second = bench.status.members()["members"]

    assert (agent["node"], agent["http"], agent["keys"], agent["age_s"]) == ("agent", None, None, None)
    assert first["node"] == "node-1"
    assert second == {
        "name": "node-2-b",
        "node": "node-2",
        "host": bench.other.host,
        "port": 7946,
        "http": "5000",
        "state": "alive",
        "zone": "zone-a",
        "keys": 165,
        "age_s": 3.1,
    }


def test_holders_are_asked_one_and_all() -> None:
    """A filter only says maybe: each candidate is shown with its own answer."""
    bench = Bench()
    bench.directory.holders = [bench.other, bench.agent]
    bench.true_holders = {"node-2-b"}

    document = bench.status.holders(NAME)

    key = Key("docker.io", "library/nginx", Tag("1.27"))
    assert document["key"] == NAME
    assert [(row["node"], row["confirmed"]) for row in document["holders"]] == [("node-2", True), ("agent", False)]
    assert bench.directory.asked == [key.fingerprint]
    assert bench.confirmed == [("node-2-b", key), ("agent", key)]


@pytest.mark.parametrize("what", ["tag", "digest", "image by digest"])
def test_the_own_node_is_named_first(what: str) -> None:
    """What the own store can serve needs no question; the directory knows of the others only."""
    bench = Bench()
    image = build_image()
    bench.store.put_image(NAME, image)
    bench.directory.holders = [bench.other]
    operand = {"tag": NAME, "digest": str(image.digest), "image by digest": f"docker.io/library/nginx@{image.digest}"}

    rows = bench.status.holders(operand[what])["holders"]

    assert [row["node"] for row in rows] == ["node-1", "node-2"]
    assert rows[0] == {"node": "node-1", "host": bench.node.local().host, "state": "alive", "confirmed": True}


def test_a_name_without_its_content_is_not_held() -> None:
    """A request for it would be answered 404, so the own node is no holder."""
    bench = Bench()
    bench.store.put_name(NAME, build_image().target)
    assert bench.status.holders(NAME)["holders"] == []
    assert bench.status.holders(str(Digest.of(b"nobody has it")))["holders"] == []


def test_a_bare_digest_is_a_key_too() -> None:
    """Its fingerprint does not depend on a repository, and it is shown as it was typed."""
    digest = Digest.of(b"content")
    assert parse_operand(str(digest)).fingerprint == digest.fingerprint
    assert Bench().status.holders(str(digest))["key"] == str(digest)


@pytest.mark.parametrize("text", ["", "nginx", "nginx:latest", "docker.io/library/nginx", "sha256:123", "a/b:c:d"])
def test_other_texts_are_refused(text: str) -> None:
    """Neither a full reference nor a digest."""
    with pytest.raises(InvalidName):
        parse_operand(text)
