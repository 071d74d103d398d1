"""What runs inside a machine, and the oracle that tells whether its memory and disks belong together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.errors import HypervisorError
from orchestrator.model import GuestState, OffReason

from .saveimage import MemoryImage

if TYPE_CHECKING:
    from .machine import Machine
    from .world import World

COUNTER = "counter"


class Guest:
    """The witness: with each tick it writes one number into its RAM and onto all its disks."""

    def __init__(self, world: World, machine: Machine) -> None:
        self.world = world
        self.uuid = machine.uuid
        self.name = machine.name

    @property
    def machine(self) -> Machine:
        return self.world.machine(self.uuid)

    @property
    def ram(self) -> dict[str, int]:
        return self.machine.ram

    def write(self, target: str, value: int) -> None:
        """Write to a disk; a guest that finds no room there is paused at once (F7)."""
        self._require_running()
        try:
            self.world.files.write(self.machine.tops()[target], COUNTER, value)
        except HypervisorError:
            self.machine.state = GuestState.IO_ERROR

    def read(self, target: str) -> int | None:
        return self.world.files.read(self.machine.tops()[target], COUNTER)

    def tick(self, times: int = 1) -> int:
        """One step of work; returns the number it wrote."""
        self._require_running()
        self.ram[COUNTER] = self.ram.get(COUNTER, 0) + times
        for target in self.machine.tops():
            self.write(target, self.ram[COUNTER])
        return self.ram[COUNTER]

    def leave(self, place: str) -> None:
        """Write the number that it is at to a place beside, which other layers may never see written again."""
        self._require_running()
        self.ram[place] = self.ram[COUNTER]
        for path in self.machine.tops().values():
            self.world.files.write(path, place, self.ram[place])

    def agrees(self) -> bool:
        """Whether every disk shows what the RAM remembers having written to it."""
        return all(self.read(target) == self.ram.get(COUNTER) for target in self.machine.tops())

    # ------------------------------------------------------------------ its owner

    def start(self) -> Guest:
        """virsh start: a cold boot, with nothing in RAM but what the disks tell; or the managed-save image, restored
        on the disks that it names."""
        machine = self.machine
        if (image := machine.managed_image) and image.ram:
            self.world.power_on(machine, image.xml, image.ram)
            machine.managed_save = False
            return self
        self.world.power_on(machine, machine.persistent_xml or "")
        seen = [value for target in machine.tops() if (value := self.read(target)) is not None]
        if seen:
            self.ram[COUNTER] = max(seen)
        return self

    def suspend(self) -> None:
        """virsh suspend."""
        self._require_running()
        self.machine.state = GuestState.PAUSED

    def resume(self) -> None:
        """virsh resume."""
        assert self.machine.state is GuestState.PAUSED, f"{self.name} is {self.machine.state}: it cannot be resumed"
        self.machine.state = GuestState.RUNNING

    def shut_down(self) -> None:
        """From within, or virsh shutdown."""
        self.world.power_off(self.machine, OffReason.RAN)

    def destroy(self) -> None:
        """virsh destroy."""
        self.world.power_off(self.machine, OffReason.DESTROYED)

    def managed_save(self) -> None:
        """virsh managedsave, as libvirt-guests does it when the host is shut down."""
        machine = self.machine
        machine.managed_image = MemoryImage(machine.running_xml or "", machine.state is GuestState.RUNNING, machine.ram)
        self.world.power_off(self.machine, OffReason.SAVED)

    def _require_running(self) -> None:
        assert self.machine.state is GuestState.RUNNING, f"{self.name} is {self.machine.state}: no instruction runs"
