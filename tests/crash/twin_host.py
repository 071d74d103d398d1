"""A world with one guest, a catalog, and the question that counts: does everything still hold?

The invariants are those of the design (order rules) and are asked of the world itself, after each
operation, fault and recovery. The last of them is the guest's own word: whatever happened before,
each checkpoint can be rolled back to, and then memory and disks are those of its instant.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from posixpath import dirname

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.model import Checkpoint, Disk, GuestState, Head, OperationKind, OperationRecord, Recovered
from tests.checkpoints import memory_of
from tests.crash.faults import Injector
from tests.crash.injectors import CallInjector, faulty_catalog, faulty_hypervisor
from tests.twin import Guest, TwinHypervisor, World, saveimage

STORE = "/store"
MANIFEST = "manifest.json"
OWNER = f"{STORE}/store.json"


class TwinHost:
    """One host with one domain `web01`, its catalog, and what was seen of it at each checkpoint.

    It can be put back to how it was (`keep`, `put_back`): a new one for each fault would take longer
    than everything else.
    """

    def __init__(
        self,
        file: Path,
        *,
        disks: int = 2,
        others: Iterable[Disk] = (),
        persistent: bool = True,
        world: World | None = None,
    ) -> None:
        self.file = file
        self.world = world or World()
        self._catalog = open_catalog(f"sqlite:///{file}", self.world.host)
        self._uuid = self.world.add("web01", disks=disks, others=tuple(others), persistent=persistent).uuid
        if persistent:
            self.guest.start()
        self.guest.tick()
        self.counters: dict[str, int] = {}  # checkpoint name -> what the guest had counted up to

    @property
    def guest(self) -> Guest:
        return Guest(self.world, self.world.machine(self._uuid))

    def session(self, injector: Injector | None = None) -> Coordinator:
        """A client of its own."""
        injector = injector or CallInjector()
        return Coordinator(
            faulty_hypervisor(TwinHypervisor(self.world), injector),
            faulty_catalog(self._catalog, injector),
            store=STORE,
            point=injector.reach,
        )

    def expire_leases(self) -> None:
        """End the clients there were, as a kill would: nobody keeps their leases any more."""
        with sqlite3.connect(self.file) as database:
            database.execute(
                "UPDATE operation SET lease_until = opened, owner_pid_start = 'of one that ended' WHERE state = 'open'"
            )
        database.close()

    def move_owners_elsewhere(self) -> None:
        """Let the clients there are look as if they were on another machine, where nobody sees whether they live."""
        with sqlite3.connect(self.file) as database:
            database.execute("UPDATE operation SET owner_host = 'elsewhere' WHERE state = 'open'")
        database.close()

    def close(self) -> None:
        self._catalog.close_connection()

    def head(self) -> Head | None:
        """Where the catalog says that the guest stands."""
        return self._catalog.head(self._uuid)

    def checkpoints(self) -> list[Checkpoint]:
        """As the catalog has them, oldest first; those that are being deleted, too."""
        summaries = self._catalog.summaries(self._uuid)
        return [found for each in summaries if (found := self._catalog.checkpoint_by_id(each.id))]

    # ------------------------------------------------------------------ back to how it was

    def keep(self) -> None:
        self._kept = (deepcopy(self.world), dict(self.counters))
        _copy(self.file, self.file.with_suffix(".kept"))

    def put_back(self) -> None:
        world, counters = self._kept
        self.world, self.counters = deepcopy(world), dict(counters)
        _copy(self.file.with_suffix(".kept"), self.file)

    # ------------------------------------------------------------------ what happens, and is remembered

    def recover(self) -> list[Recovered]:
        """snapctl recover. Guests that it leaves off, as a stop was not recorded, are started by their owner."""
        stopped = self.stopped_unrecorded()
        recovered = self.session().recover()
        for guest in stopped:
            assert not guest.machine.active, f"{guest.name} was started, and nothing says why it was off"
            guest.start()
        return recovered

    def stopped_unrecorded(self) -> list[Guest]:
        """The guests that are off in a rollback of which one may have been stopped by its owner as well: the journal
        does not tell."""
        return [guest for each in self.session().unfinished() for guest in self._stopped_unrecorded(each)]

    def _stopped_unrecorded(self, operation: OperationRecord) -> list[Guest]:
        there = [each for each in operation.members if each.domain_uuid in self.world.machines]
        off = [each for each in there if not self.world.machine(each.domain_uuid).active]
        if operation.kind is not OperationKind.ROLLBACK or all("stopped" in each.completed for each in off):
            return []
        return [Guest(self.world, self.world.machine(each.domain_uuid)) for each in off]

    @property
    def counter(self) -> int:
        return self.guest.ram["counter"]

    def checkpoint(self, name: str) -> None:
        self.counters[name] = self.counter
        self.session().checkpoint("web01", name)
        self.guest.tick()

    def rollback(self, name: str) -> None:
        self.session().rollback("web01", name)
        assert self.counter == self.counters[name]
        self.guest.tick()

    # ------------------------------------------------------------------ invariants

    def check(self, *, state: GuestState = GuestState.RUNNING) -> None:
        """Everything that must hold between operations, without changing anything."""
        self._nothing_unsettled()
        assert list(self.world.machines) == [self._uuid], "a helper is left"
        self._guest_agrees(state)
        self._next_start_is_on_the_head()
        self._frozen_layers_stay_frozen()
        self._files_are_those_catalogued()
        self._nothing_is_damaged()
        self._memory_images_belong_to_their_layers()

    def check_rollbacks(self) -> None:
        """Roll back to each checkpoint: the guest tells whether its memory and disks belong together."""
        for summary in self.session().list():
            self.session().rollback("web01", summary.name)
            assert self.guest.agrees(), f"{summary.name}: memory and disks are not of one instant"
            assert self.counter == self.counters[summary.name], f"{summary.name} is another instant"
            self.check(state=self.guest.machine.state)

    def _nothing_unsettled(self) -> None:
        open_ = self.session().unfinished()
        assert not open_, f"unsettled: {[(operation.kind, operation.members) for operation in open_]}"

    def _guest_agrees(self, state: GuestState) -> None:
        machine = self.guest.machine
        assert machine.state is state, f"the guest is {machine.state}, not {state}"
        if machine.active:
            assert self.guest.agrees(), "the guest's memory and disks do not belong together"

    def _next_start_is_on_the_head(self) -> None:
        """Where the catalog says that the guest stands; a disk may have been detached for good."""
        head, defined = self.head(), self.guest.machine.domain().persistent_sources()
        for target, path in head.overlays.items() if head is not None else ():
            assert defined.get(target, path) == path, f"{target} is {defined[target]} from the next start on"

    def _memory_images_belong_to_their_layers(self) -> None:
        """What each image remembers having written is what its layers show: no operation is needed to see it."""
        for checkpoint in self.checkpoints():
            image = saveimage.read(self.world.files[memory_of(checkpoint).path].bytes())
            shown: set[int | None] = {image.ram["counter"]}
            shown |= {self.world.files.read(layer.path, "counter") for layer in checkpoint.layers.values()}
            assert shown == {self.counters[checkpoint.name]}, f"{checkpoint.name}: {shown} is not of its instant"

    def _frozen_layers_stay_frozen(self) -> None:
        frozen = {layer.path for checkpoint in self.checkpoints() for layer in checkpoint.layers.values()}
        for domain in TwinHypervisor(self.world).domains.all():
            for disk in (*domain.disks, *domain.persistent_disks):
                assert not (disk.writable and disk.path in frozen), f"{disk.path} is frozen and a writable disk"

    def _files_are_those_catalogued(self) -> None:
        files = {path for path in self.world.files.files if path.startswith(STORE) and not path.endswith(MANIFEST)} - {
            OWNER
        }
        directories = {path for path in self.world.files.directories if path.startswith(f"{STORE}/")}
        leaves = {path for path in directories if not any(dirname(other) == path for other in directories)}
        known = {path for directory in directories for path in self._catalog.known_paths(directory)}
        assert files == known, f"orphans: {sorted(files - known)}, missing: {sorted(known - files)}"
        used = {dirname(path) for path in files}
        operations = {path for path in leaves if path.count("/") > 2}
        assert operations == used, f"empty directories: {sorted(operations - used)}"

    def _nothing_is_damaged(self) -> None:
        report = self.session().verify()
        assert not report.damaged, [found for verdict in report.damaged for found in verdict.findings]


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(target)) as there:
        here.backup(there)
