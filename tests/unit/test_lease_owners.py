"""Who this process is, and whether another one lives."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from orchestrator.catalog.owners import is_gone, this_process
from tests.children import Child
from tests.waiting import wait_until


def test_this_process_lives() -> None:
    me = this_process()
    assert me.pid == os.getpid()
    assert not is_gone(me)


def test_is_gone_ended_process_before_it_is_reaped() -> None:
    code = "from orchestrator.catalog.owners import this_process; print(this_process().pid_start, flush=True); input()"
    with Child([sys.executable, "-c", code], listens=True) as process:
        them = replace(this_process(), pid=process.pid, pid_start=process.hear())
        assert not is_gone(them)
        process.kill()
        wait_until(lambda: process.is_zombie)
        assert is_gone(them)
    assert is_gone(them)


def test_a_process_id_that_was_given_again_is_another_process() -> None:
    assert is_gone(replace(this_process(), pid_start="1"))
    assert is_gone(replace(this_process(), boot_id="an earlier one"))


def test_is_gone_process_of_another_host_is_unknown() -> None:
    assert not is_gone(replace(this_process(), host="elsewhere", pid=1, boot_id="", pid_start=""))
