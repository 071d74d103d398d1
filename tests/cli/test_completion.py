"""Completion scripts, and what they get when they ask."""

from __future__ import annotations

import pytest

from orchestrator.cli import COMPLETE_VARIABLE
from orchestrator.errors import EnvironmentLacks
from orchestrator.ports import Progress
from orchestrator.settings import Settings
from tests.workstation import Workstation

from .conftest import Run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_asks_snapctl(run: Run, station: Workstation, shell: str) -> None:
    result = run("completion", shell)
    assert result.code == 0
    assert f"{COMPLETE_VARIABLE}={shell}_complete" in result.out
    assert not station.settings


def candidates(run: Run, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    words = line.split(" ")
    monkeypatch.setenv(COMPLETE_VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    result = run()
    assert (result.code, result.err) == (0, "")
    return [each.removeprefix("plain,") for each in result.out.splitlines() if each]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("snapctl che", ["checkpoint"]),
        ("snapctl rollback ", ["db", "web01"]),
        ("snapctl rollback w", ["web01"]),
        ("snapctl rollback web01 exp", ["experiment", "experiment-2"]),
        ("snapctl delete web01 base ex", ["experiment", "experiment-2"]),
        ("snapctl checkpoint web01 --af", ["--after"]),
        ("snapctl rollback web01 --after p", ["pause"]),
        ("snapctl rollback nonesuch ", []),
        ("snapctl pru", ["prune"]),
        ("snapctl prune w", ["web01"]),
        ("snapctl protect web01 base ex", ["experiment", "experiment-2"]),
        ("snapctl edit web01 pat", ["patched"]),
        ("snapctl edit web01 patched --dr", ["--dry-run"]),
        ("snapctl undo web01 --dr", ["--dry-run"]),
        ("snapctl pop web01 --dr", ["--dry-run"]),
    ],
)
def test_completion_gives_candidates(run: Run, monkeypatch: pytest.MonkeyPatch, line: str, expected: list[str]) -> None:
    assert candidates(run, monkeypatch, line) == expected


def test_completion_options_before_the_verb_count(
    run: Run, station: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates(run, monkeypatch, "snapctl -c qemu:///session show ")
    assert station.settings[0].uri == "qemu:///session"


def test_completion_no_connection_is_silent(run: Run, station: Workstation, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(settings: Settings, *, progress: Progress) -> None:
        raise EnvironmentLacks("no hypervisor here")

    monkeypatch.setattr(station, "connect", unreachable)
    assert candidates(run, monkeypatch, "snapctl show ") == []
