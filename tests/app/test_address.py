"""How addresses are written."""

from app.address import host_port


def test_an_ipv6_host_is_written_in_brackets() -> None:
    """Its own colons would hide the port's."""
    assert (host_port("10.0.0.1", 1), host_port("fd00::1", 1)) == ("10.0.0.1:1", "[fd00::1]:1")
