"""Refusals that several plans share."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import Busy, Refused
from ...formats import domainxml
from ...model import Domain, GuestState, Head, NewOverlay, Source, some


def refuse_busy(domain: Domain) -> None:
    """Raise `Busy` while a job holds the domain."""
    name = domain.name
    if domain.job or domain.state is GuestState.BUSY:
        raise Busy(f"{name} has a job in progress ({domain.job or 'unnamed'})", hint="wait until it ends")
    if domain.block_jobs:
        raise Busy(
            f"{name} has a block job on {', '.join(domain.block_jobs)}",
            hint=f"wait, or abort it: virsh blockjob {name} {domain.block_jobs[0]} --abort",
        )


def refuse_foreign_state(domain: Domain) -> None:
    """What libvirt itself keeps of a guest and would mix up with ours."""
    name = domain.name
    if domain.managed_save:
        raise Refused(
            f"{name} has a managed-save image, which libvirt would resume at the next start",
            hint=f"start it, which restores that image: virsh start {name}",
        )
    if domain.libvirt_snapshots:
        raise Refused(
            f"{name} has libvirt snapshots of its own: {some(domain.libvirt_snapshots)}",
            hint=f"delete them: virsh snapshot-delete {name} {domain.libvirt_snapshots[0]}",
        )
    if domain.libvirt_checkpoints:
        raise Refused(
            f"{name} has libvirt checkpoints (dirty bitmaps) of its own: {some(domain.libvirt_checkpoints)}",
            hint=f"delete them: virsh checkpoint-delete {name} {domain.libvirt_checkpoints[0]}",
        )


def refuse_drift(domain: Domain, head: Head | None) -> None:
    """Refuse a domain whose disks are not those that the catalog's head names."""
    if head is None:
        return
    sources = domain.sources()
    for target, path in head.overlays.items():
        if sources.get(target) != path:
            raise Refused(
                f"disk {target} of {domain.name} is {sources.get(target) or 'missing'}, the catalog says {path}",
                hint=f"change it back: virsh edit {domain.name}",
            )


def refuse_fixed_disks(xml: str, overlays: Sequence[NewOverlay]) -> None:
    """Refuse a definition that cannot be restored on overlays, by making the XML that would be restored."""
    domainxml.on_disks(xml, {each.target: Source(path=each.path, format="qcow2") for each in overlays})


def refuse_fixed_definition(domain: Domain, overlays: Sequence[NewOverlay]) -> None:
    """The same for the persistent XML, which does not have the disks that were plugged in while the guest runs."""
    if not domain.persistent_xml:
        return
    defined = domain.persistent_sources()
    try:
        refuse_fixed_disks(domain.persistent_xml, [each for each in overlays if each.target in defined])
    except Refused as error:
        raise Refused(
            f"in the persistent definition, {error.problem}", hint=f"change it: virsh edit {domain.name}"
        ) from None
