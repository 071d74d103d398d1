"""A restore that fails each time: the guest goes back where it was, as far as that is still there."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import HypervisorError, OperationUndone, SnapctlError, Unfinished
from orchestrator.model import After, GuestState, OperationState
from tests.crash.faults import EFFECTS, Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_foreign_acts import checkpoint_b, kill, rollback_a
from tests.crash.twin_host import STORE, TwinHost

REASON = "unsupported configuration: host doesn't support hle"


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with one checkpoint `a`, which it has left."""
    host = TwinHost(quick_directory / f"{request.node.name.replace('/', ' ')[:80]}.sqlite")
    host.checkpoint("a")
    host.keep()
    yield host
    host.close()


def fail_restores(host: TwinHost, patch: pytest.MonkeyPatch, *, onto: Callable[[str], bool] = lambda _: True) -> None:
    """Each restore fails whose XML is such."""
    begin = host.world.begin_restore

    def begin_restore(path: str, xml: str) -> Any:
        if onto(xml):
            raise HypervisorError(REASON)
        return begin(path, xml)

    patch.setattr(host.world, "begin_restore", begin_restore)


def onto_new(host: TwinHost) -> Callable[[str], bool]:
    """Whether it is onto other disks than the guest has now."""
    top = host.guest.machine.tops()["vda"]
    return lambda xml: top not in xml


def files(host: TwinHost) -> set[str]:
    return {path for path in host.world.files.files if path.startswith(STORE)}


def domain_sources(host: TwinHost) -> dict[str, str | None]:
    return dict(host.guest.machine.domain().persistent_sources())


# ------------------------------------------------------------------ checkpoint


def test_checkpoint_restore_fails_each_time_guest_runs_on(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, before, disks = host.counter, files(host), domain_sources(host)
    fail_restores(host, monkeypatch, onto=onto_new(host))

    with pytest.raises(OperationUndone, match="doesn't support hle") as failure:
        checkpoint_b(host.session())

    assert failure.value.exit_code == 1
    assert "web01 is running" in failure.value.effect
    assert host.counter == kept
    assert (files(host), domain_sources(host)) == (before, disks)
    host.guest.tick()
    host.check()


def test_checkpoint_of_a_paused_guest_restore_fails_each_time_stays_paused(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.guest.suspend()
    fail_restores(host, monkeypatch, onto=onto_new(host))

    with pytest.raises(OperationUndone):
        checkpoint_b(host.session())

    host.check(state=GuestState.PAUSED)


def test_checkpoint_restore_fails_both_ways_keeps_the_image(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = host.counter
    with monkeypatch.context() as patch:
        fail_restores(host, patch)
        with pytest.raises(Unfinished) as failure:
            checkpoint_b(host.session())
        images = {path for path in files(host) if path.endswith("memory.save")}
        assert any(path in failure.value.effect for path in images)
        assert "web01 is shut off" in failure.value.effect
        assert REASON in failure.value.problem
        with pytest.raises(Unfinished) as again:
            host.session().recover()
        assert failure.value.hint == "run: snapctl recover web01"
        assert again.value.hint == "try again, or close it as it is: snapctl recover web01 --abandon"

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.DONE
    host.counters["b"] = kept
    assert host.counter == kept
    host.check()
    host.check_rollbacks()


def test_recover_restore_fails_says_why_it_was_undone(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = host.counter
    disks = onto_new(host)
    kill(host, checkpoint_b, after="save")
    fail_restores(host, monkeypatch, onto=disks)

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert REASON in recovered.detail
    assert host.counter == kept
    host.check()


@pytest.mark.parametrize("verb", [checkpoint_b, rollback_a])
def test_killed_at_each_effect_of_the_way_back_is_settled(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch, verb: Callable[[Any], object]
) -> None:
    """The restore onto new overlays fails for ever, and the client is killed at each effect, twice."""
    undisturbed = CallInjector()
    with monkeypatch.context() as patch:
        fail_restores(host, patch, onto=onto_new(host))
        with pytest.raises(OperationUndone):
            verb(host.session(undisturbed))
    effects = [n for n, name in enumerate(undisturbed.calls) if name in EFFECTS]
    first = next(n for n, name in enumerate(undisturbed.calls) if name == "restore")
    for number in (each for each in effects if each >= first - 1):
        host.put_back()
        kept, before = host.counter, files(host)
        with monkeypatch.context() as patch:
            fail_restores(host, patch, onto=onto_new(host))
            with pytest.raises(Killed):
                verb(host.session(CallInjector(Fault(number, Kind.KILLED))))
            host.expire_leases()
            with suppress(Killed):
                host.session(CallInjector(Fault(Call("remove"), Kind.KILLED))).recover()
            host.expire_leases()
            host.session().recover()
        assert host.session().recover() == []
        assert files(host) == before, undisturbed.calls[number]
        if not host.guest.machine.active:
            assert verb is rollback_a
            host.guest.start()
        assert host.guest.read("vda") == kept
        host.check()


def test_checkpoint_fell_back_and_guest_was_started_on_the_overlays_keeps_the_image(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when undoing was decided; the host went down, and autostart booted the guest as it was defined then."""
    with monkeypatch.context() as patch:
        fail_restores(host, patch, onto=onto_new(host))
        kill(host, checkpoint_b, after="decide")
    host.guest.destroy()
    worked = host.guest.start().tick(100)
    images = {path for path in files(host) if path.endswith("memory.save")}

    with pytest.raises(Unfinished):
        host.session().recover()

    assert host.counter == worked
    assert images <= files(host)


def test_checkpoint_commit_fails_for_good_guest_goes_back(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = host.counter

    def fail(*_: object) -> None:
        raise HypervisorError(REASON)

    monkeypatch.setattr("orchestrator.operations.checkpoint.record.chains", fail)
    with pytest.raises(OperationUndone):
        checkpoint_b(host.session())

    assert host.counter == kept
    host.check()


# ------------------------------------------------------------------ journal rows of an earlier snapctl


def rewrite_completed(host: TwinHost, change: Callable[[list[str]], list[str]]) -> None:
    with sqlite3.connect(host.file) as database:
        ((row, completed),) = database.execute("SELECT rowid, completed FROM operation_member WHERE open").fetchall()
        new = json.dumps(change(json.loads(completed)))
        database.execute("UPDATE operation_member SET completed = ? WHERE rowid = ?", (new, row))
    database.close()


def test_recover_committed_before_restored_by_an_earlier_snapctl_is_finished(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed after the commit, with the guest off."""
    host.counters["b"] = host.counter
    kill(host, checkpoint_b, after="deciding")
    host.guest.destroy()
    rewrite_completed(host, lambda steps: [*(each for each in steps if each != "restored"), "committed"])
    with monkeypatch.context() as patch:
        fail_restores(host, patch)
        with pytest.raises(Unfinished):
            host.session().recover()

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.DONE
    assert host.counter == host.counters["b"]
    host.check()
    host.check_rollbacks()


def test_recover_pointed_back_by_an_earlier_snapctl_is_not_committed_on_that_definition(host: TwinHost) -> None:
    """It fell back by pointing the definition back first, and was killed then."""
    host.counters["b"] = host.counter
    machine = host.guest.machine
    before = machine.persistent_xml
    kill(host, checkpoint_b, after="complete", times=3)
    machine.persistent_xml = before

    host.session().recover()

    host.check()
    host.check_rollbacks()


# ------------------------------------------------------------------ rollback


def test_rollback_restore_fails_each_time_leaves_the_disks_of_before(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, before, disks = host.counter, files(host), domain_sources(host)
    with monkeypatch.context() as patch:
        fail_restores(host, patch)
        with pytest.raises(OperationUndone, match="doesn't support hle") as failure:
            rollback_a(host.session())

    assert failure.value.exit_code == 1
    assert "web01 is shut off" in failure.value.effect
    assert failure.value.hint == "start it: virsh start web01"
    assert (files(host), domain_sources(host)) == (before, disks)
    assert host.session().unfinished() == []
    assert host.guest.start().read("vda") == kept
    host.check()
    host.check_rollbacks()


def test_rollback_of_a_guest_that_was_off_restore_fails_each_time_changes_nothing(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = host.counter
    host.guest.shut_down()
    before, disks = files(host), domain_sources(host)
    with monkeypatch.context() as patch:
        fail_restores(host, patch)
        with pytest.raises(OperationUndone, match="doesn't support hle"):
            rollback_a(host.session())

    assert (files(host), domain_sources(host)) == (before, disks)
    assert host.guest.start().read("vda") == kept
    host.check()


def test_rollback_of_a_transient_guest_restore_fails_each_time_names_its_disks(
    quick_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of it but its disks and its checkpoint, from which it comes back."""
    host = TwinHost(quick_directory / "transient restore fails.sqlite", persistent=False)
    host.checkpoint("a")
    disks = set(host.guest.machine.tops().values())
    with monkeypatch.context() as patch:
        fail_restores(host, patch)
        with pytest.raises(OperationUndone) as failure:
            rollback_a(host.session())

    assert "web01 is not defined" in failure.value.effect
    assert all(path in failure.value.effect for path in disks)
    assert disks <= files(host)
    rollback_a(host.session())  # what the message says
    assert host.counter == host.counters["a"]
    host.close()


def test_recover_rollback_restore_fails_each_time_is_undone(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = host.counter
    kill(host, rollback_a, after="complete", times=2)
    with monkeypatch.context() as patch:
        fail_restores(host, patch)
        (recovered,) = host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert REASON in recovered.detail
    assert host.guest.start().read("vda") == kept
    host.check()


def test_rollback_guest_is_started_on_the_overlays_while_its_restore_fails_keeps_what_it_wrote(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the definition names them, and before the second attempt."""
    worked = 0

    def begin_restore(path: str, xml: str) -> Any:
        nonlocal worked
        if not host.guest.machine.active:
            worked = host.guest.start().tick(100)
            host.guest.shut_down()
        raise HypervisorError(REASON)

    with monkeypatch.context() as patch:
        patch.setattr(host.world, "begin_restore", begin_restore)
        with suppress(SnapctlError):
            rollback_a(host.session())
    with suppress(SnapctlError):
        host.session().recover()

    assert host.guest.start().read("vda") == worked


def test_rollback_catalog_fails_after_the_restore_is_not_given_up(host: TwinHost) -> None:
    """The guest waits, paused, for the catalog to be there again."""
    with suppress(SnapctlError):
        rollback_a(host.session(CallInjector(Fault(Call("deciding"), Kind.ERROR_FOREVER))))
    assert host.guest.machine.state is GuestState.PAUSED
    host.expire_leases()

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.DONE
    assert host.counter == host.counters["a"]
    host.check()


def test_checkpoint_after_stop_commit_fails_for_good_guest_goes_back(
    host: TwinHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = host.counter

    def fail(*_: object) -> None:
        raise HypervisorError(REASON)

    monkeypatch.setattr("orchestrator.operations.checkpoint.record.chains", fail)
    with pytest.raises(OperationUndone):
        host.session().checkpoint("web01", "b", after=After.STOP)

    assert host.counter == kept
    host.check()
