"""One operation on two domains; then time passes. What becomes of one member is not decided at the other's expense."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import HypervisorError, SnapctlError, Unfinished
from orchestrator.model import GuestState, OperationState
from tests.crash.faults import Call, Fault, Killed, Kind
from tests.crash.injectors import CallInjector
from tests.crash.test_two_members import DOMAINS, Pair
from tests.crash.twin_host import TwinHost

WEEK = 1000
STOPPED_ONE = Call("complete", 3)
"""Two members are prepared then, and of one it is recorded that it was stopped."""
SAVED_BOTH = Call("complete", 4)


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite", disks=1)
    host.world.add("db01", disks=1).start().tick()
    yield host
    host.close()


@pytest.fixture
def rollback(host: TwinHost) -> Pair:
    pair = Pair(host, "rollback")
    for name in DOMAINS:
        host.session().checkpoint(name, "clean")
        pair.guest(name).tick()
    return pair


@pytest.fixture
def checkpoint(host: TwinHost) -> Pair:
    return Pair(host, "checkpoint")


def kill(pair: Pair, *, after: Call) -> None:
    with pytest.raises(Killed):
        pair.act(pair.host.session(CallInjector(Fault(after, Kind.KILLED))))
    pair.host.expire_leases()


def states(pair: Pair) -> dict[str, GuestState]:
    return {name: pair.guest(name).machine.state for name in DOMAINS}


def test_recover_member_that_was_not_stopped_worked_on_is_not_destroyed(rollback: Pair) -> None:
    """The other one was stopped: it stays off, on its disks."""
    kill(rollback, after=STOPPED_ONE)
    assert states(rollback) == {"web01": GuestState.OFF, "db01": GuestState.RUNNING}
    worked = rollback.guest("db01").tick(WEEK)

    (recovered,) = rollback.host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert rollback.guest("db01").ram["counter"] == worked
    assert states(rollback) == {"web01": GuestState.OFF, "db01": GuestState.RUNNING}
    assert rollback.host.session().unfinished() == []


def test_recover_member_that_was_not_stopped_has_not_worked_on_goes_forward_with_the_other(rollback: Pair) -> None:
    kill(rollback, after=STOPPED_ONE)

    (recovered,) = rollback.host.session().recover()

    assert recovered.state is OperationState.DONE
    assert set(states(rollback).values()) == {GuestState.RUNNING}


def test_recover_member_that_was_not_stopped_was_booted_anew_is_not_destroyed(rollback: Pair) -> None:
    """Another run, even if it has written nothing yet."""
    kill(rollback, after=STOPPED_ONE)
    rollback.guest("db01").shut_down()
    run = rollback.guest("db01").start().machine.run_id

    (recovered,) = rollback.host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert rollback.guest("db01").machine.run_id == run


@pytest.mark.parametrize("gone", DOMAINS)
def test_recover_member_was_undefined_does_not_come_back_as_transient(rollback: Pair, gone: str) -> None:
    kill(rollback, after=STOPPED_ONE)
    machine = rollback.guest(gone).machine
    if machine.active:
        rollback.guest(gone).shut_down()
    del rollback.host.world.machines[machine.uuid]

    (recovered,) = rollback.host.session().recover()

    assert recovered.state is OperationState.UNDONE
    assert [each.persistent_xml is not None for each in rollback.host.world.machines.values()] == [True]
    assert rollback.host.session().unfinished() == []


def test_recover_member_with_doubtful_image_does_not_keep_the_other_down(checkpoint: Pair) -> None:
    """Both are saved. web01 was started, worked and was shut down: its image must be neither used nor deleted."""
    kept = checkpoint.guest("db01").ram["counter"]
    kill(checkpoint, after=SAVED_BOTH)
    assert set(states(checkpoint).values()) == {GuestState.OFF}
    checkpoint.guest("web01").start().tick(WEEK)
    checkpoint.guest("web01").shut_down()
    images = {path for path in checkpoint.host.world.files.files if path.endswith("memory.save")}

    with pytest.raises(Unfinished, match="web01 may have run"):
        checkpoint.host.session().recover()

    assert states(checkpoint) == {"web01": GuestState.OFF, "db01": GuestState.RUNNING}
    assert checkpoint.guest("db01").ram["counter"] == kept
    left = images & set(checkpoint.host.world.files.files)
    assert [checkpoint.guest("web01").uuid in path for path in left] == [True]

    checkpoint.guest("web01").start()  # what the message says
    (recovered,) = checkpoint.host.session().recover()
    assert recovered.state is OperationState.UNDONE
    assert checkpoint.host.session().list() == []


def test_retreat_fails_for_one_member_the_other_is_resumed(checkpoint: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """db01 can neither go forward nor be restored onto its disks, until its host is in order again."""
    world, db01 = checkpoint.host.world, checkpoint.guest("db01").uuid

    def failing(name: str) -> Any:
        original = getattr(world, name)

        def call(*arguments: str) -> object:
            if any(db01 in each for each in arguments):
                raise HypervisorError("unsupported configuration")
            return original(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("begin_restore", "define"):
            patch.setattr(world, name, failing(name))
        with pytest.raises(Unfinished):
            checkpoint.act(checkpoint.host.session())
        assert states(checkpoint) == {"web01": GuestState.RUNNING, "db01": GuestState.OFF}
        with suppress(SnapctlError):
            checkpoint.host.session().recover()
        assert states(checkpoint) == {"web01": GuestState.RUNNING, "db01": GuestState.OFF}

    (recovered,) = checkpoint.host.session().recover()
    assert recovered.state is OperationState.UNDONE
    assert set(states(checkpoint).values()) == {GuestState.RUNNING}
    assert all(checkpoint.guest(name).agrees() for name in DOMAINS)
