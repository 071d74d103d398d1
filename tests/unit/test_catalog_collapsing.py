"""Which layers are pulled into which: the shapes that a chain can have, and what is recorded afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.errors import CatalogError
from orchestrator.model import Checkpoint, OperationKind

from .catalog_samples import HOST, SampleDomain, base, paths


@pytest.fixture
def our_catalog(url: str) -> Iterator[SqlCatalog]:
    catalog = open_catalog(url, HOST)
    yield catalog
    catalog.close_connection()


@pytest.fixture
def web(our_catalog: SqlCatalog) -> SampleDomain:
    return SampleDomain(our_catalog)


@pytest.fixture
def made(web: SampleDomain) -> dict[str, Checkpoint]:
    """root, b, c, d, each on the one before; `web` is back on the root, with disks of its own."""
    made = {name: web.checkpoint(name) for name in ("root", "b", "c", "d")}
    web.rollback(made["root"])
    return made


def found(web: SampleDomain, *among: str) -> list[tuple[str, list[str], str | None]]:
    """The layers that are to be rewritten, what goes for each, and what it will stand on."""
    return [
        (each.layer.path, paths(each.absorbed), each.base.path if each.base else None)
        for each in web.catalog.collapsible(web.uuid, among or None)
    ]


def path(checkpoint: Checkpoint) -> str:
    return checkpoint.layers["vda"].path


def test_collapsible_layers_that_checkpoints_rely_on_are_not_offered(
    web: SampleDomain, made: dict[str, Checkpoint]
) -> None:
    assert found(web) == []
    web.delete(made["d"])  # whose layer goes with it
    assert found(web) == []


def test_collapsible_layer_with_one_user_is_absorbed_by_it(web: SampleDomain, made: dict[str, Checkpoint]) -> None:
    web.delete(made["b"])
    assert found(web) == [(path(made["c"]), [path(made["b"])], base().path)]


def test_collapsible_several_layers_in_a_row_are_absorbed_together(
    web: SampleDomain, made: dict[str, Checkpoint]
) -> None:
    web.delete(made["b"])
    web.delete(made["c"])
    assert found(web) == [(path(made["d"]), [path(made["c"]), path(made["b"])], base().path)]
    assert found(web, path(made["b"])) == found(web)
    assert found(web, path(made["root"])) == []


def test_collapsible_layer_with_two_users_is_kept(web: SampleDomain, made: dict[str, Checkpoint]) -> None:
    web.rollback(made["b"])
    side = web.checkpoint("side")
    web.delete(made["b"])
    assert found(web) == []
    web.rollback(made["root"])
    web.delete(side)
    assert found(web) == [(path(made["c"]), [path(made["b"])], base().path)]


def test_collapsible_active_layer_absorbs_layers_below(web: SampleDomain, made: dict[str, Checkpoint]) -> None:
    web.rollback(made["b"])
    web.delete(made["d"])
    web.delete(made["c"])
    web.delete(made["b"])
    assert found(web) == [(web.tops["vda"].path, [path(made["b"])], base().path)]


def test_collapsible_layer_of_the_user_is_never_absorbed(web: SampleDomain) -> None:
    """The base goes on being the user's when nothing relies on it any more."""
    root = web.checkpoint("root")
    web.delete(root)
    assert found(web) == []


def test_collapsible_layers_of_another_domain_are_not_offered(
    web: SampleDomain, made: dict[str, Checkpoint], our_catalog: SqlCatalog
) -> None:
    web.delete(made["b"])
    assert found(SampleDomain(our_catalog, "db", "dom-2")) == []


# --------------------------------------------------------------------------- the rewrite


def test_a_rewrite_is_marked_and_recorded(web: SampleDomain, made: dict[str, Checkpoint]) -> None:
    web.delete(made["b"])
    catalog, top = web.catalog, path(made["c"])
    lease = web.open(OperationKind.COLLAPSE)

    lease.begin_rewrite(top)
    marked = catalog.layer(top)
    assert marked == replace(made["c"].layers["vda"], rewritten_by=lease.record.id)

    grown = replace(made["c"].layers["vda"], backing=base().path, physical=9000, allocation=8000, mtime="7.5")
    dropped = lease.commit_rewrite(grown)
    assert paths(dropped) == [path(made["b"])]
    assert lease.commit_rewrite(grown) == dropped  # again
    assert paths(lease.discarded_layers(web.uuid)) == [path(made["b"])]
    assert catalog.layer(top) == grown
    assert paths(catalog.chain(path(made["d"]))) == [path(made["d"]), top, base().path]
    assert found(web) == []


def test_begin_rewrite_by_second_operation_is_refused(web: SampleDomain, made: dict[str, Checkpoint]) -> None:
    web.delete(made["b"])
    first = web.open(OperationKind.COLLAPSE)
    first.begin_rewrite(path(made["c"]))
    web.close(first)
    with pytest.raises(CatalogError, match="is being rewritten by another operation"):
        web.open(OperationKind.COLLAPSE).begin_rewrite(path(made["c"]))


def test_only_layers_of_the_domain_are_rewritten(web: SampleDomain, our_catalog: SqlCatalog) -> None:
    db = SampleDomain(our_catalog, "db", "dom-2")
    db.checkpoint("theirs")
    lease = web.open(OperationKind.COLLAPSE)
    for foreign in (db.tops["vda"].path, "/nowhere"):
        with pytest.raises(CatalogError, match="does not belong to this domain"):
            lease.begin_rewrite(foreign)
