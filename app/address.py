"""Addresses as this program keeps and writes them. Pure."""

#: A host and a port. The host is an IPv4 or IPv6 address in text, or a name until it has been looked up.
Address = tuple[str, int]


def host_port(host: str, port: int) -> str:
    """`host:port`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
