"""Global options before and after the verb, and how settings reach the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.model import After

from .conftest import Run
from .standin import StandIn


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "json", "list"],
        ["list", "-o", "json"],
        ["list", "web01", "--output=json"],
        ["-o", "table", "list", "-ojson"],
    ],
)
def test_output_before_and_after_the_verb(run: Run, arguments: list[str]) -> None:
    assert isinstance(run(*arguments).json, list)


@pytest.mark.parametrize("arguments", [["-v", "rollback", "web01", "-y"], ["rollback", "web01", "-yv"]])
def test_verbose_before_and_after_the_verb(run: Run, arguments: list[str]) -> None:
    assert "prepared" in run(*arguments).out


@pytest.mark.parametrize("arguments", [["-c", "qemu:///session", "list"], ["list", "--connect", "qemu:///session"]])
def test_the_uri_reaches_the_library(run: Run, world: StandIn, arguments: list[str]) -> None:
    run(*arguments)
    assert world.settings[0].uri == "qemu:///session"


def test_the_environment_s_uri_is_below_the_option(run: Run, world: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "qemu+ssh://one/system")
    run("list")
    monkeypatch.setenv("SNAPCTL_URI", "qemu+ssh://two/system")
    run("list")
    run("list", "-c", "qemu+ssh://three/system")
    assert [each.uri for each in world.settings] == [f"qemu+ssh://{n}/system" for n in ("one", "two", "three")]


def test_configuration_and_catalog(run: Run, world: StandIn, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[store]\npath = "/srv/store"\n[checkpoint]\nafter = "pause"\n')
    run("--config", str(file), "checkpoint", "web01", "x", "--catalog", "sqlite:////srv/c.sqlite")
    run("--config", str(file), "checkpoint", "web01", "y", "--after", "as-saved")
    assert (world.settings[0].store.path, world.settings[0].catalog) == ("/srv/store", "sqlite:////srv/c.sqlite")
    assert world.afters == [After.PAUSE, After.AS_SAVED]


def test_the_user_s_configuration_is_read(run: Run, elsewhere: Path) -> None:
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text("[job]\ntimeout = 3\n")
    result = run("list")
    assert result.code == 2
    assert "job.timeout" in result.err and "job.timeout_s" in result.err


def test_version(run: Run) -> None:
    result = run("--version")
    assert result.code == 0
    assert result.out.startswith("snapctl ")


VERBS = [
    *("checkpoint", "rollback", "undo", "push", "pop", "list", "tree", "show", "edit", "protect", "unprotect"),
    *("delete", "prune", "collapse", "flatten", "recover", "catalog", "completion"),
]


@pytest.mark.parametrize(
    "verb", [[], *([verb] for verb in VERBS), *(["catalog", v] for v in ("info", "backup", "upgrade"))]
)
def test_help_of_every_verb_has_an_example(run: Run, world: StandIn, verb: list[str]) -> None:
    result = run(*verb, "--help")
    assert result.code == 0
    assert result.out.startswith(" ".join(["Usage: snapctl", *verb]))
    assert not verb or "Example" in result.out
    assert "..." not in "".join(line for line in result.out.splitlines() if line.startswith("  ") and not verb)
    assert not world.settings
