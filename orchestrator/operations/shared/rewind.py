"""Bring a guest back: storage first, then memory. The only caller of restore.

A memory image is never restored except onto overlays that are new, empty and on top of exactly the
checkpoint's frozen layers (order rule 3). It is always restored paused: the story decides when the
first guest instruction may run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from ...errors import HypervisorError, IntegrityError, NotFound, Refused, SnapctlError, StartedOutside, Unfinished
from ...formats import domainxml, imagexml
from ...model import Domain, GuestState, MemoryImage, NewOverlay, Source
from ...ports import Evidence, Hypervisor
from ...store.workspace import is_empty, renew_overlays, restore_final_mark

OUTSIDE = "outside"
"""Evidence of a step that was not done, as the guest was acted on outside snapctl: how."""

ATTEMPTS = 2
"""A failed restore is tried again once, on fresh overlays."""


class Rewind:
    """One domain, one memory image, and the disks to bring it back on; `results` have their lengths when created,
    and `definition` gives the domain XML that the image was planned with. The drives `ejects` are left empty.
    `managed_save` says that libvirt has an image of the state that is given up.

    A run that it starts carries the operation's mark: what was started in any other way is never taken for it.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        domain_uuid: str,
        memory_path: str,
        overlays: Sequence[NewOverlay],
        results: Mapping[str, Any],
        *,
        operation_id: str,
        persistent: bool,
        definition: Callable[[], str],
        ejects: Collection[str] = (),
        managed_save: bool = False,
    ) -> None:
        self._hypervisor = hypervisor
        self._uuid = domain_uuid
        self._memory_path = memory_path
        self._overlays = overlays
        self._results = results
        self._operation_id = operation_id
        self._persistent = persistent
        self._definition = definition
        self._ejects = ejects
        self._managed_save = managed_save
        self._sources = {overlay.target: Source(path=overlay.path, format="qcow2") for overlay in overlays}

    # ------------------------------------------------------------------ the persistent XML

    def repoint(self) -> None:
        """Make the persistent XML name the overlays, so that no start can write to a frozen layer."""
        define_sources(self._hypervisor, self._uuid, self._sources)

    def is_repointed(self) -> Evidence | None:
        domain = self._hypervisor.domains.get(self._uuid)
        if domain is None or not domain.persistent:
            return {}
        defined = domain.persistent_sources()  # a hot-plugged disk is missing there
        return {} if all(defined.get(o.target, o.path) == o.path for o in self._overlays) else None

    # ------------------------------------------------------------------ the memory

    def restore(self) -> None:
        """Restore the memory, paused, onto the overlays.

        Raises `HypervisorError` when libvirt cannot; nothing is deleted then.
        """
        for attempt in range(ATTEMPTS):
            renew_overlays(self._hypervisor, self._uuid, self._overlays, self._lengths, opened=attempt > 0)
            try:
                self._restore_onto(self._sources)
            except HypervisorError:
                # Unknown, not failed. Only a domain that is off may be tried again.
                if attempt + 1 == ATTEMPTS or self.is_restored() is not None:
                    raise
                self._repair_image()
            else:
                return

    def is_restored(self) -> Evidence | None:
        """Whether the guest uses the overlays in the run that this operation started.

        Where that can no longer come to be, the evidence says why: it was started outside snapctl on the overlays, or
        was undefined. Raises `Unfinished` when it was started on other disks, or libvirt is to restore it.
        """
        self._hypervisor.domains.wait_for_job(self._uuid)
        domain = self._hypervisor.domains.get(self._uuid)
        if domain is None and self._persistent:
            return {OUTSIDE: "undefined"}
        if domain is None or not domain.active:
            if self.has_run():
                return {OUTSIDE: "started"}
            if domain is not None and domain.managed_save and not (self._managed_save and self.is_saved_before()):
                raise suspended_outside(domain)
            return None
        if self._is_ours(domain) and self.is_used_by(domain):
            return {}  # its owner may have put other layers on them since
        if all(domain.sources().get(overlay.target) == overlay.path for overlay in self._overlays):
            return {OUTSIDE: "started"}
        raise on_other_disks(domain)

    def resume(self, restore: Callable[[], None]) -> None:
        """Resume the guest; one whose QEMU died before its first instruction is restored again, as the story does it.

        One that was started outside snapctl is left as it is.
        """
        if OUTSIDE in self._results:
            return
        try:
            self._hypervisor.domains.resume(self._uuid)
        except (HypervisorError, NotFound):  # a transient domain is gone with its QEMU
            if self.is_restored() is not None:
                raise
            restore()
            self._hypervisor.domains.resume(self._uuid)

    def is_resumed(self) -> Evidence | None:
        """Whether the guest runs, or ran and was shut down or paused since. Raises `Unfinished` when it was started on
        other disks."""
        if OUTSIDE in self._results:
            return {}
        domain = self._hypervisor.domains.get(self._uuid)
        if domain is None and self._persistent:
            return {} if self.has_run() else {OUTSIDE: "undefined"}
        if domain is None or not domain.active:
            return {} if self.has_run() else None
        if not self._is_ours(domain):
            if not self.is_used_by(domain):
                raise on_other_disks(domain)
            return {OUTSIDE: "started"}
        return None if domain.state is GuestState.PAUSED and not self.has_run() else {}

    def restore_back(self, tops: Mapping[str, Source]) -> None:
        """Restore, paused, onto the *unchanged* tops that the memory was saved on.

        For a checkpoint that cannot be finished; the caller has made sure that not a
        byte of them has changed and that no checkpoint relies on them.
        """
        for attempt in range(ATTEMPTS):
            try:
                self._restore_onto(tops)
            except HypervisorError:
                self._hypervisor.domains.wait_for_job(self._uuid)
                if self.is_ours():
                    return  # it was only the answer that got lost
                if attempt + 1 == ATTEMPTS:
                    raise
                self._repair_image()
            else:
                return

    def is_held(self) -> bool:
        """Whether the guest is paused on the overlays in the run that this operation restored, and has not run yet."""
        domain = self._hypervisor.domains.get(self._uuid)
        if domain is None or domain.state is not GuestState.PAUSED or not self._is_ours(domain):
            return False
        ours = {overlay.target: overlay.path for overlay in self._overlays}
        return domain.sources() == ours and not self.has_run()

    def is_going(self) -> bool:
        """Whether the guest is active, and not just held: then it is its owner's, and so is its definition."""
        domain = self._hypervisor.domains.get(self._uuid)
        return domain is not None and domain.active and not self.is_held()

    def unrestore(self) -> None:
        """End the run that was restored, paused: its memory is in the image still. Any other run is left alone."""
        if self.is_held():
            self._hypervisor.domains.destroy(self._uuid)

    def is_ours(self) -> bool:
        """Whether the guest is active in a run that this operation started."""
        domain = self._hypervisor.domains.get(self._uuid)
        return domain is not None and domain.active and self._is_ours(domain)

    def caveat(self, name: str, checkpoint: str) -> SnapctlError | None:
        """What is to be said of an operation that was completed without restoring the guest."""
        if (what := self._results.get(OUTSIDE)) is None:
            return None
        return StartedOutside(
            f"{name} was {what} outside snapctl before its memory was restored from checkpoint {checkpoint}",
            effect="the checkpoint and what the guest wrote are kept",
            hint=f"to restore its memory: snapctl rollback {name} {checkpoint}",
        )

    # ------------------------------------------------------------------

    def _restore_onto(self, sources: Mapping[str, Source]) -> None:
        xml = self._hypervisor.domains.saved_definition(self._memory_path)
        self._require_planned(xml)
        self._require_name(xml)
        wanted = domainxml.without_media(domainxml.on_disks(xml, sources), self._ejects)
        marked = domainxml.with_run_mark(wanted, self._operation_id)
        self._hypervisor.domains.restore(self._memory_path, marked)

    def _is_ours(self, domain: Domain) -> bool:
        return domainxml.run_mark(domain.xml) == self._operation_id

    def _require_planned(self, xml: str) -> None:
        """An image is code: what is restored is what was checked before the guest was stopped, not what somebody with
        access to the store has put there since."""
        planned = imagexml.named(self._definition())
        if differences := imagexml.differences(imagexml.named(xml), planned):
            raise IntegrityError(
                f"the memory image {self._memory_path} changed after this was planned: {differences[0]}",
                effect="it was not restored",
            )

    def require_name(self) -> None:
        """Raise `Unfinished` when the domain was renamed: libvirt restores it under the name that its image has."""
        self._require_name(self._hypervisor.domains.saved_definition(self._memory_path))

    def _require_name(self, xml: str) -> None:
        name, domain = domainxml.definition(xml).name, self._hypervisor.domains.get(self._uuid)
        if domain is not None and domain.name != name:
            raise Unfinished(
                f"{name} was renamed to {domain.name} outside snapctl",
                effect="its memory was not restored",
                hint=f"rename it back: virsh domrename {domain.name} {name}, then: snapctl recover {name}",
            )

    def _repair_image(self) -> None:
        """Only that of a checkpoint in progress is recorded: an image of the catalog was checked by the plan."""
        if "memory" in self._results:
            restore_final_mark(self._hypervisor, msgspec.convert(self._results["memory"], MemoryImage))

    @property
    def _lengths(self) -> Mapping[str, int]:
        lengths: Mapping[str, int] = self._results["overlay_lengths"]
        return lengths

    def is_used_by(self, domain: Domain) -> bool:
        """Whether it has any of the overlays for a disk, or below one: it may have got another disk since, or one of
        them another overlay."""
        ours = {overlay.path for overlay in self._overlays}
        return any(source.path in ours for disk in domain.disks for source in disk.chain)

    def is_saved_before(self) -> bool:
        """Whether libvirt has a managed-save image of the guest, and that is not of a run on the overlays."""
        xml = self._hypervisor.domains.managed_save_xml(self._uuid)
        ours = {overlay.path for overlay in self._overlays}
        return xml is not None and not any(disk.path in ours for disk in domainxml.disks(xml))

    def has_run(self) -> bool:
        """Whether a guest wrote to the overlays."""
        return "overlay_lengths" in self._results and not self._are_empty()

    def _are_empty(self) -> bool:
        return all(
            is_empty(info, self._lengths[overlay.target])
            for overlay in self._overlays
            if (info := self._hypervisor.storage.stat(overlay.path)) is not None
        )


def define_sources(hypervisor: Hypervisor, uuid: str, sources: Mapping[str, Source]) -> None:
    """Define a persistent domain on other disks; its other settings are kept. A transient one has no XML to edit."""
    domain = hypervisor.domains.get(uuid)
    if domain is None or not domain.persistent:
        return
    defined = domain.persistent_sources()
    known = {target: source for target, source in sources.items() if target in defined}
    if any(defined[target] != source.path for target, source in known.items()):
        hypervisor.domains.define(domainxml.on_disks(hypervisor.domains.definition(uuid), known))


def point_back(
    hypervisor: Hypervisor, uuid: str, previous: Mapping[str, Source], overlays: Sequence[NewOverlay]
) -> None:
    """Undo of a repoint: define the previous sources for the disks that still name these overlays, and no others."""
    domain = hypervisor.domains.get(uuid)
    defined = domain.persistent_sources() if domain is not None and domain.persistent else {}
    ours = {overlay.target for overlay in overlays if defined.get(overlay.target) == overlay.path}
    define_sources(hypervisor, uuid, {target: source for target, source in previous.items() if target in ours})


def on_other_disks(domain: Domain) -> Unfinished:
    return Unfinished(
        f"{domain.name} was started outside snapctl, on other disks",
        effect="nothing more was changed",
        hint=f"stop it: virsh destroy {domain.name}, then: snapctl recover {domain.name}",
    )


def suspended_outside(domain: Domain) -> Unfinished:
    return Unfinished(
        f"{domain.name} was suspended outside snapctl, and its managed-save image uses the new overlays",
        effect="nothing more was changed",
        hint=f"start it (virsh start {domain.name}), then: snapctl recover {domain.name}",
    )


def require_sources(domain: Domain | None, sources: Mapping[str, str | None], run_id: int | None) -> None:
    """Raise `Refused` unless the domain still is the run, on the disks, that the plan was made for."""
    if domain is None or domain.run_id != run_id or dict(domain.sources()) != dict(sources):
        name = domain.name if domain else "the domain"
        raise Refused(f"{name} was changed outside snapctl after the plan was made", hint="try again")
