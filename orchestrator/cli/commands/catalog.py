"""`snapctl catalog`: the catalog itself; only `rebuild` needs a hypervisor."""

from __future__ import annotations

import click

from ..options import examples, global_options
from ..render import catalog as render
from ..render.units import escaped
from ..session import Session


@click.group(no_args_is_help=False, epilog=examples("snapctl catalog info", "snapctl catalog backup /srv/catalog.bak"))
@global_options(hidden=True)
def catalog() -> None:
    """Upgrade, back up, describe or rebuild the catalog."""


@catalog.command(epilog=examples("snapctl catalog upgrade"))
@global_options(hidden=True)
@click.pass_obj
def upgrade(session: Session) -> None:
    """Upgrade the catalog to this version's schema, after an automatic backup."""
    from ...catalog import upgrade as run

    done = run(session.settings.catalog)
    session.summary(done, lambda: [render.upgraded(done)])


@catalog.command(epilog=examples("snapctl catalog backup /srv/catalog.bak"))
@click.argument("file", type=click.Path(dir_okay=False))
@global_options(hidden=True)
@click.pass_obj
def backup(session: Session, file: str) -> None:
    """Copy the catalog to FILE, even while it is in use. It holds secrets: keep the copy private."""
    from ...catalog import backup as run

    run(session.settings.catalog, file)
    session.summary({"file": file}, lambda: [f"catalog backed up to {escaped(file)}"])


@catalog.command(epilog=examples("snapctl catalog info"))
@global_options(hidden=True)
@click.pass_obj
def info(session: Session) -> None:
    """Show where the catalog is, its schema version, and how much it holds."""
    from ...catalog import info as run

    found = run(session.settings.catalog)
    session.data(found, lambda: render.info(found))


@catalog.command(epilog=examples("snapctl --catalog sqlite:////srv/new.sqlite catalog rebuild"))
@global_options(hidden=True)
@click.pass_obj
def rebuild(session: Session) -> None:
    """Create a lost catalog again from the manifests in the store.

    Every directory of the store has a manifest that describes what it holds. A catalog that already
    has checkpoints of this hypervisor is refused: move it away, or name a new one with --catalog.
    """
    with session.coordinator() as coordinator:
        rebuilt = coordinator.rebuild_catalog()
    session.summary(rebuilt, lambda: render.rebuilt(rebuilt))
    for line in render.left_out(rebuilt):
        session.note(line)
