"""What happens to a member beyond the directory: counted, logged, and its pooled connections closed when it goes."""

from collections.abc import Callable

import structlog

from app.address import host_port
from app.metrics import Metrics
from app.tags import node_name, registry_port
from gossip.membership import Member

log = structlog.get_logger()


class Roster:
    """A `MembershipListener` for the operator's eyes and for the connection pools.

    `forget(member)` closes what is pooled for a member that left, failed or is no mirror any more: a pool kept for it
    would hardly be used again, as most names are unique per start.
    """

    def __init__(self, metrics: Metrics, forget: Callable[[Member], None]) -> None:
        self._metrics = metrics
        self._forget = forget

    def joined(self, member: Member) -> None:
        self._tell("member joined", "joined", member)

    def updated(self, member: Member) -> None:
        log.debug("member updated", node=node_name(member), state=member.state.value)
        if registry_port(member) is None:
            self._forget(member)  # its mirror has ended, and its agent goes on

    def left(self, member: Member) -> None:
        self._tell("member left", "left", member)
        self._forget(member)

    def failed(self, member: Member) -> None:
        self._tell("member failed", "failed", member)
        self._forget(member)

    def received(self, topic: str, payload: bytes) -> None:
        """Payloads are the directory's business."""

    def lost(self) -> None:
        log.warning("gossip payloads dropped: the queue to the web hub was full; anti-entropy repairs it")

    def _tell(self, words: str, event: str, member: Member) -> None:
        self._metrics.gossip_events.labels(event).inc()
        log.info(words, node=node_name(member), member=member.name, address=host_port(member.host, member.port))
