"""Edit, prune, push, pop and undo, on the twin: the guest tells whether it is where it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import PUSHED, Coordinator
from orchestrator.errors import Busy, NotFound, Refused, UsageError
from orchestrator.model import OperationKind
from orchestrator.operations.edit.plan import EditFacts, Edits, plan_edit
from orchestrator.operations.prune.policy import Policy
from orchestrator.operations.registry import misplaced
from tests.story.lab import STORE, Lab
from tests.twin import TwinHypervisor


@pytest.fixture
def lab(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """a - b - c, and the guest is back on a."""
    lab = Lab(quick_directory / f"{request.node.name}.sqlite")
    for name in ("a", "b", "c"):
        lab.checkpoint(name)
    lab.rollback("a")
    yield lab
    lab.close()


def names(lab: Lab) -> list[str]:
    return [each.name for each in lab.session().list("web01")]


# --------------------------------------------------------------------------- edit

UNTIL = datetime(2030, 1, 1, tzinfo=UTC)


def test_an_edit_changes_what_it_is_told_and_a_rebuilt_catalog_has_it(lab: Lab, tmp_path: Path) -> None:
    edits = Edits(name="base", description="new words", tags=("x", "y"), expires=UNTIL, protected=True)
    outcome = lab.session().edit("web01", "a", edits)
    lab.session().edit("web01", "base", Edits(untags=("x",)))

    assert (outcome.operation, outcome.checkpoint) == (OperationKind.EDIT, "base")
    lab.counters["base"] = lab.counters.pop("a")
    lab.check()
    rebuilt = Coordinator(TwinHypervisor(lab.world), open_catalog(f"sqlite:///{tmp_path}/new.sqlite"), store=STORE)
    rebuilt.rebuild_catalog()
    for session in (lab.session(), rebuilt):
        base, *others = session.list("web01")
        assert (base.name, base.description, base.tags) == ("base", "new words", ("y",))
        assert (base.expires, base.protected, base.current) == (UNTIL, True, True)
        assert [(each.name, each.parent) for each in others] == [("b", "base"), ("c", "b")]
    rebuilt.close()
    lab.check_rollbacks()


@pytest.mark.parametrize(
    ("name", "edits", "error", "message"),
    [
        ("a", Edits(name="b"), Refused, "web01 already has a checkpoint b"),
        ("a", Edits(name="../x"), UsageError, "not a valid checkpoint name"),
        ("a", Edits(tags=("a b",)), UsageError, "not a valid tag name"),
        ("a", Edits(tags=("t",), untags=("t",)), UsageError, "tag t is to be added and taken away"),
        ("a", Edits(untags=("t",)), Refused, "checkpoint a has no tag t"),
        ("a", Edits(description="x" * 5000), UsageError, "description is longer"),
        ("a", Edits(expires=datetime(2030, 1, 1)), UsageError, "has no time zone"),
        ("z", Edits(description="x"), NotFound, "web01 has no checkpoint z"),
    ],
)
def test_what_cannot_be_said_is_refused(
    lab: Lab, name: str, edits: Edits, error: type[Exception], message: str
) -> None:
    before = lab.session().list()
    with pytest.raises(error, match=message):
        lab.session().edit("web01", name, edits)
    with pytest.raises(error, match=message):
        lab.session().plan_edit("web01", name, edits)
    assert lab.session().list() == before


def test_an_edit_that_is_only_planned_changes_nothing(lab: Lab) -> None:
    before = lab.session().list()
    plan = lab.session().plan_edit("web01", "a", Edits(name="base", tags=("x",)))
    assert (plan.previous.name, plan.labels.name, plan.labels.tags) == ("a", "base", ("x",))
    assert lab.session().list() == before
    lab.check()


def test_a_checkpoint_whose_directory_somebody_removed_can_be_edited_all_the_same(lab: Lab) -> None:
    session = lab.session()
    directory = session.show("web01", "c").checkpoint.directory
    files = lab.world.files
    for path in [path for path in files.files if path.startswith(f"{directory}/")]:
        del files.files[path]
    files.directories.remove(directory)

    session.edit("web01", "c", Edits(name="lost"))

    assert names(lab) == ["a", "b", "lost"]
    assert session.recover() == []
    assert directory not in files.directories


def test_what_was_edited_or_named_meanwhile_is_not_edited(lab: Lab) -> None:
    """Between plan and lease."""
    for meanwhile, message in (
        (Edits(description="x"), "checkpoint a was edited meanwhile"),
        (Edits(), "web01 has got a checkpoint new meanwhile"),
    ):
        session = lab.session()
        run = session._runner.run

        def late(*arguments: Any, run: Any = run, meanwhile: Edits = meanwhile) -> Any:
            other, edits = ("a", meanwhile) if meanwhile.description else ("b", Edits(name="new"))
            lab.session().edit("web01", other, edits)
            return run(*arguments)

        session._runner.run = late  # type: ignore[method-assign, assignment]
        with pytest.raises(Refused, match=message):
            session.edit("web01", "a", Edits(name="new"))
        assert "a" in names(lab)


def test_an_edit_of_a_foreign_directory_is_not_taken_up(lab: Lab) -> None:
    """A plan in the journal is input: no file elsewhere is written for it."""
    session = lab.session()
    a = session.show("web01", "a").checkpoint
    plan = plan_edit(
        "op", Edits(name="x"), EditFacts(host=lab.world.host, domain_name="web01", checkpoint=a, name_taken=False)
    )
    assert misplaced(plan) == []
    for directory in ("/etc", f"/store/{a.domain_uuid}/other", f"{a.directory}/.."):
        assert misplaced(replace(plan, directory=directory)) == [f"{directory}/manifest.json"]


def test_its_own_name_is_not_taken(lab: Lab) -> None:
    assert lab.session().edit("web01", "a", Edits(name="a")).checkpoint == "a"


def test_none_is_protected_when_one_is_unknown(lab: Lab) -> None:
    with pytest.raises(NotFound):
        lab.session().protect("web01", ["a", "nonesuch"])
    assert not any(each.protected for each in lab.session().list())
    lab.session().protect("web01", ["a", "b"])
    lab.session().protect("web01", ["b"], protected=False)
    assert [each.protected for each in lab.session().list()] == [True, False, False]


def test_a_checkpoint_is_made_with_its_expiry(lab: Lab) -> None:
    lab.counters["new"] = lab.counter
    lab.session().checkpoint("web01", "new", expires=UNTIL)
    assert lab.session().show("web01", "new").checkpoint.labels.expires == UNTIL


# --------------------------------------------------------------------------- prune


def test_a_prune_deletes_what_no_rule_keeps(lab: Lab) -> None:
    policy = Policy(keep_tags=("none",))
    plan = lab.session().plan_prune("web01", policy)
    assert [each.checkpoint.name for each in plan.removed] == ["c", "b"]
    assert names(lab) == ["a", "b", "c"]

    report = lab.session().prune("web01", policy)
    assert [each.checkpoint for each in report.outcomes] == ["c", "b"]
    assert names(lab) == ["a"]
    lab.check()
    assert lab.session().prune(None, policy).outcomes == ()


def test_it_deletes_nothing_but_what_was_agreed_to(lab: Lab) -> None:
    session = lab.session()
    only = {session.show("web01", "c").checkpoint.id}
    session.prune("web01", Policy(keep_tags=("none",)), only=only)
    assert names(lab) == ["a", "b"]


def test_protected_and_expired_ones(lab: Lab) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    for name in ("a", "b", "c"):
        lab.session().edit("web01", name, Edits(expires=past))
    lab.session().protect("web01", ["b"])
    lab.session().prune(None, Policy(expired=True))
    assert names(lab) == ["a", "b"]


def test_one_in_the_middle_is_pruned(lab: Lab) -> None:
    """Needs a deletion that gives the children of what it deletes another parent."""
    lab.session().protect("web01", ["c"])
    lab.session().prune("web01", Policy(keep_tags=("none",)))
    assert names(lab) == ["a", "c"]
    lab.check()
    lab.check_rollbacks()


def test_what_was_protected_meanwhile_is_not_pruned(lab: Lab) -> None:
    """Between plan and lease."""
    session = lab.session()
    run = session._runner.run

    def late(*arguments: Any) -> Any:
        lab.session().protect("web01", ["c"])
        return run(*arguments)

    session._runner.run = late  # type: ignore[method-assign, assignment]
    with pytest.raises(Refused, match="web01 or checkpoint c changed meanwhile"):
        session.prune("web01", Policy(keep_tags=("none",)))
    assert names(lab) == ["a", "b", "c"]


def test_a_busy_domain_does_not_keep_the_others_from_being_pruned(lab: Lab) -> None:
    lab.world.add("db", disks=1).start()
    session = lab.session()
    for name in ("x", "y"):
        session.checkpoint("db", name)
    session.rollback("db", "x")
    lease = session._catalog.open_operation(
        operation_id="0c2d1c5e-7d5f-4b6a-8a3e-5f0c1d2e3f40",
        kind=OperationKind.DELETE,
        host=lab.world.host,
        domain_uuid=lab.guest.machine.uuid,
        domain_name="web01",
        plan={},
    )
    with pytest.raises(Busy, match=r"a delete of web01 is under way.*pruned: db/y; nothing else was changed"):
        session.prune(None, Policy(keep_tags=("none",)))
    lease.release()
    assert [each.name for each in session.list()] == ["a", "b", "c", "x"]


def test_an_empty_policy_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match="no rule says what to prune"):
        lab.session().prune(None, Policy())


# --------------------------------------------------------------------------- push, pop


def test_pop_goes_back_to_what_was_pushed_last(lab: Lab) -> None:
    counters = []
    for text in ("first", "second"):
        counters.append(lab.counter)
        outcome = lab.session().push("web01", description=text)
        assert PUSHED.fullmatch(outcome.checkpoint)
        lab.guest.tick()
    lab.checkpoint("other")

    (back,) = lab.session().pop("web01", keep=True)
    assert (lab.counter, lab.guest.agrees()) == (counters[1], True)
    assert lab.session().plan_pop("web01").checkpoint_name == back.checkpoint
    lab.session().edit("web01", back.checkpoint, Edits(name="mine"))
    lab.session().pop("web01", keep=True)
    assert (lab.counter, lab.guest.agrees()) == (counters[0], True)


def test_pop_deletes_what_it_went_back_to(lab: Lab) -> None:
    was = lab.counter
    pushed = lab.session().push("web01").checkpoint
    lab.guest.tick()
    back, gone, *_ = lab.session().pop("web01")
    assert (back.checkpoint, gone.checkpoint, gone.operation) == (pushed, pushed, OperationKind.DELETE)
    assert (lab.counter, names(lab)) == (was, ["a", "b", "c"])
    lab.check()


def test_an_empty_stack(lab: Lab) -> None:
    with pytest.raises(Refused, match="nothing was pushed of web01; nothing was changed; run: snapctl push web01"):
        lab.session().pop("web01")
    with pytest.raises(Refused, match="nothing was pushed of web01"):
        lab.session().plan_pop("web01")


# --------------------------------------------------------------------------- undo


def test_undo_takes_a_rollback_back_and_forth(lab: Lab) -> None:
    before = lab.counter
    lab.session().rollback("web01", "c", keep_current=True, keep_name="kept")
    lab.guest.tick()
    after = lab.counter

    assert lab.session().plan_undo("web01").checkpoint_name == "kept"
    assert lab.counter == after
    outcome = lab.session().undo("web01", keep_current=True, keep_name="forth")
    assert (outcome.checkpoint, outcome.kept, lab.counter, lab.guest.agrees()) == ("kept", "forth", before, True)
    assert lab.session().undo("web01").checkpoint == "forth"
    assert (lab.counter, lab.guest.agrees()) == (after, True)
    with pytest.raises(Refused, match="the last rollback of web01 kept nothing of the state before"):
        lab.session().undo("web01")
    with pytest.raises(Refused, match="the last rollback of web01 kept nothing of the state before"):
        lab.session().plan_undo("web01")


def test_a_checkpoint_since_then_does_not_matter(lab: Lab) -> None:
    before = lab.counter
    lab.session().rollback("web01", "c", keep_current=True)
    lab.guest.tick()
    lab.session().checkpoint("web01", "later")
    lab.session().undo("web01")
    assert lab.counter == before


def test_what_was_kept_and_deleted_cannot_be_undone_to(lab: Lab) -> None:
    lab.session().rollback("web01", "c", keep_current=True, keep_name="kept")
    lab.session().delete("web01", ["kept"])
    with pytest.raises(Refused, match="nothing to undo"):
        lab.session().undo("web01")
    lab.check()
