"""The command as a process whose streams are not what it hopes for."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.twin import Machine
from tests.workstation import Workstation

from .sample import leave_unfinished, mark_states

ROOT = Path(__file__).parents[2]


Shell: TypeAlias = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def shell(station: Workstation) -> Shell:
    """Runs a shell line in which `$snapctl` is the command."""

    def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}"],
            cwd=ROOT,
            env=os.environ | {"snapctl": shlex.join(station.process())} | environment,
            capture_output=True,
            timeout=60,
        )
        station.load()
        return done

    return shell


def test_list_reader_leaves_early_exit_0(shell: Shell) -> None:
    done = shell("$snapctl list -o json | head -1")
    assert (done.returncode, done.stdout) == (0, b"[\n")
    assert b"Error" not in done.stderr and b"Exception" not in done.stderr


@pytest.mark.parametrize("verb", ["list", "list -o json", "--help", "--version", "completion zsh"])
@pytest.mark.parametrize("target", ["> /dev/full", ">&-"])
def test_output_not_writable_is_one_line_exit_3(shell: Shell, verb: str, target: str) -> None:
    done = shell(f"$snapctl {verb} {target}")
    if target == ">&-" and verb in ("--help", "--version"):
        return  # Click says nothing when there is no stdout, which is as good
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 3
    assert "cannot write the output" in lines[-1]
    assert "Traceback" not in done.stderr.decode() and "Exception" not in done.stderr.decode()


@pytest.mark.parametrize("target", ["2> /dev/full", "2>&-"])
def test_stderr_not_writable_changes_nothing(shell: Shell, target: str) -> None:
    done = shell(f"$snapctl checkpoint web01 x {target}")
    assert (done.returncode, done.stdout[:27]) == (0, b"web01: checkpoint x created")
    assert shell(f"$snapctl rollback web01 nonesuch -y {target}").returncode == 6


@pytest.mark.parametrize("argument", [r"$'\xff'", r"$'web\xc3\x28'", r"$'\xed\xa0\x80'"])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_argument_invalid_utf8_exit_2(shell: Shell, argument: str, locale: str) -> None:
    done = shell(f"$snapctl list {argument}", LC_ALL=locale)
    assert done.returncode == 2
    assert done.stderr == b"argument 2 is not valid UTF-8; nothing was changed; check the terminal's encoding\n"


def test_tree_ascii_encoding_draws_with_ascii(shell: Shell, station: Workstation) -> None:
    mark_states(station)
    leave_unfinished(station)
    done = shell("$snapctl tree web01", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    drawn = done.stdout.decode("ascii").splitlines()
    assert [line.split("  ")[0] for line in drawn] == [
        "web01 (unfinished rollback: stopped)",
        "o base",
        "|-o experiment",
        "| o experiment-2 (deleting)",
        "o patched",
        "* before-test (unhashed) (current)",
    ]


def test_checkpoint_in_a_pipe_no_colour_no_bar(shell: Shell, station: Workstation) -> None:
    station.world.pace = 0.1  # a bar would be drawn after half a second
    done = shell("$snapctl checkpoint web01 x")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout


def interrupt(machine: Machine) -> None:
    raise KeyboardInterrupt


def test_log_is_shown_from_the_second_verbose_on(shell: Shell, station: Workstation) -> None:
    assert shell("$snapctl checkpoint web01 w -v").stderr == b""
    done = shell("$snapctl checkpoint web01 x -vv -o json")
    assert (done.stderr, done.stdout[:1]) == (b"", b"{")
    station.world.in_mid_job = interrupt  # there is something to log
    logged = b" orchestrator.engine.run settling after Interrupted("
    done = shell("$snapctl checkpoint web01 y -v -o json")
    assert (done.returncode, logged in done.stderr) == (130, False)
    done = shell("$snapctl checkpoint web01 y -vv -o json")
    log, error = done.stderr.splitlines()
    assert (done.returncode, done.stdout, logged in log, error[:1]) == (130, b"", True, b"{")
