"""A rollback is planned as a value, or refused, before the guest notices anything."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model import After, GuestState, Head, NewOverlay, Source
from orchestrator.operations.rollback.plan import RollbackPlan, plan_rollback
from tests.unit.builders import (
    ACTIVE,
    BASE,
    CLEAN,
    DOMAIN,
    MEMORY,
    NEXT,
    STORE,
    cdrom,
    checkpoint,
    disk,
    domain,
    head,
    host,
    in_store,
    layer,
    memory_image,
    rollback_facts,
)
from tests.unit.file_builders import GIB


def plan(after: After = After.AS_SAVED, **facts: Any) -> RollbackPlan:
    return plan_rollback(NEXT, after, rollback_facts(**facts))


TWO_DISKS = checkpoint(layer(), layer("/images/data.raw", target="vdb", format="raw", capacity=3 * GIB))


def test_a_plan_holds_all_that_will_happen() -> None:
    live, defined = (disk("vdb", in_store(CLEAN, "vdb.qcow2")), disk("vdb", BASE))
    web01 = domain(disk(), live, cdrom(), persistent_disks=(disk(), cdrom(), defined))
    stands = head(checkpoint_id="elsewhere")
    made = plan(After.PAUSE, domain=web01, checkpoint=TWO_DISKS, head=stands)

    new = f"{STORE}/{DOMAIN}/{NEXT}"
    assert made == RollbackPlan(
        operation_id=NEXT,
        host=host(),
        domain_uuid=DOMAIN,
        domain_name="web01",
        run_id=7,
        persistent=True,
        checkpoint_id=CLEAN,
        checkpoint_name="clean",
        memory_path=MEMORY,
        was_running=True,
        after=After.PAUSE,
        directory=new,
        overlays=(
            NewOverlay(target="vda", path=f"{new}/vda.qcow2", backing=BASE, backing_format="qcow2", capacity=20 * GIB),
            NewOverlay(
                target="vdb",
                path=f"{new}/vdb.qcow2",
                backing="/images/data.raw",
                backing_format="raw",
                capacity=3 * GIB,
            ),
        ),
        previous=(disk(), live),
        defined=(disk(), defined),
        head=stands,
        discards=(ACTIVE,),
    )
    assert made.previous_sources == {"vda": ACTIVE, "vdb": in_store(CLEAN, "vdb.qcow2")}


def test_plan_rollback_domain_shut_off_is_allowed() -> None:
    made = plan(domain=domain(state=GuestState.OFF))

    assert made.run_id is None
    assert made.was_running
    assert not [line for line in made.lines() if line.startswith("stop")]


@pytest.mark.parametrize("state", [GuestState.CRASHED, GuestState.IO_ERROR, GuestState.OTHER, GuestState.PAUSED])
def test_plan_rollback_crashed_or_failed_guest_is_allowed(state: GuestState) -> None:
    assert plan(domain=domain(state=state)).run_id == 7


def test_a_plan_does_not_grow_with_what_is_below_the_disks() -> None:
    deep = disk("vda", ACTIVE, backing=tuple(Source(path=f"/images/{number}", format="qcow2") for number in range(9)))

    assert plan(domain=domain(deep)) == plan(domain=domain(disk("vda", ACTIVE)))


def test_plan_rollback_vanished_transient_domain_is_allowed() -> None:
    made = plan(domain=None, checkpoint=checkpoint(persistent=False))

    assert (made.run_id, made.persistent, made.previous, made.defined) == (None, False, (), ())


def test_a_transient_domain_gets_its_missing_disk_back_with_its_memory() -> None:
    made = plan(domain=domain(persistent=False, persistent_disks=()), checkpoint=TWO_DISKS, head=None)

    assert [each.target for each in made.overlays] == ["vda", "vdb"]


def test_a_disk_that_is_only_live_or_only_defined_is_there() -> None:
    live, defined = disk(), disk("vdb", in_store(CLEAN, "vdb.qcow2"))

    made = plan(domain=domain(live, persistent_disks=(defined,)), checkpoint=TWO_DISKS)

    assert [each.target for each in made.overlays] == ["vda", "vdb"]


def test_a_checkpoint_of_a_paused_guest_is_planned_as_such() -> None:
    made = plan(checkpoint=checkpoint(memory=memory_image(was_running=False)))

    assert not made.was_running


@pytest.mark.parametrize("stands", [head(), None], ids=["on a checkpoint", "on none"])
def test_a_plan_survives_the_journal(stands: Head | None) -> None:
    made = plan(domain=domain(disk(), cdrom()), head=stands)
    stored = msgspec.to_builtins(made)

    assert msgspec.convert(stored, RollbackPlan) == made
    assert msgspec.json.decode(msgspec.json.encode(stored), type=RollbackPlan) == made


def test_a_dry_run_reads_as_what_will_happen() -> None:
    new = f"{STORE}/{DOMAIN}/{NEXT}"

    assert plan().lines() == [
        f"create directory {new}",
        f"create overlay {new}/vda.qcow2, backed by {BASE}",
        "stop web01; its present memory is lost",
        f"restore the memory of web01 from {MEMORY}",
        "set clean as the current checkpoint of web01",
        "resume web01",
        f"remove {ACTIVE}, unless another domain uses it",
    ]


@given(targets=st.sets(st.sampled_from(["vda", "vdb", "vdc", "sda", "sdb"]), min_size=1))
def test_plan_rollback_creates_one_overlay_per_frozen_layer(targets: set[str]) -> None:
    """Order rule 3: new files, in the operation's own directory, right on the frozen layers."""
    frozen = {target: layer(f"/images/{target}.qcow2", target=target) for target in targets}
    disks = [disk(target, f"/images/{target}-active.qcow2") for target in targets]

    made = plan(checkpoint=checkpoint(*frozen.values()), domain=domain(*disks), head=None)

    assert {each.target: each.backing for each in made.overlays} == {
        target: each.path for target, each in frozen.items()
    }
    assert len({each.path for each in made.overlays}) == len(targets)
    assert all(each.path.startswith(f"{made.directory}/") for each in made.overlays)
