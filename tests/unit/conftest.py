"""Fixtures that several files share: an operation to carry out, and a whole snapctl on the in-memory hypervisor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.catalog import SqlCatalog, open_catalog
from orchestrator.coordinator import Coordinator
from tests.twin import TwinHypervisor, World
from tests.unit.builders import host
from tests.unit.journal_harness import JournalHarness


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'catalog.sqlite'}"


@pytest.fixture
def harness(url: str) -> Iterator[JournalHarness]:
    catalog = open_catalog(url, host())
    yield JournalHarness(catalog)
    catalog.close_connection()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def our_catalog(url: str, world: World) -> Iterator[SqlCatalog]:
    catalog = open_catalog(url, world.host)
    yield catalog
    catalog.close_connection()


@pytest.fixture
def snapctl(world: World, our_catalog: SqlCatalog) -> Coordinator:
    return Coordinator(TwinHypervisor(world), our_catalog, store="/store")
