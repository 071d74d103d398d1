"""`catalog backup` and `catalog info`."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.catalog import CatalogInfo, SqlCatalog, backup, info, open_catalog
from orchestrator.errors import CatalogError, Refused
from tests.unit.catalog_samples import HOST

from .catalog_samples import SampleDomain


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/catalog.db"


@pytest.fixture
def catalog(url: str) -> Iterator[SqlCatalog]:
    catalog = open_catalog(url, HOST)
    yield catalog
    catalog.close_connection()


def test_a_backup_is_a_catalog_of_that_moment(catalog: SqlCatalog, url: str, tmp_path: Path) -> None:
    web = SampleDomain(catalog)
    made = web.checkpoint("clean")
    web.open()  # in use
    copy = tmp_path / "copy.db"

    backup(url, copy)

    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("copy")) == ["copy.db"]
    web.catalog.checkpoint_by_id(made.id)
    restored = open_catalog(f"sqlite:///{copy}", HOST)
    assert restored.checkpoint_by_id(made.id) == made
    restored.close_connection()


def test_a_backup_overwrites_nothing(catalog: SqlCatalog, url: str, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("precious")
    with pytest.raises(Refused, match="already exists"):
        backup(url, there)
    assert there.read_text() == "precious"


def test_a_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "catalog.db"
    open_catalog(f"sqlite:///{broken}", HOST).close_connection()
    with closing(sqlite3.connect(broken)) as connection, connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET rootpage = 999 WHERE name = 'layer'")
    with pytest.raises(CatalogError, match=r"cannot be copied|malformed|damaged"):
        backup(f"sqlite:///{broken}", tmp_path / "copy.db")
    assert [path.name for path in tmp_path.iterdir() if "copy" in path.name] == []


@pytest.mark.parametrize("place", ["/proc/copy.db", "/nowhere/copy.db"])
def test_a_backup_to_where_nothing_can_be_made_is_one_line(catalog: SqlCatalog, url: str, place: str) -> None:
    with pytest.raises(CatalogError, match=f"cannot copy the catalog to {place}") as refused:
        backup(url, Path(place))
    assert refused.value.hint == "choose a file in a directory that is there, and that you may write to"


def test_backup_missing_catalog_is_refused_and_creates_nothing(url: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there is no catalog"):
        backup(url, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_info_counts(catalog: SqlCatalog, url: str) -> None:
    SampleDomain(catalog, disks=("vda", "vdb")).checkpoint("clean")
    found = info(url)
    assert found.counts == {"host": 1, "domain": 1, "checkpoint": 1, "layer": 4, "operation": 1}
    assert (found.url, found.revision) == (url, found.newest_revision)
    assert found.size_bytes is not None and found.size_bytes > 4096


def test_info_of_nothing_makes_nothing(url: str, tmp_path: Path) -> None:
    assert info(url) == CatalogInfo(
        url=url, revision=None, newest_revision=info(url).newest_revision, size_bytes=None, counts={}
    )
    assert list(tmp_path.iterdir()) == []
