"""`snapctl doctor`."""

from __future__ import annotations

from dataclasses import replace

import click

from ...errors import UsageError
from ..options import dry_run_option, examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl doctor", "snapctl doctor --clean --dry-run"))
@click.option(
    "--clean", is_flag=True, help="Remove leftovers that are not in use and hold no data; asks for confirmation."
)
@click.option("-y", "--yes", is_flag=True, help="With --clean: do not ask for confirmation.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def doctor(session: Session, clean: bool, yes: bool, dry_run: bool) -> None:
    """Check everything and recommend fixes.

    Checks the hypervisor, the store, the catalog, and every guest with checkpoints; the contents of files
    are checked by verify. Nothing is changed without --clean. The exit code is 0 if all is well, 7 if an
    operation is unfinished, 5 if something is lost or damaged, 1 if there is any other finding.
    """
    from ..render import doctor as render

    if (yes or dry_run) and not clean:
        raise UsageError("--yes and --dry-run are for --clean", hint="add --clean")
    asks = clean and not (yes or dry_run)
    with session.coordinator() as coordinator:
        planned = coordinator.plan_cleaning() if asks or dry_run else None
        if dry_run:
            session.data(planned, lambda: render.planned(planned))
            session.note("this was a dry run: nothing was changed")
            return
        if planned is not None and planned.lines():
            session.require_terminal("doctor --clean", otherwise="add -y, or --dry-run to see what it would remove")
            session.agree("doctor --clean", render.cleaning(planned))
        done = coordinator.doctor(clean=clean, agreed=planned)
    found = [replace(each, advice=session.pasteable(each.advice)) for each in done]
    session.data(found, lambda: render.advice(found))
    if failure := render.failure(found, cleaned=clean):
        raise failure
