"""Who may ask whom: the one place that lets a request of another mirror in, and the one that signs ours.

Every HTTP exchange between mirrors passes here, on both sides: content (`Rykte-Forwarded-By`) and what lies under
`/_rykte/`. As it stands, whoever reaches the registry port is trusted with what it serves, so nothing is checked and
nothing is added; a shared secret or tokens are to be put into these two functions, and nowhere else.
"""

from collections.abc import Mapping, MutableMapping

#: The node name of the mirror that asks; a request that carries it is answered from the own store only.
FORWARDED_BY = "Rykte-Forwarded-By"
#: When a tag was last moved, seconds since the epoch, in the answer to a mirror.
UPDATED = "Rykte-Updated"


class Denied(Exception):
    """The request may not be answered; the text says why, and is sent to the client."""


def authorize(environ: Mapping[str, object]) -> None:
    """Return to let the request (a WSGI environment) in, raise `Denied` to refuse it."""


def sign(headers: MutableMapping[str, str]) -> None:
    """Add to the headers of an outgoing request what the other mirror's `authorize` asks for."""
