"""A small world for a bad input to meet: guests on the twin, a catalog, a configuration, and what is seen of them.

web01   two disks and a CD-ROM; stands on `other`, and rolling it back to `work` would succeed
          clean ─┬─ work
                 └─ other
web02   one disk; stands on its only checkpoint, `its`
web03   one disk on top of a base; never checkpointed
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.model import Device, Disk, Source
from orchestrator.ports import Progress, silent
from orchestrator.settings import Settings
from orchestrator.units import MIB
from tests.twin import Guest, Machine, TwinHypervisor, World
from tests.twin.files import Image
from tests.twin.world import CAPACITY, IMAGES

from .recorder import Recorded

STORE = "/store"
BASE = f"{IMAGES}/base.qcow2"
CDROM = Disk(target="sda", device=Device.CDROM, source=Source(path="/iso/a.iso", format="raw"), readonly=True)


@dataclass
class Forged(Image):
    """An image whose bytes somebody else wrote. Its facts, but for the length, are as they were."""

    content: bytes = b""

    def bytes(self) -> bytes:
        return self.content


class Bench:
    """The world as `prepared` left it, and a home directory with a configuration that leads to it."""

    def __init__(self, home: Path, world: World) -> None:
        self.home = home
        self.world = world
        self.catalog = home / "catalog.sqlite"
        self.changes: list[str] = []
        """The changing calls that the hypervisor got."""
        self.ending = contextlib.ExitStack()
        """What a provocation wants to have undone."""
        self.configure(f'catalog = "sqlite:///{self.catalog}"\n[store]\npath = "{STORE}"\n')

    @classmethod
    def prepared(cls, home: Path) -> Bench:
        """All that the module's text says."""
        bench = cls(home, World())
        bench._add("web01", disks=2, others=[CDROM])
        bench._add("web02")
        bench._add("web03", base=BASE)
        with bench.session() as session:
            session.checkpoint("web01", "clean")
            session.checkpoint("web01", "work")
            session.rollback("web01", "clean")
            session.checkpoint("web01", "other")
            session.checkpoint("web02", "its")
        bench.changes.clear()
        return bench

    def copied(self, home: Path) -> Bench:
        """The same again, for somebody to spoil."""
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        return Bench(home, deepcopy(self.world))

    def _add(self, name: str, *, disks: int = 1, others: list[Disk] | None = None, base: str | None = None) -> None:
        guest = self.world.add(name, disks=disks, others=others or ())
        if base is not None:
            self.world.files.put(base, Image(capacity=CAPACITY))
            top = self.world.files.image(f"{IMAGES}/{name}-vda.qcow2")
            top.backing, top.backing_format = base, "qcow2"
        guest.start().tick()

    # ------------------------------------------------------------------ what the command gets

    def connect(self, settings: Settings, *, progress: Progress) -> Coordinator:
        """`Coordinator.open`, but for the twin in libvirt's place."""
        return self._coordinator(settings.catalog, settings.store.path, settings.store.reserve_mib, progress)

    def session(self) -> Coordinator:
        """An honest client."""
        return self._coordinator(f"sqlite:///{self.catalog}", STORE)

    def _coordinator(self, url: str, store: str, reserve_mib: int = 0, progress: Progress = silent) -> Coordinator:
        recorded = Recorded(TwinHypervisor(self.world), self.changes)
        return Coordinator(
            recorded,
            open_catalog(url, self.world.host),
            store=store,
            reserve_bytes=reserve_mib * MIB,
            progress=progress,
        )

    def configure(self, text: str) -> None:
        """Write this user's own configuration file."""
        file = self.home / "config" / "snapctl" / "snapctl.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    # ------------------------------------------------------------------ what provocations need

    def machine(self, name: str = "web01") -> Machine:
        return next(each for each in self.world.machines.values() if each.name == name)

    def guest(self, name: str = "web01") -> Guest:
        return Guest(self.world, self.machine(name))

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What anybody may do to an SQLite file."""
        with contextlib.closing(sqlite3.connect(self.catalog)) as database, database:
            return list(database.execute(statement, values))

    def memory(self, checkpoint: str = "work") -> str:
        ((path,),) = self.sql(
            "SELECT path FROM artifact JOIN checkpoint ON checkpoint.id = checkpoint_id"
            " WHERE kind = 'memory' AND name = ?",
            checkpoint,
        )
        return str(path)

    def layer(self, checkpoint: str = "work", target: str = "vda") -> str:
        ((path,),) = self.sql(
            "SELECT layer.path FROM layer JOIN artifact disk ON disk.layer_id = layer.id"
            " JOIN checkpoint ON checkpoint.id = disk.checkpoint_id WHERE name = ? AND disk.target = ?",
            *(checkpoint, target),
        )
        return str(path)

    def content(self, path: str) -> bytes:
        return self.world.files[path].bytes()

    def forge(self, path: str, content: bytes) -> None:
        """Give a file other bytes, and set its time of last change back."""
        file = self.world.files[path]
        if isinstance(file, Image):
            values = {each.name: getattr(file, each.name) for each in fields(Image)}
            self.world.files.files[path] = Forged(**{**values, "content": content})
        else:
            file.content = content

    # ------------------------------------------------------------------ what is seen

    def seen(self, *, but: Collection[str] = ()) -> dict[str, Any]:
        """Everything that could have changed, but for these tables and columns of the catalog."""
        machines = self.world.machines.values()
        told = [each.name for each in fields(Machine) if each.name != "files"]
        return {
            "machines": {each.uuid: {name: deepcopy(getattr(each, name)) for name in told} for each in machines},
            "files": {path: (each.bytes(), each.mode, each.mtime) for path, each in self.world.files.files.items()},
            "directories": set(self.world.files.directories),
            "catalog": self._rows(but),
            "home": {str(path): _content(path) for path in self.home.rglob("*") if not self._is_of_catalog(path)},
        }

    def _rows(self, but: Collection[str]) -> object:
        """All rows of all tables; of what is no database, its bytes."""
        if not self.catalog.is_file():
            return None
        try:
            tables = [name for (name,) in self.sql("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            return {name: self._table(name, but) for name in tables if name not in but}
        except sqlite3.Error:
            return self.catalog.read_bytes()

    def _table(self, name: str, but: Collection[str]) -> list[str]:
        with contextlib.closing(sqlite3.connect(self.catalog)) as database:
            found = database.execute(f'SELECT * FROM "{name}"')  # noqa: S608 - a name from the schema itself
            columns = [column for column, *_ in found.description]
            return sorted(repr([v for c, v in zip(columns, row, strict=True) if c not in but]) for row in found)

    def _is_of_catalog(self, path: Path) -> bool:
        return path.name.startswith(self.catalog.name)


def _content(path: Path) -> bytes | str:
    return path.read_bytes() if path.is_file() and os.access(path, os.R_OK) else oct(path.lstat().st_mode)
