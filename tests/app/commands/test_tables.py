"""Facts in columns."""

import pytest

from app.commands.tables import columns, span


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """Empty cells show, and no line ends in spaces."""
    assert columns([("NODE", "ZONE", "N"), ("a", "", "1"), ("longer", "z", "")]).splitlines() == [
        "NODE    ZONE  N",
        "a       -     1",
        "longer  z     -",
    ]


def test_no_rows_are_no_text() -> None:
    """Nothing to show."""
    assert columns([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.9, "0s"), (59, "59s"), (60, "1m"), (3725, "1h 2m"), (90061, "1d 1h"), (86400, "1d"), (-5, "0s")],
)
def test_spans_have_two_units_at_most(seconds: float, text: str) -> None:
    """The two largest that are not zero."""
    assert span(seconds) == text
