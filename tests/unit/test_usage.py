"""What checkpoints occupy: the sums, and on the in-memory hypervisor against its files."""

from __future__ import annotations

from posixpath import basename, dirname
from typing import Any

import pytest

from orchestrator.catalog import SqlCatalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import NotFound
from orchestrator.model import CheckpointFiles, DomainFiles, DomainUsage, FileInfo, Inventory, Usage
from orchestrator.reports.usage import UsageFacts, sum_up
from tests.checkpoints import memory_of
from tests.twin import TwinHypervisor, World
from tests.twin.files import File
from tests.twin.storage import TwinStorage
from tests.unit.file_builders import made

STORE = "/store"
A, B = "/store/web/a", "/store/web/b"


# --------------------------------------------------------------------------- the sums


def checkpoint(name: str, **changes: Any) -> CheckpointFiles:
    defaults = {
        "domain": "web01",
        "domain_uuid": "web",
        "name": name,
        "id": name,
        "files": (f"/store/web/{name}/memory.save",),
        "memory": f"/store/web/{name}/memory.save",
        "layers": (),
        "exclusive": (),
    }
    return made(CheckpointFiles, defaults, changes)


def summed(*checkpoints: CheckpointFiles, files: dict[str, int], others: dict[str, int], **domain: Any) -> Usage:
    defaults = {"domain": "web01", "domain_uuid": "web", "frozen": (), "active": (), "external": ()}
    return sum_up(
        UsageFacts(
            store=STORE,
            total_bytes=1000,
            free_bytes=600,
            inventory=Inventory(domains=(made(DomainFiles, defaults, domain),), checkpoints=checkpoints),
            stored=files,
            others=others,
        )
    )


def test_sum_up_counts_each_file_once_by_kind() -> None:
    found = summed(
        checkpoint("a"),  # froze the user's own disk
        checkpoint("b", layers=(f"{A}/vda.qcow2",), exclusive=()),
        files={
            f"{A}/memory.save": 100,
            f"{B}/memory.save": 120,
            f"{A}/vda.qcow2": 7,
            f"{B}/vda.qcow2": 3,
            f"{A}/manifest.json": 1,
            f"{B}/manifest.json": 1,
            f"{B}/notes.txt": 50,
            "/store/web/gone/manifest.json": 8,
        },
        others={"/images/web.qcow2": 4000},
        frozen=(f"{A}/vda.qcow2",),
        active=(f"{B}/vda.qcow2",),
        external=("/images/web.qcow2",),
    )
    assert found.domains == (
        DomainUsage(
            domain="web01",
            domain_uuid="web",
            memory_bytes=220,
            frozen_bytes=7,
            active_bytes=3,
            manifest_bytes=2,
            own_bytes=4000,
        ),
    )
    assert found.domains[0].bytes == 232
    assert found.uncatalogued_bytes == 58  # a manifest beside nothing that is catalogued is nobody's
    assert [(each.memory_bytes, each.disk_bytes) for each in found.checkpoints] == [(100, 0), (120, 7)]
    assert [(each.exclusive_bytes, each.shared_bytes) for each in found.checkpoints] == [(100, 0), (120, 7)]


def test_sum_up_exclusive_bytes_count_all_layers_below() -> None:
    (found,) = summed(
        checkpoint("b", layers=(f"{B}/vda.qcow2",), exclusive=(f"{B}/vda.qcow2", f"{A}/vda.qcow2")),
        files={f"{B}/memory.save": 100, f"{B}/vda.qcow2": 5, f"{A}/vda.qcow2": 30},
        others={},
    ).checkpoints
    assert (found.disk_bytes, found.exclusive_bytes, found.shared_bytes) == (5, 135, 0)


def test_sum_up_missing_file_takes_nothing() -> None:
    found = summed(checkpoint("a", layers=(f"{A}/vda.qcow2",)), files={}, others={}, active=(f"{A}/vdb.qcow2",))
    assert found.domains[0].bytes == 0
    assert found.checkpoints[0].exclusive_bytes == found.uncatalogued_bytes == 0


# --------------------------------------------------------------------------- a whole snapctl


@pytest.fixture
def family(snapctl: Coordinator, world: World) -> Coordinator:
    """web01: a - b - c and, standing on it, d on a; db: e."""
    web, db = (world.add(name, disks=2).start() for name in ("web01", "db"))
    db.tick()
    snapctl.checkpoint("db", "e")
    for back, name in ((None, "a"), (None, "b"), (None, "c"), ("a", "d")):
        if back is not None:
            snapctl.rollback("web01", back)
        web.tick()
        snapctl.checkpoint("web01", name)
    return snapctl


def taken(world: World, *, but_for: str = "") -> int:
    """What is in the store, but for what says whose it is."""
    files = world.files.files
    own = [path for path in files if path.startswith(STORE) and path != f"{STORE}/store.json"]
    return sum(len(files[path].bytes()) for path in own if basename(path) != but_for)


def test_usage_accounts_for_every_file_in_the_store(family: Coordinator, world: World) -> None:
    found = family.usage()
    assert [each.domain for each in found.domains] == ["db", "web01"]
    assert sum(each.bytes for each in found.domains) == taken(world)
    assert (found.uncatalogued_bytes, found.free_bytes) == (0, world.files.free)
    assert found.total_bytes > found.free_bytes
    bases = [path for path in world.files.files if not path.startswith(STORE)]
    assert sum(each.own_bytes for each in found.domains) == sum(len(world.files[path].bytes()) for path in bases)


def test_usage_of_one_domain_equals_its_part_of_all(family: Coordinator) -> None:
    of_all, of_web = family.usage(), family.usage("web01")
    assert of_web.domains == tuple(each for each in of_all.domains if each.domain == "web01")
    assert of_web.checkpoints == tuple(each for each in of_all.checkpoints if each.domain == "web01")


def test_the_list_says_the_same_while_nothing_was_changed(family: Coordinator) -> None:
    told = {each.id: (each.memory_bytes, each.disk_bytes, each.exclusive_bytes) for each in family.list()}
    found = family.usage().checkpoints
    assert {each.id: (each.memory_bytes, each.disk_bytes, each.exclusive_bytes) for each in found} == told
    for each in found:
        details = family.show(each.domain, each.name)
        assert (details.exclusive_bytes, details.shared_bytes) == (each.exclusive_bytes, each.shared_bytes)


def test_delete_frees_what_usage_predicted(family: Coordinator, world: World) -> None:
    for name in ("c", "b"):
        (said,) = (each.exclusive_bytes for each in family.usage("web01").checkpoints if each.name == name)
        before = taken(world, but_for="manifest.json")
        family.delete("web01", [name])
        assert before - taken(world, but_for="manifest.json") == said


def test_usage_uncatalogued_files_are_counted_separately(family: Coordinator, world: World) -> None:
    memory = memory_of(family.show("web01", "a").checkpoint).path
    world.files.make_directory("/store/elsewhere/op")
    for path in (f"{dirname(memory)}/notes", f"{dirname(dirname(memory))}/stray", "/store/elsewhere/op/manifest.json"):
        world.files.put(path, File(b"x" * 10))
    world.files.put("/store/stray", File(b"x"))
    assert family.usage().uncatalogued_bytes == 31
    assert family.usage("web01").uncatalogued_bytes == 20
    assert family.usage("db").uncatalogued_bytes == 0


def test_files_of_a_store_that_was_given_up_are_counted_too(
    family: Coordinator, world: World, our_catalog: SqlCatalog
) -> None:
    moved = Coordinator(TwinHypervisor(world), our_catalog, store="/new")
    was, found = family.usage("db"), moved.usage("db")
    assert found.checkpoints == was.checkpoints
    assert found.domains[0].own_bytes == was.domains[0].own_bytes
    assert found.store == "/new"


def test_usage_without_checkpoints_shows_only_the_store(snapctl: Coordinator, world: World) -> None:
    world.add("web01").start()
    found = snapctl.usage()
    assert (found.domains, found.checkpoints, found.uncatalogued_bytes) == ((), (), 0)
    assert snapctl.usage("web01") == found
    with pytest.raises(NotFound):
        snapctl.usage("nobody")


def test_each_directory_is_listed_once(family: Coordinator, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    whole = TwinStorage.files

    def files(storage: TwinStorage, directory: str) -> list[FileInfo] | None:
        listed.append(directory)
        return whole(storage, directory)

    monkeypatch.setattr(TwinStorage, "files", files)
    family.usage("web01")
    uuid = family.list("web01")[0].domain_uuid
    assert len(listed) == len(set(listed)) == 1 + len({dirname(path) for path in _paths(family) if uuid in path})


def _paths(snapctl: Coordinator) -> list[str]:
    shown = [snapctl.show(each.domain, each.name).checkpoint for each in snapctl.list()]
    return [memory_of(each).path for each in shown] + [layer.path for each in shown for layer in each.layers.values()]
