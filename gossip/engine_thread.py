"""The far side of `ThreadedMembership`: what runs in the engine's native thread, on a hub of its own.

Nothing here touches the app's hub but by posting into its mailbox.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import gevent
from gevent.pool import Group

from gossip.errors import GossipError
from gossip.mailbox import Mailbox
from gossip.membership import Member, Membership
from gossip.swim.effects import (
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberReport,
    MemberUpdated,
    Notice,
    Received,
    Report,
)

#: Payloads and lines for the log that wait for the app's hub; more are dropped. 4,096 x 460 bytes are 2 MB, and
#: a cluster of 1,000 says less than 100 a second.
PAYLOADS_WAITING = 4096
#: Reports about members that wait; beyond it they are replaced by a snapshot, so that none is lost.
MEMBERS_WAITING = 16_384
#: How often the member table is compared with what the app knows: reaped members go without a report.
SNAPSHOT_INTERVAL_S = 5.0


class Engine(Membership, Protocol):
    """A membership that can say whether it still works."""

    @property
    def alive(self) -> bool:
        """Whether it takes part. Readable from any thread."""


@dataclass(frozen=True, slots=True)
class Started:
    engine: Engine
    inbox: "Mailbox[ToEngine]"
    members: tuple[Member, ...]
    local: Member


@dataclass(frozen=True, slots=True)
class Snapshot:
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    number: int
    value: object
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The last thing posted; `error` if nobody asked for the end. A `Farewell` into `inbox` lets the thread go."""

    error: BaseException | None
    inbox: "Mailbox[ToEngine] | None"


#: From the engine to the app.
ToApp = Report | Notice | Started | Snapshot | Reply | Ended


@dataclass(frozen=True, slots=True)
class Call:
    """Something that may block; a `Reply` with `number` follows."""

    number: int
    run: Callable[[Engine], object]


@dataclass(frozen=True, slots=True)
class Order:
    """Something that does not block and is not answered."""

    run: Callable[[Engine], object]


@dataclass(frozen=True, slots=True)
class Refresh:
    """Post a snapshot now."""


@dataclass(frozen=True, slots=True)
class Stop:
    pass


@dataclass(frozen=True, slots=True)
class Farewell:
    """The app has seen `Ended` and will never post again."""


#: From the app to the engine.
ToEngine = Call | Order | Refresh | Stop | Farewell


class Reporter:
    """The engine's listener: everything into the app's mailbox, within bounds."""

    def __init__(self, app: Mailbox[ToApp]) -> None:
        self._app = app
        #: Set here, cleared by the app when it has told its listener.
        self.payloads_lost = False
        #: Set here, cleared by the app when it has asked for a snapshot.
        self.members_lost = False

    def joined(self, member: Member) -> None:
        self._post_member(MemberJoined(member))

    def updated(self, member: Member) -> None:
        self._post_member(MemberUpdated(member))

    def left(self, member: Member) -> None:
        self._post_member(MemberLeft(member))

    def failed(self, member: Member) -> None:
        self._post_member(MemberFailed(member))

    def received(self, topic: str, payload: bytes) -> None:
        if len(self._app) < PAYLOADS_WAITING:
            self._app.post(Received(topic, payload))
        else:
            self.lost()

    def lost(self) -> None:
        self.payloads_lost = True
        self._app.wake()

    def notice(self, notice: Notice) -> None:
        """A line for the log; those that don't fit are lost in silence, the loss of payloads is told anyway."""
        if len(self._app) < PAYLOADS_WAITING:
            self._app.post(notice)

    def _post_member(self, happened: MemberReport) -> None:
        if len(self._app) < MEMBERS_WAITING:
            self._app.post(happened)
        else:
            self.members_lost = True
            self._app.wake()


class NativeLock(Protocol):
    """A lock of `_thread`, behind gevent's back."""

    def release(self) -> None: ...


#: Called in the engine's thread, with what takes the engine's lines for the log.
MakeEngine = Callable[[Callable[[Notice], None]], Engine]


def run(app: Mailbox[ToApp], reporter: Reporter, make_engine: MakeEngine, end: NativeLock) -> None:
    """The body of the thread: make the engine, serve it until `Stop`, say `Ended` whatever happens, and clean up.

    Releases `end` when nothing of gevent's is left in this thread.
    """
    hub = gevent.get_hub()
    inbox: Mailbox[ToEngine] | None = None
    error: BaseException | None = None
    try:
        inbox = Mailbox()
        _Service(app, inbox, reporter).run(make_engine)
    except BaseException as raised:  # noqa: BLE001 (the root: an engine must not die in silence)
        error = raised
    app.post(Ended(error, inbox))
    if inbox is not None:
        _wait_for_farewell(inbox)
        inbox.close()
    try:
        hub.destroy(destroy_loop=True)
    finally:
        end.release()


def _wait_for_farewell(inbox: Mailbox[ToEngine]) -> None:
    """Until then the app may post, and must find an open mailbox. What it asks is not answered any more."""
    while not isinstance(inbox.take(), Farewell):
        if not len(inbox):
            inbox.wait()


class _Service:
    """Does what the app asks, and watches the member table."""

    def __init__(self, app: Mailbox[ToApp], inbox: Mailbox[ToEngine], reporter: Reporter) -> None:
        self._app = app
        self._inbox = inbox
        self._reporter = reporter
        self._calls = Group()
        self._last_snapshot: tuple[Member, ...] = ()

    def run(self, make_engine: MakeEngine) -> None:
        """From the making of the engine to its stop."""
        engine = make_engine(self._reporter.notice)
        try:
            engine.start(self._reporter)
            self._last_snapshot = tuple(engine.members())
            self._app.post(Started(engine, self._inbox, self._last_snapshot, engine.local()))
            self._calls.spawn(self._keep_comparing, engine)
            self._serve(engine)
        finally:
            engine.stop()
            self._calls.kill()

    def _serve(self, engine: Engine) -> None:
        while True:
            order = self._inbox.take()
            match order:
                case None:
                    self._inbox.wait()
                case Call():
                    self._calls.spawn(self._answer, engine, order)
                case Order(run):
                    self._obey(engine, run)
                case Refresh():
                    self._app.post(Snapshot(tuple(engine.members())))
                case Stop() | Farewell():
                    return

    def _obey(self, engine: Engine, run: Callable[[Engine], object]) -> None:
        try:
            run(engine)
        except GossipError as error:
            # Whoever gave the order has gone on: all that is left is to say so.
            self._reporter.notice(Notice("warning", "gossip order failed", (("error", str(error)),)))

    def _answer(self, engine: Engine, call: Call) -> None:
        try:
            value = call.run(engine)
        except Exception as error:  # noqa: BLE001 (the root of a greenlet; the caller gets it)
            self._app.post(Reply(call.number, None, error))
            return
        # The caller must find in the table what it asked for.
        self._post_snapshot(engine)
        self._app.post(Reply(call.number, value))

    def _keep_comparing(self, engine: Engine) -> None:
        while True:
            gevent.sleep(SNAPSHOT_INTERVAL_S)
            self._post_snapshot(engine)

    def _post_snapshot(self, engine: Engine) -> None:
        """If there is news; and if the app reads at all, or snapshots would pile up."""
        members = tuple(engine.members())
        if members != self._last_snapshot and len(self._app) < MEMBERS_WAITING:
            self._last_snapshot = members
            self._app.post(Snapshot(members))
