"""The peers as a source: what is looked for, and on whose behalf."""

from dataclasses import replace

from app.key import Digest, Tag
from app.resolver.resolver import Holders
from app.source import Span
from tests import fake_peers
from tests.app.relay.clients import RelayBench, holders, receive
from tests.fake_peers import FakePeer, query_for, tag_query

CONTENT = b'{"schemaVersion": 2}'


def test_nothing_is_found() -> None:
    """None, as the registry expects; its name is the metrics' label."""
    with RelayBench(None) as bench:
        assert bench.source.name == "peer"
        assert bench.source.find(query_for(CONTENT)) is None


def test_never_on_behalf_of_another_mirror() -> None:
    """No loops: such a question is not even asked."""
    with RelayBench(holders(CONTENT, [fake_peers.dead_member()])) as bench:
        assert bench.source.find(replace(query_for(CONTENT), forwarded_by="node-y")) is None
        assert bench.finder.queries == []


def test_a_tag_is_fetched_by_its_digest() -> None:
    """What the HEAD said is what is given, also if the tag moves meanwhile."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        found = replace(holders(CONTENT, [peer.member]), updated_at=12.5)
        with RelayBench(found) as bench:
            query = replace(tag_query(), accept="application/json")
            content = bench.source.find(query)
            assert content is not None
            assert isinstance(query.key.reference, Tag)
            assert content.updated_at == 12.5
            assert content.descriptor.digest == Digest.of(CONTENT)
            assert receive(content.open(Span(0, len(CONTENT)))) == (CONTENT, None)
        (request,) = peer.requests
        assert request.target == f"/v2/library/app/manifests/{Digest.of(CONTENT)}?ns=registry.test"
        assert request.headers["accept"] == "application/json"


def test_finding_transfers_nothing() -> None:
    """A HEAD of the client is answered from the race alone."""
    with FakePeer(fake_peers.good(CONTENT)) as peer:
        found: Holders = holders(CONTENT, [peer.member])
        with RelayBench(found) as bench:
            content = bench.source.find(query_for(CONTENT))
        assert content is not None
        assert content.descriptor.size == len(CONTENT)
        assert peer.connections == 0
