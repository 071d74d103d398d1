"""Capture by saving: libvirt stops the guest, and writes its memory to a file (virDomainSave).

The disks are as they were when the guest stopped, so image and layers are of one instant for as long as no
guest runs on those disks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ....engine.story import Step
from ....errors import HypervisorError, Refused, Unfinished
from ....formats import domainxml, imagexml, saveimage
from ....integrity.media import devices_differ, read_devices
from ....model import Domain, FileInfo, GuestState, MemoryImage, OffReason
from ....ports import Evidence, Hypervisor, Progress
from ....store.workspace import missing_of, read_tops, restore_final_mark, written_since
from ...shared.rewind import require_sources
from ..plan import CheckpointPlan

SETTLING_SECONDS = 2.0
"""QEMU closes its disks a moment after the image is whole; a guest takes longer to start and stop."""


class SaveCapture:
    """Implements `Capture`. Until a whole image exists everything can be undone; from then on it *is* the guest."""

    stops_guest = True

    def __init__(
        self,
        plan: CheckpointPlan,
        successors: Mapping[str, str | None],
        others: Collection[str],
        hypervisor: Hypervisor,
        results: MutableMapping[str, Any],
        progress: Progress,
    ) -> None:
        self._plan = plan
        self._successors = successors
        self._others = others
        self._hypervisor = hypervisor
        self._results = results
        self._progress = progress
        self._loss: str | None = None

    @property
    def loss(self) -> str | None:
        return self._loss

    @property
    def step(self) -> Step:
        return Step("saved", self._save, self.is_captured, self._unsave)

    def _save(self) -> None:
        domain = self._hypervisor.domains.get(self._plan.domain_uuid)
        require_sources(domain, self._plan.tops, self._plan.run_id)
        self._require_same_definition(domain.xml if domain else "")
        self._hypervisor.domains.save(self._plan.domain_uuid, self._plan.memory_path, self._progress)

    def is_captured(self) -> Evidence | None:
        """Domain off, image whole, and its disks as they were when the guest stopped.

        Raises `Unfinished` when the image is whole and the domain off, but it may have run since:
        such an image is neither to be paired with the disks nor ours to delete.
        """
        self._hypervisor.domains.wait_for_job(self._plan.domain_uuid)
        domain = self._hypervisor.domains.get(self._plan.domain_uuid)
        if domain is not None and domain.active:
            return None
        image = self._hypervisor.storage.stat(self._plan.memory_path)
        header = self._whole_header(image) or (self._whole_header(image) if self._is_repaired() else None)
        if image is None or header is None:
            return None
        if domain is None and self._plan.origin.persistent:
            raise self._undefined()
        frozen = read_tops(self._hypervisor, self._plan.disks)
        if any(frozen[target] is None for target in self._results.get("before_save", {})):
            self._require_there()
        devices = read_devices(self._hypervisor.storage, self._plan.disks)
        self._require_no_run_since(domain, image, frozen, devices)
        return {
            "created": self._results.get("created") or datetime.now(UTC).isoformat(),
            "memory": msgspec.to_builtins(_memory_image(image, header)),
            "frozen": msgspec.to_builtins(frozen),
            "devices": devices,
        }

    def _require_no_run_since(
        self,
        domain: Domain | None,
        image: FileInfo,
        frozen: Mapping[str, FileInfo | None],
        devices: Mapping[str, str | None],
    ) -> None:
        """A block device has no time of last change: there libvirt's reason decides, and the samples recorded of it."""
        reason = domain.off_reason if domain else OffReason.UNKNOWN
        ended = reason in (OffReason.RAN, OffReason.DESTROYED)  # which the save of this guest is not
        if "frozen" in self._results:
            known = self._results.get("devices", {})
            ran = written_since(self._results["frozen"], frozen) or devices_differ(known, devices)
            unsampled = any(known.get(target) is None for target in devices)
            ran = ran or (bool(devices) and (ended or (unsampled and reason is not OffReason.SAVED)))
        else:
            unproved = bool(devices) and domain is not None and reason is not OffReason.SAVED
            ran = ended or unproved or any(_written_after(now, image) for now in frozen.values())
        if ran or (domain is not None and domain.managed_save):
            raise self._doubtful()

    def _whole_header(self, image: FileInfo | None) -> saveimage.Header | None:
        """The header of the memory image if libvirt finished writing it and it has a QEMU stream.

        Raises `Unfinished` for an image that snapctl cannot read: it may be all that is left of the guest.
        """
        if image is None:
            return None
        content = self._hypervisor.storage.read(self._plan.memory_path, 0, saveimage.HEADER_LENGTH)
        match saveimage.completeness(content):
            case saveimage.Completeness.PARTIAL:
                return None
            case saveimage.Completeness.UNKNOWN:
                raise self._unreadable()
            case saveimage.Completeness.WHOLE:
                pass
        header = saveimage.parse_header(content)
        return header if image.physical > saveimage.HEADER_LENGTH + header.data_length else None

    def _is_whole(self) -> bool:
        return self._whole_header(self._hypervisor.storage.stat(self._plan.memory_path)) is not None

    def _is_repaired(self) -> bool:
        """Whether the image was whole when it was recorded, and is so again."""
        recorded = self._results.get("memory")
        return recorded is not None and restore_final_mark(self._hypervisor, msgspec.convert(recorded, MemoryImage))

    def _unsave(self) -> None:
        """Give the guest its run state back, then remove its memory image: a partial one, or a
        whole one that is stale because the guest kept running.

        Raises `Unfinished` when the image may be all that is left of the guest: it is off, or runs on the overlays or
        on other disks, which leaves those that the image was saved with as they were.
        """
        domain = self._hypervisor.domains.get(self._plan.domain_uuid)
        if domain is None or not domain.active:
            if self._is_whole():
                raise self._doubtful()
        elif set(domain.sources().values()) & set(self._successors.values()):
            raise self._on_the_overlays()
        elif self._is_whole() and set(domain.sources().values()).isdisjoint(self._plan.tops.values()):
            raise self._on_other_disks(domain)
        elif not self._is_restored_back(domain):
            if domain.run_id != self._plan.run_id and self._is_whole():
                self._loss = f"{domain.name} was started outside snapctl, so the memory that was saved was discarded"
        elif domain.state is GuestState.PAUSED and self._was_running:
            self._hypervisor.domains.resume(self._plan.domain_uuid)
            self._require_active()
        self._hypervisor.storage.remove(self._plan.memory_path)

    @property
    def _was_running(self) -> bool:
        """When it was saved, which its owner may have seen to since the plan was made."""
        was_running: bool = self._results.get("memory", {}).get("was_running", self._plan.was_running)
        return was_running

    def _require_active(self) -> None:
        """The image goes only once the guest is seen to run from it."""
        domain = self._hypervisor.domains.get(self._plan.domain_uuid)
        if domain is None or not domain.active:
            raise HypervisorError(f"{self._plan.domain_name} ended when it was resumed", effect="its image was kept")

    def _is_restored_back(self, domain: Domain) -> bool:
        """Whether it is this operation that left the guest paused, and not its owner."""
        return domainxml.run_mark(domain.xml) == self._plan.operation_id

    def require_unwritten(self) -> None:
        devices = read_devices(self._hypervisor.storage, self._plan.disks)
        written = written_since(self._results["frozen"], read_tops(self._hypervisor, self._plan.disks))
        if written or devices_differ(self._results.get("devices", {}), devices):
            raise self._doubtful()

    def require_pair(self) -> None:
        """Raise unless image and disks still are of one instant, which they are until the guest runs on those disks.

        `Refused` when it does, or when the image is of another definition than was planned (a medium may be changed
        until the very moment of the save); `Unfinished` when it did and is off again.
        """
        domain = self._hypervisor.domains.get(self._plan.domain_uuid)
        if domain is not None and domain.active and domain.sources() != self._successors:
            raise Refused(f"{domain.name} was started outside snapctl after its memory was saved", hint="try again")
        self.require_unwritten()
        self._require_same_definition(self._hypervisor.domains.saved_definition(self._plan.memory_path))

    def _require_same_definition(self, xml: str) -> None:
        """What is catalogued is the definition that was planned with: an image that names anything else of the host
        would be taken for a forged one at the first rollback."""
        planned = imagexml.named(self._plan.origin.domain_xml)
        if differences := imagexml.differences(imagexml.named(xml), planned):
            raise Refused(
                f"{self._plan.domain_name} changed after the plan was made: {differences[0]}", hint="try again"
            )

    def _unreadable(self) -> Unfinished:
        name, path = self._plan.domain_name, self._plan.memory_path
        return Unfinished(
            f"{name} is shut off and snapctl cannot read its memory image {path}",
            effect="the image was kept",
            hint=f"restore it: virsh restore {path}, then: snapctl recover {name}",
        )

    def _undefined(self) -> Unfinished:
        name = self._plan.domain_name
        return Unfinished(
            f"{name} was undefined after its memory was saved to {self._plan.memory_path}",
            effect="nothing more was changed",
            hint=f"define it again: virsh save-image-dumpxml --security-info {self._plan.memory_path} > {name}.xml; "
            f"virsh define {name}.xml; then: snapctl recover {name}",
        )

    def _on_the_overlays(self) -> Unfinished:
        name, path = self._plan.domain_name, self._plan.memory_path
        return Unfinished(
            f"{name} was started outside snapctl on its new overlays after its memory was saved to {path}",
            effect="nothing more was changed",
            hint=f"to leave all as it is: snapctl recover {name} --abandon",
        )

    def _on_other_disks(self, domain: Domain) -> Unfinished:
        return Unfinished(
            f"{domain.name} runs on other disks than those that its memory {self._plan.memory_path} was saved with",
            effect="the image was kept",
            hint=f"to leave all as it is: snapctl recover {domain.name} --abandon",
        )

    def _require_there(self) -> None:
        require_there(self._plan, self._results, self._hypervisor)

    def _doubtful(self) -> Unfinished:
        self._require_there()
        domain = self._hypervisor.domains.get(self._plan.domain_uuid)
        return Unfinished(
            f"{self._plan.domain_name} may have run after its memory was saved to {self._plan.memory_path}",
            effect="nothing more was changed",
            hint=way_to_discard(self._plan.domain_name, domain, self._others),
        )


def require_there(plan: CheckpointPlan, results: Mapping[str, Any], hypervisor: Hypervisor) -> None:
    """Raise for a disk that is merely missing, as one that is not mounted yet: nothing shows that it was changed."""
    if (path := missing_of(results, hypervisor, plan.disks)) is not None:
        raise Unfinished(
            f"{path} is missing: the memory of {plan.domain_name} in {plan.memory_path} was saved with it",
            effect="the memory was not restored",
            hint=f"mount it, then: snapctl recover {plan.domain_name}",
        )


def way_to_discard(name: str, domain: Domain | None, others: Collection[str]) -> str:
    """By starting the guest, unless it is defined on `others` than what its memory was saved with; a managed-save image
    is of a run that its owner ended."""
    if domain is not None and domain.managed_save:
        return f"start it (virsh start {name}), then: snapctl recover {name}"
    if domain is not None and not set(domain.persistent_sources().values()).isdisjoint(others):
        return f"to leave all as it is: snapctl recover {name} --abandon"
    return f"to discard the saved memory: virsh start {name}, then: snapctl recover {name}"


def _written_after(layer: FileInfo | None, image: FileInfo) -> bool:
    return layer is not None and float(layer.mtime) > float(image.mtime) + SETTLING_SECONDS


def _memory_image(info: FileInfo, header: saveimage.Header) -> MemoryImage:
    return MemoryImage(
        path=info.path,
        size=info.physical,
        was_running=header.was_running,
        version=header.version,
        compression=header.compression,
        data_length=header.data_length,
        mtime=info.mtime,
    )
