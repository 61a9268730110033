"""gunicorn's logger without handlers of its own: its words go where all the others go (see `app/log.py`)."""

import logging
from typing import Any

from gunicorn.glogging import Logger


class GunicornLogger(Logger):  # type: ignore[misc]  # gunicorn carries no types
    """For gunicorn's setting `logger_class`. Access logging is left to the registry, which knows more."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn with its settings, once in the master."""
        self.cfg = cfg
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
        self.access_log.disabled = True

    def reopen_files(self) -> None:
        """There are none."""

    def close_on_exec(self) -> None:
        """There is nothing to close."""
