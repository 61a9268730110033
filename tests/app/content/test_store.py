"""Whether known repositories name the one that is asked for."""

import pytest

from app.content.store import is_known_in
from app.key import Key


@pytest.mark.parametrize(
    ("pair", "registry", "expected"),
    [
        (("reg.test", "a/b"), "reg.test", True),
        (("reg.test:5000", "a/b"), "reg.test:5000", True),
        (("reg.test", "a/b"), "reg.test:5000", True),  # a label has no port
        (("reg.test:5000", "a/b"), "reg.test", False),
        (("reg.test:5000", "a/b"), "reg.test:5001", False),
        (("reg.test", "a/c"), "reg.test", False),
        (("::1", "a/b"), "[::1]:5000", True),
        (("::1", "a/b"), "[::1]", True),
        (("other.test", "a/b"), "reg.test", False),
    ],
)
def test_is_known_in(pair: tuple[str, str], registry: str, expected: bool) -> None:
    """A pair with a port stands for that registry alone, one without for the host's registries on all ports."""
    assert is_known_in(frozenset({pair, ("x.test", "y")}), Key.parse(registry, "a/b", "1")) is expected


def test_nothing_known() -> None:
    """Without pairs nothing is known."""
    assert not is_known_in(frozenset(), Key.parse("reg.test", "a/b", "1"))
