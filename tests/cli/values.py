"""Values of the model, as the catalog would give them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from orchestrator.model import (
    CaptureMode,
    Checkpoint,
    CheckpointDetails,
    CheckpointDisk,
    CheckpointState,
    CheckpointSummary,
    CheckpointUsage,
    Device,
    DomainUsage,
    Host,
    Labels,
    Layer,
    MemoryImage,
    Origin,
    Usage,
)

MIB = 1024 * 1024
GIB = 1024 * MIB

HOST = Host(
    uuid="6f1c0b5e-0000-4000-8000-000000000001",
    name="hv1",
    uri="qemu:///system",
    libvirt_version="9.0.0",
    qemu_version="7.2.0",
)


def summary(domain: str, name: str, parent: CheckpointSummary | None = None) -> CheckpointSummary:
    """A checkpoint that the domain stands on, made just now."""
    return CheckpointSummary(
        domain=domain,
        domain_uuid=domain,
        name=name,
        id=f"id-{name}",
        parent=parent.name if parent else None,
        parent_id=parent.id if parent else None,
        created=datetime.now(UTC),
        mode="save",
        tags=(),
        description="",
        current=True,
        memory_bytes=95 * MIB,
        disk_bytes=1536 * 1024,
        state="ready",
        exclusive_bytes=96 * MIB,
    )


def details(of: CheckpointSummary) -> CheckpointDetails:
    layer = Layer(
        path="/store/old/vda.qcow2",
        target="vda",
        format="qcow2",
        capacity=10 * GIB,
        backing="/images/base.qcow2",
        operation_id="old",
        physical=2 * MIB,
        allocation=1536 * 1024,
        mtime="1.0",
    )
    checkpoint = Checkpoint(
        id=of.id,
        operation_id=of.id,
        host_uuid=HOST.uuid,
        domain_uuid=of.domain_uuid,
        domain_name=of.domain,
        parent_id=of.parent_id,
        created=of.created,
        mode=CaptureMode(of.mode),
        state=CheckpointState.READY,
        directory=f"/store/{of.id}",
        labels=Labels(
            name=of.name, description=of.description, tags=of.tags, expires=of.expires, protected=of.protected
        ),
        origin=Origin(
            domain_xml="<domain/>",
            persistent=True,
            machine="pc-q35-7.2",
            cpu="",
            emulator="/usr/bin/qemu-system-x86_64",
            qemu_version="7.2.0",
            libvirt_version="9.0.0",
        ),
        memory=MemoryImage(
            path=f"/store/{of.id}/memory.save",
            size=of.memory_bytes,
            was_running=True,
            version=2,
            compression="raw",
            data_length=1,
            sha256="ab" * 32,
        ),
        disks=(
            CheckpointDisk(
                target="vda", device=Device.DISK, readonly=False, path=layer.path, format="qcow2", layer=layer
            ),
            CheckpointDisk(target="sda", device=Device.CDROM, readonly=True, path=None, format=None),
        ),
    )
    return CheckpointDetails(
        checkpoint=checkpoint,
        host=HOST,
        parent=of.parent,
        current=of.current,
        children=("next",),
        exclusive_bytes=of.exclusive_bytes,
        shared_bytes=512 * 1024,
    )


def usage(of: Sequence[CheckpointSummary]) -> Usage:
    domains = sorted({(each.domain, each.domain_uuid) for each in of})
    return Usage(
        store="/store",
        total_bytes=100 * GIB,
        free_bytes=60 * GIB,
        uncatalogued_bytes=3 * MIB,
        domains=tuple(
            DomainUsage(
                domain=name,
                domain_uuid=uuid,
                memory_bytes=sum(each.memory_bytes for each in of if each.domain_uuid == uuid),
                frozen_bytes=5 * MIB,
                active_bytes=512 * 1024,
                manifest_bytes=12 * 1024,
                own_bytes=4 * GIB,
            )
            for name, uuid in domains
        ),
        checkpoints=tuple(
            CheckpointUsage(
                domain=each.domain,
                domain_uuid=each.domain_uuid,
                name=each.name,
                id=each.id,
                memory_bytes=each.memory_bytes,
                disk_bytes=each.disk_bytes,
                exclusive_bytes=each.exclusive_bytes,
                shared_bytes=512 * 1024,
            )
            for each in of
        ),
    )
