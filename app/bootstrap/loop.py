"""The greenlet that joins the cluster and keeps doing so: asks a bootstrapper, joins, waits, for ever."""

import random
from collections.abc import Callable

import gevent
import structlog
from gevent import Greenlet
from gevent.event import Event

from app.bootstrap.contract import BootstrapError, Bootstrapper
from app.bootstrap.schedule import LONGEST_WAIT_S, Schedule
from gossip.errors import GossipError
from gossip.membership import Member, Membership

log = structlog.get_logger()


class Bootstrap:
    """Owns its greenlet. `membership` has to be started before `start`, and must outlive `stop`."""

    def __init__(
        self,
        membership: Membership,
        bootstrapper: Bootstrapper,
        *,
        rng: random.Random,
        clock: Callable[[], float],
    ) -> None:
        self._membership = membership
        self._bootstrapper = bootstrapper
        self._schedule = Schedule(rng)
        self._clock = clock
        self._began = clock()
        self._awake = Event()
        self._greenlet: Greenlet[..., None] | None = None
        self._problem: str | None = None
        self._said = ""

    def start(self) -> None:
        """Begin in the background; returns at once."""
        self._began = self._clock()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """End the greenlet, in the middle of a round if need be. Idempotent."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def wake(self) -> None:
        """Ask again now if the node is alone: for whoever sees a member go. Neither blocks nor costs anything."""
        self._awake.set()

    def not_connected(self) -> str | None:
        """What readiness waits for: None once the node has found its cluster, or that there is none to be found."""
        if self._schedule.settled or not self._alone():
            return None
        since = f"looking for members for {self._clock() - self._began:.0f} s"
        return since if self._problem is None else f"{since}: {self._problem}"

    def problem(self) -> str | None:
        """Why the last round could not ask for members; None if it could."""
        return self._problem

    def round(self) -> float:
        """Ask, join, and return the seconds to wait for the next round. Blocks while others are asked."""
        was_alone = self._alone()
        try:
            tried = self._join_strangers()
        except (BootstrapError, GossipError) as error:
            self._problem = str(error)
            self._say("warning", "bootstrap failed", reason=self._problem)
            return self._schedule.failed(alone=self._alone())
        self._problem = None
        alone = self._alone()
        if alone:
            self._say("info", "alone in the cluster", addresses_tried=tried)
        elif was_alone:
            self._say("info", "cluster joined", members=len(self._others()) + 1)
        else:
            self._said = ""
        return self._schedule.ended(alone=alone)

    def _join_strangers(self) -> int:
        """Join addresses that are no members until one answers; returns how many were tried."""
        answer = self._bootstrapper.addresses()
        local = self._membership.local()
        members = {(each.host, each.port) for each in self._others()}
        tried = 0
        for group in self._schedule.groups(answer, members, own=(local.host, local.port)):
            tried += len(group)
            if self._membership.join(group):
                break
        return tried

    def _run(self) -> None:
        while True:
            self._awake.clear()
            try:
                wait_s = self.round()
            except Exception:
                log.exception("bootstrap round failed", greenlet="bootstrap")
                wait_s = LONGEST_WAIT_S
            self._wait(wait_s)

    def _wait(self, wait_s: float) -> None:
        """Until the time is over, or a wake-up finds the node alone."""
        deadline = self._clock() + wait_s
        while self._awake.wait(max(0.0, deadline - self._clock())):
            if self._alone():
                return
            self._awake.clear()

    def _say(self, level: str, event: str, **values: object) -> None:
        """Log a state once, not each time that it is found again."""
        said = f"{event} {values}"
        if said != self._said:
            self._said = said
            getattr(log, level)(event, **values)

    def _others(self) -> list[Member]:
        own = self._membership.local().name
        return [each for each in self._membership.members() if each.name != own and each.state.takes_part]

    def _alone(self) -> bool:
        return not self._others()
