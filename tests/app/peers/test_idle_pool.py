"""Which connections are kept and which go, on a clock of the test's."""

from app.peers.idle_pool import IdlePool


class Connection:
    """Something with an identity."""


def make(per_peer: int = 2, in_all: int = 3, idle_s: float = 10.0) -> IdlePool[Connection]:
    return IdlePool(per_peer=per_peer, in_all=in_all, idle_s=idle_s)


def test_gives_back_what_was_used_last() -> None:
    """The warmest connection first; each only once."""
    pool, older, newer = make(), Connection(), Connection()
    pool.put("a", older, 0.0)
    pool.put("a", newer, 1.0)
    assert pool.take("a", 2.0) is newer
    assert pool.take("a", 2.0) is older
    assert pool.take("a", 2.0) is None


def test_keeps_peers_apart() -> None:
    """A connection is only for the peer it leads to."""
    pool = make()
    pool.put("a", Connection(), 0.0)
    assert pool.take("b", 0.0) is None


def test_drops_the_oldest_of_a_peer_that_has_enough() -> None:
    """The bound per peer."""
    pool, connections = make(), [Connection() for _ in range(3)]
    assert pool.put("a", connections[0], 0.0) == []
    assert pool.put("a", connections[1], 1.0) == []
    assert pool.put("a", connections[2], 2.0) == [connections[0]]
    assert len(pool) == 2


def test_drops_the_oldest_of_all() -> None:
    """The bound over all peers."""
    pool, connections = make(), [Connection() for _ in range(4)]
    for number, connection in enumerate(connections[:3]):
        assert pool.put(f"peer-{number}", connection, float(number)) == []
    assert pool.put("peer-3", connections[3], 3.0) == [connections[0]]
    assert pool.take("peer-0", 3.0) is None


def test_gives_no_stale_one() -> None:
    """What has been idle too long is not used, even if nobody came to take it out."""
    pool = make()
    pool.put("a", Connection(), 0.0)
    assert pool.take("a", 10.0) is None


def test_expires_in_order() -> None:
    """Takes out exactly those that are due, and knows when the next one is."""
    pool, first, second = make(), Connection(), Connection()
    assert pool.next_expiry() is None
    pool.put("a", first, 0.0)
    pool.put("b", second, 4.0)
    assert pool.next_expiry() == 10.0
    assert pool.expire(9.9) == []
    assert pool.expire(10.0) == [first]
    assert pool.next_expiry() == 14.0


def test_forgets_a_peer() -> None:
    """All of its connections are handed out to be closed, nobody else's."""
    pool, mine, others = make(), Connection(), Connection()
    pool.put("a", mine, 0.0)
    pool.put("b", others, 0.0)
    assert pool.forget("a") == [mine]
    assert pool.forget("a") == []
    assert pool.take("b", 0.0) is others


def test_clears() -> None:
    """Everything is handed out once."""
    pool = make()
    pool.put("a", Connection(), 0.0)
    assert len(list(pool.clear())) == 1
    assert len(pool) == 0
