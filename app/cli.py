"""The command `rykte`. Exit codes: 0 done, 1 it failed, 2 it was asked for in a wrong way.

Only click and our option table are imported here. What a command needs it imports when it runs: gunicorn's master is
made by `rykte serve` and has to stay light, and an init container with `rykte mirror add` should not wait for Flask.
"""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from app import __version__
from app.commands import serve as serving

if TYPE_CHECKING:
    from app.commands.api import Api

_DEFAULT_API = "http://127.0.0.1:9090"


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rykte", message="%(prog)s %(version)s")
def cli() -> None:
    """Rykte, a registry mirror that lets the nodes of a cluster serve each other the images they hold."""


@cli.command()
@serving.options
@click.pass_context
def serve(context: click.Context, /, **given: Any) -> None:
    """Run the mirror of this node.

    Each option may also be given by an environment variable: RYKTE_ and the option's name in capitals, such as
    RYKTE_REGISTRY_ADDR. An option on the command line goes first.
    """
    context.exit(serving.run(given))


@cli.command()
def keygen() -> None:
    """Print a new random key for the file of `rykte serve --gossip-key-file`, and for `serf keys`."""
    from app.commands.keygen import new_key

    click.echo(new_key())


@cli.group()
def mirror() -> None:
    """Tell containerd to ask the mirror first, by its hosts.toml files."""


_certs_dir_option = click.option(
    "--certs-dir",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="containerd's config_path, such as /etc/containerd/certs.d.",
)


@mirror.command()
@_certs_dir_option
@click.option(
    "--registry",
    "registries",
    multiple=True,
    required=True,
    metavar="URL|_default",
    help="A registry to be mirrored, such as https://docker.io, or _default for all that have no directory of their"
    " own. May be given repeatedly.",
)
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    required=True,
    metavar="URL",
    help="The address of a mirror as the node's containerd reaches it, such as http://127.0.0.1:5000. May be given"
    " repeatedly; they are tried in this order.",
)
@click.option(
    "--resolve-tags/--no-resolve-tags",
    default=True,
    show_default=True,
    help="Whether the mirror is asked for tags, or for digests alone.",
)
@click.option(
    "--dial-timeout",
    default="200ms",
    show_default=True,
    metavar="DURATION",
    help="When containerd gives up connecting to a mirror. Versions before 2.1 ignore it.",
)
def add(
    certs_dir: Path, registries: tuple[str, ...], mirrors: tuple[str, ...], resolve_tags: bool, dial_timeout: str
) -> None:
    """Let containerd ask the mirrors before the registries.

    What a hosts.toml says already stays behind the mirrors, and is kept aside to be given back by `mirror remove`.
    Running this again changes nothing; with other options it updates the files.
    """
    from app.commands import mirror as mirroring

    mirroring.add(certs_dir, registries, mirrors, resolve_tags=resolve_tags, dial_timeout=dial_timeout)


@mirror.command()
@_certs_dir_option
def remove(certs_dir: Path) -> None:
    """Take back what `mirror add` did: each hosts.toml is as it was before, byte for byte."""
    from app.commands import mirror as mirroring

    mirroring.remove(certs_dir)


_api_option = click.option(
    "--api",
    default=_DEFAULT_API,
    show_default=True,
    envvar="RYKTE_API",
    metavar="URL",
    help="The metrics address of the node to ask.",
)
_output_option = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to show the answer."
)
_timeout_option = click.option(
    "--timeout", type=click.FloatRange(0.1, 600), default=10.0, show_default=True, help="Seconds to wait for the node."
)


def _asking(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the node to ask, and the options that say which one and how the answer is shown."""

    @_api_option
    @_output_option
    @_timeout_option
    @wraps(command)
    def ask(api: str, output: str, timeout: float, **arguments: str) -> None:
        from app.commands.api import Api

        command(Api(api, timeout), as_json=output == "json", **arguments)

    return ask


@cli.command()
@_asking
def status(api: "Api", as_json: bool) -> None:
    """Show whether the node is ready and what it holds. Exits with 1 when it is not ready."""
    from app.commands import inspect

    text, ready = inspect.status(api, as_json=as_json)
    click.echo(text)
    if not ready:
        sys.exit(1)


@cli.command()
@_asking
def members(api: "Api", as_json: bool) -> None:
    """List the members of the cluster as the node sees them."""
    from app.commands import inspect

    click.echo(inspect.members(api, as_json=as_json))


@cli.command()
@click.argument("reference", metavar="REF|DIGEST")
@_asking
def holders(api: "Api", as_json: bool, reference: str) -> None:
    """List the members that have REF (registry/repository:tag) or DIGEST; each is asked whether that is still true."""
    from app.commands import inspect

    click.echo(inspect.holders(api, reference, as_json=as_json))


def main() -> NoReturn:
    """Entry point of the console script."""
    cli(prog_name="rykte")
    raise AssertionError("click ends the process")
