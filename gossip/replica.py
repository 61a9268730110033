"""A member table kept elsewhere, followed by its reports; pure.

Reports may go missing (a full queue), a snapshot of the table then tells what they would have told. Snapshots also
take away members that were reaped, of which no report tells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gossip.membership import Member, MemberState
from gossip.swim.effects import MemberFailed, MemberReport
from gossip.swim.roster import announcement


class Replica:
    """Members by name, the local one included, in order of arrival."""

    def __init__(self, members: Sequence[Member], local: Member) -> None:
        self._members = {member.name: member for member in members}
        self._local = local.name
        self._members[local.name] = local
        self._local_tags: Mapping[str, str] | None = None

    def members(self) -> tuple[Member, ...]:
        return tuple(self._members.values())

    def local(self) -> Member:
        return self._members[self._local]

    def set_local_tags(self, tags: Mapping[str, str]) -> None:
        """What the table will say soon, said now, and not taken back by a snapshot that was on its way."""
        self._local_tags = dict(tags)
        self._members[self._local] = replace(self.local(), tags=self._local_tags)

    def follow(self, happened: MemberReport) -> None:
        """Take over one report."""
        self._members[happened.member.name] = happened.member

    def learn(self, member: Member) -> MemberReport | None:
        """Take over what is known of one member, from a source that repeats itself; the report of it, if it is news."""
        if member.name == self._local:
            tags = self.local().tags if self._local_tags is None else self._local_tags
            member = replace(member, tags=tags)
        news = self._difference(member)
        self._members[member.name] = member
        return news

    def forget(self, name: str) -> None:
        """The table has reaped this member. One that is still there, or the local one, is not forgotten."""
        known = self._members.get(name)
        if known is not None and known.state.absent and name != self._local:
            del self._members[name]

    def reconcile(self, members: Sequence[Member]) -> list[MemberReport]:
        """Take over a whole table; return the reports that were missing."""
        missed = [missing for member in members if (missing := self._difference(member)) is not None]
        present = {member.name for member in members}
        for name, known in self._members.items():
            if name not in present and not known.state.absent:
                # Reaped before we heard how it went. Failed is the careful guess: it doesn't rule out a return.
                missed.append(MemberFailed(replace(known, state=MemberState.FAILED)))
        self._members = {member.name: member for member in members}
        if self._local_tags is not None:
            self.set_local_tags(self._local_tags)
        return missed

    def _difference(self, member: Member) -> MemberReport | None:
        known = self._members.get(member.name)
        if member.name == self._local or (known is None and member.state.absent):
            return None  # ourselves, or somebody who came and went unseen
        return announcement(known, member)
