"""Plan, agree, execute: planning reads a domain once and changes nothing; what was shown is what runs, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.cli import session as command_line
from orchestrator.cli.confirm import confirm_loss
from orchestrator.coordinator import Coordinator
from orchestrator.errors import IntegrityError, Refused
from orchestrator.operations.edit.plan import Edits
from orchestrator.operations.keeping.plan import KeepingPlan
from orchestrator.operations.prune.policy import Policy
from orchestrator.operations.shared import guest
from tests.crash.faults import EFFECTS, Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.twin_host import TwinHost

Act = Callable[[Coordinator], object]


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """a - b (kept by a rollback) - pushed, each on the one before."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    host.checkpoint("a")
    host.session().rollback("web01", "a", keep_current=True, keep_name="b")
    host.session().push("web01")
    yield host
    host.close()


PLANS: dict[str, Act] = {
    "checkpoint": lambda snapctl: snapctl.plan_checkpoint("web01", "new"),
    "rollback": lambda snapctl: snapctl.plan_rollback("web01", "a"),
    "rollback, keep current": lambda snapctl: snapctl.plan_rollback("web01", "a", keep_current=True),
    "undo": lambda snapctl: snapctl.plan_undo("web01"),
    "pop": lambda snapctl: snapctl.plan_pop("web01"),
    "delete": lambda snapctl: snapctl.plan_delete("web01", ["b"]),
    "edit": lambda snapctl: snapctl.plan_edit("web01", "a", Edits(description="x")),
    "prune": lambda snapctl: snapctl.plan_prune("web01", Policy(keep_last=1)),
    "flatten": lambda snapctl: snapctl.plan_flatten("web01"),
    "collapse": lambda snapctl: snapctl.plan_collapse("web01"),
}


@pytest.mark.parametrize("verb", PLANS)
def test_plan_looks_domain_up_once_and_changes_nothing(host: TwinHost, verb: str) -> None:
    injector = CallInjector()

    PLANS[verb](host.session(injector))

    assert (injector.calls.count("find"), injector.calls.count("get")) == (1, 0)
    assert not EFFECTS.intersection(injector.calls)


VERBS: dict[str, Act] = {
    "rollback": lambda snapctl: snapctl.rollback("web01", "a"),
    "undo": lambda snapctl: snapctl.undo("web01"),
    "edit": lambda snapctl: snapctl.edit("web01", "a", Edits(description="x")),
    "checkpoint": lambda snapctl: snapctl.checkpoint("web01", "new"),
    "delete": lambda snapctl: snapctl.delete("web01", ["b"], collapse=False),
    "rollback, keep current": lambda snapctl: snapctl.rollback("web01", "a", keep_current=True),
    "undo, keep current": lambda snapctl: snapctl.undo("web01", keep_current=True),
    "push": lambda snapctl: snapctl.push("web01"),
    "pop": lambda snapctl: snapctl.pop("web01"),
    "prune": lambda snapctl: snapctl.prune("web01", Policy(keep_last=1)),
    "flatten": lambda snapctl: snapctl.flatten("web01"),
    "protect": lambda snapctl: snapctl.protect("web01", ["a", "b"]),
}


@pytest.mark.parametrize("verb", VERBS)
def test_verb_looks_domain_up_once_before_its_operation(host: TwinHost, verb: str) -> None:
    injector = CallInjector()

    VERBS[verb](host.session(injector))

    before = injector.calls[: injector.calls.index("open_operation")]
    assert (before.count("find"), before.count("get"), injector.calls.count("find")) == (1, 0, 1)


def test_question_before_a_loss_does_not_look_the_domain_up(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    injector = CallInjector()
    snapctl = host.session(injector)
    handle = snapctl.settle("web01")
    plan = snapctl.plan_rollback(handle, "a")
    asked: list[str] = []
    monkeypatch.setattr(command_line.Session, "agree", lambda _self, _verb, question: asked.append(question))

    confirm_loss(command_line.Session(), snapctl, handle, "rollback", plan)

    assert [question.partition("?")[0] for question in asked] == ["Roll web01 back to a"]
    assert (injector.calls.count("find"), injector.calls.count("get")) == (1, 0)


def test_plan_of_a_guest_looked_up_a_while_ago_looks_again(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `rollback --verify`, which may read files for minutes."""
    snapctl = host.session()
    handle = snapctl.settle("web01")
    host.guest.shut_down()
    host.guest.start()
    monkeypatch.setattr(guest, "FRESH_S", -1.0)

    snapctl.execute(snapctl.plan_rollback(handle, "a"))

    assert host.counter == host.counters["a"]


@pytest.fixture
def thought_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plan is one that somebody has looked at for a while."""
    monkeypatch.setattr(guest, "FRESH_S", -1.0)


def identity(snapctl: Coordinator, name: str) -> str:
    return snapctl.show("web01", name).checkpoint.id


def ids(host: TwinHost) -> list[str]:
    return [each.id for each in host.checkpoints()]


@pytest.mark.usefixtures("thought_about")
def test_execute_rollback_nothing_changed_runs_that_plan(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a")

    snapctl.execute(plan)

    head = host.head()
    assert head is not None and set(head.overlays.values()) == {overlay.path for overlay in plan.overlays}
    assert host.counter == host.counters["a"]


@pytest.mark.usefixtures("thought_about")
def test_execute_rollback_file_changed_since_planned_is_refused(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a")
    image = host.world.files[plan.memory_path]
    image.content = image.content[:-1]
    before = host.counter

    with pytest.raises(IntegrityError, match=r"the memory image .* has"):
        snapctl.execute(plan)

    assert (host.counter, host.guest.machine.active) == (before, True)
    assert snapctl.unfinished() == []


@pytest.mark.usefixtures("thought_about")
def test_execute_rollback_guest_restarted_since_planned_is_refused(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a")
    host.guest.shut_down()
    host.guest.start()

    with pytest.raises(Refused, match="web01 or checkpoint a changed after the plan was made"):
        snapctl.execute(plan)

    assert host.guest.machine.active
    assert snapctl.unfinished() == []


def test_execute_rollback_checkpointed_since_planned_is_refused(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a")
    host.session().checkpoint("web01", "meanwhile")

    with pytest.raises(Refused, match="web01 was rolled back or checkpointed after the plan was made"):
        snapctl.execute(plan)


def test_execute_rollback_planned_by_another_coordinator_is_held_against_the_world(host: TwinHost) -> None:
    """Nobody knows how long ago that was."""
    plan = host.session().plan_rollback("web01", "a")
    image = host.world.files[plan.memory_path]
    image.content = image.content[:-1]

    with pytest.raises(IntegrityError, match=r"the memory image .* has"):
        host.session().execute(plan)

    assert host.guest.machine.active


@pytest.mark.usefixtures("thought_about")
def test_execute_pop_file_changed_since_planned_is_refused(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_pop("web01")
    image = host.world.files[plan.rollback.memory_path]
    image.content = image.content[:-1]
    before, there = host.counter, ids(host)

    with pytest.raises(IntegrityError, match=r"the memory image.* cannot be restored; nothing was changed"):
        snapctl.execute(plan)

    assert (host.counter, host.guest.machine.active, ids(host)) == (before, True, there)
    assert snapctl.unfinished() == []


def test_execute_pop_name_given_to_another_since_planned_spares_that_one(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_pop("web01")
    name, other = plan.rollback.checkpoint_name, identity(snapctl, "a")
    host.session().edit("web01", name, Edits(name="pushed"))
    host.session().edit("web01", "a", Edits(name=name))

    snapctl.execute(plan)

    assert other in ids(host)
    assert plan.rollback.checkpoint_id not in ids(host)


def test_execute_keep_current_name_given_to_another_since_planned_returns_to_the_agreed_one(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a", keep_current=True, keep_name="kept")
    agreed = identity(snapctl, "a")
    host.session().edit("web01", "a", Edits(name="a-before"))
    host.session().edit("web01", "b", Edits(name="a"))

    snapctl.execute(plan)

    head = host.head()
    assert head is not None and head.checkpoint_id == agreed
    assert host.counter == host.counters["a"]


@pytest.mark.usefixtures("thought_about")
def test_execute_keep_current_file_changed_since_planned_makes_no_checkpoint(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a", keep_current=True, keep_name="kept")
    assert isinstance(plan, KeepingPlan)
    image = host.world.files[plan.back.memory_path]
    image.content = image.content[:-1]
    there = ids(host)

    with pytest.raises(IntegrityError, match=r"the memory image .* has .*the rollback was not started"):
        snapctl.execute(plan)

    assert ids(host) == there


def test_execute_prune_name_given_to_another_since_planned_spares_that_one(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_prune("web01", Policy(keep_tags=("none",)))
    agreed = identity(snapctl, "a")
    host.session().edit("web01", "a", Edits(name="a-before"))
    host.guest.tick()
    host.session().checkpoint("web01", "a")
    newer = identity(snapctl, "a")
    host.session().checkpoint("web01", "current")

    snapctl.execute(plan)

    assert newer in ids(host)
    assert agreed not in ids(host)


def test_execute_prune_checkpoint_tagged_since_planned_is_kept(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_prune("web01", Policy(keep_tags=("base",)))
    assert sorted(each.checkpoint.name for each in plan.removed) == ["a", "b"]
    host.session().edit("web01", "b", Edits(tags=("base",)))

    report = snapctl.execute(plan)

    assert [each.checkpoint for each in report.outcomes if each.operation == "delete"] == ["a"]
    assert "b" in [each.name for each in snapctl.list("web01")]


def test_execute_delete_that_would_remove_more_than_shown_is_refused(host: TwinHost) -> None:
    """What kept a layer from going is gone since, so that the layer would go with this checkpoint, too."""
    snapctl = host.session()
    snapctl.rollback("web01", "b")
    host.guest.tick()
    snapctl.checkpoint("web01", "child")
    snapctl.rollback("web01", "a")
    plan = snapctl.plan_delete("web01", ["b"], collapse=False)
    host.session().delete("web01", ["child"], collapse=False)

    with pytest.raises(Refused, match="would now be removed, too"):
        snapctl.execute(plan)

    assert "b" in [each.name for each in snapctl.list("web01")]


def test_outcome_names_what_was_settled_before(host: TwinHost) -> None:
    """Also when the plan was shown in between."""
    with pytest.raises(Killed):
        host.session(CallInjector(Fault(Call("make_directory"), Kind.KILLED))).checkpoint("web01", "half")
    host.expire_leases()
    snapctl = host.session()

    plan = snapctl.plan_rollback(snapctl.settle("web01"), "a")

    assert [each.operation for each in snapctl.execute(plan).recovered] == ["checkpoint"]
    assert snapctl.rollback("web01", "a").recovered == ()
