"""What can be seen of a world and its catalog, and what must hold of it at any time.

Nothing here changes anything. What holds at any time, also in the middle of operations:

- what a frozen layer shows never changes, it only ever gets more of it into itself, and no domain has one as a disk
  that it could write to, but a helper that an open operation has and nobody else's disk stands on
- the memory image and the layers of a checkpoint are of one instant
- the memory of a guest that is on belongs to its disks

and of a domain that no operation is in progress of: its files are those that the catalog knows, no more and no fewer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname

from orchestrator.catalog import open_catalog
from orchestrator.model import Checkpoint, CheckpointSummary, Disk, GuestState, MemoryImage, OperationRecord
from tests.checkpoints import memory_of
from tests.crash.histories.expectation import Mark, Standing
from tests.crash.twin_host import MANIFEST, STORE
from tests.twin import Machine, World, saveimage
from tests.twin.guest import COUNTER


@dataclass(frozen=True)
class Frozen:
    """A layer as it was when it was seen last: what is in it, and what it shows with all that it stands on."""

    mtime: int
    backing: str | None
    own: Mapping[str, int]
    shown: Mapping[str, int | None]

    def may_become(self, now: Frozen) -> bool:
        """Whether nobody wrote to it, but for a collapse."""
        if (self.own, self.backing) == (now.own, now.backing) and self.mtime != now.mtime:
            return False
        return self.shown == now.shown and self.own.items() <= now.own.items()


class Observer:
    """Reads the catalog over a connection of its own; `look` reads it anew."""

    def __init__(self, world: World, catalog: Path) -> None:
        self._world = world
        self._host = world.host.uuid
        self._catalog = open_catalog(f"sqlite:///{catalog}", world.host)
        self._checkpoints: dict[str, Checkpoint] = {}  # by id: what they hold never changes
        self._frozen: dict[str, Frozen] = {}
        self._uuids = {machine.name: machine.uuid for machine in world.machines.values()}
        self._rows = sqlite3.connect(catalog, isolation_level=None)
        self._version: int | None = None
        self.look()

    def close(self) -> None:
        self._rows.close()
        self._catalog.close_connection()

    def look(self) -> None:
        (version,) = self._rows.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return  # nobody has written since
        self._version = version
        self._kept: dict[str, str | None] = dict(self._rows.execute("SELECT domain_uuid, kept_id FROM head").fetchall())
        self._summaries: list[CheckpointSummary] = self._catalog.summaries()
        self.open = self._catalog.unsettled()
        for each in self._summaries:
            if each.id not in self._checkpoints and (found := self._catalog.checkpoint_by_id(each.id)):
                self._checkpoints[each.id] = found

    # ------------------------------------------------------------------ one domain

    def uuid(self, domain: str) -> str:
        return self._uuids[domain]

    def machine(self, domain: str) -> Machine | None:
        return self._world.machines.get(self._uuids[domain])

    @property
    def helpers(self) -> list[Machine]:
        return [machine for machine in self._world.machines.values() if machine.uuid not in self._uuids.values()]

    def power(self, domain: str) -> GuestState:
        machine = self.machine(domain)
        return machine.state if machine else GuestState.OFF

    def operation(self, domain: str) -> OperationRecord | None:
        """The one that is open."""
        found = [each for each in self.open if self._uuids[domain] in [member.domain_uuid for member in each.members]]
        assert len(found) <= 1, f"{domain} has {len(found)} open operations"
        return found[0] if found else None

    def is_abandoned(self, operation: OperationRecord) -> bool:
        return self._catalog.is_abandoned(operation)

    def names(self, domain: str) -> list[str]:
        """Of its checkpoints, oldest first."""
        return [each.name for each in self._summaries if each.domain_uuid == self._uuids[domain]]

    def parents(self, domain: str) -> dict[str, str | None]:
        """Of its checkpoints, by name; those that are being deleted, too."""
        return {each.name: each.parent for each in self._summaries if each.domain_uuid == self._uuids[domain]}

    def standing(self, domain: str) -> Standing:
        own = [each for each in self._summaries if each.domain_uuid == self._uuids[domain]]
        kept = self._kept.get(self._uuids[domain])
        return Standing(
            marks={each.name: self._mark(each) for each in own},
            head=next((each.name for each in own if each.current), None),
            power=self.power(domain),
            counter=self._counter(domain),
            kept=next((each.name for each in own if each.id == kept), None),
            on_overlays=self._uuids[domain] in self._kept,
        )

    def _mark(self, summary: CheckpointSummary) -> Mark:
        memory = memory_of(self._checkpoints[summary.id])
        return Mark(self._image(memory).ram[COUNTER], summary.parent, memory.was_running, summary.protected)

    def _image(self, memory: MemoryImage) -> saveimage.MemoryImage:
        return saveimage.read(self._world.files[memory.path].bytes())

    def _counter(self, domain: str) -> int | None:
        """What its disks show, which must be one thing."""
        machine = self.machine(domain)
        if machine is None:
            return None
        paths = [disk.path for disk in machine.domain().disks if disk.writable and disk.path]
        shown = {self._world.files.read(path, COUNTER) for path in paths}
        assert len(shown) == 1, f"the disks of {domain} are of different instants: {shown}"
        return shown.pop()

    # ------------------------------------------------------------------ what must hold

    def require_sound(self) -> None:
        """At any time."""
        layers = {
            layer.path: each.name
            for each in self._summaries
            if each.state != "deleting"
            for layer in self._checkpoints[each.id].layers.values()
        }
        for each in self._summaries:
            assert each.state != "damaged", f"{each.name} of {each.domain} is marked as damaged"
            if each.state != "deleting":
                self._require_pair(self._checkpoints[each.id])
        for path, name in layers.items():
            now = self._layer(path)
            assert self._frozen.get(path, now).may_become(now), f"{path} of {name} has changed"
            self._frozen[path] = now
        for machine in self._world.machines.values():
            if machine.uuid in self._uuids.values():
                self._require_own_disks(machine, layers)
        for helper in self.helpers:
            self._require_helper(helper)

    def _layer(self, path: str) -> Frozen:
        files = self._world.files
        image, chain = files.image(path), [files.image(layer) for layer in files.chain(path)]
        shown = {key: value for layer in reversed(chain) for key, value in layer.data.items()}
        return Frozen(image.mtime, image.backing, dict(image.data), shown)

    def require_closed_world(self, domain: str) -> None:
        """While no operation is in progress."""
        place = f"{STORE}/{self._uuids[domain]}"
        files = {p for p in self._world.files.files if p.startswith(f"{place}/") and not p.endswith(MANIFEST)}
        directories = {path for path in self._world.files.directories if dirname(path) == place}
        known = {path for each in directories for path in self._catalog.known_paths(each)}
        catalogued = {path for each in self._summaries for path in self._paths(each) if path.startswith(f"{place}/")}
        assert files == known, f"orphans: {sorted(files - known)}, missing: {sorted(known - files)}"
        assert catalogued <= known, f"missing: {sorted(catalogued - known)}"
        assert directories == {dirname(path) for path in files}, "there are empty directories"

    def require_flat(self, domain: str) -> None:
        """Its disks stand on nothing."""
        machine = self.machine(domain)
        head = self._catalog.head(self._uuids[domain])
        paths = machine.tops().values() if machine and machine.active else head.overlays.values() if head else ()
        assert all(self._world.files.image(path).backing is None for path in paths), f"{domain} is not flat"

    def _paths(self, summary: CheckpointSummary) -> set[str]:
        checkpoint = self._checkpoints[summary.id]
        return {memory_of(checkpoint).path, *(layer.path for layer in checkpoint.layers.values())}

    def _require_pair(self, checkpoint: Checkpoint) -> None:
        ram = self._image(memory_of(checkpoint)).ram
        for layer in checkpoint.layers.values():
            shown = self._shown(layer.path, ram)
            assert shown == ram, f"checkpoint {checkpoint.name} is of different instants: {ram}, {shown}"

    def _shown(self, path: str, ram: Mapping[str, int]) -> dict[str, int | None]:
        """What a disk shows where the memory remembers to have written."""
        return {key: self._world.files.read(path, key) for key in ram}

    def _require_own_disks(self, machine: Machine, frozen: dict[str, str]) -> None:
        domain = machine.domain()
        disks: tuple[Disk, ...] = (*domain.disks, *domain.persistent_disks)
        for disk in disks:
            assert not (disk.writable and disk.path in frozen), f"{machine.name} could write to {disk.path}"
        if machine.active and not machine.job:
            for path in machine.tops().values():
                shown = self._shown(path, machine.ram)
                assert shown == machine.ram, f"{machine.name}: memory {machine.ram}, disk {shown}"

    def _require_helper(self, helper: Machine) -> None:
        """An open operation has it; it has one layer open, never runs, and no other QEMU has that layer open."""
        assert helper.uuid in {operation.id for operation in self.open}, f"{helper.name} was left behind"
        assert helper.state is GuestState.PAUSED
        (layer,) = helper.tops().values()
        for machine in self._world.machines.values():
            if machine.active and machine is not helper:
                opened = {
                    path for top in machine.tops(writable=False).values() for path in self._world.files.chain(top)
                }
                assert layer not in opened, f"{helper.name} writes to {layer}, which {machine.name} has open"
