"""What operations commit: whole, repeatable, and never giving away a layer that something needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from posixpath import dirname

import pytest

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.errors import CatalogError
from orchestrator.model import CheckpointState, Labels, Layer, OperationKind, OperationState
from tests.checkpoints import memory_of

from .catalog_samples import HOST, SampleDomain, base, paths


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    catalog = open_catalog(f"sqlite:///{tmp_path}/catalog.db", HOST)
    yield catalog
    catalog.close_connection()


@pytest.fixture
def web(catalog: SqlCatalog) -> SampleDomain:
    return SampleDomain(catalog)


# --------------------------------------------------------------------------- checkpoint


def test_committing_a_checkpoint_again_changes_nothing(catalog: SqlCatalog, web: SampleDomain) -> None:
    lease = web.open()
    made = web.value(lease, "clean")
    overlays = web.overlays(made.id, list(made.layers.values()))
    head = web.head(overlays, made.id)
    lease.commit_checkpoint(made, list(made.layers.values()), head, overlays)
    lease.record_sha256(made.id, "ab")

    lease.commit_checkpoint(made, list(made.layers.values()), head, overlays)

    assert catalog.checkpoint_by_id(made.id) == replace(made, memory=replace(memory_of(made), sha256="ab"))
    assert len(catalog.summaries()) == 1
    assert catalog.head(web.uuid) == head


def test_an_active_overlay_gets_its_facts_when_it_freezes(catalog: SqlCatalog, web: SampleDomain) -> None:
    web.checkpoint("root")
    overlay = web.tops["vda"]
    assert catalog.layer(overlay.path) == overlay
    assert overlay.physical is None

    leaf = web.checkpoint("leaf")

    assert catalog.layer(overlay.path) == leaf.layers["vda"]
    assert leaf.layers["vda"].physical == 2000


def test_a_frozen_layer_keeps_the_facts_it_froze_with(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    lease = web.open()
    made = web.value(lease, "leaf")
    changed = replace(base(), mtime="99.0", physical=1)
    overlays = web.overlays(made.id, list(made.layers.values()))
    lease.commit_checkpoint(made, [changed, *made.layers.values()], web.head(overlays, made.id), overlays)
    assert catalog.layer(base().path) == root.layers["vda"] == base()


def test_commit_accepts_layers_in_any_order(catalog: SqlCatalog, web: SampleDomain) -> None:
    bottom, middle = base(), replace(base(), path="/images/middle.qcow2", format="qcow2", backing=base().path)
    web.tops["vda"] = replace(base(), path="/images/top.qcow2", format="qcow2", backing=middle.path)
    lease = web.open()
    made = web.value(lease, "clean")
    overlays = web.overlays(made.id, list(made.layers.values()))
    lease.commit_checkpoint(made, [*made.layers.values(), middle, bottom], web.head(overlays, made.id), overlays)
    assert list(catalog.chain(overlays[0].path)) == [overlays[0], *made.layers.values(), middle, bottom]


def test_a_layer_on_something_uncatalogued_is_refused_whole(catalog: SqlCatalog, web: SampleDomain) -> None:
    web.tops["vda"] = replace(base(), backing="/images/unknown.raw")
    lease = web.open()
    made = web.value(lease, "clean")
    overlays = web.overlays(made.id, list(made.layers.values()))
    with pytest.raises(CatalogError, match=r"/images/unknown\.raw is not in the catalog"):
        lease.commit_checkpoint(made, list(made.layers.values()), web.head(overlays, made.id), overlays)
    assert catalog.checkpoint_by_id(made.id) is None
    assert catalog.layer(base().path) is None
    assert catalog.head(web.uuid) is None


def test_domains_may_share_a_base(catalog: SqlCatalog) -> None:
    web, db = SampleDomain(catalog, "web", "dom-1"), SampleDomain(catalog, "db", "dom-2")
    db.tops = dict(web.tops)
    first, second = web.checkpoint("a"), db.checkpoint("a")

    assert first.layers["vda"] == second.layers["vda"]
    assert list(catalog.chain(db.tops["vda"].path)) == [db.tops["vda"], base()]
    assert web.delete(first) == []


def test_an_operation_commits_to_its_own_domain_only(catalog: SqlCatalog) -> None:
    web, db = SampleDomain(catalog, "web", "dom-1"), SampleDomain(catalog, "db", "dom-2")
    theirs = db.checkpoint("a")
    lease = web.open()
    with pytest.raises(ValueError, match="not on domain dom-2"):
        lease.hide_checkpoint(theirs.id)
    with pytest.raises(ValueError, match="not on domain dom-2"):
        lease.commit_rollback(db.head(list(db.tops.values()), theirs.id), [])
    assert catalog.checkpoint_by_id(theirs.id) == theirs


# --------------------------------------------------------------------------- hashes


def test_a_hash_is_recorded_once(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = web.checkpoint("clean")
    lease = web.open()
    lease.record_sha256(made.id, "ab")
    lease.record_sha256(made.id, "ab")
    with pytest.raises(CatalogError, match="a different SHA-256"):
        lease.record_sha256(made.id, "cd")
    with pytest.raises(CatalogError, match="not in the catalog"):
        lease.record_sha256("nobody", "ab")
    found = catalog.checkpoint_by_id(made.id)
    assert found is not None and memory_of(found).sha256 == "ab"


# --------------------------------------------------------------------------- rollback


def test_a_rollback_discards_the_abandoned_overlay_until_it_is_forgotten(
    catalog: SqlCatalog, web: SampleDomain
) -> None:
    root = web.checkpoint("root")
    abandoned = web.tops["vda"]
    lease = web.open(OperationKind.ROLLBACK)
    overlays = web.overlays(lease.record.id, list(root.layers.values()))
    head = web.head(overlays, root.id)

    assert lease.commit_rollback(head, overlays) == [abandoned]
    assert lease.commit_rollback(head, overlays) == [abandoned]
    assert lease.discarded_layers(web.uuid) == [abandoned]
    assert catalog.layer(abandoned.path) == abandoned

    lease.forget_layers([abandoned.path])
    lease.forget_layers([abandoned.path])
    assert lease.discarded_layers(web.uuid) == []
    assert catalog.layer(abandoned.path) is None


def test_a_rollback_keeps_what_a_checkpoint_froze(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    leaf = web.checkpoint("leaf")
    active = web.tops["vda"].path

    assert web.rollback(root) == [active]
    assert catalog.checkpoint_by_id(leaf.id) == leaf


def test_leaving_the_layers_of_a_deleted_checkpoint_discards_them_too(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    leaf = web.checkpoint("leaf")
    active = web.tops["vda"].path
    assert web.delete(leaf) == []  # the domain still stands on its layer

    assert web.rollback(root) == [active, leaf.layers["vda"].path]  # children before what they stand on


def test_only_layers_the_operation_discarded_can_be_forgotten(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = web.checkpoint("clean")
    lease = web.open()
    for path in (made.layers["vda"].path, web.tops["vda"].path):
        with pytest.raises(CatalogError, match="was not discarded by this operation"):
            lease.forget_layers([path])
        assert catalog.layer(path) is not None


def checkpoint_clone_of(catalog: SqlCatalog, layer: Layer) -> None:
    """Another domain, whose disk is backed by a layer of the first, gets a checkpoint."""
    clone = SampleDomain(catalog, name="clone", uuid="dom-2")
    top = replace(base("vda", "clone"), format="qcow2", backing=layer.path)
    lease = clone.open()
    clone.tops = {"vda": top}
    made = clone.value(lease, "mine")
    overlays = clone.overlays(made.id, list(made.layers.values()))
    lease.commit_checkpoint(made, [*made.layers.values(), layer], clone.head(overlays, made.id), overlays)
    lease.close(OperationState.DONE)


def test_withdraw_discards_layer_that_another_domain_came_to_need_loses_its_mark(
    catalog: SqlCatalog, web: SampleDomain
) -> None:
    """A clone of the overlay is checkpointed between the mark and the removal."""
    root = web.checkpoint("root")
    abandoned = web.tops["vda"]
    lease = web.open(OperationKind.ROLLBACK)
    overlays = web.overlays(lease.record.id, list(root.layers.values()))
    lease.commit_rollback(web.head(overlays, root.id), overlays)
    checkpoint_clone_of(catalog, abandoned)

    assert lease.withdraw_discards(web.uuid) == []
    assert lease.discarded_layers(web.uuid) == []
    assert catalog.layer(abandoned.path) is not None


def test_forget_layers_one_that_is_needed_by_then_is_kept(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    abandoned = web.tops["vda"]
    lease = web.open(OperationKind.ROLLBACK)
    overlays = web.overlays(lease.record.id, list(root.layers.values()))
    lease.commit_rollback(web.head(overlays, root.id), overlays)
    assert lease.withdraw_discards(web.uuid) == [abandoned]
    checkpoint_clone_of(catalog, abandoned)

    lease.forget_layers([abandoned.path])

    assert lease.discarded_layers(web.uuid) == []
    assert catalog.layer(abandoned.path) is not None


def test_left_over_layers_are_those_of_settled_operations(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    abandoned = web.tops["vda"]
    lease = web.open(OperationKind.ROLLBACK)
    overlays = web.overlays(lease.record.id, list(root.layers.values()))
    lease.commit_rollback(web.head(overlays, root.id), overlays)
    assert catalog.left_over_layers() == []
    lease.close(OperationState.DONE)

    assert catalog.left_over_layers() == [abandoned]
    assert dirname(abandoned.path) in catalog.known_directories()
    catalog.forget_left_over([abandoned.path, root.layers["vda"].path])
    assert catalog.left_over_layers() == []
    assert catalog.layer(root.layers["vda"].path) is not None


# --------------------------------------------------------------------------- delete


def test_hiding_a_leaf_discards_what_only_it_needs(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    leaf = web.checkpoint("leaf")
    web.rollback(root)
    freed = [leaf.layers["vda"]]
    assert catalog.layers_freed_by(leaf.id) == freed
    lease = web.open(OperationKind.DELETE)

    assert lease.hide_checkpoint(leaf.id) == freed
    assert lease.hide_checkpoint(leaf.id) == freed
    assert lease.discarded_layers(web.uuid) == freed
    hidden = catalog.checkpoint_by_id(leaf.id)
    assert hidden is not None and hidden.state is CheckpointState.DELETING

    lease.forget_layers(paths(freed))  # in this order or the other
    lease.forget_checkpoint(leaf.id)
    lease.forget_checkpoint(leaf.id)
    assert catalog.checkpoint_by_id(leaf.id) is None
    assert lease.hide_checkpoint(leaf.id) == []
    assert catalog.checkpoint_by_id(root.id) == root


def test_hiding_an_ancestor_gives_nothing_away(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    middle = web.checkpoint("middle")
    leaf = web.checkpoint("leaf")

    assert catalog.layers_freed_by(middle.id) == []
    assert web.delete(middle) == []
    assert len(catalog.chain(web.tops["vda"].path)) == 4
    found = catalog.checkpoint_by_id(leaf.id)
    assert found is not None and found.parent_id == root.id


def test_the_users_own_layers_are_never_discarded(catalog: SqlCatalog, web: SampleDomain) -> None:
    root = web.checkpoint("root")
    overlay = web.tops["vda"]
    assert web.delete(root) == []

    lease = web.open(OperationKind.ROLLBACK)
    assert lease.commit_rollback(web.head([], None), []) == [overlay]  # nothing stands on the base now

    assert catalog.layer(base().path) == base()


def test_layer_that_backs_another_domain_is_kept(catalog: SqlCatalog) -> None:
    web, fork = SampleDomain(catalog, "web", "dom-1"), SampleDomain(catalog, "fork", "dom-2")
    root = web.checkpoint("root")
    leaf = web.checkpoint("leaf")
    web.rollback(root)
    lease = fork.open(OperationKind.ROLLBACK)
    overlays = fork.overlays(lease.record.id, list(leaf.layers.values()))
    lease.commit_rollback(fork.head(overlays, None), overlays)

    assert catalog.layers_freed_by(leaf.id) == []
    assert web.delete(leaf) == []
    assert lease.commit_rollback(fork.head([], None), []) == overlays
    assert catalog.layer(leaf.layers["vda"].path) == leaf.layers["vda"]


def test_head_of_forgotten_root_checkpoint_has_no_checkpoint(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = web.checkpoint("clean")
    web.delete(made)
    head = catalog.head(web.uuid)
    assert head == web.head(list(web.tops.values()), None)


def test_a_checkpoint_that_is_not_hidden_cannot_be_forgotten(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = web.checkpoint("clean")
    with pytest.raises(CatalogError, match="not being deleted"):
        web.open().forget_checkpoint(made.id)
    assert catalog.checkpoint_by_id(made.id) == made


# --------------------------------------------------------------------------- edit

LABELS = Labels(
    name="other",
    description="new words",
    tags=("b", "c", "a"),
    expires=datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    protected=True,
)


def test_edit_checkpoint_replaces_labels_and_can_be_repeated(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = web.checkpoint("clean", tags=("a", "z"))
    lease = web.open(OperationKind.EDIT)
    for _ in range(2):
        lease.edit_checkpoint(made.id, LABELS)
        found = catalog.checkpoint_by_id(made.id)
        assert found is not None and found.labels == LABELS
        assert replace(found, labels=made.labels) == made
    (summary,) = catalog.summaries()
    assert (summary.name, summary.tags, summary.expires, summary.protected) == (
        LABELS.name,
        LABELS.tags,
        LABELS.expires,
        True,
    )
    lease.edit_checkpoint(made.id, replace(LABELS, tags=(), expires=None))
    (summary,) = catalog.summaries()
    assert (summary.tags, summary.expires) == ((), None)


def test_neither_a_hidden_nor_a_foreign_nor_an_unknown_one_is_edited(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = web.checkpoint("clean")
    lease = web.open(OperationKind.DELETE)
    lease.hide_checkpoint(made.id)
    for identifier in (made.id, "nonesuch"):
        with pytest.raises(CatalogError, match=f"there is no checkpoint {identifier} to edit"):
            lease.edit_checkpoint(identifier, LABELS)
    other = SampleDomain(catalog, name="db", uuid="dom-2")
    with pytest.raises(ValueError, match="is not on domain"):
        other.open(OperationKind.EDIT).edit_checkpoint(made.id, LABELS)


def test_head_kept_id_is_cleared_with_its_checkpoint(catalog: SqlCatalog, web: SampleDomain) -> None:
    kept = web.checkpoint("kept")
    lease = web.open(OperationKind.ROLLBACK)
    overlays = web.overlays(lease.record.id, list(kept.layers.values()))
    head = replace(web.head(overlays, kept.id), kept_id=kept.id)
    lease.commit_rollback(head, overlays)
    assert catalog.head(web.uuid) == head
    lease.hide_checkpoint(kept.id)
    lease.forget_checkpoint(kept.id)
    assert catalog.head(web.uuid) == replace(head, checkpoint_id=None, kept_id=None)
