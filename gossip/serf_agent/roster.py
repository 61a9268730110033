"""What the agent says of the cluster, as a member table with reports of what changed; and which tags are ours. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gossip.errors import Unreachable, UsageError
from gossip.membership import Member, MemberState
from gossip.replica import Replica
from gossip.serf_agent.records import GOODBYE_TAG
from gossip.swim.effects import MemberReport
from gossip.wire.serf import encode_tags


class OtherAgent(Unreachable):
    """Another agent answers than the one that we were started with. Only a restart cures it."""


class Roster:
    """Empty until `is_agent` and `list_foreign_tags` were called with the agent's first answers."""

    def __init__(self, tags: Mapping[str, str], own_tags: frozenset[str]) -> None:
        """`own_tags` are names of tags that only we set: one that is not in `tags` is a leftover."""
        self.name = ""
        self._tags = dict(tags)
        self._ours = own_tags | {*tags, GOODBYE_TAG}
        self._foreign: dict[str, str] = {}
        self._replica: Replica | None = None

    # -- the agent --

    def is_agent(self, name: str) -> None:
        """Take over the agent's name. Raises `OtherAgent` if it is not the one that it was."""
        if self.name and name != self.name:
            raise OtherAgent(
                f"the agent is now called {name}, and was {self.name} when we started: others know our content under"
                " that name; start the agent with the same -node, or restart this process"
            )
        self.name = name

    def list_foreign_tags(self, listing: Sequence[Member]) -> None:
        """Learn from the agent's table which tags the agent has of its operator. Raises `Unreachable`, `UsageError`."""
        local = next((member for member in listing if member.name == self.name), None)
        if local is None:
            raise Unreachable(f"the agent does not list itself ({self.name}) among its members")
        self._foreign = {name: value for name, value in local.tags.items() if name not in self._ours}
        encode_tags(self._foreign | self._tags)
        if self._replica is None:
            self._replica = Replica((), replace(local, state=MemberState.ALIVE))
            self._replica.set_local_tags(self._tags)

    # -- our tags --

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Ours are these from now on. Raises `UsageError` if they are too large beside the agent's own."""
        encode_tags(self._foreign | dict(tags))
        self._ours |= set(tags)
        self._tags = dict(tags)
        if self._replica is not None:
            self._replica.set_local_tags(self._tags)

    def tag_order(self) -> dict[str, Any]:
        """The body of the `tags` request that makes them so."""
        return {"Tags": self._tags, "DeleteTags": sorted(self._ours - set(self._tags))}

    def goodbye(self) -> dict[str, Any]:
        """The body of the `tags` request that says goodbye: nothing of ours stays but that."""
        return {"Tags": {GOODBYE_TAG: "1"}, "DeleteTags": sorted(self._ours - {GOODBYE_TAG})}

    # -- the table --

    def members(self) -> tuple[Member, ...]:
        return () if self._replica is None else self._replica.members()

    def local(self) -> Member:
        """Raises `UsageError` before the engine has been started."""
        return self._known().local()

    def others_taking_part(self) -> list[Member]:
        return [each for each in self.members() if each.name != self.name and each.state.takes_part]

    def reconcile(self, listing: Sequence[Member]) -> list[MemberReport]:
        """Take over the agent's table; what is news in it."""
        table = [self._kept(member) for member in listing]
        if all(member.name != self.name for member in table):
            table.append(self.local())
        return self._known().reconcile(table)

    def learn(self, member: Member) -> MemberReport | None:
        """Take over what is told of one member; the news, if it is any."""
        return self._known().learn(self._kept(member))

    def forget(self, names: Sequence[str]) -> None:
        """The agent has reaped these; they were told as gone before."""
        for name in names:
            self._known().forget(name)

    def _kept(self, member: Member) -> Member:
        """The agent believes itself alive, whatever it says while it starts, and our tags are those that we set."""
        return replace(member, state=MemberState.ALIVE) if member.name == self.name else member

    def _known(self) -> Replica:
        if self._replica is None:
            raise UsageError("the gossip engine has not been started")
        return self._replica
