"""Own events are told from others' by counting."""

from gossip.serf_agent.echoes import MAX_EXPECTED, Echoes


def test_each_comes_back_once() -> None:
    """As many as were sent are echoes; the next equal one is somebody else's."""
    echoes = Echoes()
    for _ in range(2):
        echoes.expect("t", b"x")
    assert [echoes.is_echo("t", b"x") for _ in range(3)] == [True, True, False]


def test_others_are_no_echoes() -> None:
    """Topic and payload both count."""
    echoes = Echoes()
    echoes.expect("t", b"x")
    assert not echoes.is_echo("u", b"x")
    assert not echoes.is_echo("t", b"y")
    assert echoes.is_echo("t", b"x")


def test_what_never_comes_back_is_given_up() -> None:
    """The oldest first, so that memory is bounded."""
    echoes = Echoes()
    for number in range(MAX_EXPECTED + 1):
        echoes.expect("t", b"%d" % number)
    assert not echoes.is_echo("t", b"0")
    assert echoes.is_echo("t", b"1")
    assert echoes.is_echo("t", b"%d" % MAX_EXPECTED)
