"""The command as a process whose streams are not what it hopes for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell line in which `$snapctl` is the command on the stand-in."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {arguments}"],
        cwd=ROOT,
        env=os.environ | {"snapctl": f"{sys.executable} -m tests.cli.standin"} | environment,
        capture_output=True,
        timeout=60,
    )


def test_a_reader_that_has_had_enough_is_no_failure() -> None:
    done = run("$snapctl list -o json | head -1")
    assert (done.returncode, done.stdout) == (0, b"[\n")
    assert b"Error" not in done.stderr and b"Exception" not in done.stderr


@pytest.mark.parametrize("verb", ["list", "list -o json", "--help", "--version", "completion zsh"])
@pytest.mark.parametrize("target", ["> /dev/full", ">&-"])
def test_output_that_cannot_be_written_is_one_line(verb: str, target: str) -> None:
    done = run(f"$snapctl {verb} {target}")
    if target == ">&-" and verb in ("--help", "--version"):
        return  # Click says nothing when there is no stdout, which is as good
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 3
    assert "cannot write the output" in lines[-1]
    assert "Traceback" not in done.stderr.decode() and "Exception" not in done.stderr.decode()


@pytest.mark.parametrize("target", ["2> /dev/full", "2>&-"])
def test_nobody_to_tell_changes_nothing(target: str) -> None:
    done = run(f"$snapctl checkpoint web01 x {target}")
    assert (done.returncode, done.stdout[:24]) == (0, b"web01: checkpoint x made")
    assert run(f"$snapctl rollback web01 nonesuch -y {target}").returncode == 6


@pytest.mark.parametrize("argument", [r"$'\xff'", r"$'web\xc3\x28'", r"$'\xed\xa0\x80'"])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_invalid_utf8_in_the_arguments(argument: str, locale: str) -> None:
    done = run(f"$snapctl list {argument}", LC_ALL=locale)
    assert done.returncode == 2
    assert done.stderr == b"argument 2 is not valid UTF-8; nothing was changed; check the terminal's encoding\n"


def test_an_encoding_without_lines_gets_plain_ones() -> None:
    done = run("$snapctl tree web01", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    drawn = done.stdout.decode("ascii").splitlines()
    assert [line.split("  ")[0] for line in drawn] == [
        "web01 (unfinished rollback: stopped)",
        "o base",
        "|-o experiment",
        "| o experiment-2 (deleting)",
        "o patched",
        "* before-test (unhashed) (you are here)",
    ]


def test_no_colour_and_no_bar_in_a_pipe() -> None:
    done = run("$snapctl checkpoint web01 x")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout


def test_the_log_is_shown_on_request_only() -> None:
    assert run("$snapctl checkpoint web01 x -v").stderr == b""
    done = run("$snapctl checkpoint web01 x -vv -o json")
    assert done.stderr.decode().endswith(" orchestrator.standin a save begins\n")
    assert done.stdout.startswith(b"{")
