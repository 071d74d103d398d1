"""How the command fails: one line or one JSON object on stderr, and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import click

from ..errors import EnvironmentLacks, Interrupted, SnapctlError, UsageError
from . import streams
from .pasteable import make_pasteable
from .session import Session
from .signals import Ending

HANDLED = (SnapctlError, click.exceptions.Exit, click.ClickException, KeyboardInterrupt, streams.OutputLost)
"""Every other exception is a bug, and is shown with its traceback."""
Failure: TypeAlias = SnapctlError | click.ClickException | KeyboardInterrupt | streams.OutputLost


def leave(error: Failure | click.exceptions.Exit, ending: Ending, session: Session, *, json: bool) -> int:
    """Say what went wrong, if anything did, and return the exit code: that of the signal for what was interrupted."""
    if isinstance(error, click.exceptions.Exit):  # --help and --version
        return error.exit_code
    if isinstance(error, streams.OutputLost):
        streams.drop_output()
        if error.reader_gone:  # `snapctl list | head`: it has all it wanted
            return 0
    failure = _failure(error)
    if session.connected:
        make_pasteable(failure, session.settings.uri)
    code = ending.exit_code if isinstance(failure, Interrupted) else failure.exit_code
    streams.tell(_document(failure, code) if json else str(failure))
    return code


def _failure(error: Failure) -> SnapctlError:
    if isinstance(error, SnapctlError):
        return error
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, KeyboardInterrupt):
        # One that comes during an operation leaves the library as its own `Interrupted`, settled.
        return Interrupted("interrupted", hint="run the command again")
    return EnvironmentLacks(
        f"cannot write the output: {error}",
        effect="the command itself succeeded",
        hint="see: snapctl list",
    )


def _usage(error: click.ClickException) -> UsageError:
    problem, _, suggestion = error.format_message().partition("Did you mean ")
    problem = problem.rstrip(" (.")
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "snapctl"
    see = f"see: {command} --help"
    hint = f"did you mean {suggestion.rstrip('?)')}? S{see[1:]}" if suggestion else see
    return UsageError(problem[:1].lower() + problem[1:], hint=hint)


def _document(error: SnapctlError, exit_code: int) -> str:
    import msgspec

    return msgspec.json.encode({**error.as_dict(), "exit_code": exit_code}).decode()


def asks_json(arguments: Sequence[str]) -> bool:
    """Whether `-o json` is among the arguments, for when they could not even be parsed."""
    return any(
        argument in ("-ojson", "--output=json") or (argument in ("-o", "--output") and value == "json")
        for argument, value in pairwise([*arguments, ""])
    )


def refuse_undecodable(arguments: Sequence[str]) -> None:
    """Refuse bytes that are not UTF-8: no name may hold them, and no message could show them."""
    for number, argument in enumerate(arguments, start=1):
        if not argument.isascii() and any("\ud800" <= char <= "\udfff" for char in argument):
            raise UsageError(f"argument {number} is not valid UTF-8", hint="check the terminal's encoding")
