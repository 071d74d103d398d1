"""The catalogs that the bench generates must be such as operations make, else it measures something else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.model import Host
from tools.bench import generator

HOST = Host(uuid="host-1", name="hv1", uri="qemu:///system", libvirt_version="9.0.0", qemu_version="7.2.0")
SIZE = generator.PER_DOMAIN + 30


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    url = f"sqlite:///{tmp_path}/generated.sqlite"
    generator.fill(url, HOST, SIZE)
    catalog = open_catalog(url, HOST)
    yield catalog
    catalog.close_connection()


def test_generated_catalog_lists_all_with_one_current_per_domain(catalog: SqlCatalog) -> None:
    listed = catalog.summaries()
    assert len(listed) == SIZE
    assert [each.domain for each in listed if each.current] == ["guest001", "guest000"]
    assert not catalog.unsettled()


def test_checkpoints_are_trees_with_branches(catalog: SqlCatalog) -> None:
    listed = [each for each in catalog.summaries() if each.domain == "guest000"]
    parents = [each.parent_id for each in listed]
    assert parents.count(None) == 1
    assert any(parents.count(parent) > 1 for parent in set(parents))


def test_generated_layers_are_backed_by_those_of_the_parent(catalog: SqlCatalog) -> None:
    for each in catalog.summaries():
        checkpoint = catalog.checkpoint_by_id(each.id)
        assert checkpoint is not None
        parent = catalog.checkpoint_by_id(checkpoint.parent_id) if checkpoint.parent_id else None
        for target, layer in checkpoint.layers.items():
            assert layer.backing == (parent.layers[target].path if parent else None)


def test_a_domain_that_exists_can_have_them_all(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/one.sqlite"
    generator.fill_one(url, HOST, SIZE, name="web01", uuid="uuid-1")
    catalog = open_catalog(url, HOST)
    listed = catalog.summaries("uuid-1")
    assert len(listed) == SIZE
    assert not any(each.current for each in listed)
    assert all(catalog.checkpoint_by_id(each.id) for each in listed[:20])
    catalog.close_connection()


def test_generated_catalog_has_no_unneeded_or_dangling_layer(catalog: SqlCatalog) -> None:
    """A leaf that is not stood on frees its own layers, and the head's chain goes down to the domain's disk."""
    head = catalog.head(generator.uuid_of("guest001"))
    assert head is not None and head.checkpoint_id is not None
    assert not catalog.layers_freed_by(head.checkpoint_id)
    for path in head.overlays.values():
        *_, lowest = catalog.chain(path)
        assert lowest.operation_id is None
