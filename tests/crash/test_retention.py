"""Edit, prune, push, pop and undo, on the twin: the guest tells whether it is where it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import Busy, NotFound, Refused, SnapctlError, UsageError
from orchestrator.model import MemberRecord, OperationKind
from orchestrator.operations.edit.plan import EditFacts, Edits, plan_edit
from orchestrator.operations.prune.policy import Policy
from orchestrator.operations.registry import misplaced
from orchestrator.operations.stack.verb import PUSHED
from tests.crash.faults import Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.twin_host import STORE, TwinHost
from tests.twin import TwinHypervisor


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """a - b - c, and the guest is back on a."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    for name in ("a", "b", "c"):
        host.checkpoint(name)
    host.rollback("a")
    yield host
    host.close()


def names(host: TwinHost) -> list[str]:
    return [each.name for each in host.session().list("web01")]


# --------------------------------------------------------------------------- collapse


def test_collapse_undone_before_it_streamed_does_not_hide_a_foreign_write(host: TwinHost) -> None:
    host.rollback("c")
    host.session().delete("web01", ["b"], collapse=False)
    host.guest.shut_down()
    (plan, *_) = host.session().plan_collapse("web01").plans
    with pytest.raises(Killed):
        host.session(CallInjector(Fault(Call("begin_rewrite"), Kind.KILLED))).collapse("web01")
    host.expire_leases()
    host.world.files.write(plan.layer.path, "counter", 999)

    host.session().recover()

    assert host.session().unfinished() == []
    assert host.session().verify(deep=True).damaged
    with pytest.raises(SnapctlError):
        host.session().rollback("web01", "c")
    assert not host.guest.machine.active


# --------------------------------------------------------------------------- edit

UNTIL = datetime(2030, 1, 1, tzinfo=UTC)


def test_edit_labels_changes_them_also_in_a_rebuilt_catalog(host: TwinHost, tmp_path: Path) -> None:
    edits = Edits(name="base", description="new words", tags=("x", "y"), expires=UNTIL, protected=True)
    outcome = host.session().edit("web01", "a", edits)
    host.session().edit("web01", "base", Edits(untags=("x",)))

    assert (outcome.operation, outcome.checkpoint) == (OperationKind.EDIT, "base")
    host.counters["base"] = host.counters.pop("a")
    host.check()
    host.check_rollbacks()
    host.session().rollback("web01", "base")
    rebuilt = Coordinator(
        TwinHypervisor(host.world), open_catalog(f"sqlite:///{tmp_path}/new.sqlite", host.world.host), store=STORE
    )
    rebuilt.adopt_store()
    for session in (host.session(), rebuilt):
        base, *others = session.list("web01")
        assert (base.name, base.description, base.tags) == ("base", "new words", ("y",))
        assert (base.expires, base.protected, base.current) == (UNTIL, True, True)
        assert [(each.name, each.parent) for each in others] == [("b", "base"), ("c", "b")]
    rebuilt.close()


@pytest.mark.parametrize(
    ("name", "edits", "error", "message"),
    [
        ("a", Edits(name="b"), Refused, "web01 already has a checkpoint b"),
        ("a", Edits(name="../x"), UsageError, "not a valid checkpoint name"),
        ("a", Edits(tags=("a b",)), UsageError, "not a valid tag name"),
        ("a", Edits(tags=("t",), untags=("t",)), UsageError, "tag t is both to be added and to be removed"),
        ("a", Edits(untags=("t",)), Refused, "checkpoint a has no tag t"),
        ("a", Edits(description="x" * 5000), UsageError, "description is longer"),
        ("a", Edits(expires=datetime(2030, 1, 1)), UsageError, "has no time zone"),
        ("z", Edits(description="x"), NotFound, "web01 has no checkpoint z"),
    ],
)
def test_edit_invalid_labels_is_refused(
    host: TwinHost, name: str, edits: Edits, error: type[Exception], message: str
) -> None:
    before = host.session().list()
    with pytest.raises(error, match=message):
        host.session().edit("web01", name, edits)
    with pytest.raises(error, match=message):
        host.session().plan_edit("web01", name, edits)
    assert host.session().list() == before


def test_plan_edit_changes_nothing(host: TwinHost) -> None:
    before = host.session().list()
    plan = host.session().plan_edit("web01", "a", Edits(name="base", tags=("x",)))
    assert (plan.previous.name, plan.labels.name, plan.labels.tags) == ("a", "base", ("x",))
    assert host.session().list() == before
    host.check()


def test_edit_directory_removed_outside_snapctl_succeeds(host: TwinHost) -> None:
    session = host.session()
    directory = session.show("web01", "c").checkpoint.directory
    files = host.world.files
    for path in [path for path in files.files if path.startswith(f"{directory}/")]:
        del files.files[path]
    files.directories.remove(directory)

    session.edit("web01", "c", Edits(name="lost"))

    assert names(host) == ["a", "b", "lost"]
    assert session.recover() == []
    assert directory not in files.directories


def test_edit_changed_since_planned_is_refused(host: TwinHost) -> None:
    """Between plan and lease."""
    for meanwhile, message in (
        (Edits(description="x"), "checkpoint a was edited after the plan was made"),
        (Edits(), "a checkpoint named new of web01 was created in the meantime"),
    ):
        session = host.session()
        run = session._runner.run

        def late(*arguments: Any, run: Any = run, meanwhile: Edits = meanwhile) -> Any:
            other, edits = ("a", meanwhile) if meanwhile.description else ("b", Edits(name="new"))
            host.session().edit("web01", other, edits)
            return run(*arguments)

        session._runner.run = late  # type: ignore[method-assign]
        with pytest.raises(Refused, match=message):
            session.edit("web01", "a", Edits(name="new"))
        assert "a" in names(host)


def test_misplaced_edit_of_foreign_directory_names_its_manifest(host: TwinHost) -> None:
    """A plan in the journal is input: no file elsewhere is written for it."""
    session = host.session()
    a = session.show("web01", "a").checkpoint
    plan = plan_edit(
        "op", Edits(name="x"), EditFacts(host=host.world.host, domain_name="web01", checkpoint=a, name_taken=False)
    )
    assert misplaced(plan) == []
    for directory in ("/etc", f"/store/{a.domain_uuid}/other", f"{a.directory}/.."):
        assert misplaced(replace(plan, directory=directory)) == [f"{directory}/manifest.json"]


def test_edit_to_its_own_name_succeeds(host: TwinHost) -> None:
    assert host.session().edit("web01", "a", Edits(name="a")).checkpoint == "a"


def test_protect_one_unknown_protects_none(host: TwinHost) -> None:
    with pytest.raises(NotFound):
        host.session().protect("web01", ["a", "nonesuch"])
    assert not any(each.protected for each in host.session().list())
    host.session().protect("web01", ["a", "b"])
    host.session().protect("web01", ["b"], protected=False)
    assert [each.protected for each in host.session().list()] == [True, False, False]


def test_checkpoint_with_expiry_records_it(host: TwinHost) -> None:
    host.counters["new"] = host.counter
    host.session().checkpoint("web01", "new", expires=UNTIL)
    assert host.session().show("web01", "new").checkpoint.labels.expires == UNTIL


# --------------------------------------------------------------------------- prune


def test_prune_deletes_what_no_rule_keeps(host: TwinHost) -> None:
    policy = Policy(keep_tags=("none",))
    plan = host.session().plan_prune("web01", policy)
    assert [each.checkpoint.name for each in plan.removed] == ["c", "b"]
    assert names(host) == ["a", "b", "c"]

    report = host.session().prune("web01", policy)
    assert [each.checkpoint for each in report.outcomes] == ["c", "b"]
    assert names(host) == ["a"]
    host.check()
    assert host.session().prune(None, policy).outcomes == ()


def test_prune_deletes_only_what_was_agreed_to(host: TwinHost) -> None:
    """What no rule keeps any more by the time of the answer was not shown, and stays."""
    session = host.session()
    session.protect("web01", ["b"])
    plan = session.plan_prune("web01", Policy(keep_tags=("none",)))
    host.session().protect("web01", ["b"], protected=False)
    assert [each.checkpoint.name for each in plan.removed] == ["c"]
    session.execute(plan)
    assert names(host) == ["a", "b"]


def test_prune_protected_and_expired_keeps_protected(host: TwinHost) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    for name in ("a", "b", "c"):
        host.session().edit("web01", name, Edits(expires=past))
    host.session().protect("web01", ["b"])
    host.session().prune(None, Policy(expired=True))
    assert names(host) == ["a", "b"]


def test_prune_checkpoint_in_the_middle_is_deleted(host: TwinHost) -> None:
    """Needs a deletion that gives the children of what it deletes another parent."""
    host.session().protect("web01", ["c"])
    host.session().prune("web01", Policy(keep_tags=("none",)))
    assert names(host) == ["a", "c"]
    host.check()
    host.check_rollbacks()


def test_prune_protected_since_planned_is_refused(host: TwinHost) -> None:
    """Between plan and lease."""
    session = host.session()
    run = session._runner.run

    def late(*arguments: Any) -> Any:
        host.session().protect("web01", ["c"])
        return run(*arguments)

    session._runner.run = late  # type: ignore[method-assign]
    with pytest.raises(Refused, match="web01 or checkpoint c changed after the plan was made"):
        session.prune("web01", Policy(keep_tags=("none",)))
    assert names(host) == ["a", "b", "c"]


def test_prune_one_domain_busy_prunes_the_others(host: TwinHost) -> None:
    host.world.add("db", disks=1).start()
    session = host.session()
    for name in ("x", "y"):
        session.checkpoint("db", name)
    session.rollback("db", "x")
    lease = session._catalog.open_operation(
        operation_id="0c2d1c5e-7d5f-4b6a-8a3e-5f0c1d2e3f40",
        kind=OperationKind.DELETE,
        version=1,
        members=[MemberRecord(domain_uuid=host.guest.machine.uuid, domain_name="web01", plan={})],
    )
    with pytest.raises(Busy, match=r"a delete of web01 is in progress.*pruned: db/y; nothing else was changed"):
        session.prune(None, Policy(keep_tags=("none",)))
    lease.release()
    assert [each.name for each in session.list()] == ["a", "b", "c", "x"]


def test_prune_empty_policy_is_refused(host: TwinHost) -> None:
    with pytest.raises(UsageError, match="no rule says what to prune"):
        host.session().prune(None, Policy())


# --------------------------------------------------------------------------- push, pop


def test_pop_returns_to_the_last_push(host: TwinHost) -> None:
    counters = []
    for text in ("first", "second"):
        counters.append(host.counter)
        outcome = host.session().push("web01", description=text)
        assert PUSHED.fullmatch(outcome.checkpoint)
        host.guest.tick()
    host.checkpoint("other")

    (back,) = host.session().pop("web01", keep=True)
    assert (host.counter, host.guest.agrees()) == (counters[1], True)
    assert host.session().plan_pop("web01").rollback.checkpoint_name == back.checkpoint
    host.session().edit("web01", back.checkpoint, Edits(name="mine"))
    host.session().pop("web01", keep=True)
    assert (host.counter, host.guest.agrees()) == (counters[0], True)


def test_pop_delete_deletes_the_checkpoint(host: TwinHost) -> None:
    was = host.counter
    pushed = host.session().push("web01").checkpoint
    host.guest.tick()
    back, gone, *_ = host.session().pop("web01")
    assert (back.checkpoint, gone.checkpoint, gone.operation) == (pushed, pushed, OperationKind.DELETE)
    assert (host.counter, names(host)) == (was, ["a", "b", "c"])
    host.check()


def test_pop_nothing_pushed_is_refused(host: TwinHost) -> None:
    with pytest.raises(Refused, match="web01 has no pushed checkpoint; nothing was changed; run: snapctl push web01"):
        host.session().pop("web01")
    with pytest.raises(Refused, match="web01 has no pushed checkpoint"):
        host.session().plan_pop("web01")


# --------------------------------------------------------------------------- undo


def test_undo_twice_returns_to_where_it_was(host: TwinHost) -> None:
    before = host.counter
    host.session().rollback("web01", "c", keep_current=True, keep_name="kept")
    host.guest.tick()
    after = host.counter

    assert host.session().plan_undo("web01").checkpoint_name == "kept"
    assert host.counter == after
    outcome = host.session().undo("web01", keep_current=True, keep_name="forth")
    assert (outcome.checkpoint, outcome.kept, host.counter, host.guest.agrees()) == ("kept", "forth", before, True)
    assert host.session().undo("web01").checkpoint == "forth"
    assert (host.counter, host.guest.agrees()) == (after, True)
    with pytest.raises(Refused, match="the last rollback of web01 did not keep the state before it"):
        host.session().undo("web01")
    with pytest.raises(Refused, match="the last rollback of web01 did not keep the state before it"):
        host.session().plan_undo("web01")


def test_undo_checkpoint_made_since_returns_to_the_kept_state(host: TwinHost) -> None:
    before = host.counter
    host.session().rollback("web01", "c", keep_current=True)
    host.guest.tick()
    host.session().checkpoint("web01", "later")
    host.session().undo("web01")
    assert host.counter == before


def test_undo_kept_checkpoint_deleted_is_refused(host: TwinHost) -> None:
    host.session().rollback("web01", "c", keep_current=True, keep_name="kept")
    host.session().delete("web01", ["kept"])
    with pytest.raises(Refused, match="nothing to undo"):
        host.session().undo("web01")
    host.check()
