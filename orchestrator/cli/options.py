"""The global options. They may stand before the verb or after it, so every verb has them too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from ..timespan import parse
from .session import Session

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Put what was given into the session; the last one given counts."""
    if value and parameter.name:
        setattr(context.ensure_object(Session), parameter.name, value)


def global_options(*, hidden: bool) -> Callable[[Decorated], Decorated]:
    """Add the global options to a command; shown in the help of `snapctl` itself only."""

    def option(*names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
        return click.option(*names, **attributes, expose_value=False, callback=_remember, hidden=hidden)

    added = (
        option("-c", "--connect", "uri", metavar="URI", help="The libvirt URI to connect to."),
        option("--config", type=click.Path(), metavar="FILE", help="Read this configuration after the usual ones."),
        option("--catalog", metavar="URL", help="The catalog's database, as an SQLAlchemy URL."),
        option("-o", "--output", type=click.Choice(["table", "json"]), help="What to print; table unless told."),
        option("-q", "--quiet", is_flag=True, help="No summaries, notes or progress bars."),
        option("-v", "--verbose", count=True, help="Show the time of each step; twice: the log, too."),
    )

    def decorate(command: Decorated) -> Decorated:
        for add in reversed(added):
            command = add(command)
        return command

    return decorate


force_option = click.option("--force", is_flag=True, help="Try although the host seems unable to restore the guest.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only show what would be done.")


NEVER = "never"


def expiry(text: str, now: datetime) -> datetime | None:
    """The time that --expires stands for: so long from now, or never. Raises `UsageError`."""
    return None if text == NEVER else now + parse(text, "--expires")


def examples(*lines: str) -> str:
    """Examples as the end of a verb's help."""
    title = "Example" if len(lines) == 1 else "Examples"
    shown = "\n".join(f"  {line}" for line in lines)
    return f"\b\n{title}:\n{shown}\n\nThe options of snapctl itself may also follow the verb."
