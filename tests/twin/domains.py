"""`ports.Domains` over a `World`."""

from __future__ import annotations

from contextlib import suppress

from orchestrator.errors import HypervisorError, Interrupted
from orchestrator.model import Domain, DomainDisks, GuestState, OffReason, Platform
from orchestrator.ports import Progress

from . import saveimage
from .world import World


class TwinDomains:
    def __init__(self, world: World) -> None:
        self._world = world

    def find(self, name: str) -> Domain | None:
        found = [each for each in self._world.machines.values() if name in (each.name, each.uuid)]
        return found[0].domain() if found else None

    def get(self, uuid: str) -> Domain | None:
        machine = self._world.machines.get(uuid)
        return machine.domain() if machine else None

    def measured(self, domain: Domain) -> Domain:
        return self._world.machine(domain.uuid).measured(domain)

    def all(self) -> list[Domain]:
        machines = sorted(self._world.machines.values(), key=lambda machine: machine.name)
        return [machine.domain() for machine in machines]

    def disks(self) -> list[DomainDisks]:
        return [
            DomainDisks(
                uuid=each.uuid,
                name=each.name,
                active=each.active,
                disks=each.disks,
                persistent_disks=each.persistent_disks,
            )
            for each in self.all()
        ]

    def definition(self, uuid: str) -> str:
        machine = self._world.machine(uuid)
        return machine.persistent_xml or machine.running_xml or ""

    def platform_problem(self, platform: Platform) -> str | None:
        return self._world.platform_problem(platform)

    def cpu_problem(self, platform: Platform, cpu: str) -> str | None:
        return self._world.cpu_problem(cpu)

    def active_networks(self) -> frozenset[str]:
        return self._world.active_networks

    def define(self, xml: str) -> None:
        self._world.define(xml)

    def undefine(self, uuid: str) -> None:
        self._world.undefine(uuid)

    def save(self, uuid: str, path: str, progress: Progress) -> None:
        machine = self._world.machine(uuid)
        self._world.begin_save(machine, path)
        total = machine.domain().memory_bytes
        try:
            self._world.take_time(progress, "save", total)
            self._world.in_mid_job(machine)
        except KeyboardInterrupt as error:
            self._world.abort_job(machine)
            raise Interrupted("the save was interrupted", effect="the guest keeps running") from error
        self._world.finish_job(machine)
        progress("save", total, total)

    def saved_definition(self, path: str) -> str:
        return saveimage.definition(self._world.files[path].bytes())

    def saved_xml(self, path: str) -> str:
        return self.saved_definition(path)  # no machine of the twin has a secret

    def restore(self, path: str, xml: str) -> None:
        machine = self._world.begin_restore(path, xml)
        self._world.in_mid_job(machine)
        self._world.finish_job(machine)

    def resume(self, uuid: str) -> None:
        machine = self._world.machine(uuid)
        self._world.require_no_job(machine)
        if not machine.active:
            raise HypervisorError("domain is not running")
        machine.state = GuestState.RUNNING

    def destroy(self, uuid: str) -> None:
        machine = self._world.machines.get(uuid)
        if machine and machine.active:
            self._world.power_off(machine, OffReason.DESTROYED)

    def create_paused(self, xml: str) -> None:
        self._world.create(xml)  # and it outlives its client, as it does when the daemon was killed first

    def lock_problem(self, xml: str) -> str | None:
        try:
            machine = self._world.create(xml)
        except HypervisorError as error:
            if '" lock' in error.problem:
                return error.problem
            raise
        self._world.power_off(machine, OffReason.DESTROYED)
        return None

    def stream(self, uuid: str, target: str, base: str | None, progress: Progress) -> None:
        machine = self._world.machine(uuid)
        self._world.begin_stream(machine, target, base)
        try:
            progress("stream", 0, 1)
            self._world.in_mid_job(machine)
        except KeyboardInterrupt as error:
            self.stop_streaming(uuid, target)
            raise Interrupted(
                "copying backing data was interrupted", effect="the contents of all disks are unchanged"
            ) from error
        if not self._world.machine(uuid).active:
            raise HypervisorError("domain is not running")
        self._world.finish_stream(machine, target)

    def stop_streaming(self, uuid: str, target: str) -> None:
        if machine := self._world.machines.get(uuid):
            machine.streams.pop(target, None)

    def managed_save_xml(self, uuid: str) -> str | None:
        machine = self._world.machines.get(uuid)
        return machine.managed_image.xml if machine and machine.managed_image else None

    def remove_managed_save(self, uuid: str) -> None:
        if machine := self._world.machines.get(uuid):
            machine.managed_save = False

    def wait_for_job(self, uuid: str) -> None:
        machine = self._world.machines.get(uuid)
        if machine:
            with suppress(HypervisorError):  # how it ends is the business of the client that left
                self._world.finish_job(machine)
