"""`snapctl catalog` on a real catalog; no hypervisor is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.catalog import open_catalog
from tests.unit.catalog_samples import HOST

from .conftest import Run
from .standin import StandIn


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    open_catalog(url, HOST).close_connection()
    return url


def test_info(run: Run, world: StandIn, url: str) -> None:
    result = run("catalog", "info", "--catalog", url)
    assert result.code == 0
    first = result.out.splitlines()[0]
    assert first.startswith("catalog") and first.endswith(url)
    document = run("catalog", "info", "--catalog", url, "-o", "json").json
    assert document["url"] == url
    assert document["revision"] == document["newest_revision"]
    assert not world.settings


def test_upgrade_of_the_newest(run: Run, url: str) -> None:
    assert "newest schema already" in run("--catalog", url, "catalog", "upgrade").out
    document = run("--catalog", url, "catalog", "upgrade", "-o", "json").json
    assert document["before"] == document["after"]


def test_backup(run: Run, url: str, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    assert run("--catalog", url, "catalog", "backup", str(target)).out == f"catalog backed up to {target}\n"
    assert target.stat().st_mode & 0o777 == 0o600
    again = run("--catalog", url, "catalog", "backup", str(target), "-o", "json")
    assert (again.code, again.out) == (again.error["exit_code"], "")
    assert again.code != 0


def test_a_password_is_never_shown(run: Run) -> None:
    for output in ("table", "json"):
        result = run("--catalog", "postgresql://ann:hunter2@127.0.0.1:1/x", "catalog", "info", "-o", output)
        assert result.code in (2, 3)
        assert "hunter2" not in result.out + result.err
