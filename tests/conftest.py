"""What holds for every test: the process is patched like the worker's, nothing leaks, and randomness can be replayed.

The product runs in a process whose standard library gevent has patched (the worker does it first of all). Tests that
ran unpatched would test another program: a blocking call that stalls the hub in production would pass here, and a lock
that needs the hub would never switch.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402  - nothing may be imported before the patch

# Tests start programs. gRPC would stop its own threads around each fork, and a channel that was connecting at that
# moment hangs for 20 s and more in one of 25 cases (measured). The product never forks after gRPC has started.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from collections.abc import Iterator  # noqa: E402

import gevent  # noqa: E402
import hypothesis  # noqa: E402
import pytest  # noqa: E402

from tests.leaks import Census, GreenletRegister  # noqa: E402

hypothesis.settings.register_profile("here", deadline=None, print_blob=True)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure(config: pytest.Config) -> None:
    """Make what the process keeps for good, so that no test is blamed for having been the first to need it."""
    hub = gevent.get_hub()
    hub.threadpool.apply(int)  # its worker thread and its wake-up descriptor
    hub.loop.async_()


@pytest.fixture(scope="session")
def greenlet_register() -> Iterator[GreenletRegister]:
    """Every greenlet spawned from here on."""
    register = GreenletRegister()
    register.install()
    yield register
    register.uninstall()


@pytest.fixture(autouse=True)
def no_leaks(greenlet_register: GreenletRegister) -> Iterator[None]:
    """Fail the test that leaves a greenlet, a thread or a file descriptor behind."""
    before = Census.take(greenlet_register)
    yield
    left = before.what_is_new(greenlet_register, patience_s=1.0)
    if left:
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)
