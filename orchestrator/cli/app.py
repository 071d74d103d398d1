"""The command `snapctl`: its global options and its verbs, in the order in which people meet them."""

from __future__ import annotations

import click

from .catalog import catalog
from .checkpoint import checkpoint
from .collapse import collapse, flatten
from .completion import completion
from .delete import delete
from .doctor import doctor
from .edit import edit
from .listing import list_
from .options import global_options
from .pop import pop
from .protect import protect
from .prune import prune
from .push import push
from .recover import recover
from .rollback import rollback
from .show import show
from .tree import tree
from .undo import undo
from .unprotect import unprotect
from .usage import usage
from .verify import verify


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
    epilog="The options may also follow the verb. Exit codes: 0 done, 1 failed and nothing changed, 2 usage or "
    "configuration, 3 hypervisor or catalog not reachable, 4 busy, 5 integrity, 6 not found, exists or refused, "
    "7 unfinished (run: snapctl recover), 130 interrupted.",
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
