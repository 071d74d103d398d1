"""`snapctl doctor`."""

from __future__ import annotations

from dataclasses import replace

import click

from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl doctor", "snapctl doctor --clean"))
@click.option(
    "--clean", is_flag=True, help="Remove directories and helper domains of snapctl's own that are no longer in use."
)
@global_options(hidden=True)
@click.pass_obj
def doctor(session: Session, clean: bool) -> None:
    """Check everything and recommend fixes.

    Checks the hypervisor, the store, the catalog, and every guest with checkpoints; the contents of files
    are checked by verify. Nothing is changed without --clean. The exit code is 0 if all is well, 7 if an
    operation is unfinished, 5 if something is lost or damaged, 1 if there is any other finding.
    """
    from ..render import doctor as render

    with session.coordinator() as coordinator:
        found = [replace(each, advice=session.pasteable(each.advice)) for each in coordinator.doctor(clean=clean)]
    session.data(found, lambda: render.advice(found))
    if failure := render.failure(found, cleaned=clean):
        raise failure
