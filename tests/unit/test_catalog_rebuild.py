"""A catalog made anew in one transaction; and what a catalog is kept in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.catalog.health import file_system
from orchestrator.errors import CatalogError, Refused
from orchestrator.model import RebuiltDomain
from tests.unit.catalog_samples import HOST, NOON, SampleDomain


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[SqlCatalog]:
    """The catalog that will be rebuilt."""
    catalog = open_catalog(f"sqlite:///{tmp_path}/lost.sqlite", HOST)
    yield catalog
    catalog.close_connection()


@pytest.fixture
def new(tmp_path: Path) -> Iterator[SqlCatalog]:
    catalog = open_catalog(f"sqlite:///{tmp_path}/new.sqlite", HOST)
    yield catalog
    catalog.close_connection()


def remembered(catalog: SqlCatalog, world: SampleDomain) -> RebuiltDomain:
    """What the manifests of such a world would say."""
    checkpoints = [catalog.checkpoint_by_id(each.id) for each in catalog.summaries(world.uuid)]
    made = tuple(each for each in checkpoints if each)
    layers = {layer.path: layer for each in made for top in each.layers.values() for layer in catalog.chain(top.path)}
    return RebuiltDomain(
        host_uuid=HOST.uuid,
        domain_uuid=world.uuid,
        name=world.name,
        seen=NOON,
        checkpoints=made,
        layers=tuple(reversed(layers.values())),
        head=catalog.head(world.uuid),
        overlays=tuple(world.tops.values()),
    )


def grown(catalog: SqlCatalog, name: str = "web", uuid: str = "dom-1") -> SampleDomain:
    world = SampleDomain(catalog, name, uuid, disks=("vda", "vdb"))
    first = world.checkpoint(f"{name}-a", tags=("x", "b"))
    world.checkpoint(f"{name}-b")
    world.rollback(first)
    return world


def test_rebuild_restores_the_whole_catalog(lost: SqlCatalog, new: SqlCatalog) -> None:
    worlds = [grown(lost), grown(lost, "db", "dom-2")]
    new.rebuild([remembered(lost, world) for world in worlds])
    assert new.summaries() == lost.summaries() != []
    for world in worlds:
        assert new.head(world.uuid) == lost.head(world.uuid)
        assert new.domain_uuid(world.name) == world.uuid
        for each in lost.summaries(world.uuid):
            assert new.checkpoint_by_id(each.id) == lost.checkpoint_by_id(each.id)
            assert set(new.layers_freed_by(each.id)) == set(lost.layers_freed_by(each.id))
        for top in world.tops.values():
            assert new.chain(top.path) == lost.chain(top.path)


def test_operations_go_on_with_it(lost: SqlCatalog, new: SqlCatalog) -> None:
    world = grown(lost)
    new.rebuild([remembered(lost, world)])
    world.catalog = new
    assert world.rollback(lost.checkpoint_by_id(lost.summaries()[1].id)) == [  # type: ignore[arg-type]
        f"/store/dom-1/dom-1-op3/{target}.qcow2" for target in ("vdb", "vda")
    ]


def test_rebuild_domain_without_a_head_has_no_current_checkpoint(lost: SqlCatalog, new: SqlCatalog) -> None:
    new.rebuild([replace(remembered(lost, grown(lost)), head=None, overlays=())])
    assert new.head("dom-1") is None
    assert not any(each.current for each in new.summaries())


def test_a_catalog_with_checkpoints_of_the_host_is_refused(lost: SqlCatalog) -> None:
    before = (grown(lost), lost.summaries())[1]
    with pytest.raises(Refused, match="already has checkpoints of hv1: it is in use, and needs no rebuild"):
        lost.rebuild([])
    assert lost.summaries() == before


def test_rebuild_into_catalog_of_another_host_is_allowed(lost: SqlCatalog, tmp_path: Path) -> None:
    grown(lost)
    other = open_catalog(f"sqlite:///{tmp_path}/lost.sqlite", replace(HOST, uuid="host-2"))
    other.rebuild([])
    other.close_connection()


def test_rebuild_into_catalog_with_open_operation_is_refused(new: SqlCatalog) -> None:
    lease = SampleDomain(new).open()
    with pytest.raises(Refused, match="unfinished operation"):
        new.rebuild([])
    lease.release()


def test_rebuild_that_fails_records_nothing(lost: SqlCatalog, new: SqlCatalog) -> None:
    """The second domain cannot be recorded: a layer of it stands on one that nobody knows."""
    good, bad = (remembered(lost, grown(lost, name, uuid)) for name, uuid in (("web", "dom-1"), ("db", "dom-2")))
    bad = replace(bad, layers=tuple(replace(each, backing="/nowhere") for each in bad.layers))
    with pytest.raises(CatalogError):
        new.rebuild([good, bad])
    assert new.summaries() == []
    new.rebuild([good])


# --------------------------------------------------------------------------- what it is kept in


def test_condition_reads_path_mode_and_damage(tmp_path: Path) -> None:
    catalog = open_catalog(f"sqlite:///{tmp_path}/c.sqlite", HOST)
    (tmp_path / "c.sqlite").chmod(0o640)
    seen = catalog.health()
    assert (seen.where, seen.mode, seen.damage) == (f"sqlite:///{tmp_path}/c.sqlite", 0o640, None)
    assert seen.file_system is not None
    catalog.close_connection()


def test_condition_reports_a_damaged_file(tmp_path: Path) -> None:
    catalog = open_catalog(f"sqlite:///{tmp_path}/c.sqlite", HOST)
    for number in range(20):
        grown(catalog, f"web{number}", f"dom-{number}")
    catalog.close_connection()
    file = tmp_path / "c.sqlite"
    content = bytearray(file.read_bytes())
    page = content.rindex(b"dom-7-op1") // 4096 * 4096
    content[page : page + 8] = b"\xff" * 8
    file.write_bytes(content)
    catalog = open_catalog(f"sqlite:///{file}", HOST)
    assert catalog.health().damage
    catalog.close_connection()


MOUNTS = [
    "22 1 8:1 / / rw - ext4 /dev/root rw",
    "23 22 0:5 / /srv rw shared:1 - nfs4 box:/srv rw",
    "24 23 0:6 / /srv/my\\040disk rw - xfs /dev/sdb rw",
    "25 22 0:7 / /over rw - ext4 /dev/sdc rw",
    "26 25 0:8 / /over rw - tmpfs tmpfs rw",
]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/c.sqlite", "ext4"),
        ("/srv/c.sqlite", "nfs4"),
        ("/srvx/c.sqlite", "ext4"),
        ("/srv/my disk/c.sqlite", "xfs"),
        ("/over/c.sqlite", "tmpfs"),
    ],
)
def test_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert file_system(PurePath(path), MOUNTS) == kind
    assert file_system(PurePath(path), []) is None
