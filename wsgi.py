"""The WSGI entry: a configuration becomes a node, and the node an application for the worker. Nothing else."""

import os

from app.config.config import Config
from app.node import Node
from app.server.worker import Application


def build(config: Config | None = None) -> Application:
    """The application of a node with this configuration, by default the one that the environment gives.

    Call it in the worker process, after gevent's patch. Raises `ConfigError` for an environment that can't be used.
    """
    return Application(Node(Config.from_options({}, os.environ) if config is None else config))
