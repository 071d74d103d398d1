"""Bring a guest back: storage first, then memory. The only caller of restore.

A memory image is never restored except onto overlays that are new, empty and on top of exactly the
checkpoint's frozen layers (order rule 3). It is always restored paused: the story decides when the
first guest instruction may run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ...errors import HypervisorError, IntegrityError, Refused, Unfinished
from ...formats import domainxml, imagexml
from ...model import Domain, GuestState, MemoryImage, NewOverlay, Source
from ...ports import Evidence, Hypervisor
from ...store.workspace import is_empty, renew_overlays, restore_final_mark

ATTEMPTS = 2
"""A failed restore is tried again once, on fresh overlays."""


class Rewind:
    """One domain, one memory image, and the disks to bring it back on; `facts` tell their lengths as made, and
    `definition` the domain XML that the image was planned with."""

    def __init__(
        self,
        hypervisor: Hypervisor,
        domain_uuid: str,
        memory_path: str,
        overlays: Sequence[NewOverlay],
        facts: Mapping[str, Any],
        definition: Callable[[], str],
    ) -> None:
        self._hypervisor = hypervisor
        self._uuid = domain_uuid
        self._memory_path = memory_path
        self._overlays = overlays
        self._facts = facts
        self._definition = definition
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
            renew_overlays(self._hypervisor, self._overlays, self._lengths, opened=attempt > 0)
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
        """Whether the guest stands on the overlays, or stood on them and was shut down since.

        Raises `Unfinished` when somebody started it on other disks.
        """
        self._hypervisor.domains.wait_for_job(self._uuid)
        domain = self._hypervisor.domains.get(self._uuid)
        if domain is None or not domain.active:
            return None if self._are_empty() else {"ran_meanwhile": True}
        if all(domain.sources().get(overlay.target) == overlay.path for overlay in self._overlays):
            return {}
        raise Unfinished(
            f"{domain.name} was started by somebody on other disks",
            effect="nothing more was changed",
            hint=f"shut it down (virsh destroy {domain.name}), then: snapctl recover {domain.name}",
        )

    def resume(self) -> None:
        """Let the guest run; one whose QEMU died before its first instruction is restored again."""
        try:
            self._hypervisor.domains.resume(self._uuid)
        except HypervisorError:
            if self.is_restored() is not None:
                raise
            self.restore()
            self._hypervisor.domains.resume(self._uuid)

    def is_resumed(self) -> Evidence | None:
        """Whether the guest runs, or ran and went off since."""
        domain = self._hypervisor.domains.get(self._uuid)
        if domain is None or not domain.active:
            return None if self._are_empty() else {}
        return None if domain.state is GuestState.PAUSED else {}

    def restore_back(self, tops: Mapping[str, Source]) -> None:
        """Restore, paused, onto the *unchanged* tops that the memory was saved on.

        The way back of a checkpoint that cannot go forward; the caller has made sure that not a
        byte of them has changed and that no checkpoint relies on them.
        """
        self._restore_onto(tops)

    # ------------------------------------------------------------------

    def _restore_onto(self, sources: Mapping[str, Source]) -> None:
        xml = self._hypervisor.domains.saved_definition(self._memory_path)
        self._require_planned(xml)
        self._hypervisor.domains.restore(self._memory_path, domainxml.on_disks(xml, sources))

    def _require_planned(self, xml: str) -> None:
        """An image is code: what is restored is what was checked before the guest was stopped, not what somebody with
        access to the store has put there since."""
        planned = imagexml.named(self._definition())
        if differences := imagexml.differences(imagexml.named(xml), planned):
            raise IntegrityError(
                f"the memory image {self._memory_path} changed after this was planned: {differences[0]}",
                effect="it was not restored",
            )

    def _repair_image(self) -> None:
        """Only that of a checkpoint in progress is recorded: an image of the catalog was checked by the plan."""
        if "memory" in self._facts:
            restore_final_mark(self._hypervisor, msgspec.convert(self._facts["memory"], MemoryImage))

    @property
    def _lengths(self) -> Mapping[str, int]:
        lengths: Mapping[str, int] = self._facts["overlay_lengths"]
        return lengths

    def _are_empty(self) -> bool:
        return all(
            is_empty(facts, self._lengths[overlay.target])
            for overlay in self._overlays
            if (facts := self._hypervisor.storage.facts(overlay.path)) is not None
        )


def define_sources(hypervisor: Hypervisor, uuid: str, sources: Mapping[str, Source]) -> None:
    """Define a persistent domain on other disks; its other settings stay. A transient one has no XML to edit."""
    domain = hypervisor.domains.get(uuid)
    if domain is None or not domain.persistent:
        return
    defined = domain.persistent_sources()
    known = {target: source for target, source in sources.items() if target in defined}
    if any(defined[target] != source.path for target, source in known.items()):
        hypervisor.domains.define(domainxml.on_disks(hypervisor.domains.definition(uuid), known))


def require_sources(domain: Domain | None, sources: Mapping[str, str | None], run_id: int | None) -> None:
    """Raise `Refused` unless the domain still is the run, on the disks, that the plan was made for."""
    if domain is None or domain.run_id != run_id or dict(domain.sources()) != dict(sources):
        name = domain.name if domain else "the domain"
        raise Refused(f"{name} was changed by somebody while snapctl prepared", hint="try again")
