"""The import rules: who may know what. Read from the source, so that no rule depends on what happens to run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

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
}
"""Module -> the only places that may import it."""

KNOWS_ONLY: dict[str, tuple[str, ...]] = {
    "model": ("errors",),
    "formats": ("model", "errors"),
    "ports": ("model",),
    "store": ("formats", "ports", "model", "errors", "units"),
    "integrity": ("store", "formats", "ports", "model", "errors", "units"),
    "engine": ("ports", "model", "errors"),
    "operations": (*("engine", "integrity", "store", "formats", "ports", "model", "errors", "timespan", "units"),),
    "reports": (
        *(
            "operations.shared.helper",
            "operations.shared.depth",
            "operations.shared.now",
            "integrity",
            "store",
            "formats",
            "ports",
            "model",
            "errors",
            "units",
        ),
    ),
    "hypervisor": ("formats", "ports", "model", "errors", "units"),
    "catalog": ("store.layout", "ports", "model", "errors"),
    "cli": (*("catalog", "coordinator", "settings", "operations", "engine", "ports", "model", "errors", "timespan"),),
}
"""Folder -> all that it may import of orchestrator, beside itself. Nobody imports what stands above it."""

ALONE: dict[str, tuple[str, ...]] = {
    "__init__.py": ("coordinator",),
    "errors.py": (),
    "units.py": (),
    "timespan.py": ("errors",),
    "settings.py": ("model", "errors", "timespan"),
}
"""The same for the modules outside of any folder. The door (`coordinator.py`, `executor.py`, `observer.py`) may import
anything."""

MADE_OF = {"keeping": ("checkpoint", "rollback")}
"""An operation that is several in one -> those."""

PURE = (
    "model/",
    "formats/",
    "plan.py",
    "policy.py",
    "layout.py",
    "refusals.py",
    "preflight.py",
    "damage.py",
    "headers.py",
    "users.py",
)
"""What computes and nothing else: it knows no port, so it can have no effect."""


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


def allowed(place: str) -> tuple[str, ...] | None:
    """What of orchestrator a module may import; None for one that may import anything of it."""
    folder, _, rest = place.removeprefix("orchestrator/").partition("/")
    if not rest:
        return ALONE.get(folder)
    known = (folder, *KNOWS_ONLY[folder])
    return tuple(name for name in known if name not in ("ports", "engine")) if is_pure(place) else known


def is_pure(place: str) -> bool:
    within = place.removeprefix("orchestrator/")
    return within.startswith(PURE) or within.endswith(tuple(f"/{name}" for name in PURE))


def violations(place: str, source: str) -> set[str]:
    """What the module at `place`, relative to the root of the tree, imports or calls against the rules."""
    tree = ast.parse(source)
    names = set(imported(tree, place.rpartition("/")[0].replace("/", ".")))
    found = {
        name for name in names for module, at in ONLY_IN.items() if is_in(name, module) and not place.startswith(at)
    }
    if place.startswith("orchestrator/") and (known := allowed(place)) is not None:
        ours = {name for name in names if is_in(name, "orchestrator")}
        found |= {name for name in ours if not any(is_in(name, f"orchestrator.{module}") for module in known)}
    found |= {name for name in names if is_another_operation(place, name)}
    return found if place.startswith(OWN_FILES) else found | set(opened(tree))


def is_another_operation(place: str, name: str) -> bool:
    """Operations know what they share, and each other only in the list of all, where a verb takes several, and where
    one is made of several."""
    parts = place.split("/")
    if parts[-1] == "verb.py":
        return False
    if parts[:2] != ["orchestrator", "operations"] or len(parts) < 4 or not is_in(name, "orchestrator.operations"):
        return False
    return name.split(".")[2] not in (parts[2], "shared", *MADE_OF.get(parts[2], ()))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rules_are_kept(path: Path) -> None:
    assert violations(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    ("place", "source", "found"),
    [
        ("operations/shared/rewind.py", "def f():\n    from libvirt import virDomain", ["libvirt.virDomain"]),
        ("hypervisor/domains.py", "from lxml import etree", ["lxml.etree"]),
        ("formats/domainxml.py", "import xml.etree.ElementTree as et", ["xml.etree.ElementTree"]),
        ("coordinator.py", "import sqlalchemy.orm", ["sqlalchemy.orm"]),
        ("coordinator.py", "import rich", ["rich"]),
        ("hypervisor/storage.py", "import subprocess, shutil", ["subprocess", "shutil"]),
        ("hypervisor/storage.py", "from os import unlink", ["os.unlink"]),
        ("store/workspace.py", "with open('/x') as f: pass", ["open"]),
        ("operations/shared/rewind.py", "__import__('libvirt')", ["__import__"]),
        ("operations/delete/story.py", "from ...hypervisor import connect", ["orchestrator.hypervisor.connect"]),
        ("operations/delete/story.py", "from ... import catalog", ["orchestrator.catalog"]),
        ("operations/delete/story.py", "from ..rollback import plan", ["orchestrator.operations.rollback.plan"]),
        ("operations/keeping/story.py", "from ..delete import plan", ["orchestrator.operations.delete.plan"]),
        ("operations/delete/plan.py", "from ...ports import Catalog", ["orchestrator.ports.Catalog"]),
        ("store/contents.py", "from ..catalog import reading", ["orchestrator.catalog.reading"]),
        ("store/layout.py", "from ..ports import Storage", ["orchestrator.ports.Storage"]),
        ("integrity/damage.py", "from ..ports import Storage", ["orchestrator.ports.Storage"]),
        ("engine/run.py", "from ..operations import registry", ["orchestrator.operations.registry"]),
        ("reports/rebuild.py", "from ..operations import rollback", ["orchestrator.operations.rollback"]),
        ("reports/doctor/guests.py", "from ...engine.run import Run", ["orchestrator.engine.run.Run"]),
        ("catalog/rows.py", "from ..engine.story import Plan", ["orchestrator.engine.story.Plan"]),
        ("model/guest.py", "from ..ports import Catalog", ["orchestrator.ports.Catalog"]),
        ("errors.py", "from orchestrator.model import Layer", ["orchestrator.model.Layer"]),
        ("cli/show.py", "from ..hypervisor import connect", ["orchestrator.hypervisor.connect"]),
        ("cli/render/tree.py", "from ...store import manifest", ["orchestrator.store.manifest"]),
    ],
)
def test_breach_is_found(place: str, source: str, found: list[str]) -> None:
    assert violations(f"orchestrator/{place}", source) == set(found)


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("hypervisor/storage.py", "import libvirt"),
        ("settings.py", "import os\nopen('/etc/snapctl/snapctl.toml')"),
        ("cli/show.py", "import click\nfrom ..model import Layer\nfrom ..operations.edit.plan import Edits"),
        ("engine/run.py", "import ostrich\nself.open('x')"),
        ("operations/registry.py", "from .delete.plan import DeletePlan"),
        ("operations/prune/verb.py", "from ..delete import verb"),
        ("operations/keeping/story.py", "from ..rollback.plan import RollbackPlan"),
        ("operations/delete/plan.py", "from ..shared.refusals import refuse_busy\nfrom ...errors import Busy"),
    ],
)
def test_allowed_import_is_not_found(place: str, source: str) -> None:
    assert violations(f"orchestrator/{place}", source) == set()


def test_every_rule_names_places_that_exist() -> None:
    places = {place for at in ONLY_IN.values() for place in at} | {
        f"orchestrator/{place}" for place in (*KNOWS_ONLY, *ALONE)
    }

    assert [place for place in sorted(places) if not (ROOT / place).exists()] == []


def test_every_module_is_under_a_rule() -> None:
    """But for the door, which puts all the others together."""
    places = {path.relative_to(ROOT / "orchestrator") for path in SOURCES if path.is_relative_to(ROOT / "orchestrator")}

    assert {place.parts[0] for place in places} - set(KNOWS_ONLY) - set(ALONE) == {
        "coordinator.py",
        "executor.py",
        "observer.py",
    }
