"""A stock Serf agent as a `Membership`: the agent gossips, this asks it.

Runs in the hub that calls `start`: the agent answers the probes, so a slow hub harms nobody. Greenlets: one that keeps
a connection for ever, one that carries out orders, and the reader of the connection. The agent may be others' too, so
it is never told to leave or to stop; what an agent can't do is told in docs/engines.md.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from random import Random
from typing import Any

import gevent
from gevent import Greenlet
from gevent.event import Event

from gossip.errors import GossipError, Unreachable, UsageError, WireError
from gossip.membership import MAX_PAYLOAD_BYTES, Member, MembershipListener
from gossip.reporting import report
from gossip.serf_agent import records
from gossip.serf_agent.connection import Access, Connection
from gossip.serf_agent.conversation import Reply
from gossip.serf_agent.echoes import Echoes
from gossip.serf_agent.roster import OtherAgent, Roster
from gossip.swim.effects import Notice, Received, Report
from gossip.wire.fields import Fields
from gossip.wire.serf import encode_tags

#: How often the agent is asked for all members: it drops events for a reader that is slow, and a hung agent shows.
LISTING_INTERVAL_S = 30.0
#: Waits between attempts to reach an agent that is lost: doubled from the first to the last, halved at random.
RETRY_S = (0.2, 5.0)
#: Former members that an agent which has forgotten everything is told to join. It tries them one after another.
_REJOIN_AT_MOST = 3
#: The agent dials each address for up to 10 s.
_JOIN_PATIENCE_S = 10.0
#: What the agent says when it has taken tags, but could not tell them to everybody yet (memberlist's `UpdateNode`).
_TAGS_BEING_TOLD = "timeout waiting for update broadcast"
#: Broadcasts that wait for the agent, also while it is away; further ones are dropped.
_BROADCASTS_WAITING = 1024


class SerfAgentEngine:
    """See `Membership`. `start`, `join` and `leave` block one greenlet. A lost agent is looked for by itself."""

    def __init__(
        self,
        access: Access,
        tags: Mapping[str, str],
        *,
        rng: Random,
        notify: Callable[[Notice], None],
        own_tags: frozenset[str] = frozenset(),
    ) -> None:
        """`tags` are ours to begin with; of the agent's other tags those in `own_tags`, left behind by an earlier
        start, are taken away. `notify` must not switch. Raises `UsageError` if the tags are too large.
        """
        encode_tags(tags)
        self._access = access
        self._roster = Roster(tags, own_tags)
        self._rng = rng
        self._notify = notify
        self._listener: MembershipListener | None = None
        self._connection: Connection | None = None
        self._echoes = Echoes()
        self._broadcasts: deque[tuple[str, bytes]] = deque()
        self._dropping = False
        self._tags_due = False
        self._work = Event()
        self._greenlets: list[Greenlet[..., Any]] = []
        self._alive = False
        self._left = False

    @property
    def alive(self) -> bool:
        """Whether it works, or will by itself when the agent is back; False before `start` and after `stop`."""
        return self._alive

    def start(self, listener: MembershipListener) -> None:
        """See `Membership.start`: the agent has to answer. Members that it knows already are told as joined."""
        if self._listener is not None:
            raise UsageError("the gossip engine has been started already")
        self._listener = listener
        try:
            self._connect()
        except WireError as error:
            raise Unreachable(
                f"what answers at {self._access.shown} is no Serf agent ({error}): give the agent's RPC address"
            ) from error
        self._alive = True
        self._greenlets += [gevent.spawn(self._guarded, self._keep), gevent.spawn(self._guarded, self._carry_out)]

    def join(self, addresses: Sequence[tuple[str, int]]) -> int:
        """See `Membership.join`; an agent that is away reaches nobody."""
        local, connection = self._roster.local(), self._connection
        wanted = [each for each in addresses if each != (local.host, local.port)]
        if connection is None or connection.ended.is_set() or not wanted:
            return 0
        try:
            # Over a connection of its own: dead addresses would hold up everything else.
            with closing(Connection(self._access, _ignore)) as own:
                reply = _ask_to_join(own, wanted)
            reached = 0 if reply.body is None else records.joined(reply.body)
            if reached:  # the caller must find in the table what it asked for
                self._tell(self._roster.reconcile(self._listing(connection)))
        except GossipError as error:
            self._notify(Notice("debug", "join failed", (("error", str(error)),)))
            return 0
        if reply.error:
            self._notify(Notice("debug", "join failed", (("error", reply.error[:500]),)))
        return reached

    def broadcast(self, topic: str, payload: bytes) -> None:
        """See `Membership.broadcast`."""
        size = len(topic.encode()) + len(payload)
        if size > MAX_PAYLOAD_BYTES:
            raise UsageError(f"topic and payload have {size} bytes, more than {MAX_PAYLOAD_BYTES}")
        if self._left or not self._alive:
            return
        full = len(self._broadcasts) >= _BROADCASTS_WAITING
        if full and not self._dropping:
            self._notify(Notice("warning", "serf agent is slow or away, broadcasts dropped"))
        self._dropping = full
        if not full:
            self._broadcasts.append((topic, payload))
            self._work.set()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See `Membership.set_tags`; the operator's own tags of the agent stay, and count for the limit."""
        self._roster.set_tags(tags)
        self._tags_due = True
        self._work.set()

    def members(self) -> Sequence[Member]:
        """See `Membership.members`; while the agent is away, what it last said."""
        return self._roster.members()

    def local(self) -> Member:
        """See `Membership.local`."""
        return self._roster.local()

    def leave(self, timeout_s: float) -> bool:
        """See `Membership.leave`: our tags are taken back and the goodbye is set; the agent itself stays."""
        if self._connection is None or not self._alive:
            return False
        self._left = True
        self._broadcasts.clear()
        try:
            reply = self._connection.call("tags", self._roster.goodbye(), timeout_s)
        except Unreachable as error:
            self._notify(Notice("warning", "serf agent took no goodbye", (("error", str(error)),)))
            return False
        return not reply.error

    def stop(self) -> None:
        """See `Membership.stop`. The agent goes on: without `leave` before, the others see no change at all."""
        self._alive = False
        gevent.killall(self._greenlets)
        self._greenlets.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- the connection --

    def _connect(self) -> None:
        """Connect, tell the agent our tags, follow its events, then its table. Raises `GossipError`."""
        connection = Connection(self._access, self._on_record)
        self._echoes = Echoes()  # what the old stream had not given back will not come
        try:
            self._roster.is_agent(records.agent_name(connection.ask("stats")))
            # Only now: what the listing shows must already have our tags.
            self._roster.list_foreign_tags(self._listing(connection))
            if not self._left:
                self._send_tags(connection)
            connection.ask("stream", {"Type": records.EVENT_TYPES})
            self._tell(self._roster.reconcile(self._rejoined_listing(connection)))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._work.set()

    def _rejoined_listing(self, connection: Connection) -> list[Member]:
        """The agent's table; an agent that was started anew and is alone is first sent to those whom we know."""
        listing = self._listing(connection)
        known = self._roster.others_taking_part()
        if known and not any(each.state.takes_part for each in listing if each.name != self._roster.name):
            chosen = self._rng.sample(known, min(_REJOIN_AT_MOST, len(known)))
            _ask_to_join(connection, [(each.host, each.port) for each in chosen])
            listing = self._listing(connection)
        return listing

    def _keep(self) -> None:
        """Look at the agent's table now and then; when the agent is lost, look for it until it is back."""
        while True:
            connection = self._connection
            assert connection is not None
            if not connection.ended.wait(LISTING_INTERVAL_S):
                try:
                    self._tell(self._roster.reconcile(self._listing(connection)))
                    continue
                except GossipError as error:
                    connection.fail(str(error))
            self._notify(Notice("warning", "serf agent lost, trying again", (("reason", connection.reason),)))
            connection.close()
            self._reconnect()

    def _reconnect(self) -> None:
        wait_s, longest_s = RETRY_S
        said = ""
        while True:
            gevent.sleep(wait_s * self._rng.uniform(0.5, 1.0))
            wait_s = min(2 * wait_s, longest_s)
            try:
                self._connect()
                break
            except OtherAgent:
                raise
            except GossipError as error:
                if str(error) != said:
                    said = str(error)
                    self._notify(Notice("warning", "serf agent not back yet", (("error", said),)))
        self._notify(Notice("info", "serf agent is back", (("members", len(self._roster.members())),)))
        if self._listener is not None:
            self._listener.lost()  # nobody knows what was broadcast meanwhile

    def _listing(self, connection: Connection) -> list[Member]:
        return records.listing(connection.ask("members"))

    def _on_record(self, body: Fields) -> None:
        """Called in the connection's reader."""
        match records.event(body):
            case records.UserEvent(topic, payload) if not self._echoes.is_echo(topic, payload):
                self._tell([Received(topic, payload)])
            case records.Seen(members):
                self._tell([news for each in members if (news := self._roster.learn(each)) is not None])
            case records.Reaped(names):
                self._roster.forget(names)

    def _tell(self, happened: Sequence[Report]) -> None:
        assert self._listener is not None
        for each in happened:
            report(self._listener, each)

    # -- orders --

    def _carry_out(self) -> None:
        """Tell the agent what waits, in order; what could not be told waits until it is back."""
        while True:
            self._work.wait()
            self._work.clear()
            connection = self._connection
            try:
                while connection is not None and not connection.ended.is_set() and self._has_work():
                    self._carry_out_one(connection)
            except GossipError as error:
                level = "debug" if connection is None or connection.ended.is_set() else "warning"
                self._notify(Notice(level, "serf agent took no order", (("error", str(error)),)))

    def _has_work(self) -> bool:
        return (self._tags_due and not self._left) or bool(self._broadcasts)

    def _carry_out_one(self, connection: Connection) -> None:
        if self._tags_due and not self._left:
            self._send_tags(connection)
            return
        topic, payload = self._broadcasts.popleft()
        self._echoes.expect(topic, payload)
        reply = connection.call("event", {"Name": topic, "Payload": payload, "Coalesce": False})
        if reply.error:
            self._echoes.is_echo(topic, payload)
            self._notify(Notice("warning", "serf agent refuses a broadcast", (("error", reply.error),)))

    def _send_tags(self, connection: Connection) -> None:
        self._tags_due = False
        reply = connection.call("tags", self._roster.tag_order())
        if reply.error and reply.error != _TAGS_BEING_TOLD:
            raise UsageError(f"the Serf agent at {self._access.shown} refuses our tags: {reply.error}")

    def _guarded(self, body: Callable[[], None]) -> None:
        """Of every greenlet here: an error of ours ends the engine visibly."""
        try:
            body()
        except Exception as error:  # noqa: BLE001 (a root)
            self._alive = False
            self._notify(Notice("error", "gossip engine failed", (("error", repr(error)),)))


def _ask_to_join(connection: Connection, addresses: Sequence[tuple[str, int]]) -> Reply:
    existing = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses]
    return connection.call("join", {"Existing": existing, "Replay": False}, _JOIN_PATIENCE_S * (len(existing) + 1))


def _ignore(_record: Fields) -> None:
    """For a connection that has asked for no stream."""
