"""Runs the command in this process, on a copy of the sample, away from this machine's configuration."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest

from tests.workstation import Workstation, live_in

from .sample import age, sample

SECONDS = re.compile(r"\d+\.\d\d s")


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

    @property
    def timeless(self) -> str:
        """stdout with `N s` for each time that something took."""
        return SECONDS.sub("N s", self.out)


Run: TypeAlias = Callable[..., Result]


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workstation:
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("cli")
        live_in(home, patch)
        return sample(home)


@pytest.fixture(autouse=True)
def station(original: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workstation:
    live_in(tmp_path, monkeypatch)
    copied = original.copied(tmp_path)
    age(copied)
    return copied


@pytest.fixture
def run(station: Workstation, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*argv: str) -> Result:
        code = station.main(*argv)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


def names(run: Run, domain: str = "web01") -> list[str]:
    """The checkpoints there are."""
    return [each["name"] for each in run("list", domain, "-o", "json").json]


def current(run: Run) -> str:
    """The checkpoint that web01 stands on."""
    return next(str(each["name"]) for each in run("list", "web01", "-o", "json").json if each["current"])
