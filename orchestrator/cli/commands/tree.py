"""`snapctl tree`."""

from __future__ import annotations

import click

from .. import streams
from ..completion import domains
from ..options import examples, global_options
from ..session import Session


@click.command(epilog=examples("snapctl tree web01"))
@click.argument("domain", required=False, shell_complete=domains)
@global_options(hidden=True)
@click.pass_obj
def tree(session: Session, domain: str | None) -> None:
    """Draw the checkpoints as a tree.

    Those of DOMAIN, or of all domains, oldest first, each with the size of its memory + disks and its
    age. A checkpoint is shown below its parent, in the same column or branching off to the right.
    """
    from ..render import tree as render
    from ..render.documents import forest
    from ..report import report_unsettled

    with session.coordinator() as coordinator:
        checkpoints = coordinator.list(domain)
        operations = coordinator.unsettled(domain)
        notes = coordinator.notes()
    trees = render.trees(checkpoints, [each.record for each in operations])
    glyphs = render.UNICODE if streams.can_draw("".join(render.UNICODE)) else render.ASCII
    session.data(forest(trees), lambda: render.tree(trees, session.now, terminal=streams.output_width(), glyphs=glyphs))
    if not trees:
        session.note("no checkpoints yet; create one: snapctl checkpoint DOMAIN NAME")
    for line in notes:
        session.note(line)
    report_unsettled(session, operations)
