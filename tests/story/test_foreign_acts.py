"""Somebody acts behind our back after a kill: nothing that he made or saw is lost, nothing is paired wrongly.

Each story is killed at one call; then the owner of the guest does what owners do; then comes recovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import HypervisorError, NotFound, Refused, Unfinished
from orchestrator.formats import domainxml
from orchestrator.model import GuestState, OffReason, Source
from tests.story.faults import Faults, Killed, Kind
from tests.story.lab import Lab


@pytest.fixture
def lab(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A guest that stands on checkpoint `a`."""
    lab = Lab(quick_directory / f"{request.node.name}.sqlite")
    lab.checkpoint("a")
    yield lab
    lab.close()


def kill(lab: Lab, act: Callable[[Coordinator], object], *, after: str, times: int = 1) -> None:
    """Kill the client that acts after its n-th call of that name."""
    faults = Faults(after=after, times=times, kind=Kind.KILLED)
    with pytest.raises(Killed):
        act(lab.session(faults))
    lab.bury()


def fail(*arguments: object) -> None:
    raise HypervisorError("injected")


def checkpoint_b(session: Coordinator) -> object:
    return session.checkpoint("web01", "b")


def rollback_a(session: Coordinator) -> object:
    return session.rollback("web01", "a")


def test_a_guest_started_on_the_new_overlays_keeps_what_it_wrote(lab: Lab) -> None:
    lab.counters["b"] = lab.counter
    kill(lab, checkpoint_b, after="define")
    lab.guest.start()
    worked = lab.guest.tick(100)
    lab.guest.shut_down()

    lab.session().recover()

    assert lab.guest.start().read("vda") == worked
    lab.check()
    lab.check_rollbacks()


def test_a_guest_that_runs_on_the_new_overlays_goes_on(lab: Lab) -> None:
    lab.counters["b"] = lab.counter
    kill(lab, checkpoint_b, after="define")
    worked = lab.guest.start().tick(100)

    lab.session().recover()

    assert lab.counter == worked
    lab.check()
    lab.check_rollbacks()


def test_a_guest_started_on_the_saved_disks_makes_the_image_stale(lab: Lab) -> None:
    """Its persistent XML still names them: the image must not be paired with disks that moved on."""
    kill(lab, checkpoint_b, after="save")
    worked = lab.guest.start().tick(100)

    lab.session().recover()

    assert lab.counter == worked
    assert [summary.name for summary in lab.session().list()] == ["a"]
    lab.check()


def test_an_image_that_may_be_stale_is_neither_used_nor_deleted(lab: Lab) -> None:
    kill(lab, checkpoint_b, after="save")
    lab.guest.start().tick(100)
    lab.guest.shut_down()
    files = set(lab.world.files.files)

    with pytest.raises(Unfinished, match="may have run"):
        lab.session().recover()
    assert set(lab.world.files.files) == files

    lab.guest.start()  # the way out that the message names
    lab.session().recover()
    lab.check()


@pytest.mark.parametrize("reason", [OffReason.UNKNOWN, OffReason.SAVED])
def test_a_saved_guest_is_brought_back_after_a_daemon_restart_too(lab: Lab, reason: OffReason) -> None:
    lab.counters["b"] = lab.counter
    kill(lab, checkpoint_b, after="save")
    if reason is OffReason.UNKNOWN:
        lab.world.restart_daemon()
    assert lab.guest.machine.off_reason is reason

    lab.session().recover()

    assert lab.counter == lab.counters["b"]
    lab.check()
    lab.check_rollbacks()


def test_work_done_on_the_former_disks_after_a_broken_rollback_is_kept(lab: Lab) -> None:
    kill(lab, rollback_a, after="complete", times=2)  # "stopped" is recorded
    worked = lab.guest.start().tick(100)
    lab.guest.shut_down()

    lab.session().recover()

    assert lab.guest.start().read("vda") == worked
    lab.check()


def test_a_guest_started_on_its_former_disks_after_a_broken_rollback_goes_on(lab: Lab) -> None:
    kill(lab, rollback_a, after="destroy")
    worked = lab.guest.start().tick(100)

    lab.session().recover()

    assert lab.counter == worked
    lab.check()


def test_a_guest_started_on_the_overlays_of_a_broken_rollback_goes_on(lab: Lab) -> None:
    kill(lab, rollback_a, after="define")
    worked = lab.guest.start().tick(100)

    lab.session().recover()

    assert lab.counter == worked
    lab.check()
    assert lab.session().list()[0].current


def test_what_was_being_undone_is_not_taken_up_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback that failed before the stop, killed in its undo; then the owner shuts his guest down."""
    kept = lab.counter
    with monkeypatch.context() as patch:
        patch.setattr(lab.world, "power_off", fail)  # it cannot be stopped
        kill(lab, rollback_a, after="decide")
    lab.guest.shut_down()

    lab.session().recover()

    assert lab.guest.start().read("vda") == kept
    lab.check()


def test_an_image_that_may_be_all_that_is_left_outlives_an_undo(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint could not go forward; killed in its undo, when the guest was back, whose QEMU died then."""
    original = lab.guest.machine.domain().sources()
    begin_restore = lab.world.begin_restore

    def onto_the_original_disks_only(path: str, xml: str) -> object:
        if str(original["vda"]) not in xml:
            fail()
        return begin_restore(path, xml)

    with monkeypatch.context() as patch:
        patch.setattr(lab.world, "begin_restore", onto_the_original_disks_only)
        patch.setattr(lab.world, "define", fail)
        kill(lab, checkpoint_b, after="decide")
    assert lab.guest.machine.domain().sources() == original
    lab.world.kill_qemu("web01")
    files = set(lab.world.files.files)

    with pytest.raises(Unfinished, match="may have run"):
        lab.session().recover()
    assert set(lab.world.files.files) == files


class At(Faults):
    """Somebody acts when a client reaches a point."""

    def __init__(self, point: str, act: Callable[[], object]) -> None:
        super().__init__()
        self._point = point
        self._act = act

    def reach(self, point: str) -> None:
        if point == self._point:
            self._act()


def test_a_run_that_nobody_asked_to_discard_is_not_stopped(lab: Lab) -> None:
    """The owner has started his guest anew since the rollback was planned: on the same disks, but he worked on."""

    def start_anew() -> None:
        lab.guest.shut_down()
        lab.guest.start().tick(100)

    with pytest.raises(Refused, match="was changed by somebody"):
        rollback_a(lab.session(At("stopped.before", start_anew)))

    assert lab.guest.read("vda") == lab.counter
    assert lab.counter > 100
    lab.check()


@pytest.mark.parametrize("before", ["chain", "facts_of"])
def test_a_checkpoint_that_is_deleted_while_its_files_are_looked_at_is_not_called_damaged(
    lab: Lab, before: str
) -> None:
    lab.checkpoint("b")
    lab.rollback("a")

    class Deleted(Faults):
        def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
            if name == before and before not in self.calls:
                lab.session().delete("web01", ["b"])
            return super().call(name, port_error, act)

    with pytest.raises(NotFound, match=r"has no checkpoint b|was deleted meanwhile"):
        lab.session(Deleted()).rollback("web01", "b")
    lab.check()


def test_a_transient_guest_whose_first_checkpoint_broke_is_brought_back(quick_directory: Path) -> None:
    lab = Lab(quick_directory / "transient.sqlite", persistent=False)
    lab.counters["new"] = lab.counter
    kill(lab, lambda session: session.checkpoint("web01", "new"), after="save")
    assert not lab.world.machines

    lab.session().recover("web01")

    assert lab.counter == lab.counters["new"]
    lab.check()
    lab.close()


def test_a_domain_that_somebody_holds_on_other_disks_is_not_touched(lab: Lab) -> None:
    """After the commit of a checkpoint the guest is off; somebody edits its disks and starts it."""
    kill(lab, checkpoint_b, after="commit_checkpoint")
    machine = lab.guest.machine
    assert machine.state is GuestState.OFF
    lab.world.add("other", disks=2)
    other = {target: Source(path=f"/images/other-{target}.qcow2", format="qcow2") for target in ("vda", "vdb")}
    lab.world.define(domainxml.on_disks(machine.persistent_xml or "", other))
    lab.guest.start()

    with pytest.raises(Unfinished, match="other disks"):
        lab.session().recover()

    assert lab.guest.machine.active
