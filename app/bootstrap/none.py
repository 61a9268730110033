"""No bootstrap: a lone node, or one that others join."""

from collections.abc import Sequence

from app.address import Address


class NoBootstrapper:
    """Knows nobody."""

    def addresses(self) -> Sequence[Address]:
        """Always empty."""
        return ()
