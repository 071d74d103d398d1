"""Catalogs of both kinds of database, empty or of the schema before 0005."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.catalog.database import Database

from ..unit import postgresql
from .rows import make_old


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    binaries = postgresql.programs()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL: apt-get install postgresql")
    with postgresql.server(binaries) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    return str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def old_catalog(url: str) -> Iterator[Database]:
    """Of the schema before, with every kind of row."""
    with make_old(url) as database:
        yield database
