"""A dry run of an edit says what is said of the checkpoint then, and only what was not said before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from msgspec import UNSET

from orchestrator.model import Labels
from orchestrator.operations.edit.plan import EditFacts, Edits, plan_edit
from tests.unit.builders import CLEAN, NEXT, checkpoint, host, in_store, layer

LABELS = Labels(name="clean", description="words", tags=("x",), expires=datetime(2030, 1, 1, tzinfo=UTC))
WRITES = f"write {in_store(CLEAN, 'manifest.json')}"


def lines(edits: Edits, labels: Labels = LABELS) -> list[str]:
    recorded = checkpoint(layer(), labels=labels)
    facts = EditFacts(host=host(), domain_name="web01", checkpoint=recorded, name_taken=False)
    return plan_edit(NEXT, edits, facts).lines()


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (Edits(name="new"), "its name is new"),
        (Edits(description="other words"), "its description is: other words"),
        (Edits(description=""), "it has no description"),
        (Edits(tags=("y", "x")), "its tags are x, y"),
        (Edits(untags=("x",)), "it has no tags"),
        (Edits(expires=datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)), "it expires at 2031-02-03 04:05:06 UTC"),
        (Edits(expires=None), "it never expires"),
        (Edits(protected=True), "prune does not remove it"),
        (Edits(name="clean", description="words", tags=("x",), expires=UNSET), "no change"),
    ],
)
def test_plan_edit_lines_name_the_one_change(edits: Edits, said: str) -> None:
    assert lines(edits) == [f"record for checkpoint clean: {said}", WRITES]


def test_plan_edit_lines_name_all_changes() -> None:
    edits = Edits(name="new", description="", tags=("y",), untags=("x",), expires=None, protected=False)
    assert lines(edits, replace(LABELS, protected=True)) == [
        "record for checkpoint clean: its name is new",
        "record for checkpoint clean: it has no description",
        "record for checkpoint clean: its tags are y",
        "record for checkpoint clean: it never expires",
        "record for checkpoint clean: prune can remove it",
        WRITES,
    ]
