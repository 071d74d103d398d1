"""Several processes, one catalog: one operation at a time on a domain, and no effect by anybody who lost his lease.

The processes are real, and so are the signals that stop and end them; the hypervisor is in memory, and served to them.
"""

from __future__ import annotations

import getpass
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from orchestrator.catalog import LeaseTimes
from tests.checkpoints import memory_of
from tests.crash.faults import HYPERVISOR_EFFECTS
from tests.crash.served import Call, ServedWorld
from tests.crash.team import Team
from tests.crash.twin_host import TwinHost
from tests.crash.workers import Answer, Place, Worker
from tests.twin import saveimage
from tests.waiting import wait_until

DONE, BUSY, REFUSED = 0, 4, 6
AT_ONCE = 15.0
"""Seconds: a quarter of what a lease lasts. It takes a fraction of one, on a machine that has nothing else to do."""

VERBS = {
    "checkpoint": ("checkpoint", "web01", "new"),
    "rollback": ("rollback", "web01", "b"),
    "delete": ("delete", "web01", ["c"]),
}


@pytest.fixture
def host(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[TwinHost]:
    """a - b - c, and a second branch d on a, on which the guest stands."""
    host = TwinHost(quick_directory / f"{request.node.name}.sqlite")
    for name in ("a", "b", "c"):
        host.checkpoint(name)
    host.rollback("a")
    host.checkpoint("d")
    host.counters["new"] = host.counter
    yield host
    host.close()


@pytest.fixture
def served(host: TwinHost, tmp_path: Path) -> Iterator[ServedWorld]:
    served = ServedWorld(lambda: host.world, tmp_path / "socket")
    yield served
    served.close()


@pytest.fixture
def place(host: TwinHost, served: ServedWorld, tmp_path: Path) -> Place:
    return Place(tmp_path / "socket", host.file)


def effects(served: ServedWorld, worker: Worker) -> list[str]:
    return [call.name for call in served.calls if call.pid == worker.pid and call.name in HYPERVISOR_EFFECTS]


def contents(host: TwinHost) -> list[str]:
    with closing(sqlite3.connect(host.file)) as database:
        return list(database.iterdump())


# --------------------------------------------------------------------------- the owner is gone

KILLED_AFTER = [
    ("checkpoint", "save"),
    ("rollback", "create_overlay"),
    ("rollback", "define"),
    ("delete", "remove"),
]


@pytest.mark.parametrize(("verb", "call"), KILLED_AFTER)
def test_recover_process_killed_is_settled_at_once(
    host: TwinHost, served: ServedWorld, place: Place, verb: str, call: str
) -> None:
    with Worker(place) as owner, Worker(place) as other:
        served.stop_after = Call(owner.pid, call)
        owner.begin(*VERBS[verb])
        owner.wait_until_stopped()
        assert other.do("recover", "web01").exit_code == BUSY
        owner.kill()

        began = time.monotonic()
        assert other.do("recover", "web01") == Answer(DONE)
        assert time.monotonic() - began < AT_ONCE
    host.check()


# --------------------------------------------------------------------------- the owner is stopped

STOPPED_AFTER = [
    ("checkpoint", "make_directory"),  # in the middle of a step
    ("checkpoint", "save"),
    ("checkpoint", "saved_definition"),  # the next call would be the restore
    ("rollback", "create_overlay"),
    ("rollback", "saved_definition"),
    ("rollback", "remove"),
    ("delete", "remove"),
]


@pytest.mark.parametrize(("verb", "call"), STOPPED_AFTER)
def test_stopped_process_operation_taken_over_changes_nothing_more(
    host: TwinHost, served: ServedWorld, place: Place, verb: str, call: str
) -> None:
    with Worker(place) as owner, Worker(place) as other:
        served.stop_after = Call(owner.pid, call)
        owner.begin(*VERBS[verb])
        owner.wait_until_stopped()
        require_told_who(other.do("checkpoint", "web01", "mine"), owner, verb)
        host.expire_leases()  # its lease ends
        assert other.do("recover", "web01") == Answer(DONE)
        host.check()
        worked = host.guest.tick(100)  # whatever the owner still did would be seen in it
        host.guest.shut_down()

        require_no_more(host, served, owner)
        assert owner.do("recover", "web01") == Answer(DONE)
    host.guest.start()
    host.check()
    assert host.counter == worked


def test_recover_owner_stopped_takes_over_when_lease_ends(host: TwinHost, served: ServedWorld, place: Place) -> None:
    place = replace(place, times=LeaseTimes(ttl=3.0, beat=0.5, lost=2.0))
    with Worker(place) as owner, Worker(place) as other:
        served.stop_after = Call(owner.pid, "create_overlay")
        owner.begin(*VERBS["rollback"])
        owner.wait_until_stopped()
        host.move_owners_elsewhere()
        answers: list[Answer] = []

        def has_recovered() -> bool:
            answers.append(other.do("recover", "web01"))
            return answers[-1].exit_code != BUSY

        wait_until(has_recovered, AT_ONCE, what="the end of the lease", poll=0.1)
        assert len(answers) > 1 and answers[-1] == Answer(DONE)
        host.check()
        require_no_more(host, served, owner)


def test_recover_owner_stopped_on_this_machine_is_busy_also_after_lease_end(
    host: TwinHost, served: ServedWorld, place: Place
) -> None:
    """It can be seen that it lives."""
    place = replace(place, times=LeaseTimes(ttl=0.5, beat=0.1, lost=0.3))
    with Worker(place) as owner, Worker(place) as other:
        served.stop_after = Call(owner.pid, "create_overlay")
        owner.begin(*VERBS["rollback"])
        owner.wait_until_stopped()
        time.sleep(1)
        assert other.do("recover", "web01").exit_code == BUSY
        owner.go_on()
        assert owner.answer() == Answer(DONE)
    host.check()


def test_stopped_process_not_replaced_completes(host: TwinHost, served: ServedWorld, place: Place) -> None:
    with Worker(place) as owner:
        served.stop_after = Call(owner.pid, "create_overlay")
        owner.begin(*VERBS["checkpoint"])
        owner.wait_until_stopped()
        host.expire_leases()
        owner.go_on()
        assert owner.answer() == Answer(DONE)
    host.check()


def require_no_more(host: TwinHost, served: ServedWorld, owner: Worker) -> None:
    """It goes on, finds out, and neither the hypervisor nor the catalog is changed by it."""
    before = (contents(host), effects(served, owner))
    owner.go_on()
    answer = owner.answer()
    assert answer.exit_code == BUSY
    assert "nothing more was changed" in answer.line
    assert (contents(host), effects(served, owner)) == before


def require_told_who(answer: Answer, owner: Worker, verb: str) -> None:
    """Exit 4, and who holds it, since when, at which step."""
    assert answer.exit_code == BUSY
    told = rf"a {verb} of web01 is in progress since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC "
    assert re.match(told, answer.line), answer.line
    assert f"{getpass.getuser()}@" in answer.line
    assert re.search(rf"process {owner.pid}, (at step [a-z]+|in its first step)\)", answer.line), answer.line


# --------------------------------------------------------------------------- many at once


def test_many_processes_one_domain_act_one_at_a_time(host: TwinHost, served: ServedWorld, place: Place) -> None:
    with ExitStack() as stack:
        team = Team(host, served, place, Random(1))
        for _ in range(4):
            team.hire(stack)
        team.work_until(15)
        team.complete()
    require_expected(team)
    assert team.exit_codes()[BUSY]
    require_one_at_a_time(team)
    require_sound(host)


def hammer(team: Team, *, kills: int) -> None:
    """Processes are killed while they are at it, and others come in their place."""
    with ExitStack() as stack:
        for _ in range(4):
            team.hire(stack)
        for killed in range(1, kills + 1):
            team.work_until(3 * killed)
            team.kill_one()
            team.hire(stack)
        team.complete()


def test_recover_some_of_many_processes_killed_is_settled(
    host: TwinHost, served: ServedWorld, place: Place, figure: Callable[[str], None]
) -> None:
    team = Team(host, served, place, Random(2))
    hammer(team, kills=5)
    figure(f"processes on one domain: {len(team.ended)} verbs, 5 kills, exit codes {dict(team.exit_codes())}")
    require_expected(team)
    host.session().recover()
    require_sound(host)


@pytest.mark.long
@pytest.mark.timeout(900)  # 6 s were measured for 5 kills, and more than 120 s for 200
def test_recover_many_of_many_processes_killed_is_settled(
    host: TwinHost, served: ServedWorld, place: Place, figure: Callable[[str], None], seed: str
) -> None:
    team = Team(host, served, place, Random(seed))
    hammer(team, kills=200)
    figure(f"processes on one domain: {len(team.ended)} verbs, 200 kills, exit codes {dict(team.exit_codes())}")
    require_expected(team)
    host.session().recover()
    require_sound(host)


def require_expected(team: Team) -> None:
    """Each verb was done, or refused since somebody else was at it or had been."""
    others = [answer for answer in team.ended if answer.exit_code not in (DONE, BUSY, REFUSED)]
    assert others == []


def require_one_at_a_time(team: Team) -> None:
    """From the first effect of an operation to its last one nobody else had any."""
    spans = sorted((own[0], own[-1]) for own in team.effects if own)
    for (_, last), (first, _) in pairwise(spans):
        assert last < first, "two processes acted at once"


def require_sound(host: TwinHost) -> None:
    """Everything holds; each checkpoint is of the instant that its memory remembers."""
    for summary in host.session().list():
        memory = memory_of(host.session().show("web01", summary.name).checkpoint)
        host.counters[summary.name] = saveimage.read(host.world.files[memory.path].bytes()).ram["counter"]
    host.check(state=host.guest.machine.state)
    host.check_rollbacks()
