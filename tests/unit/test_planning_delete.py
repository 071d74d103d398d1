"""What goes with a checkpoint, what stays and why, and when it may not be deleted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.errors import LONGEST_LINE, Refused
from orchestrator.model import CheckpointState
from orchestrator.operations.delete.plan import DeletePlan, plan_delete
from tests.unit.builders import (
    ACTIVE,
    CLEAN,
    DOMAIN,
    MEMORY,
    NEXT,
    STORE,
    checkpoint,
    delete_facts,
    head,
    host,
    in_store,
    layer,
)
from tests.unit.file_builders import MIB

FREED = [layer(ACTIVE, operation_id=CLEAN), layer(in_store(CLEAN, "vdb.qcow2"), target="vdb", operation_id=CLEAN)]


def plan(**facts: Any) -> DeletePlan:
    return plan_delete(NEXT, delete_facts(**facts))


def test_plan_delete_holds_all_files_to_remove() -> None:
    made = plan(layers=FREED)

    assert made == DeletePlan(
        operation_id=NEXT,
        host=host(),
        domain_uuid=DOMAIN,
        domain_name="web01",
        checkpoint_id=CLEAN,
        checkpoint_name="clean",
        maker_id=CLEAN,
        directory=f"{STORE}/{DOMAIN}/{CLEAN}",
        memory_path=MEMORY,
        sidecars=(),
        layers=(ACTIVE, in_store(CLEAN, "vdb.qcow2")),
        freed_bytes=700 * MIB + 2 * 4 * MIB,
        head=delete_facts().head,
    )
    assert made.lines() == [
        f"remove {MEMORY}",
        f"remove {ACTIVE}",
        f"remove {in_store(CLEAN, 'vdb.qcow2')}",
        "this frees 708.0 MiB",
    ]


def test_plan_delete_uses_the_present_domain_name() -> None:
    assert plan(domain_name="www", checkpoint=checkpoint(domain_name="web01")).domain_name == "www"


def test_a_layer_of_unknown_size_is_not_counted() -> None:
    assert plan(layers=[layer(ACTIVE, allocation=None)]).freed_bytes == 700 * MIB


def test_a_domain_without_a_head_keeps_nothing_alive() -> None:
    assert plan(head=None).checkpoint_id == CLEAN


def test_a_plan_survives_the_journal() -> None:
    made = plan(layers=FREED)
    stored = msgspec.to_builtins(made)

    assert msgspec.convert(stored, DeletePlan) == made
    assert msgspec.json.decode(msgspec.json.encode(stored), type=DeletePlan) == made


@pytest.mark.parametrize(
    ("facts", "problem", "hint"),
    [
        (
            {"is_only_copy": True},
            "web01 is shut off and was not started since checkpoint clean, which has the only copy of its memory",
            "first restore it: snapctl rollback web01 clean; or give that memory up: "
            "snapctl delete web01 clean --force",
        ),
        (
            {"checkpoint": checkpoint(state=CheckpointState.DELETING)},
            "checkpoint clean is already being deleted",
            "see: snapctl list web01",
        ),
    ],
    ids=["the only copy of a guest", "already being deleted"],
)
def test_refused(facts: dict[str, Any], problem: str, hint: str) -> None:
    with pytest.raises(Refused) as refused:
        plan(**facts)
    error = refused.value

    assert (error.exit_code, error.problem, error.hint) == (6, problem, hint)
    assert str(error) == f"{problem}; nothing was changed; {hint}"
    assert len(str(error)) <= LONGEST_LINE


def test_plan_delete_lines_name_retained_layers_and_what_needs_them() -> None:
    made = plan(retained=["/store/d/a/vda.qcow2"], needed_by=["leaf", "the disks of web01"])
    assert made.lines()[-2] == "keep /store/d/a/vda.qcow2: needed by leaf, the disks of web01"


def test_plan_delete_current_checkpoint_is_allowed() -> None:
    assert plan(head=head(checkpoint_id=CLEAN)).checkpoint_id == CLEAN
