"""What outlives every client: the host's files, its machines, and the daemon that looks after them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from posixpath import dirname
from uuid import uuid4

from orchestrator.errors import HypervisorError, NotFound
from orchestrator.formats import domainxml
from orchestrator.formats.needs import needs
from orchestrator.model import Device, Disk, GuestState, Host, OffReason, Platform, Source
from orchestrator.ports import Progress

from . import saveimage
from .files import File, FileSystem, Image
from .guest import Guest
from .machine import Job, Machine
from .saveimage import MemoryImage
from .xml import domain_xml, ejected

IMAGES = "/images"
CAPACITY = 1 << 20


class World:
    active_networks: frozenset[str] = frozenset()
    emulators: Mapping[str, frozenset[str]] = {"/usr/bin/qemu-system-x86_64": frozenset({"pc-i440fx-7.2"})}
    """The machine types that each of them has."""
    lacking_features: frozenset[str] = frozenset()
    """Of the CPUs that guests ask for."""

    def __init__(self) -> None:
        self.host = Host(
            uuid=str(uuid4()), name="twin", uri="qemu:///system", libvirt_version="9.0.0", qemu_version="7.2.0"
        )
        self.files = FileSystem()
        self.files.make_directory(IMAGES)
        self.machines: dict[str, Machine] = {}
        self.in_mid_job: Callable[[Machine], None] = _nothing
        """Called when a save or restore has begun and not ended. What it raises reaches the client that asked,
        while the daemon still has the job: the client was killed, or lost its connection."""
        self.pace = 0.0
        """Seconds for each tenth of what takes long on a real host, a save or the hash of a file, so that it shows."""
        self.image_bytes = 0
        """How long a memory image is at least: that of a real guest does not depend on the length of its XML."""
        self.open_elsewhere: set[str] = set()
        """Images that a QEMU on another host writes to: on shared storage its locks are seen here."""
        self._run_ids = count(1)

    def take_time(self, progress: Progress, what: str, total: int) -> None:
        """Report how far something is, until it is nearly done."""
        for tenth in range(10 if self.pace else 1):
            progress(what, total * tenth // 10, total)
            time.sleep(self.pace)

    # ------------------------------------------------------------------ making machines

    def add(self, name: str, *, disks: int = 1, persistent: bool = True, others: Sequence[Disk] = ()) -> Guest:
        """A machine with `disks` writable qcow2 disks, and `others` as they are given, switched off.

        One that is not persistent is started at once: there is no such thing as off for it.
        """
        own = [self._new_disk(name, f"vd{letter}") for letter in "abcdefgh"[:disks]]
        for disk in others:
            if disk.source:
                self.files.make_directory(dirname(disk.source.path))
                self.files.put(disk.source.path, Image(capacity=CAPACITY, format=disk.source.format))
        xml = domain_xml(name, str(uuid4()), [*own, *others])
        machine = self.define(xml)
        guest = Guest(self, machine)
        if not persistent:
            machine.persistent_xml = None
            self.power_on(machine, xml)
        return guest

    def _new_disk(self, name: str, target: str) -> Disk:
        path = f"{IMAGES}/{name}-{target}.qcow2"
        self.files.put(path, Image(capacity=CAPACITY))
        return Disk(target=target, source=Source(path=path, format="qcow2"), device=Device.DISK)

    # ------------------------------------------------------------------ what the daemon does

    def machine(self, uuid: str) -> Machine:
        try:
            return self.machines[uuid]
        except KeyError:
            raise NotFound(f"no domain with matching uuid '{uuid}'") from None

    def define(self, xml: str) -> Machine:
        said = domainxml.definition(xml)
        self._require_free_name(said)
        machine = self.machines.setdefault(said.uuid, Machine(said.uuid, said.name, self.files, xml))
        machine.persistent_xml = xml
        return machine

    def undefine(self, uuid: str) -> None:
        """A running one is transient from then on."""
        machine = self.machines.get(uuid)
        if machine is None:
            return
        if machine.managed_save:
            raise HypervisorError("Refusing to undefine while domain managed save image exists")
        machine.persistent_xml = None
        if not machine.active:
            del self.machines[uuid]

    def rename(self, uuid: str, name: str) -> None:
        """virsh domrename."""
        machine = self.machine(uuid)
        if machine.active or machine.managed_save or machine.libvirt_snapshots:
            raise HypervisorError("cannot rename this domain")
        if any(each.name == name for each in self.machines.values()):
            raise HypervisorError(f"domain with name '{name}' already exists")
        machine.name, machine.persistent_xml = name, domainxml.renamed(machine.persistent_xml or "", name)

    def power_on(
        self,
        machine: Machine,
        xml: str,
        ram: Mapping[str, int] | None = None,
        state: GuestState = GuestState.RUNNING,
    ) -> None:
        self.require_no_job(machine)
        if machine.active:
            raise HypervisorError(f"domain '{machine.name}' is already active")
        try:
            self._require_host(xml)
            self._require_locks(machine, xml)
            machine.power_on(xml, next(self._run_ids), ram or {}, state)
        except HypervisorError:
            self.power_off(machine, OffReason.FAILED)
            raise

    def platform_problem(self, platform: Platform) -> str | None:
        if platform.emulator not in self.emulators:
            return f"Cannot check QEMU binary {platform.emulator}: No such file or directory"
        if platform.machine not in self.emulators[platform.emulator]:
            return f"the machine '{platform.machine}' is not supported by emulator '{platform.emulator}'"
        return None

    def cpu_problem(self, cpu: str) -> str | None:
        lacking = sorted(name for name in self.lacking_features if f'name="{name}"' in cpu)
        return f"Host CPU does not provide required features: {', '.join(lacking)}" if lacking else None

    def _require_host(self, xml: str) -> None:
        """All that a definition needs of the host, at each start."""
        wanted = needs(xml)
        if problem := self.platform_problem(wanted.platform) or self.cpu_problem(wanted.cpu):
            raise HypervisorError(problem)
        for network in wanted.networks:
            if network not in self.active_networks:
                raise HypervisorError(f"network '{network}' is not active")
        for file in wanted.boot_files:
            _ = self.files[file.path]

    def _require_locks(self, machine: Machine, xml: str) -> None:
        """QEMU opens no layer that another one writes to, and writes to none that another one has open."""
        disks = [disk for disk in domainxml.disks(xml) if disk.path in self.files.files]
        opened = {layer for disk in disks for layer in self.files.chain(disk.path or "")}
        written = {disk.path for disk in disks if disk.writable}
        locked = {layer for top in self.open_elsewhere for layer in self.files.chain(top)}
        if opened & self.open_elsewhere or written & locked:
            raise HypervisorError('Failed to get "write" lock: Is another process using the image?')
        for other in self.machines.values():
            if other.active and other is not machine:
                theirs = {layer for top in other.tops(writable=False).values() for layer in self.files.chain(top)}
                if opened & set(other.tops().values()) or written & theirs:
                    raise HypervisorError('Failed to get "write" lock: Is another process using the image?')

    def _require_free_name(self, said: domainxml.Definition) -> None:
        for each in self.machines.values():
            if (each.name == said.name) != (each.uuid == said.uuid):
                raise HypervisorError(f"domain '{each.name}' is already defined with uuid {each.uuid}")

    def power_off(self, machine: Machine, reason: OffReason) -> None:
        """End a machine's QEMU; a transient domain goes with it, and so does the image of a save under way."""
        if machine.job and machine.job.name == "save":
            self._give_up_image(machine.job)
        machine.power_off(reason)
        if machine.persistent_xml is None:
            del self.machines[machine.uuid]

    def require_no_job(self, machine: Machine) -> None:
        if machine.job:
            raise HypervisorError(f"cannot acquire state change lock (held by {machine.job.name})")

    # ------------------------------------------------------------------ save and restore, as jobs

    def begin_save(self, machine: Machine, path: str) -> None:
        """Stop the guest and begin its image; what was at the path is gone (F3)."""
        self.require_no_job(machine)
        if not machine.active:
            raise HypervisorError("domain is not running")
        replaces = path in self.files.files
        self.files.put(path, File(_image(machine, machine.state).bytes(whole=False)))
        machine.job = Job("save", path, machine.state, replaces)
        machine.state = GuestState.BUSY

    def begin_restore(self, path: str, xml: str) -> Machine:
        """Start a machine from an image, on the disks of `xml`, whatever is on them (F1)."""
        image = saveimage.read(self.files[path].bytes())
        _require_same_machine(image.xml, xml)
        said = domainxml.definition(xml)
        self._require_free_name(said)
        machine = self.machines.setdefault(said.uuid, Machine(said.uuid, said.name, self.files, None))
        missing = [file.target for file in needs(xml).media if file.optional and file.path not in self.files.files]
        self.power_on(machine, ejected(xml, missing), image.ram, GuestState.BUSY)  # F8: the persistent XML stays
        machine.job = Job("start", path, GuestState.PAUSED)
        return machine

    def finish_job(self, machine: Machine) -> None:
        """Let the daemon come to the end of what it does, whoever asked for it (F4)."""
        job, machine.job = machine.job, None
        if job is None:
            return
        machine.state = job.before
        if job.name == "save":
            try:
                self.files.put(job.path, File(_image(machine, job.before).bytes(at_least=self.image_bytes)))
            except HypervisorError:
                self._give_up_image(job)
                raise
            self.power_off(machine, OffReason.SAVED)

    def create(self, xml: str) -> Machine:
        """A transient machine, paused."""
        said = domainxml.definition(xml)
        if any(each.name == said.name or each.uuid == said.uuid for each in self.machines.values()):
            raise HypervisorError(f"domain '{said.name}' already exists")
        machine = self.machines[said.uuid] = Machine(said.uuid, said.name, self.files, None)
        self.power_on(machine, xml, state=GuestState.PAUSED)
        return machine

    def begin_stream(self, machine: Machine, target: str, base: str | None) -> None:
        """Begin to copy up; who comes while that is in progress joins in."""
        if not machine.active:
            raise HypervisorError("domain is not running")
        self.require_no_job(machine)
        if target not in machine.streams:
            if target in machine.block_jobs:
                raise HypervisorError(f"disk '{target}' already in active block job")
            machine.streams[target] = base
            self.files.copy_up(machine.tops()[target], base, at_most=1)

    def finish_stream(self, machine: Machine, target: str) -> None:
        """Let QEMU come to the end of it, whoever asked for it; one that finds no room gives up."""
        if target in machine.streams:
            base = machine.streams.pop(target)
            with suppress(HypervisorError):
                self.files.rebase(machine.tops()[target], base)

    def abort_job(self, machine: Machine) -> None:
        """virDomainAbortJob during a save: the guest keeps running."""
        job, machine.job = machine.job, None
        if job is not None:
            machine.state = job.before
            self._give_up_image(job)

    def _give_up_image(self, job: Job) -> None:
        if not job.replaces:  # else it is left as it is: F3
            self.files.remove(job.path)  # F6

    # ------------------------------------------------------------------ what may befall it

    def restart_daemon(self) -> None:
        """Kill the daemon and start it again: it cancels a save and leaves the partial image (F5)."""
        for machine in list(self.machines.values()):
            if machine.job and machine.job.name == "start":
                self.power_off(machine, OffReason.FAILED)
            elif machine.job:
                machine.state, machine.job = machine.job.before, None
            elif not machine.active:
                machine.off_reason = OffReason.UNKNOWN

    def kill_qemu(self, name: str) -> None:
        machine = next(each for each in self.machines.values() if each.name == name)
        self.power_off(machine, OffReason.RAN)


def _nothing(machine: Machine) -> None:
    """Nothing happens in the middle of a job."""


def _image(machine: Machine, state: GuestState) -> MemoryImage:
    return MemoryImage(machine.running_xml or "", state is GuestState.RUNNING, machine.ram)


def _require_same_machine(saved: str, wanted: str) -> None:
    """libvirt's check of ABI stability, as far as the twin's machines can differ."""
    old, new = domainxml.definition(saved), domainxml.definition(wanted)
    for what, was, is_now in (
        ("name", old.name, new.name),
        ("uuid", old.uuid, new.uuid),
        ("memory", old.memory_bytes, new.memory_bytes),
        ("disks", _slots(old.disks), _slots(new.disks)),
    ):
        if was != is_now:
            raise HypervisorError(f"Target domain {what} {is_now} does not match source {was}")


def _slots(disks: Sequence[Disk]) -> list[tuple[str, Device, bool]]:
    return [(disk.target, disk.device, disk.readonly) for disk in disks]
