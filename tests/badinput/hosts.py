"""89 and 90: what the host lacks of what a definition needs."""

from __future__ import annotations

from orchestrator.model import Device, Source
from tests.contract.hosts import with_interface
from tests.twin.world import IMAGES
from tests.workstation import Workstation

from .case import INTEGRITY, REFUSED, Case, Elsewhere, Provocation, Row
from .states import CHECKPOINT, ROLLBACK, more, on_disks

SYSTEM, PLANNING = "tests/system/test_preflight.py", "tests/unit/test_planning_preflight.py"
ISO = f"{IMAGES}/seed.iso"
WITH_MEDIUM = on_disks(
    more(target="sda", device=Device.CDROM, readonly=True, source=Source(path=ISO, format="raw")), machine="web03"
)


def with_network(station: Workstation) -> None:
    machine = station.machine()
    machine.running_xml = with_interface(machine.running_xml or "", "lan")


def without_emulator(station: Workstation) -> None:
    station.world.emulators = {}


def without_machine(station: Workstation) -> None:
    station.world.emulators = dict.fromkeys(station.world.emulators, frozenset())


def without_medium(station: Workstation) -> None:
    WITH_MEDIUM(station)
    station.world.files.remove(ISO)


def without_medium_of_a_checkpoint(station: Workstation) -> None:
    WITH_MEDIUM(station)
    station.session().checkpoint("web03", "seeded")
    station.changes.clear()
    station.world.files.remove(ISO)


LACKS: tuple[tuple[str, str, Provocation, tuple[tuple[str, ...], ...]], ...] = (
    ("network", "web01 needs the network lan, which is not active", with_network, (CHECKPOINT,)),
    ("emulator", "the host cannot run web01: Cannot check", without_emulator, (CHECKPOINT, ROLLBACK)),
    ("machine type", "the host cannot run web01: the machine", without_machine, (CHECKPOINT, ROLLBACK)),
)

CASES: tuple[Row, ...] = (
    *(
        Case(number=89, what=f"{what} {' '.join(argv)}", argv=argv, code=REFUSED, says=says, provoke=provoke)
        for what, says, provoke, verbs in LACKS
        for verb in verbs
        for argv in (verb, (*verb, "--dry-run"))
    ),
    Elsewhere(number=89, what="on libvirt", test=f"{SYSTEM}::test_a_network_that_is_not_active"),
    Elsewhere(number=89, what="CPU", test=f"{PLANNING}::test_what_is_certain_to_fail_is_refused"),
    Case(
        number=90,
        what="medium that is missing, a running guest",
        argv=("checkpoint", "web03", "new"),
        code=REFUSED,
        says="eject it: virsh change-media web03 sda --eject",
        provoke=without_medium,
    ),
    Case(
        number=90,
        what="medium that is missing, a checkpoint",
        argv=("rollback", "web03", "seeded", "-y"),
        code=INTEGRITY,
        says=f"the cdrom image {ISO} is missing",
        provoke=without_medium_of_a_checkpoint,
    ),
    Elsewhere(
        number=90,
        what="one that may be missing",
        test=f"{SYSTEM}::test_a_medium_that_may_be_missing",
    ),
)
