"""Ports are checked before anything is started, and the error helps."""

import errno
import socket
from contextlib import closing

import pytest

from app.server.ports import Port, port_problems
from tests.gossip.loopback import fresh_host


def taken(kind: int) -> socket.socket:
    """A bound socket, listening if it is TCP; at an address of its own, where nobody else's connections begin."""
    holder = socket.socket(socket.AF_INET, kind)
    holder.bind((fresh_host(), 0))
    if kind == socket.SOCK_STREAM:
        holder.listen()
    return holder


def test_free_ports_are_no_problem_and_stay_free() -> None:
    """Asked twice, the same answer."""
    with closing(taken(socket.SOCK_STREAM)) as holder:
        address = holder.getsockname()
    ports = [Port("--gossip-addr", address, "TCP"), Port("--gossip-addr", address, "UDP")]
    assert port_problems(ports) == []
    assert port_problems(ports) == []


@pytest.mark.parametrize(
    ("protocol", "kind", "show"), [("TCP", socket.SOCK_STREAM, "ss -ltnp"), ("UDP", socket.SOCK_DGRAM, "ss -lunp")]
)
def test_a_busy_port_names_option_address_and_remedy(protocol: str, kind: int, show: str) -> None:
    """Everything that an operator needs, in one line."""
    with closing(taken(kind)) as holder:
        host, port = holder.getsockname()
        [problem] = port_problems([Port("--gossip-addr", (host, port), protocol)])
    assert problem.startswith(
        f"--gossip-addr {host}:{port}: can't listen on {protocol} port {port}: Address already in use"
    )
    assert f"`{show} 'sport = :{port}'`" in problem
    assert "\n" not in problem


def test_all_problems_are_told_at_once() -> None:
    """An operator mends them in one go."""
    with closing(taken(socket.SOCK_STREAM)) as one, closing(taken(socket.SOCK_DGRAM)) as other:
        ports = [
            Port("--registry-addr", one.getsockname(), "TCP"),
            Port("--gossip-addr", other.getsockname(), "TCP"),
            Port("--gossip-addr", other.getsockname(), "UDP"),
        ]
        assert [problem.split()[0] for problem in port_problems(ports)] == ["--registry-addr", "--gossip-addr"]


def test_an_address_of_another_machine_is_said_to_be_one() -> None:
    """TEST-NET-1 is nobody's."""
    [problem] = port_problems([Port("--metrics-addr", ("192.0.2.1", 9090), "TCP")])
    assert "`ip address`" in problem


@pytest.mark.parametrize(
    ("address", "shown"), [(("", 5000), ":5000"), (("::1", 5000), "[::1]:5000"), (("10.0.0.1", 5000), "10.0.0.1:5000")]
)
def test_an_address_is_shown_as_it_is_written(address: tuple[str, int], shown: str) -> None:
    """The operator finds it in the command line."""
    assert Port("--registry-addr", address, "TCP").shown == shown


def test_a_privileged_port_has_its_own_remedy() -> None:
    """Another port, or the capability."""
    problem = Port("--registry-addr", ("", 80), "TCP").problem(PermissionError(errno.EACCES, "Permission denied"))
    assert "CAP_NET_BIND_SERVICE" in problem
