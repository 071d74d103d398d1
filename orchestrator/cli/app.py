"""The command `snapctl`: its global options and its verbs, in the order in which people meet them."""

from __future__ import annotations

import click

from .commands.catalog import catalog
from .commands.checkpoint import checkpoint
from .commands.collapse import collapse, flatten
from .commands.delete import delete
from .commands.doctor import doctor
from .commands.edit import edit
from .commands.list_ import list_
from .commands.pop import pop
from .commands.protect import protect
from .commands.prune import prune
from .commands.push import push
from .commands.recover import recover
from .commands.rollback import rollback
from .commands.show import show
from .commands.tree import tree
from .commands.undo import undo
from .commands.unprotect import unprotect
from .commands.usage import usage
from .commands.verify import verify
from .completion import completion
from .options import global_options


class Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("snapctl")
        except PackageNotFoundError:  # run from a checkout that was never installed
            number = "(not installed)"
        click.echo(f"snapctl {number}")
        context.exit()


@click.group(
    cls=Verbs,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The options can also be given after the verb. Exit codes: 0 done, 1 failed and nothing changed, 2 usage or "
    "configuration, 3 hypervisor or catalog not reachable, 4 busy, 5 damaged files, 6 not found, exists or refused, "
    "7 unfinished (run: snapctl recover), 130 if Ctrl-C interrupted something (143: SIGTERM, 129: SIGHUP).",
)
@global_options(hidden=False)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def snapctl() -> None:
    """Checkpoint running libvirt guests, memory and disks of one instant, and roll back as often as you like."""


VERBS = (
    *(checkpoint, rollback, undo, push, pop),
    *(list_, tree, show, usage),
    *(edit, protect, unprotect, delete, prune, collapse, flatten),
    *(verify, doctor, recover, catalog, completion),
)
for verb in VERBS:
    snapctl.add_command(verb)
