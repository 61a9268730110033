"""Any engine in a native thread with a gevent hub of its own, as a `Membership` for the app's hub.

Why: an ack that comes half a second late is a missed one, and the app's hub has work that takes longer than that.
Measured: a hub blocked for 2 s gets its node accused again and again, an engine in its own thread misses nothing
(the interpreter switches threads every 5 ms).

The two hubs share two mailboxes and nothing else. The engine's half is `engine_thread`. The app's half keeps a
replica of the member table, so that `members` answers at once; listener methods are called in one greenlet here.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, TypeVar, cast

import gevent
import gevent.resolver.thread
import gevent.threadpool
from gevent import Greenlet
from gevent.event import AsyncResult
from gevent.monkey import get_original

from gossip import engine_thread
from gossip.engine_thread import (
    Call,
    Ended,
    Engine,
    Farewell,
    MakeEngine,
    Order,
    Refresh,
    Reply,
    Reporter,
    Snapshot,
    Started,
    Stop,
    ToApp,
    ToEngine,
)
from gossip.errors import Unreachable, UsageError
from gossip.mailbox import Mailbox
from gossip.membership import MAX_PAYLOAD_BYTES, Member, MembershipListener
from gossip.replica import Replica
from gossip.reporting import report
from gossip.swim.effects import MemberFailed, MemberJoined, MemberLeft, MemberUpdated, Notice, Received
from gossip.wire.serf import encode_tags

T = TypeVar("T")

#: gevent imports these when they are first needed. A first import in two native threads at once hangs for good
#: (importlib's locks are gevent's, once patched), so all that the engine's thread may need is loaded before it starts.
_LOADED = (gevent.resolver.thread, gevent.threadpool)

#: Broadcasts that wait for the engine. It takes each in microseconds, so a full queue means that it hangs.
_BROADCASTS_WAITING = 1024
#: Items handled in one go before other greenlets of the app have their turn.
_BATCH = 256
#: How often `stop` looks whether the thread has ended, and for how long.
_END_POLL_S = 0.002
_END_PATIENCE_S = 10.0


class ThreadedMembership:
    """See `Membership`. `start` must come from the hub that uses it; `join` and `leave` block one greenlet only."""

    def __init__(self, make_engine: MakeEngine, *, notify: Callable[[Notice], None]) -> None:
        """`make_engine(notify)` is called in the engine's thread; what the engine notices arrives at this `notify`."""
        self._make_engine = make_engine
        self._notify = notify
        self._mailbox: Mailbox[ToApp] | None = None
        self._inbox: Mailbox[ToEngine] | None = None
        self._reader: Greenlet[..., Any] | None = None
        self._listener: MembershipListener | None = None
        self._engine: Engine | None = None
        self._replica: Replica | None = None
        self._numbers = count(1)
        self._waiting: dict[int, tuple[AsyncResult[Any], object]] = {}
        self._dropping = False
        self._stopping = False
        self._started: AsyncResult[None] = AsyncResult()
        self._thread_end = get_original("_thread", "allocate_lock")()

    @property
    def alive(self) -> bool:
        """Whether the thread runs and its engine takes part; False before `start`, after `stop` and after a failure."""
        return self._engine is not None and self._engine.alive

    def start(self, listener: MembershipListener) -> None:
        """See `Membership.start`. Raises what making or starting the engine raises."""
        if self._mailbox is not None:
            raise UsageError("the gossip engine has been started already")
        self._listener = listener
        self._mailbox = Mailbox()  # also makes this thread's hub, which has to be the first
        reporter = Reporter(self._mailbox)
        self._thread_end.acquire()
        body = (self._mailbox, reporter, self._make_engine, self._thread_end)
        try:
            get_original("_thread", "start_new_thread")(engine_thread.run, body)
        except RuntimeError as error:
            self._thread_end.release()
            self._mailbox.close()
            raise Unreachable(f"the system gives no thread for the gossip engine: {error}") from error
        self._reader = gevent.spawn(self._read, self._mailbox, reporter)
        try:
            self._started.get()
        except BaseException:
            self.stop()
            raise

    def join(self, addresses: Sequence[tuple[str, int]]) -> int:
        """See `Membership.join`."""
        wanted = tuple(addresses)
        return self._ask(lambda engine: engine.join(wanted), 0)

    def broadcast(self, topic: str, payload: bytes) -> None:
        """See `Membership.broadcast`."""
        size = len(topic.encode()) + len(payload)
        if size > MAX_PAYLOAD_BYTES:
            raise UsageError(f"topic and payload have {size} bytes, more than {MAX_PAYLOAD_BYTES}")
        if self._inbox is None:
            return
        if len(self._inbox) >= _BROADCASTS_WAITING:
            if not self._dropping:
                self._notify(Notice("warning", "gossip engine is slow, broadcasts dropped"))
            self._dropping = True
            return
        self._dropping = False
        self._inbox.post(Order(lambda engine: engine.broadcast(topic, payload)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See `Membership.set_tags`."""
        encode_tags(tags)  # raises if they are too large
        wanted = dict(tags)
        if self._replica is not None and self._inbox is not None:
            self._replica.set_local_tags(wanted)
            self._inbox.post(Order(lambda engine: engine.set_tags(wanted)))

    def in_engine_thread(self, run: Callable[[], object]) -> None:
        """Do something in the engine's thread, between two of its inputs; nothing when the engine has ended.

        For what the engine was given at its making and only that thread may change. A `GossipError` is noticed.
        """
        if self._inbox is not None:
            self._inbox.post(Order(lambda _engine: run()))

    def members(self) -> Sequence[Member]:
        """See `Membership.members`."""
        return () if self._replica is None else self._replica.members()

    def local(self) -> Member:
        """See `Membership.local`."""
        if self._replica is None:
            raise UsageError("the gossip engine has not been started")
        return self._replica.local()

    def leave(self, timeout_s: float) -> bool:
        """See `Membership.leave`."""
        return self._ask(lambda engine: engine.leave(timeout_s), False)

    def stop(self) -> None:
        """See `Membership.stop`. Waits until the thread has ended."""
        if self._mailbox is None or self._reader is None:
            return
        self._stopping = True  # for an engine that is still starting: told as soon as it can hear
        if self._inbox is not None:
            self._inbox.post(Stop())
        give_up_at = time.monotonic() + _END_PATIENCE_S
        while self._thread_end.locked() and time.monotonic() < give_up_at:
            gevent.sleep(_END_POLL_S)
        self._engine = None
        if self._thread_end.locked():
            # It may still post, so its mailbox stays open: better a leak at the end of a process than a crash.
            self._notify(Notice("error", "gossip thread does not end", (("waited_s", _END_PATIENCE_S),)))
        elif not self._mailbox.closed:
            self._mailbox.close()
        self._reader.kill()

    def _ask(self, run: Callable[[Engine], T], without_engine: T) -> T:
        """What `run` returns or raises in the engine's thread; `without_engine` if that has ended or ends meanwhile."""
        if self._inbox is None:
            return without_engine
        number = next(self._numbers)
        answer: AsyncResult[T] = AsyncResult()
        self._waiting[number] = (answer, without_engine)
        self._inbox.post(Call(number, run))
        return cast(T, answer.get())

    def _read(self, mailbox: Mailbox[ToApp], reporter: Reporter) -> None:
        """The one greenlet in which everything from the engine is handled."""
        handled = 0
        while True:
            item = mailbox.take()
            handled += 1
            rest = handled % _BATCH == 0
            try:
                if item is None or rest:
                    self._tell_losses(reporter)
                if item is not None:
                    self._handle(item)
            except Exception as error:  # noqa: BLE001 (the root; a listener must not raise)
                self._notify(Notice("error", "membership listener failed", (("error", repr(error)),)))
            if isinstance(item, Ended):
                return
            if item is None:
                mailbox.wait()
            elif rest:
                gevent.sleep(0)

    def _tell_losses(self, reporter: Reporter) -> None:
        if reporter.payloads_lost and self._listener is not None:
            reporter.payloads_lost = False
            self._listener.lost()
        if reporter.members_lost and self._inbox is not None:
            reporter.members_lost = False
            self._inbox.post(Refresh())

    def _handle(self, item: ToApp) -> None:
        assert self._listener is not None
        match item:
            case MemberJoined() | MemberUpdated() | MemberLeft() | MemberFailed():
                self._known().follow(item)
                report(self._listener, item)
            case Received():
                report(self._listener, item)
            case Notice():
                self._notify(item)
            case Snapshot(members):
                for missed in self._known().reconcile(members):
                    report(self._listener, missed)
            case Reply(number, value, error):
                self._answered(number, value, error)
            case Started(engine, inbox, members, local):
                self._engine, self._inbox, self._replica = engine, inbox, Replica(members, local)
                if self._stopping:
                    inbox.post(Stop())
                self._started.set()
            case Ended(error, inbox):
                self._ended(error, inbox)

    def _answered(self, number: int, value: object, error: Exception | None) -> None:
        answer, _ = self._waiting.pop(number)
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set(value)

    def _ended(self, error: BaseException | None, inbox: Mailbox[ToEngine] | None) -> None:
        self._engine = self._inbox = None
        if inbox is not None:
            inbox.post(Farewell())
        while self._waiting:
            _, (answer, without_engine) = self._waiting.popitem()
            answer.set(without_engine)
        if not self._started.ready():
            failed = error if isinstance(error, Exception) else Unreachable(f"the gossip thread ended: {error!r}")
            self._started.set_exception(failed)
        elif error is not None:
            self._notify(Notice("error", "gossip engine died", (("error", repr(error)),)))

    def _known(self) -> Replica:
        if self._replica is None:
            raise UsageError("the engine reported before it said that it had started")
        return self._replica
