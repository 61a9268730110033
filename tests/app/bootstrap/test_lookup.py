"""Names to addresses. What needs no name server; the rest is the system's."""

import socket
from collections.abc import Iterator
from typing import cast

import pytest
from gevent import get_hub
from gevent.event import Event
from gevent.resolver import AbstractResolver

from app.bootstrap.contract import BootstrapError
from app.bootstrap.lookup import lookup


class _Resolver:
    """What the hub asks: answers, fails, or never answers."""

    def __init__(self) -> None:
        self.outcome: list[str] | Exception | None = []

    def getaddrinfo(
        self, host: str, port: int, family: int = 0, socktype: int = 0, proto: int = 0, flags: int = 0
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        if self.outcome is None:
            Event().wait()
            raise AssertionError("nobody sets it")
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return [(socket.AF_INET, socktype, 6, "", (address, port)) for address in self.outcome]


@pytest.fixture
def resolver() -> Iterator[_Resolver]:
    """The hub's resolver, replaced for a test: the seam that gevent itself offers."""
    hub = get_hub()
    before = hub.resolver
    fake = _Resolver()
    hub.resolver = cast(AbstractResolver, fake)
    yield fake
    hub.resolver = before


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "127.0.0.1"), ("FD00::0:1", "fd00::1")])
def test_an_address_is_its_own_answer(host: str, expected: str) -> None:
    """In its shortest form, so that it equals a member's."""
    assert lookup(host, 7946) == [(expected, 7946)]


def test_all_records_are_found(resolver: _Resolver) -> None:
    """Each with the port."""
    resolver.outcome = ["10.0.0.1", "fd00::1"]
    assert lookup("a.test", 7946) == [("10.0.0.1", 7946), ("fd00::1", 7946)]


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_no_such_name_is_an_empty_answer(resolver: _Resolver, code: int) -> None:
    """A headless Service has no records before its first pod: the first node must not wait for them."""
    resolver.outcome = socket.gaierror(code, "not known")
    assert lookup("a.test", 7946) == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "can't look up a.test: Temporary failure"),
        (OSError(24, "Too many open files"), "can't look up a.test: .*Too many"),
        (UnicodeError("label too long"), "can't look up a.test: label too long"),
    ],
)
def test_a_resolver_that_fails_is_a_bootstrap_error(resolver: _Resolver, error: Exception, words: str) -> None:
    """With the name and the system's words."""
    resolver.outcome = error
    with pytest.raises(BootstrapError, match=words):
        lookup("a.test", 7946)


def test_a_resolver_that_never_answers_is_given_up(resolver: _Resolver) -> None:
    """The system's own patience may be half a minute."""
    resolver.outcome = None
    with pytest.raises(BootstrapError, match=r"can't look up a\.test: no answer within 0\.01 s"):
        lookup("a.test", 7946, deadline_s=0.01)
