"""The order rules, asked after each single effect and not only when all is over: a kill may come at any of them.

What a recovery would put right again may have done its harm by then: somebody starts the guest, or it runs on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import GuestLost
from orchestrator.formats.domainxml import HELPER_NAMESPACE
from orchestrator.model import Checkpoint, CheckpointState, GuestState
from tests.checkpoints import memory_of
from tests.crash.faults import EFFECTS, Fault, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_crash_matrix import act_under
from tests.crash.topologies import SCENARIOS, Scenario
from tests.crash.twin_host import TwinHost
from tests.twin import saveimage

RECOVERED = [
    pytest.param(each, id=str(each), marks=[] if each.topology.name == "two disks" else pytest.mark.long)
    for each in SCENARIOS
]
"""On two disks here, and on all topologies in the long run."""


REWRITING = frozenset({"begin_rewrite", "stream", "commit_rewrite"})


class Watch(CallInjector):
    """A client whose world is looked at after each of its effects."""

    def __init__(self, host: TwinHost) -> None:
        super().__init__()
        self._host = host
        self.looks = 0

    def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
        try:
            return super().call(name, port_error, act)
        finally:
            if name in EFFECTS and not self.dead:
                self.look(name)

    def look(self, name: str) -> None:
        self.looks += 1
        try:
            require_order(self._host)
            if name in REWRITING:
                assert not self._host.session().verify().damaged, "what is sound would be marked as damaged"
        except AssertionError as error:
            error.add_note(f"after {name}, the last of {[each for each in self.calls if each != 'get']}")
            raise


def require_order(host: TwinHost) -> None:
    ready = [each for each in host.checkpoints() if each.state is CheckpointState.READY]
    frozen = {path for each in ready for path in require_whole(host, each)}
    active = head(host)
    for machine in host.world.machines.values():
        domain = machine.domain()
        if HELPER_NAMESPACE in domain.xml:  # it changes nothing of what a layer shows, which `require_whole` looks at
            assert domain.state is GuestState.PAUSED
            continue
        for disk in (*domain.disks, *domain.persistent_disks):
            assert not disk.writable or disk.path not in frozen, f"{disk.path} is frozen, and could be written to"
        if domain.active and domain.persistent:
            assert domain.persistent_sources() == domain.sources(), "its next start would be on other disks"
        if domain.state is GuestState.RUNNING and active:
            assert domain.sources() == active, "it runs on storage that the catalog does not know"
    for path in active.values():
        assert path in host.world.files.files, f"{path} is deleted, and the catalog has it for a disk"


def require_whole(host: TwinHost, checkpoint: Checkpoint) -> list[str]:
    """The frozen layers of a checkpoint that can be rolled back to: they are there, and so is its image, whole."""
    assert saveimage.read(host.world.files[memory_of(checkpoint).path].bytes()).ram
    layers = [layer.path for layer in checkpoint.layers.values()]
    assert set(layers) <= set(host.world.files.files), f"{checkpoint.name} lacks some of {layers}"
    return layers


def head(host: TwinHost) -> dict[str, str]:
    found = host.head()
    return dict(found.overlays) if found else {}


@pytest.fixture(scope="module", params=SCENARIOS, ids=str)
def prepared(request: pytest.FixtureRequest, quick_directory: Path) -> Iterator[tuple[Scenario, TwinHost]]:
    scenario: Scenario = request.param
    host = scenario.prepare(quick_directory / f"order, {scenario}.sqlite")
    host.keep()
    yield scenario, host
    host.close()


def test_order_rules_hold_after_each_effect(prepared: tuple[Scenario, TwinHost]) -> None:
    scenario, host = prepared
    host.put_back()
    watch = Watch(host)
    scenario.act(host.session(watch))
    assert watch.looks > 5


@pytest.mark.parametrize("prepared", RECOVERED, indirect=True)
def test_order_rules_hold_after_each_effect_of_recovery_from_kill(prepared: tuple[Scenario, TwinHost]) -> None:
    scenario, host = prepared
    host.put_back()
    undisturbed = CallInjector()
    scenario.act(host.session(undisturbed))
    effects = [n for n, name in enumerate(undisturbed.calls) if name in EFFECTS]
    for number in effects:
        host.put_back()
        act_under(Fault(number, Kind.KILLED), host, scenario.act)
        watch = Watch(host)
        watch.look(f"a kill after {undisturbed.calls[number]}")
        host.session(watch).recover()


def test_checkpoint_image_without_memory_is_not_committed(quick_directory: Path) -> None:
    """Its magic says that it is whole, as a file system that lost its last writes may leave it."""
    host = TwinHost(quick_directory / "cut.sqlite")

    class Cut(CallInjector):
        def call(self, name: str, port_error: type[Exception], act: Callable[[], Any]) -> Any:
            result = super().call(name, port_error, act)
            if name == "save":
                (image,) = (file for path, file in host.world.files.files.items() if path.endswith(".save"))
                image.content = image.content[: image.content.rindex(b"{")]
            return result

    with pytest.raises(GuestLost, match="was shut off before its memory was saved"):
        host.session(Cut()).checkpoint("web01", "cut")

    assert host.session().list() == []
    assert host.session().unfinished() == []
    host.close()
