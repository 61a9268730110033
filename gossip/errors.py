"""What can go wrong in `gossip`, split by whose fault it is."""


class GossipError(Exception):
    """Root of this package's errors."""


class WireError(GossipError):
    """Bytes from outside could not be understood; nothing was changed by them."""


class UsageError(GossipError):
    """The caller asked for something impossible (a payload too large, a tag set over 512 bytes); nothing was done."""


class Unreachable(GossipError):
    """The environment refused: an address that can't be bound, an agent that does not answer."""
