"""doctor on the in-memory hypervisor: the helper domains of collapses, under way and left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.errors import IntegrityError
from orchestrator.formats import domainxml
from orchestrator.model import Level, Source
from orchestrator.operations.shared.helper import HELPER_PREFIX
from tests.crash.twin_host import TwinHost
from tests.twin import Machine, TwinHypervisor


class Forked(TwinHost):
    """A guest on its checkpoint `root`, with `middle` and on that `leaf` on another branch."""

    def amiss(self, *, clean: bool = False) -> dict[str, Level]:
        """What doctor has to say, by what it is about."""
        return {each.about: each.level for each in self.session().doctor(clean=clean) if each.level is not Level.OK}

    def leave_helper(self) -> Machine:
        """On the layer that `leaf` froze, of no operation."""
        uuid, path = str(uuid4()), self.session().show("web01", "leaf").checkpoint.layers["vda"].path
        xml = domainxml.helper(
            self.guest.machine.persistent_xml or "",
            uuid=uuid,
            name=f"{HELPER_PREFIX}{uuid}",
            target="vda",
            layer=Source(path=path, format="qcow2"),
        )
        TwinHypervisor(self.world).domains.create_paused(xml)
        return self.world.machine(uuid)


@pytest.fixture
def forked(quick_directory: Path, request: pytest.FixtureRequest) -> Iterator[Forked]:
    forked = Forked(quick_directory / f"{request.node.name}.sqlite")
    for name in ("root", "middle", "leaf"):
        forked.checkpoint(name)
    forked.rollback("root")
    yield forked
    forked.close()


def test_doctor_helper_in_use_is_only_a_note(forked: Forked) -> None:
    seen: list[dict[str, Level]] = []

    def examine(machine: Machine) -> None:
        assert machine.name.startswith(HELPER_PREFIX)
        seen.append(forked.amiss(clean=True))

    forked.world.in_mid_job = examine
    forked.session().delete("web01", ["middle"])
    assert seen == [{"operations": Level.NOTE}] * 2, "one for each disk"
    forked.check()


def test_doctor_clean_helper_left_behind_is_destroyed(forked: Forked) -> None:
    """Until then nothing that stands on its layer is restored."""
    left = forked.leave_helper()
    with pytest.raises(IntegrityError, match=r"snapctl-helper-.* has it as its disk vda"):
        forked.rollback("leaf")
    assert forked.amiss() == {"helpers": Level.WARNING}
    assert left.uuid in forked.world.machines
    assert forked.amiss(clean=True) == {}
    assert forked.amiss() == {}
    forked.check()
    forked.rollback("leaf")


def test_doctor_clean_helper_in_use_is_not_destroyed(forked: Forked) -> None:
    left = forked.leave_helper()
    left.streams["vda"] = None
    assert forked.amiss(clean=True) == {"helpers": Level.NOTE}
    assert left.uuid in forked.world.machines
    left.streams.clear()
    assert forked.amiss(clean=True) == {}


def test_doctor_clean_empty_directory_of_no_domain_is_kept(forked: Forked) -> None:
    path = f"/store/{uuid4()}"
    TwinHypervisor(forked.world).storage.make_directory(path)
    assert forked.amiss(clean=True) == forked.amiss(clean=True) == {"directories": Level.NOTE}
    assert path in forked.world.files.directories
