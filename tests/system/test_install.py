"""`pip install .` elsewhere: the wheel has all that it takes, the migrations of the catalog among it."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from tests import children
from tests.box.box import REPOSITORY, Box

pytestmark = pytest.mark.system

PATIENCE = 300.0
"""Seconds: pip builds libvirt-python."""

NOT_SOURCE = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "build", "*.egg-info")


@pytest.fixture(scope="module")
def snapctl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in a fresh virtual environment, away from the source."""
    home = tmp_path_factory.mktemp("install")
    shutil.copytree(REPOSITORY, home / "source", ignore=NOT_SOURCE)
    run("/usr/bin/python3", "-m", "venv", str(home / "venv"))
    run(str(home / "venv/bin/pip"), "install", "--quiet", str(home / "source"))
    shutil.rmtree(home / "source")
    return home / "venv/bin/snapctl"


def run(*argv: str) -> str:
    return children.run(*argv, check=True, cwd="/", timeout=PATIENCE).stdout


def test_every_package_is_shipped() -> None:
    packages = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    inside = [path.parent.relative_to(REPOSITORY) for path in (REPOSITORY / "orchestrator").rglob("__init__.py")]
    migrations = ["orchestrator.migrations", "orchestrator.migrations.versions"]
    assert set(packages) == {".".join(path.parts) for path in inside} | set(migrations)


@pytest.mark.long  # it builds libvirt-python
def test_installed_command_prints_its_version(snapctl: Path) -> None:
    assert run(str(snapctl), "--version").startswith("snapctl ")


@pytest.mark.long
def test_installed_command_creates_catalog_of_newest_schema(snapctl: Path, box: Box, tmp_path: Path) -> None:
    catalog = f"--catalog=sqlite:///{tmp_path}/catalog.sqlite"
    run(str(snapctl), "-c", box.uri, catalog, "list")
    newest = max(path.name[:4] for path in (REPOSITORY / "migrations/versions").glob("[0-9]*.py"))
    assert newest in run(str(snapctl), catalog, "catalog", "info")
