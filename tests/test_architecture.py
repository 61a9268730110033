"""The rules of the house that no tool checks: sizes, randomness, documentation of metrics, words that may not occur.

Who may import whom stands in setup.cfg and is checked here too, so that a lone `pytest` tells of it.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.metrics import Metrics

ROOT = Path(__file__).parent.parent
PRODUCT = sorted(
    path
    for path in [*ROOT.glob("app/**/*.py"), *ROOT.glob("gossip/**/*.py"), ROOT / "wsgi.py"]
    if not path.name.endswith("_pb2.py")
)
MAX_LINES = 300
MAX_FUNCTION_LINES = 40
TABLES = {("app/metrics.py", "__init__")}  # a list of statements of one kind, which gains nothing by being cut
LONGEST_TURN_S = 0.05  # what paces a slow client or polls is no wait for time to pass


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_import_contracts():
    """The direction of dependency is the one of setup.cfg."""
    command = [Path(sys.executable).with_name("lint-imports"), "--cache-dir", ".import_linter_cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PRODUCT, ids=relative)
def test_size(path: Path):
    """A product file is one concept, which fits in 300 lines, and its functions fit on a screen."""
    text = path.read_text()
    assert text.count("\n") < MAX_LINES
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    long = {node.name: code_lines(node) for node in functions if code_lines(node) > MAX_FUNCTION_LINES}
    assert {name: lines for name, lines in long.items() if (relative(path), name) not in TABLES} == {}


def code_lines(function: ast.FunctionDef) -> int:
    """Lines from the signature to the end, without the docstring."""
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", PRODUCT, ids=relative)
def test_no_global_randomness(path: Path):
    """Random choices come from a source that was handed in, so that a run can be replayed."""
    calls = [
        f"line {node.lineno}: random.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random"
        if node.attr not in ("Random", "SystemRandom")
    ]
    assert calls == []


def test_module_docstrings():
    """Each product module begins by saying what it is responsible for."""
    silent = [
        relative(path) for path in PRODUCT if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def metric_families() -> dict[str, list[str]]:
    """Name as it is exposed, and labels, of every family of ours."""
    metrics = Metrics()
    metrics.members(lambda: [("alive", 1)])
    families = {}
    for attribute in vars(metrics).values():
        if hasattr(attribute, "_labelnames"):
            (family,) = attribute.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            families[name] = list(attribute._labelnames)
    families["rykte_members"] = ["state"]
    return families


def test_metrics_are_documented():
    """docs/metrics.md has one row for each family, with exactly its labels, and none for what does not exist."""
    documented = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        if line.startswith("| `rykte_"):
            name, _, labels, _ = (cell.strip() for cell in line.strip("|").split("|"))
            documented[name.strip("`")] = re.findall(r"`(\w+)`", labels)
    assert documented == metric_families()


def test_every_test_says_what_it_shows():
    """A test function has a docstring of one sentence; the name alone is no claim."""
    silent = []
    for path in sorted((ROOT / "tests").glob("**/test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node):
                silent.append(f"{relative(path)}:{node.lineno} {node.name}")
    assert silent == []


def test_no_sleep_in_unit_tests():
    """Only the tests with real parts wait for time to pass; to give others a turn is not waiting."""
    with_real_parts = {ROOT / "tests/real", ROOT / "tests/golden"}
    sleeping = [
        f"{relative(path)}:{number}"
        for path in sorted((ROOT / "tests").glob("**/test_*.py"))
        if not with_real_parts.intersection(path.parents)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (call := re.search(r"^\s*\w*\.?sleep\((\d[\d.]*)\)", line)) and float(call[1]) > LONGEST_TURN_S
    ]
    assert sleeping == []
