"""What can go wrong with a peer, in words that a log line, a metric and a failover share."""

from typing import Literal

#: Also the values of the label `reason`. `refused`: nobody listens there, or it will not give it; `closed`: the
#: connection ended too early; `stalled`: bytes came too slowly; `timeout`: no answer in time; `protocol`: an answer
#: that no mirror of ours gives; `changed`: not what its HEAD had promised; `corrupt`: bytes that are not the digest's.
Reason = Literal["refused", "closed", "stalled", "timeout", "protocol", "changed", "corrupt"]


class PeerError(Exception):
    """A peer could not be asked or did not answer as it must. Its connection is closed; nothing else has changed."""

    def __init__(self, reason: Reason, peer: str, detail: str) -> None:
        super().__init__(f"peer {peer}: {detail}")
        self.reason: Reason = reason
        self.peer = peer


class Declined(PeerError):
    """The peer is well and said no, with this HTTP status; 503 means not now."""

    def __init__(self, peer: str, status: int, detail: str) -> None:
        super().__init__("refused", peer, f"{detail} (HTTP {status})")
        self.status = status
