"""Asks containerd about content whose file has landed, until its database knows it too."""

import time
from collections.abc import Callable

from gevent.event import Event

from app.content.containerd.api import ContainerdApi
from app.content.containerd.landing import Landings
from app.content.inventory import Content
from app.content.store import StoreError
from app.key import Digest


class LandingQuestions:
    """Owned by the one greenlet that runs `answer_all`; `found` is called with what containerd knows."""

    def __init__(self, api: ContainerdApi, found: Callable[[Digest, Content], None]) -> None:
        self._api = api
        self._found = found
        self._landings = Landings()
        self._news = Event()

    def ask(self, digest: Digest) -> bool:
        """False if there are too many questions already: list instead."""
        self._news.set()
        return self._landings.add(digest, time.monotonic())

    def cancel(self, digest: Digest) -> None:
        """It is gone: an answer that is under way says nothing any more."""
        self._landings.discard(digest)

    def answer_all(self) -> None:
        """Wait for the next question that is due, ask it, and so on for ever. One at a time: 0.3 ms each."""
        while True:
            self._answer_next()

    def _answer_next(self) -> None:
        while (digest := self._landings.due(time.monotonic())) is None:
            self._news.clear()
            due_at = self._landings.next_due()
            self._news.wait(None if due_at is None else max(0.0, due_at - time.monotonic()))
        try:
            content = self._api.content(digest)
        except StoreError:
            self._landings.again(digest, time.monotonic())
            return
        if digest not in self._landings:
            return
        self._found(digest, content)
        if content.sources:
            self._landings.discard(digest)
        else:
            self._landings.again(digest, time.monotonic())
