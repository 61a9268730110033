"""Which address others reach this machine by."""

import socket
from typing import Any, cast

import pytest

from app.config.addresses import default_route_address, wildcard


class _Probe:
    """A datagram socket of a machine whose routes are known."""

    def __init__(self, family: int, routes: dict[int, str]) -> None:
        self._address = routes.get(family)

    def __enter__(self) -> "_Probe":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def connect(self, address: tuple[str, int]) -> None:
        if self._address is None:
            raise OSError(101, "Network is unreachable")

    def getsockname(self) -> tuple[str, int]:
        assert self._address is not None
        return self._address, 40000


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ({socket.AF_INET: "10.0.0.1", socket.AF_INET6: "fd00::1"}, "10.0.0.1"),
        ({socket.AF_INET6: "fd00::1"}, "fd00::1"),
        ({}, None),
    ],
)
def test_the_default_route_gives_the_address(routes: dict[int, str], expected: str | None) -> None:
    """IPv4 first, then IPv6, then nothing."""

    def open_socket(family: int, kind: int) -> socket.socket:
        assert kind == socket.SOCK_DGRAM
        return cast(socket.socket, cast(Any, _Probe(family, routes)))

    assert default_route_address(open_socket) == expected


def test_a_wildcard_is_of_the_address_s_family() -> None:
    """Else nobody who was told the address could connect."""
    assert (wildcard("10.0.0.1"), wildcard("fd00::1")) == ("0.0.0.0", "::")
