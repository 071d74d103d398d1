"""What goes into the catalog comes out of it: checkpoints, heads, layers, lists of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.errors import CatalogError
from orchestrator.model import CheckpointDisk, CheckpointState, Device, OperationKind
from tests.checkpoints import memory_of
from tests.unit.catalog_samples import of_another_host

from .catalog_samples import HOST, SampleDomain, base, paths


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def catalog(file: Path) -> Iterator[SqlCatalog]:
    catalog = open_catalog(f"sqlite:///{file}", HOST)
    yield catalog
    catalog.close_connection()


@pytest.fixture
def web(catalog: SqlCatalog) -> SampleDomain:
    return SampleDomain(catalog)


# --------------------------------------------------------------------------- checkpoints


def test_checkpoint_read_equals_what_was_committed(catalog: SqlCatalog) -> None:
    web = SampleDomain(catalog, disks=("vdb", "vda"))
    parent = web.checkpoint("base")
    lease = web.open()
    made = web.value(lease, "clean", tags=("b", "a"))
    cdrom = CheckpointDisk(target="sda", device=Device.CDROM, readonly=True, path=None, format=None)
    drive = replace(cdrom, target="sdb", path="/dev/sr0", format="raw", source_type="block")
    made = replace(made, disks=(*made.disks, cdrom, drive), memory=replace(memory_of(made), was_running=False))
    overlays = web.overlays(made.id, list(made.layers.values()))
    lease.commit_checkpoint(made, list(made.layers.values()), web.head(overlays, made.id), overlays)

    assert made.parent_id == parent.id
    assert catalog.checkpoint_by_id(made.id) == made
    assert catalog.checkpoint(web.uuid, "clean") == made
    assert catalog.checkpoint_by_id(parent.id) == parent


def test_catalog_lookups_of_unknown_items_are_none_or_empty(catalog: SqlCatalog, web: SampleDomain) -> None:
    web.checkpoint("clean")

    assert catalog.checkpoint(web.uuid, "other") is None
    assert of_another_host(catalog).checkpoint(web.uuid, "clean") is None
    assert catalog.checkpoint_by_id("nobody") is None
    assert catalog.head("dom-2") is None
    assert catalog.layer("/nowhere") is None
    assert list(catalog.chain("/nowhere")) == []
    assert catalog.layers_freed_by("nobody") == []
    assert catalog.domain_uuid("db") is None
    assert of_another_host(catalog).domain_uuid("web") is None


def test_a_name_means_the_domain_that_was_seen_last(catalog: SqlCatalog) -> None:
    SampleDomain(catalog, "web", "dom-1").checkpoint("a")
    assert catalog.domain_uuid("web") == "dom-1"
    SampleDomain(catalog, "web", "dom-0").checkpoint("a")
    assert catalog.domain_uuid("web") == "dom-0"
    SampleDomain(catalog, "web", "dom-2").checkpoint("a")
    assert catalog.domain_uuid("web") == "dom-2"


def test_a_domain_that_was_renamed_is_known_by_its_new_name(catalog: SqlCatalog, web: SampleDomain) -> None:
    web.checkpoint("before")
    web.name = "www"
    after = web.checkpoint("after")

    assert catalog.domain_uuid("web") is None
    assert catalog.domain_uuid("www") == web.uuid
    assert [row.domain for row in catalog.summaries()] == ["www", "www"]
    assert catalog.checkpoint_by_id(after.id) == after


def test_a_checkpoint_keeps_the_name_that_its_domain_had(catalog: SqlCatalog, web: SampleDomain) -> None:
    """libvirt restores a memory image under no other."""
    made = web.checkpoint("clean")
    web.name = "www"
    web.close(web.open())

    assert catalog.checkpoint_by_id(made.id) == made
    assert catalog.checkpoint(web.uuid, "clean") == made
    assert made.domain_name == "web"


def test_the_same_name_twice_in_a_domain_is_refused_and_nothing_is_recorded(
    catalog: SqlCatalog, web: SampleDomain
) -> None:
    first = web.checkpoint("clean")
    before = catalog.head(web.uuid)
    with pytest.raises(CatalogError):
        web.checkpoint("clean")
    assert catalog.checkpoint(web.uuid, "clean") == first
    assert catalog.head(web.uuid) == before


def test_children_are_named_oldest_first(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    web.checkpoint("z")
    web.rollback(root)
    web.checkpoint("a")

    assert catalog.child_names(root.id) == ["z", "a"]


def test_a_hidden_checkpoint_is_still_found(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = web.checkpoint("clean")
    lease = web.open(OperationKind.DELETE)
    lease.hide_checkpoint(made.id)
    assert catalog.checkpoint(web.uuid, "clean") == replace(made, state=CheckpointState.DELETING)
    assert paths(lease.discarded_layers(web.uuid)) == []  # its layer is the user's own


# --------------------------------------------------------------------------- lists


def test_a_summary_says_what_a_list_shows(catalog: SqlCatalog) -> None:
    web = SampleDomain(catalog, disks=("vda", "vdb"))
    root = web.checkpoint("root", tags=("x", "a"))
    leaf = web.checkpoint("leaf")

    first, second = catalog.summaries()

    assert (first.domain, first.domain_uuid, first.name, first.id) == ("web", "dom-1", "root", root.id)
    assert (first.parent, first.parent_id, first.created) == (None, None, root.created)
    assert (first.mode, first.tags, first.description) == ("save", ("x", "a"), "as installed")
    assert (first.current, first.memory_bytes, first.disk_bytes) == (False, 1000, 0)  # its layers are the user's
    assert (second.parent, second.parent_id, second.id) == ("root", root.id, leaf.id)
    assert (second.current, second.memory_bytes, second.disk_bytes) == (True, 1000, 2 * 1500)


def test_summary_state_is_unhashed_ready_or_deleting(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = web.checkpoint("clean")
    assert [row.state for row in catalog.summaries()] == ["unhashed"]

    lease = web.open()
    lease.record_sha256(made.id, "ab" * 32)
    assert [row.state for row in catalog.summaries()] == ["ready"]

    lease.hide_checkpoint(made.id)
    assert [row.state for row in catalog.summaries()] == ["deleting"]


def test_some_checkpoint_is_one_of_the_domain_s_in_any_state(catalog: SqlCatalog) -> None:
    SampleDomain(catalog, "db", "dom-2").checkpoint("other")
    assert catalog.some_checkpoint("dom-1") is None
    web = SampleDomain(catalog, "web", "dom-1")
    ids = {web.checkpoint(name).id for name in "ab"}
    found = catalog.some_checkpoint("dom-1")
    assert found and found.id in ids
    assert found == catalog.checkpoint_by_id(found.id)
    assert of_another_host(catalog).some_checkpoint("dom-1") is None


def test_ready_names_are_those_that_begin_so_oldest_first(catalog: SqlCatalog, web: SampleDomain) -> None:
    for name in ("push-2", "push-10", "push", "PUSH-3", "xpush-4", "push-é"):
        web.checkpoint(name)
    SampleDomain(catalog, "db", "dom-2").checkpoint("push-5")
    assert catalog.ready_names(web.uuid, "push-") == ["push-2", "push-10", "push-é"]

    hidden = catalog.checkpoint(web.uuid, "push-10")
    assert hidden is not None
    web.open(OperationKind.DELETE).hide_checkpoint(hidden.id)
    assert catalog.ready_names(web.uuid, "push-") == ["push-2", "push-é"]
    assert of_another_host(catalog).ready_names(web.uuid, "push-") == []


def test_summaries_are_of_one_host_or_one_domain(catalog: SqlCatalog) -> None:
    SampleDomain(catalog, "web", "dom-1").checkpoint("a")
    SampleDomain(catalog, "db", "dom-2").checkpoint("a")

    assert [row.domain for row in catalog.summaries()] == ["web", "db"]
    assert [row.domain for row in catalog.summaries("dom-2")] == ["db"]
    assert of_another_host(catalog).summaries() == []


def test_a_list_takes_as_many_queries_for_many_checkpoints_as_for_one(catalog: SqlCatalog, web: SampleDomain) -> None:
    statements: list[str] = []
    web.checkpoint("c0", tags=("t",))
    event.listen(catalog._database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    catalog.summaries()
    alone = len(statements)
    for number in range(1, 20):
        web.checkpoint(f"c{number}", tags=("t", "u"))
    statements.clear()
    assert len(catalog.summaries()) == 20
    assert len(statements) == alone
    assert not any("domain_xml" in statement for statement in statements)


# --------------------------------------------------------------------------- heads, layers, files


def test_the_head_follows_checkpoint_and_rollback(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    head = catalog.head(web.uuid)
    assert head == web.head(list(web.tops.values()), root.id)
    web.checkpoint("leaf")
    web.rollback(root)
    assert catalog.head(web.uuid) == web.head(list(web.tops.values()), root.id)


def test_chain_lists_active_overlay_down_to_the_base(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = [web.checkpoint(f"c{number}") for number in range(200)]
    top = web.tops["vda"]

    chain = catalog.chain(top.path)

    assert chain[0] == top
    assert list(chain[1:]) == [checkpoint.layers["vda"] for checkpoint in reversed(made)]
    assert chain[-1] == base()


def test_known_paths_are_those_right_in_the_directory(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = web.checkpoint("clean")
    directory = web.directory(made.id)

    assert catalog.known_paths(directory) == [f"{directory}/memory.save", f"{directory}/vda.qcow2"]
    assert catalog.known_paths(directory + "/") == catalog.known_paths(directory)
    assert catalog.known_paths(f"/store/{web.uuid}") == []
    assert catalog.known_paths(directory[:-1]) == []
    assert catalog.known_paths(directory.upper()) == []
    assert catalog.known_paths("/store/%/_") == []
    assert catalog.known_paths("/images/") == [base().path]
    assert catalog.known_paths("/") == []
    assert of_another_host(catalog).known_paths(directory) == []
