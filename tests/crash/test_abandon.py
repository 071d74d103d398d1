"""`recover --abandon`: from whatever a kill left, the operation is closed, with nothing changed and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.errors import Busy, SnapctlError, Unfinished
from orchestrator.model import OperationState
from orchestrator.reports.doctor import orphans
from tests.crash.faults import EFFECTS, Fault, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_crash_matrix import act_under
from tests.crash.test_foreign_acts import checkpoint_b, kill
from tests.crash.topologies import SCENARIOS, Scenario
from tests.crash.twin_host import TwinHost

FEW = [
    pytest.param(each, id=str(each), marks=[] if each.topology.name == "one disk" else pytest.mark.long)
    for each in SCENARIOS
]


@pytest.fixture(params=FEW)
def prepared(request: pytest.FixtureRequest, quick_directory: Path) -> Iterator[tuple[Scenario, TwinHost]]:
    scenario: Scenario = request.param
    host = scenario.prepare(quick_directory / f"abandon, {scenario}.sqlite")
    host.keep()
    yield scenario, host
    host.close()


def contents(host: TwinHost) -> dict[str, object]:
    return {path: (file.bytes(), file.mtime) for path, file in host.world.files.files.items()}


def data(files: dict[str, object]) -> dict[str, object]:
    """But for manifests: that of a directory in which nothing is left may go."""
    return {path: content for path, content in files.items() if not path.endswith("manifest.json")}


def xml(host: TwinHost) -> list[tuple[str | None, str | None, object]]:
    return [(each.running_xml, each.persistent_xml, each.state) for each in host.world.machines.values()]


def test_abandon_after_a_kill_at_each_effect_keeps_everything(
    prepared: tuple[Scenario, TwinHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does doctor remove any of it later. And no verb says any more that the operation is open."""
    monkeypatch.setattr(orphans, "SETTLED_AFTER", timedelta(days=-1))
    scenario, host = prepared
    undisturbed = CallInjector()
    scenario.act(host.session(undisturbed))
    abandoned = 0
    for number in (n for n, name in enumerate(undisturbed.calls) if name in EFFECTS):
        host.put_back()
        act_under(Fault(number, Kind.KILLED), host, scenario.act)
        session = host.session()
        if not session.unfinished():
            continue
        for machine in host.world.machines.values():
            machine.job = None
        before = contents(host), xml(host)
        planned = session.plan_abandon("web01")
        assert planned
        named = {file.path for each in planned for file in each.files}
        made = {path for path in host.world.files.files if planned[0].record.id in path}
        assert all(path in named or path.rsplit("/", 1)[0] in named for path in made)
        assert (contents(host), xml(host)) == before

        closed = session.abandon(planned)

        assert [each.state for each in closed] == [OperationState.ABANDONED]
        assert session.unfinished() == []
        assert session.recover() == []
        with suppress(SnapctlError):
            host.session().doctor(clean=True)
        assert data(contents(host)) == data(before[0]), undisturbed.calls[number]
        try:
            host.session().checkpoint("web01", "afterwards")
        except SnapctlError as error:
            assert not isinstance(error, Busy | Unfinished), error
        abandoned += 1
    assert abandoned


def test_abandon_while_a_process_is_at_work_is_refused(quick_directory: Path) -> None:
    host = TwinHost(quick_directory / "abandon busy.sqlite")

    def refused(point: str) -> None:
        if point == "repointed.before":
            with pytest.raises(Busy):
                host.session().plan_abandon("web01")
            seen.append(point)

    seen: list[str] = []
    injector = CallInjector()
    injector.reach = refused  # type: ignore[method-assign]
    host.session(injector).checkpoint("web01", "a")
    assert seen
    host.close()


def test_abandon_after_a_recovery_took_over_is_refused(quick_directory: Path) -> None:
    host = TwinHost(quick_directory / "abandon late.sqlite")
    kill(host, checkpoint_b, after="save")
    planned = host.session().plan_abandon("web01")
    host.session().recover()

    with pytest.raises(Busy):
        host.session().abandon(planned)
    host.close()


def test_abandon_of_a_saved_guest_names_its_memory_and_the_way_on(quick_directory: Path) -> None:
    host = TwinHost(quick_directory / "abandon saved.sqlite")
    kill(host, checkpoint_b, after="save")
    (image,) = (path for path in host.world.files.files if path.endswith("memory.save"))

    (planned,) = host.session().plan_abandon("web01")

    assert any(image in line and "the memory of web01" in line for line in planned.lines())
    assert any(line.endswith(f"virsh restore {image}") for line in planned.lines())
    assert "web01 is shut off" in planned.lines()[0]
    host.close()


def test_abandoned_operation_is_not_pruned_from_the_journal(quick_directory: Path) -> None:
    host = TwinHost(quick_directory / "abandon pruned.sqlite")
    kill(host, checkpoint_b, after="create_overlay")
    session = host.session()
    session.abandon(session.plan_abandon("web01"))
    host._catalog._keep = timedelta(seconds=-1)

    host.session().checkpoint("web01", "a")
    host.session().checkpoint("web01", "c")

    assert len(host._catalog.abandoned()) == 1
    host.close()
