"""Refusals that several plans share."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import Busy, Refused
from ...formats import domainxml
from ...model import Domain, GuestState, NewOverlay, Source, Stranger, some


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
    if domain.managed_save and domain.active:
        raise Refused(
            f"{domain.name} is {domain.state}, and has a managed-save image of an earlier run",
            hint="a rollback discards both; to keep this run, remove that image: virsh managedsave-remove",
        )
    if domain.managed_save:
        raise Refused(
            f"{domain.name} has a managed-save image, which libvirt would resume at the next start",
            hint=f"start it, which restores that image: virsh start {domain.name}",
        )
    refuse_foreign_marks(domain)


def refuse_foreign_marks(domain: Domain) -> None:
    """Snapshots and checkpoints of libvirt's, which name the disks of now."""
    name = domain.name
    if domain.libvirt_snapshots:
        raise Refused(
            f"{name} has libvirt snapshots of its own: {some(domain.libvirt_snapshots)}",
            hint=_without_snapshot(domain, domain.libvirt_snapshots[0]),
        )
    if domain.libvirt_checkpoints:
        raise Refused(
            f"{name} has libvirt checkpoints (dirty bitmaps) of its own: {some(domain.libvirt_checkpoints)}",
            hint=f"delete them: virsh checkpoint-delete {name} {domain.libvirt_checkpoints[0]}",
        )


def _without_snapshot(domain: Domain, snapshot: str) -> str:
    """Of an external one the record alone goes: the disks stay as they are, on files that snapctl does not know."""
    if snapshot not in domain.external_snapshots:
        return f"delete them: virsh snapshot-delete {domain.name} {snapshot}"
    return f"virsh snapshot-delete --metadata {domain.name} {snapshot}; then: snapctl checkpoint {domain.name} --adopt"


def refuse_strangers(domain: Domain, found: Sequence[Stranger]) -> None:
    """Refuse a domain that has disks of another catalog, or of operations that this one knows nothing of: what that
    one relies on cannot be seen here."""
    for each in found:
        place = f"disk {each.target} of {domain.name} has {each.path}"
        if not each.own:
            raise Refused(
                f"{place}, in the store of {each.whose}",
                hint="use that catalog (--catalog), or adopt that store: snapctl catalog adopt --help",
            )
        raise Refused(
            f"{place}, which is in the store, but not in the catalog",
            hint="use the catalog that knows it, or rebuild one: snapctl --catalog NEW-URL catalog adopt",
        )


def refuse_fixed_disks(xml: str, overlays: Sequence[NewOverlay]) -> None:
    """Refuse a definition that cannot be restored on overlays, by making the XML that would be restored."""
    domainxml.on_disks(xml, {each.target: Source(path=each.path, format="qcow2") for each in overlays})


def refuse_fixed_definition(persistent_xml: str, overlays: Sequence[NewOverlay], name: str) -> None:
    """The same for a persistent XML ("" of a transient domain), which lacks disks that were plugged in since."""
    if not persistent_xml:
        return
    defined = {disk.target for disk in domainxml.disks(persistent_xml) if disk.writable}
    try:
        refuse_fixed_disks(persistent_xml, [each for each in overlays if each.target in defined])
    except Refused as error:
        raise Refused(f"in the persistent definition, {error.problem}", hint=f"change it: virsh edit {name}") from None
