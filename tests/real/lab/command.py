"""Runs a short command to its end."""

import subprocess


class CommandFailed(Exception):
    """A command of the harness failed; the text has its words and what it said."""


def run(*words: str, timeout_s: float = 30.0) -> str:
    """What the command printed. Raises `CommandFailed`, also when it takes longer than `timeout_s`."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired) as problem:
        raise CommandFailed(f"{' '.join(words)}: {problem} (is it installed? run `make setup`)") from problem
    if done.returncode:
        raise CommandFailed(f"{' '.join(words)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
