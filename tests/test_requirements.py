"""The lock files pin what setup.cfg asks for, with hashes, and tie nobody to a package index."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOCKS = ("build.txt", "run.txt", "test.txt")
_PIN = re.compile(r"^([a-z0-9-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, set[str]]:
    """Distribution name to its pinned versions (more than one where they differ by marker)."""
    found: dict[str, set[str]] = {}
    for name, version in _PIN.findall((ROOT / "requirements" / lock).read_text()):
        found.setdefault(name, set()).add(version)
    return found


def names(requirements: str) -> set[str]:
    """Normalised names of a setup.cfg list."""
    words = (re.match(r"[A-Za-z0-9._-]+", line) for line in requirements.split())
    return {re.sub(r"[-_.]+", "-", word[0]).lower() for word in words if word}


def metadata() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address(lock):
    """A lock file names no package index: everybody installs from the one their machine is set up for."""
    text = (ROOT / "requirements" / lock).read_text()
    assert "://" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock):
    """pip refuses the whole file if one pin has no hash, so each has one."""
    entries = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements" / lock).read_text())
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_run_covers_setup_cfg():
    """Each run-time requirement of setup.cfg is pinned in run.txt."""
    assert names(metadata()["options"]["install_requires"]) - pins("run.txt").keys() == set()


def test_test_covers_setup_cfg():
    """Each requirement of the test extra is pinned in test.txt."""
    assert names(metadata()["options.extras_require"]["test"]) - pins("test.txt").keys() == set()


def test_tests_run_what_users_run():
    """What is pinned for users is pinned to the same version for the tests."""
    test = pins("test.txt")
    assert {name: test.get(name) for name in pins("run.txt")} == pins("run.txt")
