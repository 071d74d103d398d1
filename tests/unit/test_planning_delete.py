"""A checkpoint is deleted only when nothing depends on it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchestrator.errors import LONGEST_LINE, Refused
from orchestrator.planning import DeletePlan, plan_delete
from tests.unit.builders import (
    ACTIVE,
    CLEAN,
    DOMAIN,
    MEMORY,
    NEXT,
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


def test_a_plan_holds_all_that_will_go() -> None:
    made = plan(layers=FREED)

    assert made == DeletePlan(
        operation_id=NEXT,
        host=host(),
        domain_uuid=DOMAIN,
        domain_name="web01",
        checkpoint_id=CLEAN,
        checkpoint_name="clean",
        memory_path=MEMORY,
        layers=(ACTIVE, in_store(CLEAN, "vdb.qcow2")),
        freed_bytes=700 * MIB + 2 * 4 * MIB,
    )
    assert made.lines() == [f"delete {MEMORY}", f"delete {ACTIVE}", f"delete {in_store(CLEAN, 'vdb.qcow2')}"]


def test_the_domain_goes_by_the_name_that_it_has_now() -> None:
    assert plan(domain_name="www", checkpoint=checkpoint(domain_name="web01")).domain_name == "www"

    with pytest.raises(Refused, match=r"^www stands on checkpoint clean: .* snapctl rollback www NAME$"):
        plan(domain_name="www", head=head())


def test_a_layer_of_unknown_size_is_not_counted() -> None:
    assert plan(layers=[layer(ACTIVE, allocation=None)]).freed_bytes == 700 * MIB


def test_a_domain_without_a_head_keeps_nothing_alive() -> None:
    assert plan(head=None).checkpoint_id == CLEAN


def test_a_plan_survives_the_journal() -> None:
    made = plan(layers=FREED)
    stored = msgspec.to_builtins(made)

    assert msgspec.convert(stored, DeletePlan) == made
    assert msgspec.json.decode(msgspec.json.encode(stored), type=DeletePlan) == made


MANY = [f"nightly-{day:02}" for day in range(1, 31)]


@pytest.mark.parametrize(
    ("facts", "problem", "hint"),
    [
        ({"children": ["patched"]}, "checkpoint clean is the parent of patched", "delete it first"),
        ({"children": ["a", "b"]}, "checkpoint clean is the parent of a, b", "delete them first"),
        (
            {"children": MANY},
            "checkpoint clean is the parent of nightly-01, nightly-02, nightly-03, nightly-04, nightly-05 and 25 more",
            "delete them first",
        ),
        (
            {"head": head(checkpoint_id=CLEAN)},
            "web01 stands on checkpoint clean: its disks are overlays on it",
            "roll back to another one first: snapctl rollback web01 NAME",
        ),
    ],
    ids=["one child", "two children", "many children", "the head"],
)
def test_refused_naming_what_depends_on_it(facts: dict[str, Any], problem: str, hint: str) -> None:
    with pytest.raises(Refused) as refused:
        plan(**facts)
    error = refused.value

    assert (error.exit_code, error.problem, error.hint) == (6, problem, hint)
    assert str(error) == f"{problem}; nothing was changed; {hint}"
    assert len(str(error)) <= LONGEST_LINE


def test_children_with_the_longest_names_fit_on_the_line() -> None:
    with pytest.raises(Refused) as refused:
        plan(checkpoint=checkpoint(name="p" * 63), children=[letter * 63 for letter in "abcdefgh"])

    line = str(refused.value)
    assert len(line) <= LONGEST_LINE
    assert line.endswith("and 3 more; nothing was changed; delete them first")
