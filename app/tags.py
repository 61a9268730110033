"""What a member's gossip tags tell of its node. Pure; they are written in `identity.py`."""

from gossip.membership import Member


def node_name(member: Member) -> str:
    """The operator's name of the node, or the gossip name of a member that carries none (a stock agent)."""
    return member.tags.get("node", member.name)


def registry_port(member: Member) -> int | None:
    """Where the member's registry listens; None for one that has none, or that says what is no port."""
    text = member.tags.get("http", "")
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return port if 0 < port < 65536 else None


def start(member: Member) -> str:
    """Which start of the node this is: it differs where the same name has begun anew. Empty if it tells none."""
    return member.tags.get("start", "")


def zone(member: Member) -> str:
    """Its failure domain, empty if it names none."""
    return member.tags.get("zone", "")
