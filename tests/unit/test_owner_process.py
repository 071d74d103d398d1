"""Who this process is, and whether another one lives."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.catalog import owner_process
from orchestrator.catalog.owner_process import Life, life, this_process
from tests.children import Child
from tests.waiting import wait_until


def test_this_process_is_alive() -> None:
    me = this_process()
    assert me.pid == os.getpid()
    assert life(me) is Life.ALIVE


def test_ended_process_is_gone_even_before_it_is_reaped() -> None:
    import_it = "from orchestrator.catalog.owner_process import this_process"
    code = f"{import_it}; print(this_process().pid_start, flush=True); input()"
    with Child([sys.executable, "-c", code], listens=True) as process:
        them = replace(this_process(), pid=process.pid, pid_start=process.hear())
        assert life(them) is Life.ALIVE
        process.kill()
        wait_until(lambda: process.is_zombie)
        assert life(them) is Life.GONE
    assert life(them) is Life.GONE


def test_process_id_that_was_given_again_is_another_process() -> None:
    assert life(replace(this_process(), pid_start="1")) is Life.GONE


def test_process_beyond_what_a_kernel_gives_is_gone() -> None:
    assert life(replace(this_process(), pid=2**40)) is Life.GONE


# --------------------------------------------------------------------------- other machines, other boots


@pytest.fixture
def machine_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that says which machine this is."""
    file = tmp_path / "machine-id"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    monkeypatch.setattr(owner_process, "_MACHINE_ID", file)
    owner_process._machine_id.cache_clear()
    yield file
    owner_process._machine_id.cache_clear()


def test_process_of_an_earlier_boot_of_this_machine_is_gone(machine_id: Path) -> None:
    assert life(replace(this_process(), boot_id="an earlier one")) is Life.GONE


def test_process_of_another_machine_of_the_same_name_is_unknown(machine_id: Path) -> None:
    """ "ubuntu", "localhost": taken for an earlier boot of this one, a living operation had two executors."""
    theirs = replace(this_process(), boot_id="of another machine", machine_id="of another machine")
    assert life(theirs) is Life.UNKNOWN


def test_process_of_another_boot_without_machine_id_is_unknown(machine_id: Path) -> None:
    machine_id.unlink()
    owner_process._machine_id.cache_clear()
    assert this_process().machine_id == ""
    assert life(replace(this_process(), boot_id="another")) is Life.UNKNOWN


def test_process_of_another_host_is_unknown() -> None:
    elsewhere = replace(this_process(), host="elsewhere", machine_id="another", pid=1, boot_id="", pid_start="")
    assert life(elsewhere) is Life.UNKNOWN


def test_process_in_another_pid_namespace_is_unknown() -> None:
    me = this_process()
    assert life(replace(me, host=f"{me.host} (pid:1)", pid=1, pid_start="1")) is Life.UNKNOWN


def test_machine_id_itself_is_not_shown(machine_id: Path) -> None:
    assert this_process().machine_id not in ("", machine_id.read_text().strip())


# --------------------------------------------------------------------------- hidden processes


@pytest.fixture
def hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc of hidepid=2: what is another user's is not there."""
    monkeypatch.setattr(owner_process, "_PROC", tmp_path)


@pytest.mark.usefixtures("hidden")
def test_living_process_that_proc_hides_is_unknown() -> None:
    assert owner_process._start(os.getpid()) is Life.UNKNOWN


@pytest.mark.usefixtures("hidden")
def test_ended_process_where_proc_hides_is_gone() -> None:
    with Child([sys.executable, "-c", ""]) as process:
        process.finish(30)
    assert owner_process._start(process.pid) is Life.GONE


def test_process_that_may_not_be_read_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hidepid=1: it is there, and may not be looked into. It was a traceback from every verb."""

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert owner_process._start(os.getpid()) is Life.UNKNOWN
