"""A domain: what the daemon keeps of it, and its QEMU while there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from orchestrator.formats import domainxml
from orchestrator.model import Domain, GuestState, OffReason, Source

from .files import FileSystem
from .saveimage import MemoryImage
from .xml import live_xml


@dataclass(frozen=True)
class Job:
    """A job of the daemon that has begun: with it goes the machine's state `BUSY`."""

    name: str  # "save", "start"
    path: str  # of the memory image
    before: GuestState  # to go back to when a save comes to nothing
    replaces: bool = False  # a save: whether there was a file at its path


@dataclass
class Machine:
    """`persistent_xml` is None for a transient domain, `running_xml` while it is off."""

    uuid: str
    name: str
    files: FileSystem
    persistent_xml: str | None
    running_xml: str | None = None
    run_id: int | None = None
    state: GuestState = GuestState.OFF
    off_reason: OffReason | None = OffReason.UNKNOWN
    ram: dict[str, int] = field(default_factory=dict)
    job: Job | None = None
    block_jobs: tuple[str, ...] = ()  # somebody's
    streams: dict[str, str | None] = field(default_factory=dict)  # those of ours: target -> base
    managed_image: MemoryImage | None = None
    libvirt_snapshots: tuple[str, ...] = ()
    libvirt_checkpoints: tuple[str, ...] = ()

    @property
    def managed_save(self) -> bool:
        return self.managed_image is not None

    @managed_save.setter
    def managed_save(self, there: bool) -> None:
        """One of a guest that remembers nothing, on the disks of now; or none any more."""
        xml = self.running_xml or self.persistent_xml or ""
        self.managed_image = (self.managed_image or MemoryImage(xml, True, {})) if there else None

    @property
    def active(self) -> bool:
        return self.state.active

    def tops(self, *, writable: bool = True) -> dict[str, str]:
        """The files that its QEMU has open, by target."""
        disks = domainxml.disks(self.running_xml or "")
        return {disk.target: disk.path for disk in disks if disk.path and (disk.writable or not writable)}

    def power_on(self, xml: str, run_id: int, ram: Mapping[str, int], state: GuestState) -> None:
        """Open the disks of `xml` and begin a run. Raises `HypervisorError` when a layer is missing."""
        for disk in domainxml.disks(xml):
            if disk.path is not None:
                list(self.files.chain(disk.path))
        self.running_xml, self.run_id, self.ram = xml, run_id, dict(ram)
        self.state, self.off_reason = state, None

    def power_off(self, reason: OffReason) -> None:
        self.running_xml = self.run_id = self.job = None
        self.streams = {}
        self.ram = {}
        self.state, self.off_reason = GuestState.OFF, reason

    def domain(self) -> Domain:
        """It as `ports.Domains` shows it."""
        xml = self._xml()
        said = domainxml.definition(xml)
        return Domain(
            uuid=self.uuid,
            name=self.name,
            state=self.state,
            run_id=self.run_id,
            persistent=self.persistent_xml is not None,
            memory_bytes=said.memory_bytes,
            machine=said.machine,
            cpu=said.cpu,
            emulator=said.emulator,
            disks=said.disks,
            persistent_disks=domainxml.disks(self.persistent_xml) if self.persistent_xml else (),
            xml=xml,
            persistent_xml=self.persistent_xml or "",
            job=self.job.name if self.job else None,
            block_jobs=(*self.block_jobs, *self.streams),
            managed_save=self.managed_save,
            libvirt_snapshots=self.libvirt_snapshots,
            libvirt_checkpoints=self.libvirt_checkpoints,
            off_reason=self.off_reason,
        )

    def measured(self, domain: Domain) -> Domain:
        if domain.state is GuestState.BUSY:
            return domain
        resident = domain.memory_bytes // 2 if self.active else None
        return replace(domain, capacities=self._capacities(self._xml()), resident_bytes=resident)

    def _xml(self) -> str:
        if self.running_xml is None or self.run_id is None:
            return self.persistent_xml or ""
        chains = {target: self._below(path) for target, path in self.tops(writable=False).items()}
        return live_xml(self.running_xml, self.run_id, chains)

    def _below(self, path: str) -> list[Source]:
        """As the daemon saw it at the start: QEMU has a medium open whose file was deleted since."""
        if path not in self.files.files:
            return []
        _, *below = self.files.chain(path)
        return [Source(path=layer, format=self.files.image(layer).format) for layer in below]

    def _capacities(self, xml: str) -> dict[str, int]:
        return {d.target: self.files.image(d.path).capacity for d in domainxml.disks(xml) if d.path in self.files.files}
