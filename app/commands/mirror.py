"""`rykte mirror add` and `rykte mirror remove`."""

from collections.abc import Sequence
from pathlib import Path

import click

from app.config import values as option_values
from app.mirrors.files import HostsFiles, Outcome
from app.mirrors.plan import MirrorError, Mirrors, Registry, mirror_url


def add(
    certs_dir: Path, registries: Sequence[str], mirrors: Sequence[str], *, resolve_tags: bool, dial_timeout: str
) -> None:
    """Write the files and say what was done. Raises `click.ClickException`."""
    _check_certs_dir(certs_dir)
    parsed, urls, mistakes = [], [], []
    for text in registries:
        try:
            parsed.append(Registry.parse(text))
        except ValueError as wrong:
            mistakes.append(f"--registry {text!r} {wrong}")
    if len({each.host for each in parsed}) < len(set(parsed)):
        mistakes.append("--registry names one host both as http:// and as https://: give one of them")
    for text in mirrors:
        try:
            urls.append(mirror_url(text))
        except ValueError as wrong:
            mistakes.append(f"--mirror {text!r} {wrong}")
    try:
        option_values.duration("1ms", "5m")(dial_timeout)
    except ValueError as wrong:
        mistakes.append(f"--dial-timeout {dial_timeout!r} {wrong}")
    if mistakes:
        raise click.UsageError("\n  ".join(mistakes))
    for url in urls:
        if "[" in url:
            click.echo(
                f"note: containerd 1.x ignores a file with an IPv6 literal such as {url}; 2.x reads it", err=True
            )
    wanted = Mirrors(tuple(dict.fromkeys(urls)), resolve_tags=resolve_tags, dial_timeout=dial_timeout)
    try:
        _tell(certs_dir, HostsFiles(certs_dir).add(parsed, wanted))
    except MirrorError as error:
        raise click.ClickException(str(error)) from error


def remove(certs_dir: Path) -> None:
    """Give everything back and say what was done. Raises `click.ClickException`."""
    _check_certs_dir(certs_dir)
    try:
        outcomes = HostsFiles(certs_dir).remove()
    except MirrorError as error:
        raise click.ClickException(str(error)) from error
    if not outcomes:
        click.echo(f"nothing of rykte's in {certs_dir}")
    _tell(certs_dir, outcomes)


def _check_certs_dir(certs_dir: Path) -> None:
    """Refuse what is left of the option when a script's variable is not set: it means the current directory."""
    if certs_dir == Path():
        raise click.UsageError("--certs-dir is empty: give containerd's config_path, such as /etc/containerd/certs.d")


def _tell(certs_dir: Path, outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        click.echo(f"{outcome.done} {certs_dir / outcome.directory}")
        if outcome.kept is not None:
            click.echo(f"note: {outcome.kept}", err=True)
