"""The gevent driver: real sockets and the real clock around `Swim`. Its twin with a virtual clock is `simulate`.

Every input goes the same way: one call into the core, then its effects are carried out. Neither switches
greenlets, so the core sees one input at a time without any lock.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Any

import gevent
from gevent import Greenlet, socket
from gevent.event import AsyncResult, Event

from gossip.errors import Unreachable
from gossip.membership import Member, MembershipListener
from gossip.reporting import report
from gossip.swim.effects import (
    Address,
    CloseStream,
    Effect,
    JoinFinished,
    LeaveFinished,
    Notice,
    OpenStream,
    SendDatagram,
    WriteStream,
)
from gossip.swim.protocol import LocalNode, Swim
from gossip.swim.settings import Settings
from gossip.tcp import family_of
from gossip.transport import Notify, Transport
from gossip.wire.keyring import Keyring
from gossip.wire.sealing import Sealer


class UdpDriver:
    """The embedded engine: a `Membership` for the gevent hub that calls `start`."""

    def __init__(
        self,
        settings: Settings,
        local: LocalNode,
        *,
        rng: Random,
        notify: Notify,
        bind: Address | None = None,
        keyring: Keyring | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`local` is what others are told to call, `bind` where we listen: by default the same, host "" for all.
        With a `keyring` all is encrypted; it may change from now on in the thread of this hub only.

        `notify` takes the engine's lines for the log, and must not switch. Raises `UsageError` if `local` can't
        be told to others.
        """
        host, port = bind or (local.host, local.port)
        everything = "::" if family_of(local.host) == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 (asked for by "")
        self._bind: Address = (host or everything, port)
        self._settings = settings
        self._swim = Swim(settings, local, rng, None if keyring is None else Sealer(keyring, os.urandom))
        self._clock = clock
        self._notify = notify
        self._transport: Transport | None = None
        self._listener: MembershipListener | None = None
        self._timekeeper: Greenlet[..., Any] | None = None
        self._tokens = count(1)
        self._joins: dict[int, AsyncResult[JoinFinished]] = {}
        self._leaving: AsyncResult[bool] | None = None
        self._sooner = Event()
        self._alarm_at: float | None = None
        self._draining = False
        self._alive = False

    @property
    def alive(self) -> bool:
        """Whether it takes part: started, not stopped, and not ended by an error of its own."""
        return self._alive

    @property
    def health(self) -> int:
        """Lifeguard's local health score: 0 is healthy, 7 the worst."""
        return self._swim.health

    def start(self, listener: MembershipListener) -> None:
        """See `Membership.start`."""
        self._listener = listener
        self._transport = Transport(self._bind, self._settings, self, self._spawn, self._notify)
        self._alive = True
        self._swim.start(self._clock())
        self._carry_out_all()
        self._transport.start()
        self._timekeeper = self._spawn(self._keep_time)

    def join(self, addresses: Sequence[Address]) -> int:
        """See `Membership.join`."""
        if not self._alive:
            return 0
        token = next(self._tokens)
        answer: AsyncResult[JoinFinished] = AsyncResult()
        self._joins[token] = answer
        self._swim.join(token, addresses, self._clock())
        self._carry_out_all()
        result = answer.get()
        assert result is not None
        for (host, port), reason in result.errors:  # no warning: the caller knows whether it matters, and tries again
            self._notify(Notice("debug", "join failed", (("host", host), ("port", port), ("error", reason))))
        return result.reached

    def broadcast(self, topic: str, payload: bytes) -> None:
        """See `Membership.broadcast`."""
        self._swim.broadcast(topic, payload, self._clock())
        self._carry_out_all()

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """See `Membership.set_tags`."""
        self._swim.set_tags(tags, self._clock())
        self._carry_out_all()

    def members(self) -> Sequence[Member]:
        """See `Membership.members`."""
        return self._swim.members()

    def local(self) -> Member:
        """See `Membership.local`."""
        return self._swim.local()

    def leave(self, timeout_s: float) -> bool:
        """See `Membership.leave`."""
        if not self._alive:
            return False
        if self._leaving is None:
            self._leaving = AsyncResult()
            self._swim.leave(timeout_s, self._clock())
            self._carry_out_all()
        return bool(self._leaving.get())

    def stop(self) -> None:
        """See `Membership.stop`."""
        self._alive = False
        if self._timekeeper is not None:
            self._timekeeper.kill()
        if self._transport is not None:
            self._transport.stop()
        self._release_callers()

    # What the transport tells (it knows this object as its `TransportUser`).

    def datagram_received(self, data: bytes, sender: Address) -> None:
        """Handed to the core."""
        self._swim.receive_datagram(data, sender, self._clock())
        self._carry_out_all()

    def stream_accepted(self, number: int, peer: Address) -> None:
        """Handed to the core."""
        self._swim.stream_accepted(number, peer, self._clock())
        self._carry_out_all()

    def stream_opened(self, number: int) -> None:
        """Handed to the core."""
        self._swim.stream_opened(number, self._clock())
        self._carry_out_all()

    def stream_received(self, number: int, data: bytes) -> None:
        """Handed to the core."""
        self._swim.receive_stream(number, data, self._clock())
        self._carry_out_all()

    def stream_ended(self, number: int, reason: str) -> None:
        """Handed to the core."""
        self._swim.stream_closed(number, reason, self._clock())
        self._carry_out_all()

    def _keep_time(self) -> None:
        while True:
            self._sooner.clear()
            self._alarm_at = self._swim.next_deadline()
            wait_s = None if self._alarm_at is None else self._alarm_at - self._clock()
            if wait_s is None or wait_s > 0:
                self._sooner.wait(wait_s)
                continue
            # An ack that waits in the socket is no missing ack, however late this hub comes to read it.
            self._open_transport().hear_waiting()
            self._swim.tick(self._clock())
            self._carry_out_all()
            gevent.sleep(0)

    def _carry_out_all(self) -> None:
        """Carry out what the core asks for; what that makes it ask for is left to the outermost call, in order."""
        if self._draining:
            return
        self._draining = True
        try:
            while effects := self._swim.effects():
                for effect in effects:
                    self._carry_out(effect)
        finally:
            self._draining = False
        deadline = self._swim.next_deadline()
        if deadline is not None and (self._alarm_at is None or deadline < self._alarm_at):
            self._sooner.set()

    def _carry_out(self, effect: Effect) -> None:
        assert self._listener is not None
        match effect:
            case SendDatagram(to, data):
                self._open_transport().send(to, data)
            case OpenStream(stream, to, timeout_s):
                self._open_transport().open_stream(stream, to, timeout_s)
            case WriteStream(stream, data):
                self._open_transport().write_stream(stream, data)
            case CloseStream(stream):
                self._open_transport().close_stream(stream)
            case Notice():
                self._notify(effect)
            case JoinFinished(token):
                if (waiting := self._joins.pop(token, None)) is not None:  # None: released, as the engine has failed
                    waiting.set(effect)
            case LeaveFinished(told):
                if self._leaving is not None:
                    self._leaving.set(told)
            case _:
                report(self._listener, effect)

    def _open_transport(self) -> Transport:
        if self._transport is None:
            raise Unreachable("the gossip engine has not been started")
        return self._transport

    def _spawn(self, body: Callable[[], None]) -> "Greenlet[..., Any]":
        return gevent.spawn(partial(self._root, body))

    def _root(self, body: Callable[[], None]) -> None:
        """Of every greenlet here: an error of ours ends the engine visibly, instead of leaving half of one."""
        try:
            body()
        except Exception as error:  # noqa: BLE001 (a root)
            self._alive = False
            where = getattr(body, "__qualname__", "")
            self._notify(Notice("error", "gossip engine failed", (("in", where), ("error", repr(error)))))
            self._release_callers()

    def _release_callers(self) -> None:
        """Nobody goes on waiting for an engine that has ended."""
        while self._joins:
            token, answer = self._joins.popitem()
            answer.set(JoinFinished(token, 0, ()))
        if self._leaving is not None and not self._leaving.ready():
            self._leaving.set(False)
