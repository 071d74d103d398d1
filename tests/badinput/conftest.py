"""A bench for each bad input, away from this machine's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import settings

from .bench import Bench


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.prepared(tmp_path_factory.mktemp("badinput"))


@pytest.fixture
def bench(original: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    for name in ("SNAPCTL_URI", "LIBVIRT_DEFAULT_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(settings, "SYSTEM_CONFIG", tmp_path / "etc" / "snapctl.toml")
    monkeypatch.chdir(tmp_path)
    copied = original.copied(tmp_path)
    with copied.ending:
        yield copied
