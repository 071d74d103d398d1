"""Global options before and after the verb, and how settings reach the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli import app
from tests.workstation import Workstation

from .conftest import Run


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "json", "list"],
        ["list", "-o", "json"],
        ["list", "web01", "--output=json"],
        ["-o", "table", "list", "-ojson"],
    ],
)
def test_output_json_before_or_after_the_verb_prints_an_array(run: Run, arguments: list[str]) -> None:
    assert isinstance(run(*arguments).json, list)


@pytest.mark.parametrize("arguments", [["-v", "rollback", "web01", "-y"], ["rollback", "web01", "-yv"]])
def test_verbose_before_or_after_the_verb_prints_steps(run: Run, arguments: list[str]) -> None:
    assert "prepared" in run(*arguments).out


@pytest.mark.parametrize("arguments", [["-c", "qemu:///session", "list"], ["list", "--connect", "qemu:///session"]])
def test_connect_before_or_after_the_verb_is_the_uri(run: Run, station: Workstation, arguments: list[str]) -> None:
    run(*arguments)
    assert station.settings[0].uri == "qemu:///session"


def test_uri_option_beats_snapctl_uri_beats_libvirt_default_uri(
    run: Run, station: Workstation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "qemu+ssh://one/system")
    run("list")
    monkeypatch.setenv("SNAPCTL_URI", "qemu+ssh://two/system")
    run("list")
    run("list", "-c", "qemu+ssh://three/system")
    assert [each.uri for each in station.settings] == [f"qemu+ssh://{n}/system" for n in ("one", "two", "three")]


def test_config_and_catalog_options_override_the_configuration(run: Run, station: Workstation, tmp_path: Path) -> None:
    file, catalog = tmp_path / "mine.toml", tmp_path / "other.sqlite"
    file.write_text('[store]\npath = "/srv/store"\n[checkpoint]\nafter = "pause"\n')
    options = ["--config", str(file), "--catalog", f"sqlite:///{catalog}"]
    station.world.add("new").start()
    assert run("checkpoint", "new", "x", *options).code == 0
    assert (station.settings[-1].store.path, station.settings[-1].catalog) == ("/srv/store", f"sqlite:///{catalog}")
    assert any(path.startswith("/srv/store/") for path in station.world.files.files)
    assert [each["name"] for each in run("list", *options, "-o", "json").json] == ["x"]
    assert station.machine("new").state == "paused"
    station.guest("new").resume()
    assert run("checkpoint", "new", "y", *options, "--after", "as-saved").code == 0
    assert station.machine("new").state == "running"


def test_configuration_unknown_key_exit_2(run: Run, station: Workstation) -> None:
    station.configure("[job]\ntimeout = 3\n")
    result = run("list")
    assert result.code == 2
    assert "job.timeout" in result.err and "job.timeout_s" in result.err


def test_version_prints_it(run: Run) -> None:
    result = run("--version")
    assert result.code == 0
    assert result.out.startswith("snapctl ")


VERBS = [verb.name for verb in app.VERBS]


@pytest.mark.parametrize(
    "verb", [[], *([verb] for verb in VERBS), *(["catalog", v] for v in ("info", "backup", "upgrade"))]
)
def test_help_every_verb_has_an_example(run: Run, station: Workstation, verb: list[str]) -> None:
    result = run(*verb, "--help")
    assert result.code == 0
    assert result.out.startswith(" ".join(["Usage: snapctl", *verb]))
    assert not verb or "Example" in result.out
    assert "..." not in "".join(line for line in result.out.splitlines() if line.startswith("  ") and not verb)
    assert not station.settings
