"""A checkpoint is planned as a value, or refused with a reason, before anything happens."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.model import (
    After,
    CaptureMode,
    Device,
    GuestState,
    Head,
    Labels,
    NewOverlay,
    Origin,
    Source,
    runs_after,
)
from orchestrator.operations.checkpoint.plan import CheckpointPlan, plan_checkpoint
from tests.unit.builders import (
    ACTIVE,
    BASE,
    CLEAN,
    DOMAIN,
    NEXT,
    STORE,
    cdrom,
    checkpoint_facts,
    checkpoint_request,
    disk,
    domain,
    head,
    host,
    in_store,
)
from tests.unit.file_builders import GIB, MIB


def plan(*, request: dict[str, Any] | None = None, **facts: Any) -> CheckpointPlan:
    return plan_checkpoint(checkpoint_request(**request or {}), checkpoint_facts(**facts))


def overlay(target: str, backing: str, backing_format: str = "qcow2", capacity: int = 20 * GIB) -> NewOverlay:
    return NewOverlay(
        target=target,
        path=in_store(NEXT, f"{target}.qcow2"),
        backing=backing,
        backing_format=backing_format,
        capacity=capacity,
    )


def test_a_plan_holds_all_that_will_happen() -> None:
    data = disk("vdb", "/dev/vg0/data", source_type="block", source=Source(path="/dev/vg0/data", format="raw"))
    web01 = domain(disk(), data, cdrom(), capacities={"vda": 20 * GIB, "vdb": 3 * GIB, "sda": 1})

    made = plan(
        request={"description": "why", "tags": ("nightly", "v1.2", "nightly"), "after": After.PAUSE}, domain=web01
    )

    assert made == CheckpointPlan(
        operation_id=NEXT,
        checkpoint_id=NEXT,
        host=host(),
        domain_uuid=DOMAIN,
        domain_name="web01",
        run_id=7,
        was_running=True,
        after=After.PAUSE,
        mode=CaptureMode.SAVE,
        labels=Labels(name="before-upgrade", description="why", tags=("nightly", "v1.2")),
        origin=Origin(
            domain_xml=web01.xml,
            persistent=True,
            machine=web01.machine,
            cpu=web01.cpu,
            emulator=web01.emulator,
            qemu_version=host().qemu_version,
            libvirt_version=host().libvirt_version,
        ),
        head=head(),
        directory=f"{STORE}/{DOMAIN}/{NEXT}",
        memory_path=f"{STORE}/{DOMAIN}/{NEXT}/memory.save",
        disks=web01.disks,
        overlays=(overlay("vda", ACTIVE), overlay("vdb", "/dev/vg0/data", "raw", 3 * GIB)),
        needed_bytes=2 * GIB + 66 * MIB,
        estimated_bytes=702 * MIB,
        free_bytes=100 * GIB,
        depth=2,
        note="/dev/vg0/data is a block device: only samples of it will be compared",
    )
    assert made.tops == {"vda": ACTIVE, "vdb": "/dev/vg0/data"}
    assert made.parent_id == CLEAN


def test_the_first_checkpoint_of_a_domain_has_no_parent() -> None:
    made = plan(head=None, domain=domain(disk("vda", BASE)))

    assert made.head is None
    assert made.parent_id is None
    assert made.overlays == (overlay("vda", BASE),)


def test_a_guest_paused_by_its_user_is_planned_as_such() -> None:
    made = plan(domain=domain(state=GuestState.PAUSED))

    assert not made.was_running
    assert not runs_after(made.after, made.was_running)
    assert runs_after(After.RESUME, made.was_running)


def test_a_head_whose_checkpoint_is_unknown_leaves_no_parent() -> None:
    made = plan(head=head(checkpoint_id=None))

    assert made.parent_id is None
    assert made.head == head(checkpoint_id=None)


def test_the_longest_description_is_kept_whole() -> None:
    assert plan(request={"description": "ä" * 4096}).labels.description == "ä" * 4096


def test_the_smallest_step_of_a_virtual_size_is_a_kibibyte() -> None:
    made = plan(domain=domain(capacities={"vda": 20 * GIB + 1024}))

    assert made.overlays == (overlay("vda", ACTIVE, capacity=20 * GIB + 1024),)


def test_disks_that_the_guest_cannot_change_are_recorded_and_left_alone() -> None:
    floppy = disk("fda", "/images/boot.img", device=Device.FLOPPY)
    shared_readonly = disk("vdz", "/images/tools.qcow2", readonly=True, shareable=True)
    web01 = domain(disk(), cdrom(None), floppy, shared_readonly)

    made = plan(domain=web01)

    assert made.disks == web01.disks
    assert [each.target for each in made.overlays] == ["vda"]


def test_a_disk_attached_since_the_last_checkpoint_is_frozen_too() -> None:
    made = plan(domain=domain(disk(), disk("vdb", "/images/new.qcow2")))

    assert made.tops == {"vda": ACTIVE, "vdb": "/images/new.qcow2"}


def test_a_hot_plugged_disk_need_not_be_in_the_persistent_definition() -> None:
    web01 = domain(disk(), disk("vdb", "/images/hot.qcow2"), persistent_disks=(disk(),))

    assert plan(domain=web01).tops == {"vda": ACTIVE, "vdb": "/images/hot.qcow2"}


def test_a_transient_domain_is_planned() -> None:
    assert not plan(domain=domain(persistent=False, persistent_disks=())).origin.persistent


@pytest.mark.parametrize("stands", [head(), head(checkpoint_id=None), None], ids=["on one", "on a lost one", "on none"])
def test_a_plan_survives_the_journal(stands: Head | None) -> None:
    made = plan(domain=domain(disk(), cdrom()), request={"tags": ("a", "b")}, head=stands)
    stored = msgspec.to_builtins(made)

    assert msgspec.convert(stored, CheckpointPlan) == made
    assert msgspec.json.decode(msgspec.json.encode(stored), type=CheckpointPlan) == made


@pytest.mark.parametrize(
    ("after", "state", "end"),
    [
        (After.AS_SAVED, GuestState.RUNNING, "resume web01"),
        (After.AS_SAVED, GuestState.PAUSED, "leave web01 paused, as it was"),
        (After.RESUME, GuestState.PAUSED, "resume web01"),
        (After.PAUSE, GuestState.RUNNING, "leave web01 paused"),
        (After.STOP, GuestState.RUNNING, "leave web01 shut off"),
    ],
)
def test_a_dry_run_reads_as_what_will_happen(after: After, state: GuestState, end: str) -> None:
    new = f"{STORE}/{DOMAIN}/{NEXT}"

    assert plan(request={"after": after}, domain=domain(state=state)).lines() == [
        f"create directory {new}",
        f"create overlay {new}/vda.qcow2, backed by {ACTIVE}",
        f"save the memory of web01 to {new}/memory.save (at most 2113 MiB, probably 701 MiB; 102400 MiB free)",
        f"freeze {ACTIVE} (vda)",
        "record checkpoint before-upgrade in the catalog",
        end,
    ]


@pytest.mark.parametrize(
    ("resident", "estimated", "told"),
    [
        (300 * MIB, 301 * MIB, "at most 2113 MiB, probably 301 MiB; 102400 MiB free"),
        (5 * GIB, 2 * GIB + MIB, "at most 2113 MiB, probably 2049 MiB; 102400 MiB free"),  # QEMU's own, too
        (None, None, "at most 2113 MiB; 102400 MiB free"),
    ],
)
def test_plan_checkpoint_estimate_is_resident_memory(resident: int | None, estimated: int | None, told: str) -> None:
    planned = plan(domain=domain(resident_bytes=resident))
    assert planned.estimated_bytes == estimated
    assert any(line.endswith(f"({told})") for line in planned.lines())


def test_a_plan_of_an_earlier_version_has_no_estimate() -> None:
    fields = msgspec.to_builtins(plan())
    for name in ("estimated_bytes", "free_bytes"):
        del fields[name]
    assert any(line.endswith("(at most 2113 MiB)") for line in msgspec.convert(fields, CheckpointPlan).lines())
