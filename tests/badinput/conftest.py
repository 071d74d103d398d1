"""A workstation for each bad input, away from this machine's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workstation import Workstation, live_in

from .prepared import prepared


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Workstation:
    return prepared(tmp_path_factory.mktemp("badinput"))


@pytest.fixture
def station(original: Workstation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workstation]:
    live_in(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    copied = original.copied(tmp_path)
    with copied.ending:
        yield copied
