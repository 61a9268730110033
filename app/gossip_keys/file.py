"""The key file on disk, read at the start and again whenever its content has changed.

Looked at every few seconds instead of being watched: a Secret that Kubernetes mounts is replaced by swapping symbolic
links above it, and a file of a hundred bytes costs microseconds to read. A file that became bad or went away
changes nothing: who loses the keys that all others have is out of the cluster.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import structlog
from gevent import Greenlet

from app.gossip_keys.text import parse_keys
from gossip.wire.keyring import Key, Keyring

log = structlog.get_logger()

INTERVAL_S = 2.0
#: Sixteen keys and a page of comments; more is another file.
MAX_BYTES = 16 << 10

#: Runs something in the thread that the keyring belongs to.
Order = Callable[[Callable[[], object]], None]


class KeyFileError(Exception):
    """The file can't be used. The text names it, the line and the remedy, never a key."""


class GossipKeys:
    """The keyring of a node and where it comes from. Without a path there is none, and nothing is ever done."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._order: Order = _at_once
        self._content = b""
        self._problem = ""
        self._greenlet: Greenlet[..., Any] | None = None
        #: Made by `load`; from the engine's start on it belongs to the engine's thread.
        self.keyring: Keyring | None = None

    def bind(self, order: Order) -> None:
        """Let `order` change the keyring: an engine in a thread of its own must find it changed there only."""
        self._order = order

    def load(self) -> None:
        """Make the keyring. Raises `KeyFileError`."""
        if self._path is not None:
            self._content = _read(self._path)
            self.keyring = Keyring(_parsed(self._path, self._content))
            log.info("gossip is encrypted", path=str(self._path), keys=len(self.keyring.keys))

    def start(self) -> None:
        """Follow the file from now on."""
        if self.keyring is not None:
            self._greenlet = gevent.spawn(self._follow)

    def stop(self) -> None:
        """Follow it no more. Idempotent."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def look(self) -> None:
        """Take over what the file holds now, if that is not what was there at the last look."""
        if self._path is None or self.keyring is None:
            return
        try:
            content = _read(self._path)
            if content == self._content:
                self._problem = ""
                return
            self._content = content
            keys = _parsed(self._path, content)
        except KeyFileError as error:
            if str(error) != self._problem:
                log.error("gossip key file can't be used, the keys read before stay in use", error=str(error))
            self._problem = str(error)
            return
        keyring = self.keyring
        self._order(lambda: keyring.follow(keys))
        log.info("gossip keys read again", path=str(self._path), keys=len(keys))

    def _follow(self) -> None:
        while True:
            gevent.sleep(INTERVAL_S)
            self.look()


def _at_once(run: Callable[[], object]) -> None:
    run()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeyFileError(
            f"--gossip-key-file '{path}' can't be read ({error.strerror}): make one with `rykte keygen`,"
            " readable for this process"
        ) from error
    if len(content) > MAX_BYTES:
        raise KeyFileError(f"--gossip-key-file '{path}' has more than {MAX_BYTES} bytes: it is no list of keys")
    return content


def _parsed(path: Path, content: bytes) -> tuple[Key, ...]:
    try:
        return parse_keys(content.decode("utf-8-sig", "replace"))
    except ValueError as error:
        raise KeyFileError(f"--gossip-key-file '{path}', {error}") from None
