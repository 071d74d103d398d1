"""Runs the command in this process, on the stand-in, away from this machine's configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest

from orchestrator import settings
from orchestrator.cli import main

from .standin import StandIn, sample


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.out)

    @property
    def error(self) -> Any:
        return msgspec.json.decode(self.err)


Run: TypeAlias = Callable[..., Result]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty configuration, data directory and environment; returns the user's configuration file."""
    for name in ("SNAPCTL_URI", "LIBVIRT_DEFAULT_URI", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(settings, "SYSTEM_CONFIG", tmp_path / "etc" / "snapctl.toml")
    return tmp_path / "config" / "snapctl" / "snapctl.toml"


@pytest.fixture
def world() -> StandIn:
    return sample()


@pytest.fixture
def run(world: StandIn, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*argv: str) -> Result:
        code = main(argv, connect=world.connect)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run
