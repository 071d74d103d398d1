"""Every refusal of a checkpoint: its class, its exit code, and what its one line names."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import LONGEST_LINE, Busy, Refused, SnapctlError, UsageError
from orchestrator.model import Device, Domain, GuestState
from orchestrator.operations.checkpoint.plan import CheckpointPlan, plan_checkpoint
from tests.unit.builders import (
    ACTIVE,
    BASE,
    STORE,
    cdrom,
    checkpoint_facts,
    checkpoint_request,
    disk,
    domain,
    domain_xml,
    in_store,
    with_encryption,
)
from tests.unit.file_builders import GIB, MIB


def plan(*, request: dict[str, Any] | None = None, **facts: Any) -> CheckpointPlan:
    return plan_checkpoint(checkpoint_request(**request or {}), checkpoint_facts(**facts))


ELSEWHERE = in_store("c0ffee00-1234-4abc-8def-001122334455", "vda.qcow2")

REFUSALS: dict[str, tuple[dict[str, Any], type[SnapctlError], int, list[str]]] = {
    "name taken": (
        {"name_taken": True},
        Refused,
        6,
        ["already has a checkpoint before-upgrade", "snapctl delete web01 before-upgrade"],
    ),
    "other domain under the same name": (
        {"namesake": "77777777-4f89-41d3-9a0c-0305e82c3301"},
        Refused,
        6,
        ["web01", "another domain named web01, 77777777-4f89-41d3-9a0c-0305e82c3301"],
    ),
    "shut off": (
        {"domain": domain(state=GuestState.OFF)},
        Refused,
        6,
        ["web01 is not running", "virsh start web01"],
    ),
    "crashed": (
        {"domain": domain(state=GuestState.CRASHED)},
        Refused,
        6,
        ["web01 has crashed", "virsh destroy web01; virsh start web01"],
    ),
    "paused on an I/O error": (
        {"domain": domain(state=GuestState.IO_ERROR)},
        Refused,
        6,
        ["paused on an I/O error", "virsh resume web01"],
    ),
    "suspended": (
        {"domain": domain(state=GuestState.OTHER)},
        Refused,
        6,
        ["neither running nor paused", "virsh domstate --reason web01"],
    ),
    "being saved by somebody": (
        {"domain": domain(state=GuestState.BUSY)},
        Busy,
        4,
        ["web01 has a job in progress", "wait"],
    ),
    "a job under way": (
        {"domain": domain(job="migration out")},
        Busy,
        4,
        ["web01 has a job in progress (migration out)"],
    ),
    "a block job under way": (
        {"domain": domain(block_jobs=("vda", "vdb"))},
        Busy,
        4,
        ["block job on vda, vdb", "virsh blockjob web01 vda --abort"],
    ),
    "a managed-save image of an earlier run": (
        {"domain": domain(managed_save=True)},
        Refused,
        6,
        ["web01 is running, and has a managed-save image of an earlier run", "virsh managedsave-remove"],
    ),
    "libvirt snapshots": (
        {"domain": domain(libvirt_snapshots=("s1", "s2", "s3", "s4", "s5", "s6", "s7"))},
        Refused,
        6,
        ["libvirt snapshots", "s1, s2, s3, s4, s5 and 2 more", "virsh snapshot-delete web01 s1"],
    ),
    "libvirt checkpoints": (
        {"domain": domain(libvirt_checkpoints=("bitmap1",))},
        Refused,
        6,
        ["libvirt checkpoints (dirty bitmaps)", "virsh checkpoint-delete web01 bitmap1"],
    ),
    "no writable disk": (
        {"domain": domain(cdrom()), "head": None},
        Refused,
        6,
        ["web01 has no writable disk"],
    ),
    "a shareable disk": (
        {"domain": domain(disk(), disk("vdb", "/images/quorum.raw", shareable=True))},
        Refused,
        6,
        ["disk vdb of web01 is shareable"],
    ),
    "a transient disk": (
        {"domain": domain(disk(), disk("vdb", "/images/scratch.qcow2", transient=True))},
        Refused,
        6,
        ["disk vdb of web01 is transient"],
    ),
    "a network disk": (
        {"domain": domain(disk(), disk("vdb", None, source_type="network"), capacities={"vda": 20 * GIB})},
        Refused,
        6,
        ["disk vdb of web01", "type network", "neither file nor block"],
    ),
    "a volume disk": (
        {"domain": domain(disk(), disk("vdb", None, source_type="volume"))},
        Refused,
        6,
        ["type volume"],
    ),
    "a SCSI device passed through": (
        {"domain": domain(disk(), disk("sdb", "/dev/sg3", device=Device.LUN, source_type="block"))},
        Refused,
        6,
        ["disk sdb of web01 is passed through", "device='disk'"],
    ),
    "a disk of an odd size": (
        {"domain": domain(disk(), disk("vdb", "/images/odd.raw"), capacities={"vda": 20 * GIB, "vdb": GIB + 512})},
        Refused,
        6,
        [f"disk vdb of web01 has a virtual size of {GIB + 512} bytes", "multiple of 1 KiB"],
    ),
    "a disk of an unknown size": (
        {"domain": domain(disk(), disk("vdb", "/images/new.raw"), capacities={"vda": 20 * GIB})},
        Refused,
        6,
        ["cannot determine the virtual size of disk vdb of web01", "virsh domblkinfo web01 vdb"],
    ),
    "a pending change of a disk": (
        {"domain": domain(disk(), persistent_disks=(disk("vda", BASE),))},
        Refused,
        6,
        ["disk vda of web01", ACTIVE, f"but {BASE} from its next start on", "virsh edit web01"],
    ),
    "an encrypted disk": (
        {"domain": domain(xml=with_encryption(domain_xml([disk()])))},
        Refused,
        6,
        ["disk vda of web01 has <encryption>, which an overlay cannot have", "copy it to an image file"],
    ),
    "a disk encrypted from the next start on": (
        {"domain": domain(persistent_xml=with_encryption(domain_xml([disk()])))},
        Refused,
        6,
        ["in the persistent definition, disk vda of web01 has <encryption>", "virsh edit web01"],
    ),
    "a disk changed behind our back": (
        {"domain": domain(disk("vda", ELSEWHERE))},
        Refused,
        6,
        [
            f"disk vda of web01 is {ELSEWHERE}",
            f"the catalog says {ACTIVE}",
            "snapctl checkpoint web01 --adopt",
        ],
    ),
    "a disk taken away behind our back": (
        {"domain": domain(disk("vdb", "/images/new.qcow2"))},
        Refused,
        6,
        ["disk vda of web01 is missing", f"the catalog says {ACTIVE}"],
    ),
    "not enough free space": (
        {"free_bytes": 2112 * MIB},
        Refused,
        6,
        [f"{STORE} has 2112 MiB free", "web01 may need 2113 MiB", "delete checkpoints or enlarge the store"],
    ),
    "not enough free space beside the reserve": (
        {"free_bytes": 3136 * MIB, "reserve_bytes": 1024 * MIB},
        Refused,
        6,
        ["3136 MiB free", "web01 may need 3137 MiB"],
    ),
}


@pytest.mark.parametrize(("facts", "kind", "exit_code", "said"), REFUSALS.values(), ids=REFUSALS)
def test_refused(facts: dict[str, Any], kind: type[SnapctlError], exit_code: int, said: list[str]) -> None:
    with pytest.raises(SnapctlError) as refused:
        plan(**facts)
    error = refused.value
    line = str(error)

    assert type(error) is kind
    assert error.exit_code == exit_code
    assert [words for words in said if words not in line] == []
    assert "; nothing was changed; " in line
    assert error.hint
    assert "\n" not in line
    assert len(line) <= LONGEST_LINE


def test_a_description_may_be_long_but_not_endless() -> None:
    with pytest.raises(UsageError) as refused:
        plan(request={"description": "x" * 4097})

    assert refused.value.exit_code == 2
    assert str(refused.value) == "the description is longer than 4096 characters; nothing was changed; shorten it"


def test_drift_names_both_paths_whole_to_a_program() -> None:
    with pytest.raises(Refused) as refused:
        plan(domain=domain(disk("vda", ELSEWHERE)))

    assert refused.value.as_dict()["message"] == f"disk vda of web01 is {ELSEWHERE}, the catalog says {ACTIVE}"


def test_just_enough_space_is_enough() -> None:
    assert plan(free_bytes=3137 * MIB, reserve_bytes=1024 * MIB).needed_bytes == 2113 * MIB


@pytest.mark.parametrize(
    "web01",
    [
        domain(state=GuestState.IO_ERROR, job="save"),
        domain(state=GuestState.OFF, block_jobs=("vda",)),
        domain(managed_save=True, job="save"),
    ],
)
def test_plan_checkpoint_job_is_refused_before_other_conditions(web01: Domain) -> None:
    with pytest.raises(Busy):
        plan(domain=web01)
