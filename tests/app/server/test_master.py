"""The master process: what it sets, what it refuses, and how light it stays."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing

import pytest

from app.server.master import Master, serve
from app.server.sockets import listen
from app.server.worker import Application
from tests.fake_service import FakeConfig


def never() -> Application:
    raise AssertionError("nothing may be loaded")


def test_a_busy_port_ends_before_anything_is_started(caplog: pytest.LogCaptureFixture) -> None:
    """Exit code 1 and one line that says it."""
    with closing(listen(("127.0.0.1", 0))) as taken:
        address = taken.getsockname()
        free = ("127.0.0.1", 0)
        assert serve(FakeConfig(free, address, free, 1.0), never) == 1
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.getMessage().startswith(f"can't start: --metrics-addr 127.0.0.1:{address[1]}: ")


def test_an_agent_has_the_gossip_port(caplog: pytest.LogCaptureFixture) -> None:
    """It is no problem that it is taken then; the others are."""
    with closing(listen(("127.0.0.1", 0))) as taken:
        address = taken.getsockname()
        free = ("127.0.0.1", 0)
        assert serve(FakeConfig(free, address, address, 1.0, "serf"), never) == 1
        assert serve(FakeConfig(free, address, address, 1.0, "swim"), never) == 1
    with_agent, without = (record.getMessage() for record in caplog.records)
    assert "--gossip-addr" not in with_agent
    assert "--gossip-addr" in without


@pytest.mark.parametrize("handler", [Master.handle_hup, Master.handle_usr2, Master.handle_ttin, Master.handle_ttou])
def test_no_signal_starts_a_second_worker(handler: Callable[[Master], None], caplog: pytest.LogCaptureFixture) -> None:
    """Reload, upgrade and more workers are refused aloud; the handlers touch nothing of the master."""
    handler(Master.__new__(Master))
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_the_master_loads_nothing_of_the_workers() -> None:
    """It would be inherited half-way, and cost its memory twice. A process of its own, as this one has loaded all."""
    heavy = ["flask", "grpc", "structlog", "prometheus_client", "requests", "app.registry", "gossip"]
    program = f"import app.server.master, json, sys; print(json.dumps([m for m in {heavy!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
