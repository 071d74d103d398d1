"""Every refusal of a rollback: its class, its exit code, and what its one line names."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import LONGEST_LINE, Busy, IntegrityError, Refused, SnapctlError
from orchestrator.model import After, Chain, CheckpointState, GuestState, Stranger
from orchestrator.operations.rollback.plan import RollbackPlan, plan_rollback
from tests.unit.builders import (
    BASE,
    CLEAN,
    MEMORY,
    NEXT,
    STORE,
    checkpoint,
    disk,
    domain,
    domain_xml,
    in_store,
    layer,
    rollback_facts,
    with_encryption,
)
from tests.unit.file_builders import MIB, seen_of


def plan(after: After = After.AS_SAVED, **facts: Any) -> RollbackPlan:
    return plan_rollback(NEXT, after, rollback_facts(**facts))


ELSEWHERE = in_store("c0ffee00-1234-4abc-8def-001122334455", "vda.qcow2")
STRANGER = Stranger(target="vda", path=ELSEWHERE, store=STORE, whose="another catalog", own=False)

REFUSALS: dict[str, tuple[dict[str, Any], type[SnapctlError], int, list[str]]] = {
    "checkpoint being deleted": (
        {"checkpoint": checkpoint(state=CheckpointState.DELETING)},
        Refused,
        6,
        ["checkpoint clean is being deleted", "choose another one: snapctl list web01"],
    ),
    "not defined any more, and its name taken": (
        {"domain": None, "namesake": NEXT},
        Refused,
        6,
        [f"another domain is named web01 now, {NEXT}", "virsh domrename web01 NEW-NAME"],
    ),
    "being started by somebody": (
        {"domain": domain(state=GuestState.BUSY)},
        Busy,
        4,
        ["web01 has a job in progress"],
    ),
    "a job under way": (
        {"domain": domain(job="dump")},
        Busy,
        4,
        ["web01 has a job in progress (dump)"],
    ),
    "a block job under way": (
        {"domain": domain(block_jobs=("vda",))},
        Busy,
        4,
        ["block job on vda", "virsh blockjob web01 vda --abort"],
    ),
    "libvirt snapshots": (
        {"domain": domain(libvirt_snapshots=("s1",))},
        Refused,
        6,
        ["libvirt snapshots of its own: s1", "virsh snapshot-delete web01 s1"],
    ),
    "libvirt checkpoints": (
        {"domain": domain(libvirt_checkpoints=("bitmap1",))},
        Refused,
        6,
        ["libvirt checkpoints", "bitmap1"],
    ),
    "a running guest on a frozen layer": (
        {"domain": domain(disk("vda", BASE))},
        Refused,
        6,
        [f"disk vda of web01 is {BASE}, which checkpoint clean needs unchanged", "shut it off"],
    ),
    "a disk that another catalog knows": (
        {"domain": domain(disk("vda", ELSEWHERE)), "strangers": (STRANGER,)},
        Refused,
        6,
        [f"disk vda of web01 has {ELSEWHERE}, in the store of another catalog", "use that catalog", "catalog adopt"],
    ),
    "a disk of another kind from the next start on": (
        {"domain": domain(persistent_disks=(disk("vda", None, source_type="network"),))},
        Refused,
        6,
        ["in the persistent definition, disk vda of web01 has no file or block device", "virsh edit web01"],
    ),
    "a disk encrypted from the next start on": (
        {"domain": domain(persistent_xml=with_encryption(domain_xml([disk()])))},
        Refused,
        6,
        ["in the persistent definition, disk vda of web01 has <encryption>", "virsh edit web01"],
    ),
    "an encrypted disk in the memory image": (
        {"checkpoint": checkpoint(domain_xml=with_encryption(domain_xml([disk("vda", BASE)])))},
        Refused,
        6,
        ["disk vda of web01 has <encryption>, which an overlay cannot have"],
    ),
    "a missing file": (
        {"seen": seen_of(checkpoint(), {"vda": Chain((layer(),))}, facts={MEMORY: None, BASE: None})},
        IntegrityError,
        5,
        ["memory image", f"/{CLEAN}/memory.save is missing", "clean cannot be restored; nothing was changed"],
    ),
    "a layer that another domain may write to": (
        {"seen": seen_of(checkpoint(), {"vda": Chain((layer(),))}, writers={BASE: "db01 has it as its disk vda"})},
        IntegrityError,
        5,
        [
            f"{BASE} is frozen, and db01 has it as its disk vda",
            "cannot be restored",
            "give that domain a different disk",
        ],
    ),
    "damage that verify found": (
        {"checkpoint": checkpoint(damage="the layer /x was changed")},
        IntegrityError,
        5,
        ["clean is marked as damaged: the layer /x was changed", "snapctl verify web01 clean"],
    ),
    "not enough free space": (
        {"checkpoint": checkpoint(), "free_bytes": 1024 * MIB, "reserve_bytes": 1024 * MIB},
        Refused,
        6,
        [f"{STORE} has 1024 MiB free", "a rollback needs 1025 MiB", "delete checkpoints or enlarge the store"],
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
    assert "nothing was changed; " in line
    assert error.hint
    assert "\n" not in line
    assert len(line) <= LONGEST_LINE
