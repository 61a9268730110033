"""Fixtures of the tests with real parts: the lab, and its logs where a test fails."""

import signal
from collections.abc import Generator, Iterator
from types import FrameType

import pytest

from tests.real.lab.containerd import Release, releases
from tests.real.lab.lab import Lab


def pytest_configure(config: pytest.Config) -> None:
    """Being told to end is like Ctrl-C: fixtures are torn down, and with them the lab."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module", params=releases(), ids=lambda release: release.label)
def release(request: pytest.FixtureRequest) -> Release:
    """Each containerd in turn; a missing one fails the tests and says what to do."""
    found: Release = request.param
    print(f"{found.label} is {found.check()}")
    return found


@pytest.fixture(scope="module")
def shared_lab(release: Release) -> Iterator[Lab]:
    """Three nodes and the registry, made once for all tests of a module; nothing is started."""
    with Lab(release, ("n1", "n2", "n3")) as lab:
        yield lab


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the ends of all logs of the lab to the report of a test that failed."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("shared_lab")
    if report.failed and lab is not None:
        report.sections += [(f"log of {title}", text) for title, text in lab.logs().items()]
    return report
