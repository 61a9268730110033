"""What all parts of one node share."""

from dataclasses import dataclass
from random import Random

from gossip.swim.members import MemberTable, Record
from gossip.swim.outbox import Outbox
from gossip.swim.settings import Settings
from gossip.swim.timers import Timers
from gossip.wire.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Context:
    """Given to every part's constructor. `own` is the local node's record in `table`; without `sealer` all is plain."""

    settings: Settings
    own: Record
    table: MemberTable
    timers: Timers
    outbox: Outbox
    rng: Random
    sealer: Sealer | None = None
