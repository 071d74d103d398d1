"""The `snapctl` command: a skin on `orchestrator.coordinator`, never a decision.

One file per verb, rendering apart. Data goes to stdout, everything for people to stderr; whatever
fails leaves as one line (or one JSON object) and the exit code of `orchestrator.errors`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import signals

if TYPE_CHECKING:
    from .session import Connect, Session

COMPLETE_VARIABLE = "_SNAPCTL_COMPLETE"
"""Set by the shell's completion function, which then runs `snapctl` to ask for candidates."""


def main(argv: Sequence[str] | None = None, *, connect: Connect | None = None) -> int:
    """Run the command line `argv` (without the program's name) and return its exit code.

    `connect` opens the coordinator, by default `Coordinator.open`. Never raises for anything that a
    user or a hypervisor can cause.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with signals.handled() as ending:
        try:  # around the imports too: they are the time in which an early Ctrl-C comes
            from . import failure
            from .session import Session
        except KeyboardInterrupt:
            return ending.exit_code
        session = Session(connect)
        try:
            return _run(arguments, session)
        except failure.HANDLED as error:
            return failure.leave(error, ending, session, json=session.json or failure.asks_json(arguments))


def _run(arguments: list[str], session: Session) -> int:
    from . import failure, streams
    from .app import snapctl
    from .completion import complete

    streams.tolerate()
    if instruction := os.environ.get(COMPLETE_VARIABLE):
        return complete(snapctl, instruction, session)
    failure.refuse_undecodable(arguments)
    try:
        with snapctl.make_context("snapctl", list(arguments), obj=session) as context:
            snapctl.invoke(context)
    except OSError as error:
        if session.connected:
            raise  # not ours: the library raises nothing but its own errors
        raise streams.OutputLost(error) from error  # Click could not print a help text
    return 0
