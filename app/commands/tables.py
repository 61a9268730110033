"""Facts in columns, for people. Pure."""

from collections.abc import Iterable, Sequence

_GAP = "  "


def columns(rows: Iterable[Sequence[str]]) -> str:
    """Rows of equal length, each column as wide as its widest cell; an empty cell is shown as `-`."""
    table = [[cell or "-" for cell in row] for row in rows]
    if not table:
        return ""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def span(seconds: float) -> str:
    """A time span in its two largest units: `3h 12m`."""
    left = max(0, int(seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2]) or "0s"
