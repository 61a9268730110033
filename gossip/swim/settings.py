"""Every interval, multiplier and bound of the protocol: unit, formula and where the number comes from.

Defaults are memberlist's (`config.go`) and Serf's (`serf/config.go`), so that a node paces itself like its
neighbours. Where we depart from them the field says "ours" and why. Nothing here is negotiated on the wire:
nodes with different values live together, but a tighter one accuses more.
"""

import math
from dataclasses import dataclass, replace

from gossip.errors import UsageError

#: Incarnations are 32 bit on the wire; an accusation at this number can't be refuted any more.
MAX_INCARNATION = 2**32 - 1
#: A Lamport time so far ahead of ours is ignored: no cluster gets that far between two messages, but one packet
#: could otherwise push everybody's clock to the end of its 64 bits.
MAX_LAMPORT_JUMP = 2**32


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations are seconds; counts have no unit. See `LAN`, `WAN` and `LOCAL` for the presets."""

    probe_interval_s: float = 1.0
    """One member is probed per interval. Smaller: faster detection, more packets."""
    probe_timeout_s: float = 0.5
    """How long a direct ack may take before others are asked. Larger than the 99th percentile of the round trip."""
    indirect_checks: int = 3
    """How many members ping a silent target on our behalf (SWIM's k)."""
    suspicion_mult: int = 4
    """Shortest suspicion = this x max(1, log10 n) x probe interval; also fixes the confirmations (this - 2)."""
    suspicion_max_mult: int = 6
    """Longest suspicion = this x the shortest (Lifeguard)."""
    health_max: int = 8
    """The local health score stays below this (Lifeguard's awareness)."""

    gossip_interval_s: float = 0.2
    """Time between gossip rounds while something is queued; ours: with empty queues there is no tick at all."""
    gossip_nodes: int = 3
    """Receivers per gossip round."""
    gossip_to_the_dead_s: float = 30.0
    """A dead member is still told for this long (it may refute), and forgotten by the table afterwards."""
    retransmit_mult: int = 4
    """Transmits of one message = this x ceil(log10(n + 1))."""
    packet_budget_bytes: int = 1400
    """Largest datagram that we send: fits an Ethernet frame with room for tunnels."""

    push_pull_interval_s: float = 30.0
    """Full state with one random member, every interval x `push_pull_scale(n)`."""
    push_pull_after_join_s: float = 2.0
    """Ours: one more push/pull within this after a join; in a join storm the seed's table was still growing
    (50 nodes joining at once: without it two views of 50 were incomplete for up to 30 s)."""
    push_pull_again_share: float = 0.05
    """Ours: a push/pull that made the table grow by more than this share is followed by another as soon as after a
    join: there is probably more to know. 200 nodes that join at once know each other after 3.2 s instead of 4.1."""
    stream_timeout_s: float = 10.0
    """A whole stream conversation; memberlist's `TCPTimeout`."""
    stream_limit: int = 128
    """Streams accepted at once; further ones are closed unread (memberlist's `maxPushPullRequests`)."""
    stream_message_bytes: int = 16 << 20
    """Ours (memberlist: 40 MiB): the largest message on a stream, after decompression; 1,000 members take 0.15 MB."""
    stream_buffer_bytes: int = 32 << 20
    """Ours: unfinished messages of all streams together; beyond it the stream that reads on is refused. A flood of
    half-sent push/pulls ends here, before memory does; a push/pull of 10,000 members is 1 to 2 MB."""
    join_parallel: int = 8
    """Addresses contacted at once by one join."""

    eager_delay_s: float = 0.003
    """Ours: a fresh user event goes to `gossip_nodes` members after this instead of waiting for the tick.
    The number of transmits is the same, so the bytes are too; 99 % of 500 nodes know it in 0.1 s, not 0.7 s."""
    eager_spacing_s: tuple[float, float] = (0.003, 0.05)
    """Ours: least time between two eager rounds, in small and in large clusters."""
    eager_spacing_members: tuple[int, int] = (50, 400)
    """Ours: up to the first number of members the small spacing holds, from the second on the large one."""

    event_window: int = 512
    """Lamport times of user events (and of queries) that are remembered for de-duplication."""
    event_limit_bytes: int = 9216
    """A user event or query beyond it is ignored; Serf's upper bound for senders."""
    recent_intent_s: float = 300.0
    """How long a join or leave intent about an unknown member is kept for its arrival."""
    recent_intent_limit: int = 4096
    """How many of those at most; the oldest goes first."""

    failed_kept_s: float = 600.0
    """Ours (Serf: 24 h): a failed member is kept and tried again for 10 minutes, the lifetime of what it announced."""
    left_kept_s: float = 60.0
    """Ours (Serf: 24 h): names are unique per start, so nobody comes back from `left`."""
    reap_interval_s: float = 15.0
    """How often the two above are looked at."""
    reconnect_s: tuple[float, float] = (1.0, 5.0)
    """Ours (Serf: every 30 s): uniform delay between attempts to reach a random failed member, x `push_pull_scale(n)`;
    the attempt is made with probability failed/alive, so that a cluster makes one per delay, not one per member."""
    reconnect_max_s: float = 30.0
    """Upper end of that delay in large clusters."""
    greeters: int = 3
    """Ours: about so many members make a push/pull with one that returned from `failed`; it may know nobody."""
    leave_gossip_interval_s: float = 0.03
    """Ours: while leaving, the gossip rounds follow each other like this, so that good-bye takes 0.1 to 0.3 s."""

    queue_limit: int = 4096
    """Messages waiting per queue; beyond it those told most often are dropped (Serf's `MaxQueueDepth`)."""
    member_limit: int = 16_384
    """Members in the table, dead ones included; further ones are ignored and noticed. As many are shown to the user,
    of the failed and left the oldest go first. Bounds memory at some 30 MB."""
    relay_limit: int = 1024
    """Indirect pings under way for others; further ones are ignored."""

    def __post_init__(self) -> None:
        if not 0 < self.probe_timeout_s < self.probe_interval_s:
            raise UsageError(
                f"probe_timeout_s is {self.probe_timeout_s:g}, it must lie between 0 and probe_interval_s "
                f"({self.probe_interval_s:g}): the rest of the interval is for asking others"
            )

    def retransmit_limit(self, members: int) -> int:
        """How often one message is sent by this node in a cluster of `members` (memberlist `retransmitLimit`)."""
        return self.retransmit_mult * math.ceil(math.log10(members + 1))

    def push_pull_scale(self, members: int) -> int:
        """Factor on the push/pull interval: 1 up to 32 members, then ceil(log2 n - 5) + 1 (`pushPullScale`)."""
        if members <= 32:
            return 1
        return math.ceil(math.log2(members) - 5) + 1

    def eager_spacing(self, members: int) -> float:
        """Least seconds between two eager rounds; linear between the two cluster sizes."""
        (low, high), (small, large) = self.eager_spacing_s, self.eager_spacing_members
        share = (members - small) / (large - small)
        return low + (high - low) * min(1.0, max(0.0, share))


#: memberlist's `DefaultLANConfig`.
LAN = Settings()
#: memberlist's `DefaultWANConfig`.
WAN = replace(
    LAN,
    probe_interval_s=5.0,
    probe_timeout_s=3.0,
    suspicion_mult=6,
    gossip_interval_s=0.5,
    gossip_nodes=4,
    gossip_to_the_dead_s=60.0,
    push_pull_interval_s=60.0,
    stream_timeout_s=30.0,
)
#: memberlist's `DefaultLocalConfig`: nodes on one machine.
LOCAL = replace(
    LAN,
    probe_timeout_s=0.2,
    indirect_checks=1,
    suspicion_mult=3,
    retransmit_mult=2,
    gossip_interval_s=0.1,
    gossip_to_the_dead_s=15.0,
    push_pull_interval_s=15.0,
    stream_timeout_s=1.0,
)
