"""`snapctl catalog`: the catalog itself; only `rebuild` and `adopt` need a hypervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ...errors import NotFound, UsageError
from ..options import dry_run_option, examples, global_options
from ..render import catalog as render
from ..render.units import escaped
from ..session import Session

if TYPE_CHECKING:  # at run time it would load SQLAlchemy
    from ...catalog import UnfinishedOperation


@click.group(no_args_is_help=False, epilog=examples("snapctl catalog info", "snapctl catalog backup /srv/catalog.bak"))
@global_options(hidden=True)
def catalog() -> None:
    """Upgrade, back up, rebuild the catalog, or adopt a store."""


@catalog.command(epilog=examples("snapctl catalog upgrade", "snapctl catalog upgrade --abandon old-server"))
@click.option("--abandon", "hosts", metavar="HOST", multiple=True, help="Abandon the unfinished operations on HOST.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@global_options(hidden=True)
@click.pass_obj
def upgrade(session: Session, hosts: tuple[str, ...], yes: bool) -> None:
    """Upgrade the catalog to this version's schema, after an automatic backup.

    It is refused while operations are unfinished: run "recover" of the older version on their hosts
    first. For a HOST that is gone, --abandon leaves them unfinished: snapctl can then no longer change
    their domains on that host; their files are kept.
    """
    from ...catalog import unfinished_operations
    from ...catalog import upgrade as run

    asks = bool(hosts) and not yes
    if asks:
        session.require_terminal("catalog upgrade", otherwise="add -y")
    unfinished = unfinished_operations(session.settings.catalog)
    for each in unfinished:
        session.note(render.unfinished(each))
    abandon = on_hosts(unfinished, hosts)
    if asks:
        session.agree("catalog upgrade", render.abandonment(abandon))
    done = run(session.settings.catalog, abandon=[each.id for each in abandon])
    session.summary(done, lambda: [render.upgraded(done)])


def on_hosts(unfinished: list[UnfinishedOperation], hosts: tuple[str, ...]) -> list[UnfinishedOperation]:
    """Those on hosts given by name or UUID. Raises for a host that has none, or a name that several have."""
    found: dict[str, UnfinishedOperation] = {}
    for host in hosts:
        its = [each for each in unfinished if host in (each.host, each.host_uuid)]
        if not its:
            raise NotFound(f"there is no unfinished operation on host {host}", hint="run: snapctl catalog upgrade")
        if len(uuids := sorted({each.host_uuid for each in its})) > 1:
            raise UsageError(f"several hosts are named {host}", hint=f"give a UUID: {' or '.join(uuids)}")
        found.update((each.id, each) for each in its)
    return list(found.values())


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
    """Fill a new catalog from the manifests in the store.

    Every directory of the store has a manifest that describes what it holds. A catalog that already
    has checkpoints of this hypervisor is refused: move it away, or name a new one with --catalog. So is a store that
    belongs to another catalog: if that one is lost, use "catalog adopt".
    """
    with session.coordinator() as coordinator:
        rebuilt = coordinator.rebuild_catalog()
    session.summary(rebuilt, lambda: render.rebuilt(rebuilt))
    for line in render.left_out(rebuilt):
        session.note(line)


@catalog.command(
    epilog=examples("snapctl catalog adopt --dry-run", "snapctl --catalog sqlite:////srv/new.sqlite catalog adopt")
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@dry_run_option
@global_options(hidden=True)
@click.pass_obj
def adopt(session: Session, yes: bool, dry_run: bool) -> None:
    """Make the store this catalog's, and record in it what the store has.

    A store belongs to one catalog, and no other one may change anything in it. Adopt it when that catalog is lost, or
    is to be used no longer: it can change nothing in the store afterwards. What only it knows is lost: its unfinished
    operations, which checkpoints were marked as damaged, and what "undo" returns to. To adopt another store than
    the configured one, set store.path. Also takes a
    host whose UUID and name both changed for the one that the store is recorded with.
    """
    asks = not (yes or dry_run)
    if asks:
        session.require_terminal("catalog adopt", otherwise="add -y")
    with session.coordinator() as coordinator:
        adoption = coordinator.plan_adoption()
        if dry_run:
            session.data(render.adoption(adoption), lambda: (escaped(line) for line in adoption.lines()))
            return
        if asks and not adoption.is_ours:
            session.agree("catalog adopt", render.question(adoption))
        adopted = coordinator.adopt_store(adoption)
    session.summary(adopted, lambda: render.adopted(adoption, adopted))
    for line in render.left_out(adopted):
        session.note(line)
