"""21 – 38: what domains are in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.errors import HypervisorError
from orchestrator.formats import domainxml
from orchestrator.model import Device, Disk, GuestState, Source
from tests.twin.files import Image
from tests.twin.machine import Job
from tests.twin.world import CAPACITY, IMAGES
from tests.twin.xml import domain_xml
from tests.workstation import Workstation

from .case import BUSY, FAILED, REFUSED, Case, Elsewhere, Provocation, Row
from .prepared import BASE

CHECKPOINT = ("checkpoint", "web01", "new")
ROLLBACK = ("rollback", "web01", "work", "-y")
BROUGHT_BACK = "tests/crash/test_present_set.py::test_rollback_brings_back_the_domain_and_its_set_of_disks"


def in_state(state: GuestState) -> Provocation:
    def provoke(station: Workstation) -> None:
        station.machine().state = state

    return provoke


def shut_down(station: Workstation) -> None:
    station.guest().shut_down()


def with_job(name: str) -> Provocation:
    def provoke(station: Workstation) -> None:
        station.machine().job = Job(name, "/tmp/image", GuestState.RUNNING)

    return provoke


def with_block_job(station: Workstation) -> None:
    station.machine().block_jobs = ("vdb",)


def with_managed_save(station: Workstation) -> None:
    station.machine().managed_save = True


def with_snapshot(station: Workstation) -> None:
    station.machine().libvirt_snapshots = ("theirs",)


def with_bitmaps(station: Workstation) -> None:
    station.machine().libvirt_checkpoints = ("theirs",)


def namesake(station: Workstation) -> None:
    """Somebody deleted web01 and made another one."""
    station.guest().shut_down()
    del station.world.machines[station.machine().uuid]
    station.world.add("web01").start()


def on_disks(edit: Callable[[list[Disk]], list[Disk]], *, running: bool = True, machine: str = "web01") -> Provocation:
    """Other disks from the next start on; `running`: and started so."""

    def provoke(station: Workstation) -> None:
        found = station.machine(machine)
        definition = domainxml.definition(found.persistent_xml or "")
        disks = edit([replace(disk, backing=()) for disk in definition.disks])
        for disk in disks:
            if disk.path and disk.path not in station.world.files.files:
                station.world.files.put(disk.path, Image(capacity=CAPACITY, format="qcow2"))
        found.persistent_xml = domain_xml(definition.name, definition.uuid, disks)
        if running:
            station.guest(machine).shut_down()
            station.guest(machine).start()

    return provoke


def more(**disk: object) -> Callable[[list[Disk]], list[Disk]]:
    source = Source(path=f"{IMAGES}/more.qcow2", format="qcow2")
    added = Disk(**{"target": "vdz", "source": source, **disk})  # type: ignore[arg-type]
    return lambda disks: [*disks, added]


def elsewhere(disks: list[Disk]) -> list[Disk]:
    source = Source(path=f"{IMAGES}/elsewhere.qcow2", format="qcow2")
    return [replace(disk, source=source) if disk.target == "vda" else disk for disk in disks]


def from_the_network(disks: list[Disk]) -> list[Disk]:
    return [replace(disk, source_type="network", source=None) if disk.target == "vda" else disk for disk in disks]


def encrypted(station: Workstation) -> None:
    machine = station.machine()
    machine.running_xml = (machine.running_xml or "").replace("<target ", "<encryption format='luks'/><target ", 1)


def without(target: str) -> Callable[[list[Disk]], list[Disk]]:
    return lambda disks: [disk for disk in disks if disk.target != target]


def all_read_only(disks: list[Disk]) -> list[Disk]:
    return [replace(disk, readonly=True) for disk in disks]


def shared_with_web02(path: Callable[[Workstation], str]) -> Provocation:
    """web02 is to have the same file as its disk, from its next start on."""

    def provoke(station: Workstation) -> None:
        source = Source(path=path(station), format="qcow2")
        on_disks(lambda disks: [replace(disk, source=source) for disk in disks], running=False, machine="web02")(
            station
        )

    return provoke


def unsavable(station: Workstation) -> None:
    """libvirt looks at the devices before it begins, and knows best which of them it can save."""

    def refuse(*arguments: object) -> None:
        raise HypervisorError("cannot migrate a domain with <hostdev mode='subsystem' type='mdev'>")

    station.world.begin_save = refuse  # type: ignore[assignment, method-assign]


CASES: tuple[Row, ...] = (
    *(
        Case(
            number=21,
            what=f"no such domain to {argv[0]}",
            argv=argv,
            code=REFUSED,
            says="there is no domain nobody01",
        )
        for argv in (
            ("checkpoint", "nobody01", "new"),
            ("rollback", "nobody01", "clean", "-y"),
            ("delete", "nobody01", "clean", "-y"),
            ("recover", "nobody01"),
            ("list", "nobody01"),
            ("tree", "nobody01"),
            ("show", "nobody01", "clean"),
            ("verify", "nobody01"),
        )
    ),
    Case(number=22, what="shut off", argv=CHECKPOINT, code=REFUSED, says="is not running", provoke=shut_down),
    Case(
        number=27,
        what="managed-save image",
        argv=CHECKPOINT,
        code=REFUSED,
        says="a managed-save image",
        provoke=with_managed_save,
    ),
    *(
        Case(number=number, what=state.value, argv=CHECKPOINT, code=code, says=says, provoke=in_state(state))
        for number, state, code, says in (
            (23, GuestState.CRASHED, REFUSED, "has crashed"),
            (24, GuestState.IO_ERROR, REFUSED, "paused on an I/O error"),
            (25, GuestState.BUSY, BUSY, "has a job in progress"),
            (22, GuestState.OTHER, REFUSED, "neither running nor paused"),
        )
    ),
    *(
        Case(number=number, what=f"{what}, {argv[0]}", argv=argv, code=code, says=says, provoke=provoke)
        for number, what, code, says, provoke in (
            (25, "migration under way", BUSY, "has a job in progress (migration)", with_job("migration")),
            (26, "block job", BUSY, "has a block job on vdb", with_block_job),
            (28, "libvirt snapshot", REFUSED, "has libvirt snapshots of its own: theirs", with_snapshot),
            (29, "libvirt checkpoint", REFUSED, "has libvirt checkpoints (dirty bitmaps)", with_bitmaps),
            (31, "same name, other UUID", REFUSED, "another domain", namesake),
        )
        for argv in (CHECKPOINT, ROLLBACK)
    ),
    Elsewhere(number=27, what="the same on libvirt", test="tests/system/test_refusals.py::test_a_rollback_is_refused"),
    Elsewhere(
        number=28, what="the same on libvirt", test="tests/system/test_refusals.py::test_a_checkpoint_is_refused"
    ),
    Elsewhere(
        number=29, what="the same on libvirt", test="tests/system/test_refusals.py::test_a_checkpoint_is_refused"
    ),
    Elsewhere(
        number=30,
        what="transient domain: may be checkpointed",
        test="tests/crash/test_foreign_acts.py::test_recover_transient_guest_first_checkpoint_killed_restores_it",
    ),
    Elsewhere(number=31, what="domain that was renamed or undefined", test=BROUGHT_BACK),
    Elsewhere(number=32, what="disk added, removed or moved: a rollback brings them back", test=BROUGHT_BACK),
    Case(
        number=32,
        what="disk changed behind our back",
        argv=CHECKPOINT,
        code=REFUSED,
        says="disk vda of web01 is /images/elsewhere.qcow2, the catalog says",
        provoke=on_disks(elsewhere),
    ),
    Case(
        number=32,
        what="disk removed",
        argv=CHECKPOINT,
        code=REFUSED,
        says="disk vdb of web01 is missing, the catalog says",
        provoke=on_disks(without("vdb")),
    ),
    Case(
        number=32,
        what="disk changed from the next start on",
        argv=CHECKPOINT,
        code=REFUSED,
        says="but /images/elsewhere.qcow2 from its next start on",
        provoke=on_disks(elsewhere, running=False),
    ),
    Case(
        number=33,
        what="no writable disk",
        argv=("checkpoint", "web03", "new"),
        code=REFUSED,
        says="web03 has no writable disk",
        provoke=on_disks(all_read_only, machine="web03"),
    ),
    *(
        Case(number=number, what=what, argv=CHECKPOINT, code=REFUSED, says=says, provoke=on_disks(more(**disk)))
        for number, what, disk, says in (
            (34, "shareable disk", {"shareable": True}, "vdz of web01 is shareable"),
            (34, "transient disk", {"transient": True}, "vdz of web01 is transient"),
            (35, "network disk", {"source_type": "network", "source": None}, "of type network, neither file nor block"),
            (35, "volume disk", {"source_type": "volume", "source": None}, "of type volume, neither file nor block"),
            (35, "passed-through disk", {"device": Device.LUN}, "is passed through"),
        )
    ),
    *(
        Case(
            number=35,
            what=f"network disk from the next start on, {' '.join(argv[1:])}",
            argv=argv,
            code=REFUSED,
            says="in the persistent definition, disk vda of web01 has no file or block device",
            provoke=on_disks(from_the_network, running=False),
        )
        for argv in (ROLLBACK, (*ROLLBACK, "--dry-run"))
    ),
    *(
        Case(
            number=35,
            what=f"encrypted disk, {' '.join(argv)}",
            argv=argv,
            code=REFUSED,
            says="disk vda of web01 has <encryption>, which an overlay cannot have",
            provoke=encrypted,
        )
        for argv in (CHECKPOINT, (*CHECKPOINT, "--dry-run"))
    ),
    Elsewhere(
        number=35,
        what="encrypted disk on libvirt",
        test="tests/system/test_refusals.py::test_a_rollback_is_refused",
    ),
    Case(
        number=36,
        what="another domain has the same disk",
        argv=CHECKPOINT,
        code=REFUSED,
        says="web02 has it as its disk vda",
        provoke=shared_with_web02(lambda station: station.machine().tops()["vda"]),
    ),
    Case(
        number=36,
        what="another domain writes to the base",
        argv=("checkpoint", "web03", "new"),
        code=REFUSED,
        says="web02 has it as its disk vda",
        provoke=shared_with_web02(lambda _: BASE),
    ),
    Case(
        number=37,
        what="host device",
        argv=CHECKPOINT,
        code=FAILED,
        says="cannot migrate a domain with <hostdev mode='subsystem' type='mdev'>; undone",
        provoke=unsavable,
    ),
    Elsewhere(
        number=38,
        what="chain that is too deep",
        test="tests/unit/test_planning_depth.py::test_the_limit_is_that_of_the_host_s_libvirt",
    ),
)
