"""What verify asks of the catalog and writes into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.model import Layer, OperationKind
from tests.checkpoints import memory_of
from tests.unit.catalog_samples import of_another_host

from .catalog_samples import HOST, SampleDomain, base


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    catalog = open_catalog(f"sqlite:///{tmp_path}/catalog.db", HOST)
    yield catalog
    catalog.close_connection()


@pytest.fixture
def web(catalog: SqlCatalog) -> SampleDomain:
    """A domain with the checkpoints a, b on it, and beside b, on a, c."""
    web = SampleDomain(catalog)
    a = web.checkpoint("a")
    web.checkpoint("b")
    web.rollback(a)
    web.checkpoint("c")
    return web


def relying_on(catalog: SqlCatalog, path: str) -> list[str]:
    return [each.name for each in catalog.relying_on(path)]


def frozen(catalog: SqlCatalog, name: str) -> Layer:
    made = catalog.checkpoint("dom-1", name)
    assert made is not None
    return made.layers["vda"]


# --------------------------------------------------------------------------- who relies on a file


def test_all_above_a_layer_rely_on_it(catalog: SqlCatalog, web: SampleDomain) -> None:
    assert relying_on(catalog, base().path) == ["a", "b", "c"]
    assert relying_on(catalog, frozen(catalog, "b").path) == ["b"]
    assert relying_on(catalog, frozen(catalog, "c").path) == ["c"]


def test_relying_on_memory_image_is_its_checkpoint(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = catalog.checkpoint("dom-1", "b")
    assert made is not None
    assert relying_on(catalog, memory_of(made).path) == ["b"]


def test_relying_on_active_overlay_or_unknown_file_is_empty(catalog: SqlCatalog, web: SampleDomain) -> None:
    assert relying_on(catalog, web.tops["vda"].path) == []
    assert relying_on(catalog, "/etc/passwd") == []
    assert relying_on(of_another_host(catalog), base().path) == []


def test_a_disk_that_was_not_frozen_is_relied_on_by_its_path(catalog: SqlCatalog) -> None:
    web = SampleDomain(catalog)
    lease = web.open()
    made = web.value(lease, "with a CD")
    (disk,) = made.disks
    made = replace(made, disks=(disk, replace(disk, target="sda", path="/cd.iso", layer=None)))
    overlays = web.overlays(made.id, list(made.layers.values()))
    lease.commit_checkpoint(made, list(made.layers.values()), web.head(overlays, made.id), overlays)
    web.close(lease)

    assert relying_on(catalog, "/cd.iso") == ["with a CD"]


def test_a_hidden_checkpoint_relies_on_nothing_any_more(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = catalog.checkpoint("dom-1", "b")
    assert made is not None
    web.open(OperationKind.DELETE).hide_checkpoint(made.id)

    assert relying_on(catalog, base().path) == ["a", "c"]


# --------------------------------------------------------------------------- marks


def test_a_mark_is_shown_and_taken_away(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = catalog.checkpoint("dom-1", "a")
    assert made is not None and made.damage is None

    catalog.mark_damage(made.id, "the layer /x is missing")
    assert catalog.checkpoint_by_id(made.id) == replace(made, damage="the layer /x is missing")
    assert [(each.name, each.state) for each in catalog.summaries()] == [
        ("a", "damaged"), ("b", "unhashed"), ("c", "unhashed")
    ]  # fmt: skip

    catalog.mark_damage(made.id, None)
    assert catalog.checkpoint_by_id(made.id) == made


def test_a_hidden_checkpoint_is_shown_as_what_it_is(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = catalog.checkpoint("dom-1", "b")
    assert made is not None
    catalog.mark_damage(made.id, "broken")
    web.open(OperationKind.DELETE).hide_checkpoint(made.id)

    assert [each.state for each in catalog.summaries() if each.name == "b"] == ["deleting"]


def test_mark_damage_of_deleted_checkpoint_is_ignored(catalog: SqlCatalog) -> None:
    catalog.mark_damage("nobody", "broken")


# --------------------------------------------------------------------------- hashes


def test_a_memory_image_keeps_its_first_hash(catalog: SqlCatalog, web: SampleDomain) -> None:
    made = catalog.checkpoint("dom-1", "a")
    assert made is not None and memory_of(made).sha256 is None

    image = memory_of(made)
    catalog.record_memory(made.id, image, replace(image, mtime="1.0", sha256="ab"))
    catalog.record_memory(made.id, image, replace(image, mtime="2.0", sha256="cd"))

    now = catalog.checkpoint_by_id(made.id)
    assert now is not None and memory_of(now) == replace(image, mtime="1.0", sha256="ab")


def test_a_layer_keeps_its_first_hash(catalog: SqlCatalog, web: SampleDomain) -> None:
    layer = frozen(catalog, "b")
    catalog.record_layer(layer, replace(layer, sha256="ab"))
    catalog.record_layer(layer, replace(layer, sha256="cd"))

    assert frozen(catalog, "b") == replace(layer, sha256="ab")
    assert catalog.layer(layer.path) == replace(layer, sha256="ab")
    assert catalog.chain(layer.path)[0].sha256 == "ab"


@pytest.mark.parametrize("meanwhile", [{"mtime": "9.9"}, {"physical": 9}, {"path": "/elsewhere"}])
def test_record_layer_of_changed_layer_is_ignored(
    catalog: SqlCatalog, web: SampleDomain, meanwhile: dict[str, object]
) -> None:
    layer = frozen(catalog, "b")
    then = replace(layer, **meanwhile)  # type: ignore[arg-type]
    catalog.record_layer(then, replace(then, sha256="ab"))

    assert frozen(catalog, "b").sha256 is None


@pytest.mark.parametrize("meanwhile", [{}, {"mtime": "9.9"}, {"physical": 9}, {"path": "/elsewhere"}, {"sha256": "cd"}])
def test_the_time_of_a_layer_is_renewed_only_while_it_is_what_was_compared(
    catalog: SqlCatalog, web: SampleDomain, meanwhile: dict[str, object]
) -> None:
    unread = frozen(catalog, "b")
    catalog.record_layer(unread, replace(unread, sha256="ab"))
    layer = frozen(catalog, "b")
    then = replace(layer, **meanwhile)  # type: ignore[arg-type]
    catalog.record_layer(then, replace(then, mtime="77.7"))

    assert frozen(catalog, "b") == (layer if meanwhile else replace(layer, mtime="77.7"))


def test_layer_frozen_again_has_no_hash(catalog: SqlCatalog) -> None:
    """As after its only checkpoint was deleted, and the guest wrote to it since."""
    web = SampleDomain(catalog)
    lease = web.open()
    lease.commit_rollback(web.head([], None), [replace(base(), sha256="ab")])
    lease.commit_rollback(web.head([], None), [base()])
    web.close(lease)

    found = catalog.layer(base().path)
    assert found is not None and found.sha256 is None
