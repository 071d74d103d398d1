"""The global options. They can be given before the verb or after it, so every verb has them too."""

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
        option("-c", "--connect", "uri", metavar="URI", help="libvirt URI to connect to."),
        option(
            "--config", type=click.Path(), metavar="FILE", help="Read this configuration file after the usual ones."
        ),
        option("--catalog", metavar="URL", help="URL of the catalog's database (SQLAlchemy syntax)."),
        option("-o", "--output", type=click.Choice(["table", "json"]), help="Output format (default: table)."),
        option("-q", "--quiet", is_flag=True, help="Print no summaries, notes or progress bars."),
        option("-v", "--verbose", count=True, help="Show the time of each step; given twice, the log, too."),
    )

    def decorate(command: Decorated) -> Decorated:
        for add in reversed(added):
            command = add(command)
        return command

    return decorate


force_option = click.option("--force", is_flag=True, help="Try although the host seems unable to restore the guest.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")


NEVER = "never"


def expiry(text: str, now: datetime) -> datetime | None:
    """The time that --expires gives: `text` from `now`, or None for "never". Raises `UsageError`."""
    return None if text == NEVER else now + parse(text, "--expires")


def examples(*lines: str) -> str:
    """Examples as the end of a verb's help."""
    title = "Example" if len(lines) == 1 else "Examples"
    shown = "\n".join(f"  {line}" for line in lines)
    return f"\b\n{title}:\n{shown}\n\nThe global options can also be given after the verb."
