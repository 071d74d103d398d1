"""One operation on two domains, which is one decision: after a fault and a recovery both are in the old state, or
both in the new one.

No verb of the command line has several members yet; the engine runs the plans of two domains as one operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.coordinator import Coordinator
from orchestrator.errors import SnapctlError
from orchestrator.model import GuestState, OperationState
from orchestrator.operations.checkpoint.plan import CheckpointPlan
from orchestrator.operations.checkpoint.verb import plan as plan_checkpoint
from orchestrator.operations.checkpoint.verb import request
from orchestrator.operations.rollback.plan import RollbackPlan
from orchestrator.operations.rollback.verb import plan as plan_rollback
from orchestrator.operations.shared.guest import checkpoint_of, find
from tests.crash.faults import AT_CALLS, EFFECTS, Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_crash_matrix import EVERY, FIRST_CALL
from tests.crash.twin_host import OWNER, STORE, TwinHost
from tests.twin import Guest

DOMAINS = ("web01", "db01")


@dataclass
class Pair:
    """Two domains on one host, each with a checkpoint `clean`, and one act that is about both."""

    host: TwinHost
    verb: str

    def guest(self, name: str) -> Guest:
        machine = next(each for each in self.host.world.machines.values() if each.name == name)
        return Guest(self.host.world, machine)

    def act(self, session: Coordinator) -> None:
        plans = self.checkpoint_plans(session) if self.verb == "checkpoint" else self.rollback_plans(session)
        session._runner.run(*plans)

    @staticmethod
    def checkpoint_plans(session: Coordinator) -> list[CheckpointPlan]:
        asked = request("both", {})
        plans = [plan_checkpoint(session._site, find(session._site, name), asked) for name in DOMAINS]
        return [replace(plan, checkpoint_id=str(uuid4())) for plan in plans]

    @staticmethod
    def rollback_plans(session: Coordinator) -> list[RollbackPlan]:
        operation_id, site = str(uuid4()), session._site
        guests = [find(site, name) for name in DOMAINS]
        return [
            plan_rollback(site, each, checkpoint_of(site, each, "clean"), request("x", {}).after, operation_id)
            for each in guests
        ]

    def has_acted(self, name: str, counted: dict[str, int]) -> bool:
        if self.verb == "checkpoint":
            return [each.name for each in self.host.session().list(name)] == ["clean", "both"]
        return self.guest(name).ram["counter"] != counted[name]

    def check(self, counted: dict[str, int]) -> bool:
        """All that must hold of both; says whether they are in the new state."""
        assert self.host.session().unfinished() == []
        assert len(self.host.world.machines) == len(DOMAINS)
        for name in DOMAINS:
            assert self.guest(name).machine.state is GuestState.RUNNING, f"{name} is down"
            assert self.guest(name).agrees(), f"{name}: memory and disks are not of one instant"
        assert not self.host.session().verify().damaged
        known = {path for directory in self.directories() for path in self.host._catalog.known_paths(directory)}
        files = {path for path in self.host.world.files.files if path.startswith(STORE)} - {OWNER}
        assert {path for path in files if not path.endswith("manifest.json")} == known
        acted = {self.has_acted(name, counted) for name in DOMAINS}
        assert len(acted) == 1, "one domain has another state than the other"
        return acted.pop()

    def directories(self) -> list[str]:
        return [path for path in self.host.world.files.directories if path.startswith(f"{STORE}/")]


@pytest.fixture(scope="module", params=["checkpoint", "rollback"])
def pair(request: pytest.FixtureRequest, quick_directory: Path) -> Iterator[Pair]:
    host = TwinHost(quick_directory / f"two members {request.param}.sqlite", disks=1)
    host.world.add("db01", disks=2).start().tick()
    pair = Pair(host, request.param)
    for name in DOMAINS:
        host.session().checkpoint(name, "clean")
        pair.guest(name).tick()
    host.keep()
    yield pair
    host.close()


def counted(pair: Pair) -> dict[str, int]:
    return {name: pair.guest(name).ram["counter"] for name in DOMAINS}


def test_run_two_members_takes_each_step_together_and_decides_once(pair: Pair) -> None:
    pair.host.put_back()
    before, injector = counted(pair), CallInjector()

    pair.act(pair.host.session(injector))

    assert pair.check(before)
    calls = [call for call in injector.calls if call in EFFECTS]
    assert calls.count("deciding") == calls.count("open_operation") == calls.count("close") == 1
    commit = "commit_checkpoint" if pair.verb == "checkpoint" else "commit_rollback"
    first = calls.index(commit)
    assert calls[first : first + 3] == [commit, commit, "deciding"]
    for stop, go in (("save", "restore"), ("destroy", "restore"), ("restore", "resume")):
        steps = [call for call in calls if call in (stop, go)]
        assert steps in ([stop, stop, go, go], [go, go]), "one member went ahead of the other"
    if pair.verb == "checkpoint":
        for name in DOMAINS:
            pair.host.session().rollback(name, "both")
            assert pair.guest(name).agrees()


def test_second_operation_on_one_of_the_members_is_refused(pair: Pair) -> None:
    pair.host.put_back()
    injector = CallInjector(Fault(Call("complete"), Kind.KILLED))
    with pytest.raises(Killed):
        pair.act(pair.host.session(injector))

    (open_,) = pair.host.session().unfinished("db01")
    assert [member.domain_name for member in open_.members] == list(DOMAINS)
    with pytest.raises(SnapctlError, match="of web01, db01 is in progress"):
        pair.host.session()._runner.run(*pair.checkpoint_plans(pair.host.session())[1:])
    pair.host.expire_leases()
    (recovered,) = pair.host.session().recover("db01")
    assert (recovered.domain, recovered.state) == ("web01, db01", OperationState.UNDONE)


@pytest.mark.parametrize("kind", AT_CALLS)
def test_recover_two_members_are_in_one_state(pair: Pair, kind: Kind) -> None:
    """A kill after each call that changes something; of each other kind every sixth call, as in the crash matrix."""
    pair.host.put_back()
    injector = CallInjector()
    pair.act(pair.host.session(injector))
    calls = injector.calls
    changing = [number for number, call in enumerate(calls) if call in EFFECTS]
    for number in changing if kind is Kind.KILLED else range(FIRST_CALL[kind], len(calls), EVERY):
        pair.host.put_back()
        before = counted(pair)
        try:
            with suppress(Killed, SnapctlError, KeyboardInterrupt):
                pair.act(pair.host.session(CallInjector(Fault(number, kind))))
            pair.host.expire_leases()
            pair.host.recover()
            pair.check(before)
            assert pair.host.session().recover() == []
        except BaseException as error:
            error.add_note(f"{pair.verb}: {kind} call {number} ({calls[number]}) of {len(calls)}")
            raise
