"""A world that remembers what the disks showed when a memory was saved, and looks when one is restored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.formats import domainxml
from orchestrator.model import GuestState
from tests.crash.faults import Injector
from tests.crash.injectors import CallInjector, faulty_catalog, faulty_hypervisor
from tests.crash.twin_host import STORE, TwinHost
from tests.twin import Guest, Machine, TwinHypervisor, World
from tests.twin.saveimage import MemoryImage

Shown = dict[str, dict[str, int]]
"""By target: all that a guest sees on that disk."""


class WatchedWorld(World):
    """`strange` says of each memory that was restored onto disks with which it was not saved."""

    def __init__(self) -> None:
        super().__init__()
        self.strange: list[str] = []
        self._saved: dict[str, tuple[dict[str, int], Shown]] = {}  # by the path of the image: with what it was saved
        self._managed: dict[str, tuple[MemoryImage, Shown]] = {}  # by the UUID of the domain

    def shown(self, paths: Mapping[str, str | None]) -> Shown:
        return {target: self.view(path) for target, path in paths.items() if path is not None}

    def view(self, path: str) -> dict[str, int]:
        """What shows through a layer, and is in it. Raises when one below it is missing."""
        shown: dict[str, int] = {}
        for layer in self.files.chain(path):
            shown = {**self.files.image(layer).data, **shown}
        return shown

    # ------------------------------------------------------------------ the daemon's

    def begin_save(self, machine: Machine, path: str) -> None:
        shown, ram = self.shown(machine.tops()) if machine.active else {}, dict(machine.ram)
        super().begin_save(machine, path)
        self._saved[path] = ram, shown

    def begin_restore(self, path: str, xml: str) -> Machine:
        machine = super().begin_restore(path, xml)
        self._look(machine, self._saved_with(path, machine.ram), path)
        return machine

    def _saved_with(self, path: str, ram: Mapping[str, int]) -> Shown:
        """Of a copy, that of the image with the same memory."""
        same = (shown for saved, shown in self._saved.values() if saved == ram)
        return self._saved[path][1] if path in self._saved else next(same, {})

    def managed_save(self, machine: Machine) -> None:
        """virsh managedsave, as libvirt-guests does it when the host is shut down."""
        running = machine.state is GuestState.RUNNING
        image = MemoryImage(machine.running_xml or "", running, dict(machine.ram))
        self._managed[machine.uuid] = image, self.shown(machine.tops())
        Guest(self, machine).managed_save()

    def managed_memory(self, machine: Machine) -> int:
        """What its managed-save image has counted up to."""
        image, _ = self._managed[machine.uuid]
        return image.ram["counter"]

    def start(self, machine: Machine) -> None:
        """virsh start: of a managed-save image if there is one, which is gone then; else a cold boot."""
        if not machine.managed_save:
            Guest(self, machine).start()
            return
        image, shown = self._managed[machine.uuid]
        state = GuestState.RUNNING if image.was_running else GuestState.PAUSED
        self.power_on(machine, image.xml, image.ram, state)
        machine.managed_save = False
        self._look(machine, shown, "its managed-save image")

    def _look(self, machine: Machine, shown: Shown, image: str) -> None:
        if (found := self.shown(machine.tops())) != shown:
            self.strange.append(f"{image} was saved with {shown} and restored with {found}")


class MatrixHost(TwinHost):
    """A host with a watched world, whose identity may change."""

    world: WatchedWorld

    def __init__(self, file: Path) -> None:
        super().__init__(file, world=WatchedWorld())
        self.uuid = self._uuid

    @property
    def machine(self) -> Machine | None:
        """None when the domain is undefined and off."""
        return self.world.machines.get(self.uuid)

    def sources(self) -> dict[str, str]:
        """The disks that its domain has now, by target."""
        if (machine := self.machine) is None:
            return {}
        if machine.active:
            return machine.tops()
        disks = domainxml.disks(machine.persistent_xml or "")
        return {disk.target: disk.path for disk in disks if disk.path and disk.writable}

    def session(self, injector: Injector | None = None) -> Coordinator:
        """As it is opened: the host is who its store says, whatever UUID libvirt reports."""
        injector = injector or CallInjector()
        return Coordinator.identified(
            faulty_hypervisor(TwinHypervisor(self.world), injector),
            faulty_catalog(self._catalog, injector),
            store=STORE,
            point=injector.reach,
        )

    def reopen(self) -> None:
        """The catalog, as a client opens it that finds this host."""
        self._catalog.close_connection()
        self._catalog = open_catalog(f"sqlite:///{self.file}", self.world.host)

    def put_back(self) -> None:
        before = self.world.host
        super().put_back()
        if self.world.host != before:
            self.reopen()
