"""rollback --keep-current is one operation: nothing that the guest did is missing from what is kept, and whatever
fails, it runs on as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import OperationUndone, Refused, Unfinished
from orchestrator.model import GuestState, OperationState
from orchestrator.operations.edit.plan import Edits
from tests.crash.faults import EFFECTS, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_failed_restores import REASON, domain_sources, fail_restores, files, onto_new
from tests.crash.test_foreign_acts import kill
from tests.crash.test_present_set import attach, detach, rename, undefine_running
from tests.crash.twin_host import STORE, TwinHost
from tests.twin import TwinHypervisor


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """A guest with checkpoints `a` and `b`, which it has left."""
    host = TwinHost(quick_directory / f"{request.node.name.replace('/', ' ')[:80]}.sqlite")
    host.checkpoint("a")
    host.checkpoint("b")
    host.guest.tick(5)
    yield host
    host.close()


def keep(session: Coordinator) -> object:
    return session.rollback("web01", "a", keep_current=True, keep_name="kept")


class Working(CallInjector):
    """The guest works whenever it runs: before each call of the client. `counted` is the last it came to before it was
    rolled back."""

    def __init__(self, host: TwinHost) -> None:
        super().__init__()
        self.host, self.counted = host, 0

    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        machine = self.host.world.machines[self.host._uuid]
        if machine.state is GuestState.RUNNING and "restore" not in self.calls:
            self.counted = self.host.guest.tick()
        return super().call(name, port_error, act)


def test_keep_current_working_guest_all_that_it_did_is_kept(host: TwinHost) -> None:
    working = Working(host)

    keep(host.session(working))

    assert host.counter == host.counters["a"]
    host.counters["kept"] = working.counted
    host.check()
    host.check_rollbacks()


def test_keep_current_pays_one_save_and_one_restore(host: TwinHost) -> None:
    injector = CallInjector()
    keep(host.session(injector))
    effects = [call for call in injector.calls if call in EFFECTS]
    assert (effects.count("save"), effects.count("restore"), effects.count("destroy")) == (1, 1, 0)
    assert (effects.count("commit_checkpoint"), effects.count("commit_rollback")) == (1, 0)


def test_keep_current_other_cannot_be_restored_guest_runs_on(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, before, disks = host.counter, files(host), domain_sources(host)
    fail_restores(host, monkeypatch, onto=onto_new(host))

    with pytest.raises(OperationUndone, match="doesn't support hle") as failure:
        keep(host.session())

    assert failure.value.exit_code == 1
    assert "web01 is running" in failure.value.effect
    assert host.counter == kept
    assert (files(host), domain_sources(host)) == (before, disks)
    assert [each.name for each in host.session().list("web01")] == ["a", "b"]
    host.guest.tick()
    host.check()


def test_keep_current_neither_can_be_restored_keeps_both(host: TwinHost, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = host.counter
    with monkeypatch.context() as patch:
        fail_restores(host, patch)
        with pytest.raises(Unfinished) as failure:
            keep(host.session())
        assert REASON in failure.value.problem
        assert any(path in failure.value.effect for path in files(host) if path.endswith("memory.save"))
        assert "web01 is shut off" in failure.value.effect

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.DONE
    host.counters["kept"] = kept
    host.check()
    host.check_rollbacks()


def test_keep_current_layer_of_the_other_alone_written_to_meanwhile_guest_runs_on(host: TwinHost) -> None:
    """The other one cannot be restored any more; the guest's own disks are elsewhere in the tree."""
    host.rollback("a")
    host.checkpoint("c")
    host.guest.tick(5)
    kept, top = host.counter, layers(host, "b")["vda"]
    kill(host, lambda session: session.rollback("web01", "b", keep_current=True, keep_name="kept"), after="save")
    host.world.files.touch(top)

    (recovered,) = host.session().recover()

    assert (recovered.state, host.counter) == (OperationState.UNDONE, kept)
    assert host.guest.agrees()
    assert "kept" not in [each.name for each in host.session().list("web01")]


def layers(host: TwinHost, name: str) -> dict[str, str]:
    (found,) = (each for each in host.checkpoints() if each.name == name)
    return {target: layer.path for target, layer in found.layers.items()}


def test_keep_current_disk_of_the_guest_written_to_meanwhile_restores_neither(host: TwinHost) -> None:
    top = host.guest.machine.tops()["vda"]
    kill(host, keep, after="define")
    host.world.files.touch(top)

    with pytest.raises(Unfinished, match="may have run after its memory was saved"):
        host.session().recover()

    assert not host.guest.machine.active
    assert any(path.endswith("memory.save") for path in files(host))


def test_keep_current_base_of_both_written_to_meanwhile_restores_neither(host: TwinHost) -> None:
    """By hand it goes on: what it saved is there, and so are its disks."""
    kept = host.counter
    kill(host, keep, after="save")
    host.world.files.touch("/images/web01-vda.qcow2")

    with pytest.raises(Unfinished):  # nor may the guest's own memory meet that base
        host.session().recover()

    assert any(path.endswith("memory.save") for path in files(host))
    host.session().abandon(host.session().plan_abandon("web01"))
    host.guest.start()
    assert host.guest.read("vda") == kept


def test_keep_current_started_outside_before_its_restore_both_are_kept(host: TwinHost) -> None:
    """It boots from the disks of the other checkpoint, as its definition says by then."""
    host.counters["kept"] = host.counter
    kill(host, keep, after="define")
    host.guest.start()
    worked = host.guest.tick(100)

    (recovered,) = host.session().recover()

    assert recovered.state is OperationState.DONE
    assert host.counter == worked
    host.check()
    host.check_rollbacks()


def test_keep_current_renamed_after_the_save_stays_on_its_disks_until_it_is_renamed_back(host: TwinHost) -> None:
    host.counters["kept"] = host.counter
    disks = domain_sources(host)
    kill(host, keep, after="save")
    host.world.rename(host.guest.uuid, "web02")

    with pytest.raises(Unfinished, match="web01 was renamed to web02") as failure:
        host.session().recover()

    assert "virsh domrename web02 web01" in failure.value.hint
    assert domain_sources(host) == disks
    host.world.rename(host.guest.uuid, "web01")
    host.session().recover()
    host.check()
    host.check_rollbacks()


def test_keep_current_name_taken_meanwhile_is_refused(host: TwinHost) -> None:
    snapctl = host.session()
    plan = snapctl.plan_rollback("web01", "a", keep_current=True, keep_name="kept")
    host.session().edit("web01", "b", Edits(name="kept"))
    with pytest.raises(Refused, match="kept"):
        snapctl.execute(plan)
    host.counters["kept"] = host.counters.pop("b")
    host.check()


def test_keep_current_shut_off_guest_is_refused(host: TwinHost) -> None:
    host.guest.shut_down()
    with pytest.raises(Refused, match=r"web01 is not running.*the rollback was not started"):
        keep(host.session())


# --------------------------------------------------------------------------- its present set of disks


def renamed_and_started(host: TwinHost) -> None:
    rename(host)
    host.guest.start().tick()


@pytest.mark.parametrize("act", [undefine_running, renamed_and_started])
def test_keep_current_killed_at_each_effect_is_settled(host: TwinHost, act: Callable[[TwinHost], None]) -> None:
    act(host)
    name, present = host.guest.machine.name, host.counter
    host.counters["kept"] = present
    host.keep()
    injector = CallInjector()
    host.session(injector).rollback(name, "a", keep_current=True, keep_name="kept")
    effects = [number for number, call in enumerate(injector.calls) if call in EFFECTS]
    ends: set[int] = set()

    for number in effects:
        host.put_back()
        before = domain_sources(host), host.guest.machine.persistent_xml is None
        try:
            with suppress(Killed):
                injector = CallInjector(Fault(number, Kind.KILLED))
                host.session(injector).rollback(name, "a", keep_current=True, keep_name="kept")
            host.expire_leases()
            host.session().recover()
            host.check()
            ends.add(host.counter)
            if host.counter == present:
                assert (domain_sources(host), host.guest.machine.persistent_xml is None) == before
            assert host.guest.machine.name == name
            assert host.session().recover() == []
        except BaseException as error:
            error.add_note(f"killed after call {number}, {injector.calls[number]}")
            raise
    assert ends == {present, host.counters["a"]}


@pytest.mark.parametrize("act", [attach, detach])
def test_keep_current_other_disks_than_catalogued_says_how_to_keep_them(
    host: TwinHost, act: Callable[[TwinHost], None]
) -> None:
    act(host)
    host.guest.tick()
    try:
        keep(host.session())
    except Refused as refusal:
        assert "--adopt" in refusal.hint
        host.session().checkpoint("web01", "present", adopt=True)
        keep(host.session())
    assert host.counter == host.counters["a"]
    assert host.guest.agrees()
    host.session().rollback("web01", "kept")
    assert host.guest.agrees()


# --------------------------------------------------------------------------- the store tells it


@pytest.mark.parametrize("edits", [None, Edits(protected=True)], ids=["as written", "edited"])
def test_keep_current_catalog_lost_is_rebuilt(host: TwinHost, quick_directory: Path, edits: Edits | None) -> None:
    host.counters["kept"] = host.counter
    keep(host.session())
    host.guest.tick()
    if edits is not None:
        host.session().edit("web01", "kept", edits)
    lost = host.session().list()

    catalog = open_catalog(f"sqlite:///{quick_directory}/rebuilt{edits is None}.sqlite", host.world.host)
    with Coordinator(TwinHypervisor(host.world), catalog, store=STORE) as rebuilt:
        done = rebuilt.adopt_store()
        assert (done.skipped, done.headless) == ((), ())
        assert rebuilt.list() == lost
        for name in ("kept", "a", "b"):
            rebuilt.rollback("web01", name)
            assert host.guest.agrees() and host.counter == host.counters[name]


def test_keep_current_kept_one_deleted_leaves_the_guest_on_its_overlays(host: TwinHost) -> None:
    keep(host.session())
    host.guest.tick()
    host.session().delete("web01", ["kept"])
    host.check()
    host.session().checkpoint("web01", "c")
    host.counters["c"] = host.counter
    host.check_rollbacks()
