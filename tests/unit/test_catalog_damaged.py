"""The catalog is input: a row that cannot be is named, not believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.errors import CatalogError
from orchestrator.model import OperationKind

from .catalog_samples import HOST, SampleDomain


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


def tamper(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE checkpoint SET state = 'broken'",
        "UPDATE checkpoint SET created = 'yesterday'",
        "UPDATE checkpoint SET created = '2026-01-01T00:00:00'",  # of which zone?
        "UPDATE artifact SET size = 'much' WHERE kind = 'memory'",
        "UPDATE checkpoint SET name = x'ff'",
    ],
)
def test_checkpoint_damaged_row_is_refused_by_name(
    catalog: SqlCatalog, web: SampleDomain, file: Path, damage: str
) -> None:
    made = web.checkpoint("clean")
    tamper(file, damage)
    with pytest.raises(CatalogError, match=f"row of checkpoint {made.id} is damaged"):
        catalog.checkpoint_by_id(made.id)
    with pytest.raises(CatalogError, match=f"row of checkpoint {made.id} is damaged"):
        catalog.summaries()


def test_checkpoint_row_with_unknown_device_is_damaged(catalog: SqlCatalog, web: SampleDomain, file: Path) -> None:
    made = web.checkpoint("clean")
    tamper(file, "UPDATE artifact SET device = 'toaster' WHERE kind = 'disk'")
    with pytest.raises(CatalogError, match="is damaged: Invalid enum value 'toaster'"):
        catalog.checkpoint_by_id(made.id)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE operation_member SET plan = 'no JSON'",
        "UPDATE operation_member SET results = '[]'",
        "UPDATE operation_member SET completed = '[1]'",
        "UPDATE operation SET kind = 'dance'",
        "UPDATE operation SET lease_until = ''",
        "UPDATE operation SET token = 'x'",
        "UPDATE operation SET decision = 'sideways'",
        "UPDATE operation SET version = 'x'",
    ],
)
def test_operation_damaged_row_is_refused_by_name(
    catalog: SqlCatalog, web: SampleDomain, file: Path, damage: str
) -> None:
    lease = web.open(OperationKind.DELETE)
    tamper(file, damage)
    with pytest.raises(CatalogError, match=f"row of operation {lease.record.id} is damaged"):
        catalog.unsettled()


def test_layers_in_a_circle_are_damage_not_a_hang(catalog: SqlCatalog, web: SampleDomain, file: Path) -> None:
    web.checkpoint("a")
    made = web.checkpoint("b")
    tamper(file, "UPDATE layer SET backing_id = (SELECT max(id) FROM layer)")
    with pytest.raises(CatalogError, match="in its own backing chain"):
        catalog.chain(web.tops["vda"].path)
    catalog.layers_freed_by(made.id)


def test_lookup_of_undecodable_text_is_refused_in_one_line(catalog: SqlCatalog) -> None:
    with pytest.raises(CatalogError, match="cannot store a value"):
        catalog.domain_uuid("\udcff")
