"""The import rules: who may know what. Read from the source, so that no rule depends on what happens to run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import catalog, planning

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("orchestrator", "migrations") for path in (ROOT / folder).rglob("*.py"))

OWN_FILES = ("orchestrator/settings.py", "orchestrator/catalog/", "orchestrator/cli/")
"""Where the client's own files are opened by path. Everything else goes through the one door."""

ONLY_IN: dict[str, tuple[str, ...]] = {
    "libvirt": ("orchestrator/hypervisor/",),
    "libvirt_qemu": (),
    "lxml": ("orchestrator/formats/xmltree.py",),
    "xml": (),
    "sqlalchemy": ("orchestrator/catalog/", "migrations/"),
    "alembic": ("orchestrator/catalog/", "migrations/"),
    "sqlite3": ("orchestrator/catalog/",),
    "psycopg": (),
    "click": ("orchestrator/cli/",),
    "rich": ("orchestrator/cli/",),
    "subprocess": (),
    "shutil": ("orchestrator/cli/streams.py",),  # the width of the terminal
    **dict.fromkeys(("os", "pathlib", "io", "tempfile", "glob", "mmap"), OWN_FILES),
    "orchestrator.hypervisor": ("orchestrator/hypervisor/", "orchestrator/coordinator.py"),
    "orchestrator.catalog": (
        "orchestrator/catalog/",
        "orchestrator/coordinator.py",
        "orchestrator/cli/",
        "migrations/",
    ),
    "orchestrator.cli": ("orchestrator/cli/",),
}
"""Module -> the only places that may import it."""

KNOWS_ONLY: dict[str, tuple[str, ...]] = {
    "orchestrator/errors.py": (),
    "orchestrator/timespan.py": ("errors",),
    "orchestrator/model/": ("model", "errors"),
    "orchestrator/formats/": ("formats", "model", "errors"),
    "orchestrator/ports.py": ("ports", "model"),
    "orchestrator/planning/": ("planning", "store.layout", "formats", "model", "errors", "timespan"),
    "orchestrator/store/": ("store", "formats", "ports", "model", "errors", "planning", "journal"),
    "orchestrator/fence.py": ("model", "ports"),
    "orchestrator/journal.py": ("errors", "model", "ports"),
    "orchestrator/operations/": (
        *("operations", "planning", "journal", "store", "formats", "ports", "model", "errors"),
    ),
    "orchestrator/inspection.py": ("errors", "model", "ports", "planning", "formats"),
    "orchestrator/verification.py": ("model", "ports", "planning", "inspection"),
    "orchestrator/survey.py": ("errors", "model", "ports", "planning", "inspection", "formats"),
    "orchestrator/runner.py": (*("errors", "model", "ports", "fence", "journal", "planning", "operations", "survey"),),
    "orchestrator/thinning.py": ("errors", "model", "ports", "planning", "runner", "survey"),
    "orchestrator/usage.py": ("model", "ports", "store"),
    "orchestrator/rebuild.py": ("errors", "model", "ports", "store"),
    "orchestrator/doctor/": ("doctor", "errors", "model", "ports", "planning", "store"),
    "orchestrator/hypervisor/": ("hypervisor", "formats", "ports", "model", "errors"),
    "orchestrator/catalog/": ("catalog", "store.layout", "ports", "model", "errors"),
    "orchestrator/settings.py": ("errors", "model", "timespan"),
    "orchestrator/__init__.py": ("coordinator",),
    "orchestrator/cli/": (
        *("cli", "coordinator", "errors", "model", "ports", "settings", "timespan"),
        *(f"catalog.{name}" for name in catalog.__all__),
        *(f"planning.{name}" for name in planning.__all__),
    ),
}
"""Place -> all that it may import of orchestrator."""


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """The absolute name of everything imported anywhere in a module of that package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def opened(tree: ast.AST) -> Iterator[str]:
    """Calls of builtins that open a file, or import a module unseen."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return (func.id for func in calls if isinstance(func, ast.Name) and func.id in ("open", "__import__"))


def is_in(name: str, module: str) -> bool:
    return f"{name}.".startswith(f"{module}.")


def violations(place: str, source: str) -> set[str]:
    """What the module at `place`, relative to the root of the tree, imports or calls against the rules."""
    tree = ast.parse(source)
    names = set(imported(tree, place.rpartition("/")[0].replace("/", ".")))
    found = {
        name for name in names for module, at in ONLY_IN.items() if is_in(name, module) and not place.startswith(at)
    }
    for limited, known in KNOWS_ONLY.items():
        if place.startswith(limited):
            ours = {name for name in names if is_in(name, "orchestrator")}
            found |= {name for name in ours if not any(is_in(name, f"orchestrator.{module}") for module in known)}
    return found if place.startswith(OWN_FILES) else found | set(opened(tree))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rules_are_kept(path: Path) -> None:
    assert violations(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("place", "source", "found"),
    [
        ("orchestrator/survey.py", "import libvirt", ["libvirt"]),
        ("orchestrator/operations/rewind.py", "def f():\n    from libvirt import virDomain", ["libvirt.virDomain"]),
        ("orchestrator/hypervisor/domains.py", "from lxml import etree", ["lxml.etree"]),
        ("orchestrator/formats/domainxml.py", "import xml.etree.ElementTree as et", ["xml.etree.ElementTree"]),
        ("orchestrator/coordinator.py", "import sqlalchemy.orm", ["sqlalchemy.orm"]),
        ("orchestrator/coordinator.py", "import rich", ["rich"]),
        ("orchestrator/hypervisor/storage.py", "import subprocess, shutil", ["subprocess", "shutil"]),
        ("orchestrator/hypervisor/storage.py", "from os import unlink", ["os.unlink"]),
        ("orchestrator/store/workspace.py", "with open('/x') as f: pass", ["open"]),
        ("orchestrator/survey.py", "__import__('libvirt')", ["__import__"]),
        ("orchestrator/operations/delete.py", "from ..hypervisor import connect", ["orchestrator.hypervisor.connect"]),
        ("orchestrator/survey.py", "from . import catalog", ["orchestrator.catalog"]),
        ("orchestrator/planning/plans.py", "from ..ports import Catalog", ["orchestrator.ports.Catalog"]),
        ("orchestrator/store/contents.py", "from ..catalog import reading", ["orchestrator.catalog.reading"]),
        ("orchestrator/store/manifest/reading.py", "from ...cli import main", ["orchestrator.cli.main"]),
        ("orchestrator/rebuild.py", "from .operations import rollback", ["orchestrator.operations.rollback"]),
        ("orchestrator/doctor/guests.py", "from ..journal import Run", ["orchestrator.journal.Run"]),
        ("orchestrator/catalog/rows.py", "from ..planning import Plan", ["orchestrator.planning.Plan"]),
        ("orchestrator/model/guest.py", "from ..ports import Catalog", ["orchestrator.ports.Catalog"]),
        ("orchestrator/cli/show.py", "from ..catalog import database", ["orchestrator.catalog.database"]),
        (
            "orchestrator/cli/show.py",
            "from ..planning.rollback import RollbackPlan",
            ["orchestrator.planning.rollback.RollbackPlan"],
        ),
        ("orchestrator/cli/render/tree.py", "from ...journal import Run", ["orchestrator.journal.Run"]),
    ],
)
def test_a_breach_is_found(place: str, source: str, found: list[str]) -> None:
    assert violations(place, source) == set(found)


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("orchestrator/hypervisor/storage.py", "import libvirt"),
        ("orchestrator/settings.py", "import os\nopen('/etc/snapctl/snapctl.toml')"),
        ("orchestrator/cli/show.py", "import click\nfrom ..model import Layer\nfrom ..planning import Plan"),
        ("orchestrator/journal.py", "import ostrich\nself.open('x')"),
    ],
)
def test_what_is_allowed_is_not_found(place: str, source: str) -> None:
    assert violations(place, source) == set()


def test_every_rule_names_places_that_exist() -> None:
    places = {place for at in ONLY_IN.values() for place in at} | set(KNOWS_ONLY)

    assert [place for place in sorted(places) if not (ROOT / place).exists()] == []


def test_every_module_is_under_a_rule() -> None:
    """But for the one that puts all the others together."""
    places = {path.relative_to(ROOT).as_posix() for path in SOURCES if path.is_relative_to(ROOT / "orchestrator")}

    assert {place for place in places if not place.startswith(tuple(KNOWS_ONLY))} == {"orchestrator/coordinator.py"}
