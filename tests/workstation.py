"""The whole command line, in process or as a process, over the real coordinator: only the hypervisor is the twin.

A workstation is a user's home directory with a configuration and an SQLite catalog, and a connection to a
`tests.twin.World`. `python -m tests.workstation HOME VERB ...` runs the command in a process of its own, on the
workstation that was saved in HOME.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import sqlite3
import sys
from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import settings
from orchestrator.catalog import open_catalog
from orchestrator.cli import main
from orchestrator.coordinator import Coordinator
from orchestrator.ports import Progress, silent
from orchestrator.settings import Settings
from orchestrator.units import MIB
from tests.crash.faults import Killed
from tests.recorder import Recorded
from tests.twin import Guest, Machine, TwinHypervisor, World
from tests.twin.files import Image

if TYPE_CHECKING:
    import pytest  # a process of its own has no time to load it

STORE = "/store"
VARIABLES = ("SNAPCTL_URI", "LIBVIRT_DEFAULT_URI", "COLUMNS")


@dataclass
class Forged(Image):
    """An image whose bytes somebody else wrote. Its facts, but for the length, are as they were."""

    content: bytes = b""

    def bytes(self) -> bytes:
        return self.content


class Workstation:
    def __init__(self, home: Path, world: World) -> None:
        self.home = home
        self.world = world
        self.catalog = home / "catalog.sqlite"
        self.settings: list[Settings] = []
        """What each command that connected was given."""
        self.changes: list[str] = []
        """The changing calls that the hypervisor got."""
        self.ending = contextlib.ExitStack()
        """What a test wants to have undone."""
        self._fatal = ""  # the fault point at which the client is killed

    def copied(self, home: Path) -> Workstation:
        """The same again, for somebody to spoil."""
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        copy = Workstation(home, deepcopy(self.world))
        copy.configure()
        return copy

    # ------------------------------------------------------------------ the command

    def main(self, *argv: str) -> int:
        return main(argv, connect=self.connect)

    def connect(self, settings: Settings, *, progress: Progress) -> Coordinator:
        """`Coordinator.open`, but for the twin in libvirt's place."""
        self.settings.append(settings)
        return self._coordinator(settings.catalog, settings.store.path, settings.store.reserve_mib, progress)

    def session(self) -> Coordinator:
        """An honest client."""
        return self._coordinator(f"sqlite:///{self.catalog}", STORE)

    def _coordinator(self, url: str, store: str, reserve_mib: int = 0, progress: Progress = silent) -> Coordinator:
        recorded = Recorded(TwinHypervisor(self.world), self.changes)
        return Coordinator.identified(
            recorded,
            open_catalog(url, self.world.host, create=False),
            store=store,
            reserve_bytes=reserve_mib * MIB,
            progress=progress,
            point=self._reach,
        )

    def configure(self, text: str | None = None) -> None:
        """Write this user's own configuration file; without a text, one that leads to catalog and store."""
        file = self.home / "config" / "snapctl" / "snapctl.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        own = f'catalog = "sqlite:///{self.catalog}"\n[store]\npath = "{STORE}"\n'
        file.write_text(own if text is None else text)

    def killed(self, point: str, *argv: str) -> None:
        """Run a verb that is killed at this fault point: nobody settles what it leaves, and its lease has ended."""
        self._fatal = point
        try:
            code = self.main(*argv)
        except Killed:
            return
        finally:
            self._fatal = ""
        raise AssertionError(f"{argv[0]} never reached {point}, and ended with exit code {code}")

    def _reach(self, point: str) -> None:
        if point == self._fatal:
            raise Killed

    # ------------------------------------------------------------------ the command as a process

    def save(self) -> None:
        """Keep the world, for a process to go on with."""
        (self.home / "world").write_bytes(pickle.dumps(self.world))

    def process(self, *argv: str) -> list[str]:
        """The command as the arguments of a process. It begins with the world as it is now; `load` has what became
        of it."""
        self.save()
        return [sys.executable, "-m", "tests.workstation", str(self.home), *argv]

    def load(self) -> None:
        self.world = pickle.loads((self.home / "world").read_bytes())  # noqa: S301 - our own

    @classmethod
    def saved(cls, home: Path) -> Workstation:
        found = cls(home, World())
        found.load()
        return found

    # ------------------------------------------------------------------ what lies behind it

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

    def unmount(self) -> None:
        """The file system that the store is on is not there."""
        files = self.world.files
        for path in [path for path in files.files if path.startswith(f"{STORE}/")]:
            del files.files[path]
        files.directories = {path for path in files.directories if not f"{path}/".startswith(f"{STORE}/")}

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


def live_in(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take `home` for this user's home directory, and nothing of this machine's configuration."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setattr(settings, "SYSTEM_CONFIG", home / "etc" / "snapctl.toml")


def _run(home: Path, *argv: str) -> int:
    """The command in this process, which has the environment of one in which `live_in` was called."""
    settings.SYSTEM_CONFIG = home / "etc" / "snapctl.toml"
    station = Workstation.saved(home)
    try:
        return station.main(*argv)
    finally:
        station.save()


if __name__ == "__main__":
    sys.exit(_run(Path(sys.argv[1]), *sys.argv[2:]))
