"""What can be seen of a world and its catalog, and what must hold of it at any time.

Nothing here changes anything. What holds at any time, also in the middle of operations:

- no byte of a frozen layer changes, and no domain has one as a disk that it could write to
- the memory image and the layers of a checkpoint are of one instant
- the memory of a guest that is on belongs to its disks

and of a domain that no operation is under way of: its files are those that the catalog knows, no more and no fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname

from orchestrator.catalog import open_catalog
from orchestrator.model import Checkpoint, CheckpointSummary, Disk, GuestState, OperationRecord
from tests.histories.expectation import Mark, Standing
from tests.story.lab import MANIFEST, STORE
from tests.twin import Machine, World, saveimage
from tests.twin.guest import COUNTER


@dataclass(frozen=True)
class Frozen:
    """A layer as it was when it was seen first."""

    mtime: int
    data: tuple[tuple[str, int], ...]


class Observer:
    """Reads the catalog over a connection of its own; `look` reads it anew."""

    def __init__(self, world: World, catalog: Path) -> None:
        self._world = world
        self._host = world.host.uuid
        self._catalog = open_catalog(f"sqlite:///{catalog}")
        self._checkpoints: dict[str, Checkpoint] = {}  # by id: what they hold never changes
        self._frozen: dict[str, Frozen] = {}
        self._uuids = {machine.name: machine.uuid for machine in world.machines.values()}
        self.look()

    def close(self) -> None:
        self._catalog.close_connection()

    def look(self) -> None:
        self._summaries: list[CheckpointSummary] = self._catalog.summaries(self._host)
        self.open = self._catalog.unsettled(self._host)
        for each in self._summaries:
            if each.id not in self._checkpoints and (found := self._catalog.checkpoint_by_id(each.id)):
                self._checkpoints[each.id] = found

    # ------------------------------------------------------------------ one domain

    def uuid(self, domain: str) -> str:
        return self._uuids[domain]

    def machine(self, domain: str) -> Machine | None:
        return self._world.machines.get(self._uuids[domain])

    def power(self, domain: str) -> GuestState:
        machine = self.machine(domain)
        return machine.state if machine else GuestState.OFF

    def operation(self, domain: str) -> OperationRecord | None:
        """The one that is open."""
        found = [each for each in self.open if each.domain_uuid == self._uuids[domain]]
        assert len(found) <= 1, f"{domain} has {len(found)} open operations"
        return found[0] if found else None

    def is_abandoned(self, operation: OperationRecord) -> bool:
        return self._catalog.is_abandoned(operation)

    def names(self, domain: str) -> list[str]:
        """Of its checkpoints, oldest first."""
        return [each.name for each in self._summaries if each.domain_uuid == self._uuids[domain]]

    def standing(self, domain: str) -> Standing:
        own = [each for each in self._summaries if each.domain_uuid == self._uuids[domain]]
        return Standing(
            marks={each.name: self._mark(each) for each in own},
            head=next((each.name for each in own if each.current), None),
            power=self.power(domain),
            counter=self._counter(domain),
        )

    def _mark(self, summary: CheckpointSummary) -> Mark:
        memory = self._checkpoints[summary.id].memory
        image = saveimage.read(self._world.files[memory.path].bytes())
        return Mark(image.ram[COUNTER], summary.parent, memory.was_running)

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
            image = self._world.files.image(path)
            now = Frozen(image.mtime, tuple(image.data.items()))
            assert self._frozen.setdefault(path, now) == now, f"{path} of {name} has changed"
        for machine in self._world.machines.values():
            self._require_own_disks(machine, layers)

    def require_closed_world(self, domain: str) -> None:
        """While no operation is under way."""
        place = f"{STORE}/{self._uuids[domain]}"
        files = {p for p in self._world.files.files if p.startswith(f"{place}/") and not p.endswith(MANIFEST)}
        directories = {path for path in self._world.files.directories if dirname(path) == place}
        known = {path for each in directories for path in self._catalog.known_paths(self._host, each)}
        catalogued = {path for each in self._summaries for path in self._paths(each) if path.startswith(f"{place}/")}
        assert files == known, f"orphans: {sorted(files - known)}, missing: {sorted(known - files)}"
        assert catalogued <= known, f"missing: {sorted(catalogued - known)}"
        assert directories == {dirname(path) for path in files}, "there are empty directories"

    def _paths(self, summary: CheckpointSummary) -> set[str]:
        checkpoint = self._checkpoints[summary.id]
        return {checkpoint.memory.path, *(layer.path for layer in checkpoint.layers.values())}

    def _require_pair(self, checkpoint: Checkpoint) -> None:
        image = saveimage.read(self._world.files[checkpoint.memory.path].bytes())
        shown: set[int | None] = {image.ram[COUNTER]}
        shown |= {self._world.files.read(layer.path, COUNTER) for layer in checkpoint.layers.values()}
        assert len(shown) == 1, f"checkpoint {checkpoint.name} is of different instants: {shown}"

    def _require_own_disks(self, machine: Machine, frozen: dict[str, str]) -> None:
        domain = machine.domain()
        disks: tuple[Disk, ...] = (*domain.disks, *domain.persistent_disks)
        for disk in disks:
            assert not (disk.writable and disk.path in frozen), f"{machine.name} could write to {disk.path}"
        if machine.active and not machine.job:
            shown = {self._world.files.read(path, COUNTER) for path in machine.tops().values()}
            assert shown == {machine.ram[COUNTER]}, f"{machine.name}: memory {machine.ram}, disks {shown}"
