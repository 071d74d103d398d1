"""`snapctl doctor`."""

from __future__ import annotations

import click

from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl doctor", "snapctl doctor --clean"))
@click.option(
    "--clean", is_flag=True, help="Remove directories and helper domains of snapctl's own that nobody needs any more."
)
@global_options(hidden=True)
@click.pass_obj
def doctor(session: Session, clean: bool) -> None:
    """Look at everything, and say what to do.

    That is the hypervisor, the store, the catalog, and every guest with checkpoints; whether files
    are whole is for verify to find out. Nothing is changed without --clean. The exit code is 0 if all is
    well, 7 if an operation is unfinished, 5 if something is lost or damaged, 1 if anything else is amiss.
    """
    from ..render import doctor as render

    with session.coordinator() as coordinator:
        found = coordinator.doctor(clean=clean)
    session.data(found, lambda: render.advice(found))
    if failure := render.failure(found, cleaned=clean):
        raise failure
