"""What keeps the start of the command short. How short it is `make bench` measures."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_mock_engine

from orchestrator.catalog.tables import Base
from orchestrator.cli.session import Session
from orchestrator.coordinator import Coordinator
from tests import children


def test_an_sqlite_catalog_loads_no_other_databases_dialect(tmp_path: Path) -> None:
    script = (
        "import sys; from orchestrator.catalog import open_catalog; from tests.unit.catalog_samples import HOST; "
        f"open_catalog('sqlite:///{tmp_path}/catalog.sqlite', HOST).close_connection(); "
        "print(*(name for name in sys.modules if 'dialects.postgresql' in name))"
    )
    done = children.run(sys.executable, "-c", script, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("url", ["sqlite://", "postgresql+psycopg://"])
def test_the_lock_is_over_open_operations_only(url: str) -> None:
    made: list[Any] = []
    engine = create_mock_engine(url, lambda statement, *_, **__: made.append(statement))
    Base.metadata.create_all(engine, checkfirst=False)
    statements = [str(each.compile(dialect=engine.dialect)) for each in made]
    (lock,) = [each for each in statements if "uq_operation_member_open" in each]
    assert lock == (
        "CREATE UNIQUE INDEX uq_operation_member_open ON operation_member (host_uuid, domain_uuid) WHERE open"
    )


def test_the_garbage_collector_rests_until_the_library_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def refuse(*_: Any, **__: Any) -> Coordinator:
        seen.append(gc.isenabled())
        raise ConnectionRefusedError

    monkeypatch.setattr(Coordinator, "open", refuse)
    try:
        with pytest.raises(ConnectionRefusedError), Session(uri="qemu:///system").coordinator():
            pass
        assert seen == [False]
        assert gc.isenabled() and gc.get_freeze_count()
    finally:
        gc.unfreeze()
