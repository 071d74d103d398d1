"""`snapctl completion`, and what the shell asks of snapctl when Tab is pressed."""

from __future__ import annotations

from collections.abc import Iterable

import click

from ..errors import SnapctlError
from ..model import CheckpointSummary
from . import COMPLETE_VARIABLE, streams
from .options import examples, global_options
from .session import Session


@click.command(epilog=examples('eval "$(snapctl completion bash)"', "snapctl completion zsh > ~/.zfunc/_snapctl"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@global_options(hidden=True)
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is not None:
        streams.put(found(context.find_root().command, {}, "snapctl", COMPLETE_VARIABLE).source() + "\n")


def complete(command: click.Command, instruction: str, session: Session) -> int:
    """Answer the shell's completion function."""
    from click.shell_completion import shell_complete

    session.quiet = True
    return shell_complete(command, {"obj": session}, "snapctl", COMPLETE_VARIABLE, instruction)


def domains(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Candidates for DOMAIN: those that have checkpoints."""
    return _beginning({each.domain for each in _known(context, None)}, incomplete)


def checkpoints(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Candidates for NAME: the checkpoints of the DOMAIN before it."""
    return _beginning({each.name for each in _known(context, context.params.get("domain"))}, incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _known(context: click.Context, domain: str | None) -> list[CheckpointSummary]:
    """The checkpoints there are; none when they cannot be had, as a failing Tab must be silent."""
    try:
        with context.ensure_object(Session).coordinator() as coordinator:
            return coordinator.list(domain)
    except SnapctlError:
        return []
