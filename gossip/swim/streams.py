"""Stream conversations without a socket: one message there, at most one back, then the stream is closed.

Knows how a conversation runs, not what it is about: push/pull, the stream ping and reliable user messages all have
this shape (memberlist `net.go` `handleConn`, `sendAndReceiveState`, `sendPingAndWaitForAck`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from gossip.errors import WireError
from gossip.swim.context import Context
from gossip.swim.effects import Address, CloseStream, OpenStream, WriteStream
from gossip.swim.timers import Timer
from gossip.wire.messages import ErrorReply, Message
from gossip.wire.stream import StreamDecoder, StreamLimits, encode_stream

#: Told once how an exchange ended: the reply, or None and why there is none; then the time.
Done = Callable[[Message | None, str, float], None]
#: Answers the message of an accepted stream: bytes to send back, or None.
Answer = Callable[[Message, float], bytes | None]


@dataclass(slots=True)
class _Conversation:
    peer: Address
    timer: Timer
    decoder: StreamDecoder
    buffered: int = 0
    request: Callable[[], bytes] | None = None
    done: Done | None = None  # None: we were called


class Streams:
    """All open streams. Own ones have positive numbers, accepted ones negative (the driver's choice)."""

    def __init__(self, context: Context, answer: Answer) -> None:
        self._settings = context.settings
        self._answer = answer
        self._sealer = context.sealer
        self._timers = context.timers
        self._outbox = context.outbox
        self._numbers = count(1)
        self._open: dict[int, _Conversation] = {}
        self._buffered = 0
        self._limits = StreamLimits(
            user_bytes=context.settings.stream_message_bytes,
            nodes=context.settings.member_limit,
            message_bytes=context.settings.stream_message_bytes,
        )
        self._accepted = 0

    def exchange(self, to: Address, request: Callable[[], bytes], timeout_s: float, done: Done, now: float) -> int:
        """Send what `request` gives once connected, and hand the one reply to `done`, unless cancelled before."""
        stream = next(self._numbers)

        def expired(now: float) -> None:
            self._end(stream, None, f"no answer within {timeout_s:g} s", now, close=True)

        timer = self._timers.at(now + timeout_s, expired)
        self._open[stream] = _Conversation(to, timer, self._decoder(), request=request, done=done)
        self._outbox.put(OpenStream(stream, to, timeout_s))
        return stream

    def cancel(self, stream: int) -> None:
        """Close a stream whose reply nobody waits for any more; `done` is not called. Unknown numbers are ignored."""
        if self._forget(stream) is not None:
            self._outbox.put(CloseStream(stream))

    def accepted(self, stream: int, peer: Address, now: float) -> None:
        """Somebody called; one too many is closed unread."""
        if self._accepted >= self._settings.stream_limit:
            self._outbox.complain("too many streams at once, one closed", now, peer=peer[0])
            self._outbox.put(CloseStream(stream))
            return

        def expired(now: float) -> None:
            self._outbox.complain("stream without a whole message closed", now, peer=peer[0])
            self.cancel(stream)

        self._accepted += 1
        timer = self._timers.at(now + self._settings.stream_timeout_s, expired)
        self._open[stream] = _Conversation(peer, timer, self._decoder())

    def opened(self, stream: int) -> None:
        """Our call was taken: speak."""
        conversation = self._open.get(stream)
        if conversation is not None and conversation.request is not None:
            self._write(stream, conversation.request())
            conversation.request = None

    def received(self, stream: int, data: bytes, now: float) -> None:
        """Bytes of the other side, cut anyhow."""
        conversation = self._open.get(stream)
        if conversation is None:
            return
        conversation.buffered += len(data)
        self._buffered += len(data)
        try:
            if self._buffered > self._settings.stream_buffer_bytes:
                raise WireError(f"unfinished messages take more than {self._settings.stream_buffer_bytes} bytes here")
            message = conversation.decoder.feed(data)
        except WireError as error:
            self._refuse(stream, conversation, error, now)
            return
        if message is None:
            return
        if conversation.done is None:
            self._reply(stream, conversation, message, now)
        elif isinstance(message, ErrorReply):
            self._end(stream, None, f"refused: {message.error}", now, close=True)
        else:
            self._end(stream, message, "", now, close=True)

    def closed(self, stream: int, reason: str, now: float) -> None:
        """The stream is gone, by the other side's end of data (no reason) or by an error."""
        conversation = self._open.get(stream)
        if conversation is None:
            return
        # An end of data is the other half only: our side is still ours to close.
        self._end(stream, None, reason or "closed without an answer", now, close=not reason)

    def _decoder(self) -> StreamDecoder:
        return StreamDecoder(self._limits, self._sealer)

    def _write(self, stream: int, message: bytes) -> None:
        self._outbox.put(WriteStream(stream, message if self._sealer is None else self._sealer.seal_stream(message)))

    def _reply(self, stream: int, conversation: _Conversation, message: Message, now: float) -> None:
        self._forget(stream)
        try:
            reply = self._answer(message, now)
        except WireError as error:
            self._complain(conversation, error, now)
            reply = encode_stream(ErrorReply(str(error)))
        if reply is not None:
            self._write(stream, reply)
        self._outbox.put(CloseStream(stream))

    def _refuse(self, stream: int, conversation: _Conversation, error: WireError, now: float) -> None:
        """Nonsense: tell a caller so; an answer of that kind is no answer."""
        self._complain(conversation, error, now)
        if conversation.done is None:
            self._write(stream, encode_stream(ErrorReply(str(error))))
        self._end(stream, None, f"not understood: {error}", now, close=True)

    def _complain(self, conversation: _Conversation, error: WireError, now: float) -> None:
        self._outbox.complain("stream refused", now, peer=conversation.peer[0], error=str(error))

    def _end(self, stream: int, reply: Message | None, reason: str, now: float, *, close: bool) -> None:
        conversation = self._forget(stream)
        if conversation is None:
            return
        if close:
            self._outbox.put(CloseStream(stream))
        if conversation.done is not None:
            conversation.done(reply, reason, now)

    def _forget(self, stream: int) -> _Conversation | None:
        conversation = self._open.pop(stream, None)
        if conversation is not None:
            conversation.timer.cancel()
            self._accepted -= conversation.done is None
            self._buffered -= conversation.buffered
        return conversation
