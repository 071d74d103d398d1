"""Plan, agree, execute: planning reads a domain once and changes nothing; what was shown is what runs, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import coordinator
from orchestrator.coordinator import Coordinator
from orchestrator.errors import IntegrityError, Refused
from orchestrator.operations.edit.plan import Edits
from orchestrator.operations.prune.policy import Policy
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
}


@pytest.mark.parametrize("verb", VERBS)
def test_verb_looks_domain_up_once_before_its_operation(host: TwinHost, verb: str) -> None:
    injector = CallInjector()

    VERBS[verb](host.session(injector))

    before = injector.calls[: injector.calls.index("open_operation")]
    assert (before.count("find"), before.count("get"), injector.calls.count("find")) == (1, 0, 1)


@pytest.fixture
def thought_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every plan is one that somebody has looked at for a while."""
    monkeypatch.setattr(coordinator, "FRESH_S", -1.0)


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

    with pytest.raises(Refused, match="web01 or checkpoint a changed after this was planned"):
        snapctl.execute(plan)

    assert host.guest.machine.active
    assert snapctl.unfinished() == []


def test_execute_rollback_checkpointed_since_planned_is_refused(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a")
    host.session().checkpoint("web01", "meanwhile")

    with pytest.raises(Refused, match="web01 was rolled back or checkpointed meanwhile"):
        snapctl.execute(plan)


def test_execute_delete_that_would_remove_more_than_shown_is_refused(host: TwinHost) -> None:
    """What kept a layer from going is gone since, so that the layer would go with this checkpoint, too."""
    snapctl = host.session()
    snapctl.rollback("web01", "b")
    host.guest.tick()
    snapctl.checkpoint("web01", "child")
    snapctl.rollback("web01", "a")
    plan = snapctl.plan_delete("web01", ["b"], collapse=False)
    host.session().delete("web01", ["child"], collapse=False)

    with pytest.raises(Refused, match="came to be unneeded after this was planned"):
        snapctl.execute(plan)

    assert "b" in [each.name for each in snapctl.list("web01")]


def test_outcome_tells_what_was_settled_before(host: TwinHost) -> None:
    """Also when the plan was shown in between."""
    with pytest.raises(Killed):
        host.session(CallInjector(Fault(Call("make_directory"), Kind.KILLED))).checkpoint("web01", "half")
    host.expire_leases()
    snapctl = host.session()

    plan = snapctl.plan_rollback(snapctl.settle("web01"), "a")

    assert [each.operation for each in snapctl.execute(plan).recovered] == ["checkpoint"]
    assert snapctl.rollback("web01", "a").recovered == ()
