"""Values with sensible defaults, so that a test says only what it is about.

The world they describe: the running domain `web01` on host `hv1`, with the one disk `vda`. It stands
on checkpoint `clean`, which froze the user's own base image. Paths are as long as real ones are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from datetime import UTC, datetime
from posixpath import dirname
from typing import Any

from orchestrator.formats.needs import needs
from orchestrator.model import (
    CaptureMode,
    Chain,
    Checkpoint,
    CheckpointDisk,
    CheckpointState,
    Device,
    Disk,
    Domain,
    GuestState,
    Head,
    Host,
    Labels,
    Layer,
    LayerKind,
    MemoryImage,
    Origin,
    Source,
)
from orchestrator.operations.checkpoint.plan import CheckpointFacts, CheckpointRequest
from orchestrator.operations.delete.plan import DeleteFacts
from orchestrator.operations.rollback.plan import RollbackFacts
from orchestrator.operations.shared.preflight import HostFacts
from orchestrator.store.layout import operation_directory
from tests.twin import xml as twin_xml
from tests.unit.file_builders import GIB, MIB, file_facts, made, seen_of

HOST = "0a1b2c3d-0000-4000-8000-0123456789ab"
DOMAIN = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
CLEAN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
"""The operation that made checkpoint `clean`, and so the checkpoint itself."""
NEXT = "9b2d1c5e-7d5f-4b6a-8a3e-5f0c1d2e3f40"
"""The operation that a test plans."""
STORE = "/var/lib/libvirt/images/snapctl"
BASE = "/var/lib/libvirt/images/web01.qcow2"
CREATED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def in_store(operation_id: str, name: str) -> str:
    return f"{operation_directory(STORE, DOMAIN, operation_id)}/{name}"


ACTIVE = in_store(CLEAN, "vda.qcow2")
"""The overlay that web01 writes to."""
MEMORY = in_store(CLEAN, "memory.save")


# --------------------------------------------------------------------------- the hypervisor's side


def host() -> Host:
    return Host(uuid=HOST, name="hv1", uri="qemu:///system", libvirt_version="9.0.0", qemu_version="7.2.22")


def disk(target: str = "vda", path: str | None = ACTIVE, **changes: Any) -> Disk:
    source = Source(path=path, format="qcow2") if path is not None else None
    return made(Disk, {"target": target, "source": source}, changes)


def cdrom(path: str | None = "/var/lib/libvirt/images/install.iso") -> Disk:
    source = Source(path=path, format="raw") if path is not None else None
    return Disk(target="sda", device=Device.CDROM, source=source, readonly=True)


def domain_xml(disks: Iterable[Disk]) -> str:
    return twin_xml.domain_xml("web01", DOMAIN, disks, memory_kib=2 * 1024 * 1024)


def with_encryption(xml: str) -> str:
    """Its first disk as the owner of an encrypted image has it."""
    return xml.replace("<target ", "<encryption format='luks'/><target ", 1)


def domain(*disks: Disk, **changes: Any) -> Domain:
    """Running, with `disks` (by default vda on its active overlay) both live and in its persistent XML."""
    shown = disks or (disk(),)
    state = changes.get("state", GuestState.RUNNING)
    defaults = {
        "uuid": DOMAIN,
        "name": "web01",
        "state": state,
        "run_id": 7 if state.active else None,
        "persistent": True,
        "memory_bytes": 2 * GIB,
        "resident_bytes": 700 * MIB if state.active else None,
        "machine": "pc-q35-7.2",
        "cpu": "<cpu mode='host-model'/>",
        "emulator": "/usr/bin/qemu-system-x86_64",
        "disks": shown,
        "persistent_disks": shown,
        "xml": domain_xml(shown),
        "persistent_xml": domain_xml(changes.get("persistent_disks", shown)) if changes.get("persistent", True) else "",
        "capacities": {each.target: 20 * GIB for each in shown},
    }
    return made(Domain, defaults, changes)


# --------------------------------------------------------------------------- the catalog's side


def layer(path: str = BASE, **changes: Any) -> Layer:
    """Frozen: with the facts that `file_facts` gives of the same file."""
    facts = file_facts(path)
    defaults = {
        "path": path,
        "target": "vda",
        "format": facts.format,
        "capacity": facts.capacity,
        "physical": facts.physical,
        "allocation": facts.allocation,
        "mtime": facts.mtime,
    }
    return made(Layer, defaults, changes)


def device_layer(path: str = "/dev/vg/web01", **changes: Any) -> Layer:
    """A block device: frozen, and without facts of a file."""
    return layer(path, **{"kind": LayerKind.BLOCK, "physical": None, "allocation": None, "mtime": None, **changes})


def memory_image(**changes: Any) -> MemoryImage:
    """As `header_bytes` describes it."""
    defaults = {
        "path": MEMORY,
        "size": 700 * MIB,
        "was_running": True,
        "version": 2,
        "compression": "raw",
        "data_length": 70_000,
        "sha256": "ab" * 32,
    }
    return made(MemoryImage, defaults, changes)


def checkpoint_disk(frozen: Layer) -> CheckpointDisk:
    """Writable, in a file or on a block device as the layer is."""
    return CheckpointDisk(
        target=frozen.target,
        device=Device.DISK,
        readonly=False,
        path=frozen.path,
        format=frozen.format,
        source_type=frozen.kind.value,
        layer=frozen,
    )


def other_disk(target: str, device: Device, path: str | None, **changes: Any) -> CheckpointDisk:
    """One that was not frozen: a read-only one unless it is said to be writable media."""
    defaults = {
        "target": target,
        "device": device,
        "readonly": True,
        "path": path,
        "format": None if path is None else "raw",
    }
    return made(CheckpointDisk, defaults, changes)


def as_attached(recorded: CheckpointDisk) -> Disk:
    """A disk as the domain XML of its checkpoint has it."""
    source = Source(path=recorded.path, format=recorded.format or "raw") if recorded.path is not None else None
    kind = recorded.source_type
    return Disk(
        target=recorded.target, device=recorded.device, source_type=kind, source=source, readonly=recorded.readonly
    )


def checkpoint(*frozen: Layer, **changes: Any) -> Checkpoint:
    """Checkpoint `clean`, with one writable disk for each of `frozen` (by default vda on its base).

    It lies where its memory image does, and was made by an operation of its own id; `changes` may be of its
    labels and its origin, too.
    """
    disks = changes.get("disks") or tuple(checkpoint_disk(each) for each in frozen or (layer(),))
    id_ = changes.get("id", CLEAN)
    memory = changes.get("memory", memory_image())
    defaults = {
        "id": id_,
        "operation_id": id_,
        "host_uuid": HOST,
        "domain_uuid": DOMAIN,
        "domain_name": "web01",
        "parent_id": None,
        "created": CREATED,
        "mode": CaptureMode.SAVE,
        "state": CheckpointState.READY,
        "directory": dirname(memory.path) if memory else operation_directory(STORE, DOMAIN, CLEAN),
        "memory": memory,
        "disks": disks,
    }
    labels = {"name": "clean"}
    origin = {
        "domain_xml": domain_xml(as_attached(each) for each in disks),
        "persistent": True,
        "machine": "pc-q35-7.2",
        "cpu": "<cpu mode='host-model'/>",
        "emulator": "/usr/bin/qemu-system-x86_64",
        "qemu_version": "7.2.22",
        "libvirt_version": "9.0.0",
    }
    of_labels, of_origin, own = _sorted_out(changes)
    parts = {"labels": made(Labels, labels, of_labels), "origin": made(Origin, origin, of_origin)}
    return made(Checkpoint, {**defaults, **parts}, own)


def but(checkpoint: Checkpoint, **changes: Any) -> Checkpoint:
    """The checkpoint with other values, which may be of its labels and its origin, too."""
    labels, origin, own = _sorted_out(changes)
    changed = {"labels": replace(checkpoint.labels, **labels), "origin": replace(checkpoint.origin, **origin)}
    return replace(checkpoint, **{**changed, **own})


def _sorted_out(changes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Those of labels, of the origin, and all others."""
    names = [{field.name for field in fields(kind)} for kind in (Labels, Origin)]
    labels, origin = ({name: changes[name] for name in changes if name in each} for each in names)
    return labels, origin, {name: changes[name] for name in changes if name not in labels and name not in origin}


def head(**changes: Any) -> Head:
    defaults = {
        "host_uuid": HOST,
        "domain_uuid": DOMAIN,
        "checkpoint_id": CLEAN,
        "overlays": {"vda": ACTIVE},
    }
    return made(Head, defaults, changes)


# --------------------------------------------------------------------------- what planners are asked and told


def checkpoint_request(**changes: Any) -> CheckpointRequest:
    return made(CheckpointRequest, {"operation_id": NEXT, "name": "before-upgrade"}, changes)


def checkpoint_facts(**changes: Any) -> CheckpointFacts:
    defaults = {
        "host": host(),
        "domain": domain(),
        "head": head(),
        "name_taken": False,
        "namesake": None,
        "free_bytes": 100 * GIB,
        "store": STORE,
        "needs": needs(changes.get("domain", domain()).xml),
        "found": HostFacts(),
    }
    return made(CheckpointFacts, defaults, changes)


def rollback_facts(**changes: Any) -> RollbackFacts:
    """`seen` are the files of the checkpoint and chains that are asked for, undamaged."""
    wanted: Checkpoint = changes.get("checkpoint", checkpoint())
    chains = changes.get("chains", {target: Chain((frozen,)) for target, frozen in wanted.layers.items()})
    defaults = {
        "host": host(),
        "domain": domain(),
        "checkpoint": wanted,
        "head": head(),
        "chains": chains,
        "seen": seen_of(wanted, chains),
        "needs": needs(wanted.origin.domain_xml),
        "found": HostFacts(),
        "discards": (ACTIVE,),
        "free_bytes": 100 * GIB,
        "store": STORE,
    }
    return made(RollbackFacts, defaults, changes)


def delete_facts(**changes: Any) -> DeleteFacts:
    """Nothing depends on the checkpoint."""
    defaults = {
        "host": host(),
        "domain_name": "web01",
        "checkpoint": checkpoint(),
        "head": head(checkpoint_id="another"),
        "layers": [],
    }
    return made(DeleteFacts, defaults, changes)
