"""Answering probes: pings to ourselves, and pings that we make for others.

SWIM's `ping-req` (paper §3.1) with Lifeguard's nack (memberlist `net.go` `handlePing`, `handleIndirectPing`).
An answer goes only to the sender of the packet or to an address in the member table, and a ping on behalf of
others only to a member: nobody can make us send packets to a third party.
"""

from dataclasses import dataclass

from gossip.swim.context import Context
from gossip.swim.dissemination import Dissemination
from gossip.swim.effects import Address
from gossip.swim.probe import SequenceNumbers
from gossip.swim.timers import Timer
from gossip.wire import codec
from gossip.wire.messages import Ack, IndirectPing, Nack, Ping


@dataclass(frozen=True, slots=True)
class _Request:
    """A ping under way for somebody else."""

    seq_no: int
    requester: Address
    timer: Timer


class Responder:
    """Answers pings and indirect pings."""

    def __init__(self, context: Context, dissemination: Dissemination, sequence: SequenceNumbers) -> None:
        self._settings = context.settings
        self._own = context.own
        self._table = context.table
        self._dissemination = dissemination
        self._sequence = sequence
        self._timers = context.timers
        self._requests: dict[int, _Request] = {}

    def ping(self, ping: Ping, sender: Address) -> None:
        """Ack a ping for our name (or for whoever is here); others are meant for a former owner of our address."""
        if ping.node in (self._own.name, ""):
            self._dissemination.send(self._return_address(ping, sender), [codec.encode(Ack(ping.seq_no))])

    def indirect_ping(self, request: IndirectPing, sender: Address, now: float) -> None:
        """Ping a member for somebody; ack when it answers, nack (if wanted) when it does not in time.

        Nodes of memberlist's protocol 1 give no port.
        """
        target = self._table.get(request.node)
        if target is None or request.target != target.addr or request.port not in (target.port, 0):
            return
        if len(self._requests) >= self._settings.relay_limit:
            return
        seq_no = self._sequence.next()
        requester = self._return_address(request, sender)

        def give_up(_now: float) -> None:
            del self._requests[seq_no]
            if request.nack:
                self._dissemination.send(requester, [codec.encode(Nack(request.seq_no))])

        timer = self._timers.at(now + self._settings.probe_timeout_s, give_up)
        self._requests[seq_no] = _Request(request.seq_no, requester, timer)
        ping = Ping(seq_no, target.name, self._own.addr, self._own.port, self._own.name)
        self._dissemination.send(target.address, [codec.encode(ping)])

    def ack(self, seq_no: int) -> None:
        """The target of an indirect ping answered: pass it on."""
        request = self._requests.pop(seq_no, None)
        if request is not None:
            request.timer.cancel()
            self._dissemination.send(request.requester, [codec.encode(Ack(request.seq_no))])

    def _return_address(self, message: Ping | IndirectPing, sender: Address) -> Address:
        """The advertised address of the asking member; of somebody unknown, where the packet came from."""
        member = self._table.get(message.source_node)
        if member is not None and (member.addr, member.port) == (message.source_addr, message.source_port):
            return member.address
        return sender
