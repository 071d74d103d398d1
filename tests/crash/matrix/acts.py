"""What may happen between the kill of a client and the next verb: by the guest's owner, by others, and by time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from random import Random
from types import ModuleType
from unittest import mock
from uuid import uuid4

import orchestrator.catalog.journal
import orchestrator.coordinator
import orchestrator.observer
import orchestrator.operations.checkpoint.capture.save
import orchestrator.operations.shared.ids
from orchestrator.catalog import open_catalog
from orchestrator.coordinator import Coordinator
from orchestrator.errors import SnapctlError
from orchestrator.formats import domainxml
from orchestrator.formats.xmltree import parse, serialize
from orchestrator.model import Disk, GuestState, Source
from tests.crash.matrix.watched import MatrixHost
from tests.crash.twin_host import STORE
from tests.twin import Guest, Machine, TwinHypervisor
from tests.twin.files import Image
from tests.twin.world import CAPACITY, IMAGES
from tests.twin.xml import domain_xml

WORK = 1000
"""How far a guest counts meanwhile."""
WEEK = timedelta(days=7)
TELLS_TIME: tuple[ModuleType, ...] = (
    orchestrator.catalog.journal,
    orchestrator.coordinator,
    orchestrator.observer,
    orchestrator.operations.checkpoint.capture.save,
    orchestrator.operations.shared.ids,
)
"""The modules that ask what time it is."""


@dataclass
class Made:
    """What an act leaves, beside the state of the guest.

    `ends_run` says that the guest's memory was given up by its owner, or that its QEMU died. `damages` says that
    checkpoints may be damaged by it. `put_back` is how its owner takes it back, when a message asks for that.
    """

    ends_run: bool = False
    damages: bool = False
    put_back: Callable[[], None] | None = None
    clone: str = ""  # the path of its disk
    shift: timedelta = timedelta()


Do = Callable[[MatrixHost, Random], Made]


@dataclass(frozen=True)
class Act:
    """`applies` says whether things are so that it can happen."""

    name: str
    applies: Callable[[MatrixHost], bool]
    do: Do
    quiet: bool = field(default=False)  # it neither touches the guest nor keeps anything from being done

    def __str__(self) -> str:
        return self.name


# --------------------------------------------------------------------------- when


def always(host: MatrixHost) -> bool:
    return True


def _is(state: GuestState) -> Callable[[MatrixHost], bool]:
    return lambda host: host.machine is not None and host.machine.state is state


running, paused = _is(GuestState.RUNNING), _is(GuestState.PAUSED)


def active(host: MatrixHost) -> bool:
    """And not in the middle of a job, during which libvirt lets nobody do anything but destroy it."""
    return running(host) or paused(host)


def off(host: MatrixHost) -> bool:
    return host.machine is not None and not host.machine.active


# --------------------------------------------------------------------------- the guest


def _machine(host: MatrixHost) -> Machine:
    assert host.machine is not None
    return host.machine


def _work(host: MatrixHost) -> None:
    if running(host):
        host.guest.tick(WORK)


def nothing(host: MatrixHost, draw: Random) -> Made:
    return Made()


def run_on(host: MatrixHost, draw: Random) -> Made:
    _work(host)
    return Made()


def shut_down(host: MatrixHost, draw: Random) -> Made:
    _work(host)
    host.guest.shut_down()
    return Made(ends_run=True)


def destroy(host: MatrixHost, draw: Random) -> Made:
    _work(host)
    host.guest.destroy()
    return Made(ends_run=True)


def crash(host: MatrixHost, draw: Random) -> Made:
    _work(host)
    host.world.kill_qemu(host.guest.name)
    return Made(ends_run=True)


def managed_save(host: MatrixHost, draw: Random) -> Made:
    _work(host)
    host.world.managed_save(_machine(host))
    return Made()


def boot(host: MatrixHost, draw: Random) -> Made:
    """virsh start; of one that runs, virsh reboot."""
    if active(host):
        host.guest.shut_down()
    host.world.start(_machine(host))
    _work(host)
    return Made(ends_run=True)


def boot_and_shut_down(host: MatrixHost, draw: Random) -> Made:
    boot(host, draw)
    return shut_down(host, draw)


def pause(host: MatrixHost, draw: Random) -> Made:
    _work(host)
    host.guest.suspend()
    return Made()


def resume(host: MatrixHost, draw: Random) -> Made:
    host.guest.resume()
    _work(host)
    return Made()


# --------------------------------------------------------------------------- its definition


def undefine(host: MatrixHost, draw: Random) -> Made:
    """virsh undefine: one that runs goes on, as a transient domain."""
    machine, kept = _machine(host), _machine(host).persistent_xml
    machine.persistent_xml = None
    if not machine.active:
        del host.world.machines[machine.uuid]

    def define_again() -> None:
        if host.machine is None or host.machine.persistent_xml is None:
            host.world.define(kept or "")

    return Made(put_back=define_again)


def rename(host: MatrixHost, draw: Random) -> Made:
    """virsh domrename, which needs one that is off."""
    _rename(host, "web02")
    return Made(put_back=lambda: _rename(host, "web01"))


def _rename(host: MatrixHost, name: str) -> None:
    machine = _machine(host)
    if machine.active:
        host.guest.shut_down()
    old, machine.name = machine.name, name
    machine.persistent_xml = (machine.persistent_xml or "").replace(f"<name>{old}</name>", f"<name>{name}</name>")


def lose_disk(host: MatrixHost, draw: Random) -> Made:
    """virsh detach-disk --live --config; its owner attaches what he has left of it, or a new one."""
    machine = _machine(host)
    path = host.sources()["vdb"]
    for attribute in ("running_xml", "persistent_xml"):
        if xml := getattr(machine, attribute):
            setattr(machine, attribute, _without_disk(xml, "vdb"))

    def attach_again() -> None:
        present = host.machine
        if present is None or "vdb" in host.sources():
            return
        if present.active:
            host.guest.shut_down()
        kept = path if path in host.world.files.files else _new_file(host, f"{IMAGES}/again.qcow2", None)
        xml = domain_xml("x", str(uuid4()), [Disk(target="vdb", source=Source(path=kept, format="qcow2"))])
        (disk,) = parse(xml, "domain").iterfind("devices/disk")
        defined = parse(present.persistent_xml or "", "domain")
        devices = defined.find("devices")
        assert devices is not None
        devices.append(disk)
        present.persistent_xml = serialize(defined)

    return Made(put_back=attach_again)


def _without_disk(xml: str, target: str) -> str:
    domain = parse(xml, "domain")
    for devices in domain.iterfind("devices"):
        for disk in devices.findall("disk"):
            named = disk.find("target")
            if named is not None and named.get("dev") == target:
                devices.remove(disk)
    return serialize(domain)


def snapshot(host: MatrixHost, draw: Random) -> Made:
    """virsh snapshot-create-as --disk-only --no-metadata, by a backup: live and in the definition."""
    machine = _machine(host)
    _work(host)
    tops = {t: _new_file(host, f"{IMAGES}/backup-{t}.qcow2", path) for t, path in machine.tops().items()}
    _stand_on(machine, tops)
    _work(host)
    return Made()


def move(host: MatrixHost, draw: Random) -> Made:
    """virsh blockcopy --pivot to other storage, live and in the definition."""
    machine = _machine(host)
    _work(host)
    copies = {target: f"{IMAGES}/moved-{target}.qcow2" for target in machine.tops()}
    for target, path in machine.tops().items():
        host.world.files.put(copies[target], Image(capacity=CAPACITY, data=dict(host.world.view(path))))
    _stand_on(machine, copies)
    _work(host)
    return Made()


def _stand_on(machine: Machine, paths: Mapping[str, str]) -> None:
    sources = {target: Source(path=path, format="qcow2") for target, path in paths.items()}
    machine.running_xml = domainxml.on_disks(machine.running_xml or "", sources)
    if machine.persistent_xml is not None:
        machine.persistent_xml = domainxml.on_disks(machine.persistent_xml, sources)


def rescue(host: MatrixHost, draw: Random) -> Made:
    """virsh edit to a rescue disk, and a boot from it; its owner changes it back in the end."""
    machine = _machine(host)
    before = machine.persistent_xml or ""
    disk = {"vda": Source(path=_new_file(host, f"{IMAGES}/rescue.qcow2", None), format="qcow2")}
    machine.persistent_xml = domainxml.on_disks(before, disk)

    def change_back() -> None:
        present = _machine(host)
        if present.active:
            host.guest.shut_down()
        present.persistent_xml = before

    return Made(put_back=change_back)


# --------------------------------------------------------------------------- files


def has_frozen_layers(host: MatrixHost) -> bool:
    return bool(frozen_layers(host))


def linked_clone(host: MatrixHost, draw: Random) -> Made:
    """Of a layer that nobody writes to; it stays off."""
    return Made(clone=_linked_clone(host, draw).path)


def running_linked_clone(host: MatrixHost, draw: Random) -> Made:
    clone = _linked_clone(host, draw)
    clone.guest.start()
    clone.guest.tick()
    return Made(clone=clone.path)


@dataclass(frozen=True)
class Clone:
    path: str
    guest: Guest


def _linked_clone(host: MatrixHost, draw: Random) -> Clone:
    path = _new_file(host, f"{IMAGES}/clone.qcow2", draw.choice(frozen_layers(host)))
    disk = Disk(target="vda", source=Source(path=path, format="qcow2"))
    return Clone(path, Guest(host.world, host.world.define(domain_xml("clone", str(uuid4()), [disk]))))


def frozen_layers(host: MatrixHost) -> list[str]:
    """Those of the store on which something stands, and which no definition of the domain has for a disk."""
    images = [each for each in host.world.files.files.values() if isinstance(each, Image)]
    written = set(host.sources().values())
    return sorted(
        {each.backing for each in images if each.backing and each.backing.startswith(STORE)} - written,
    )


def _new_file(host: MatrixHost, path: str, backing: str | None) -> str:
    image = Image(capacity=CAPACITY, backing=backing, backing_format="qcow2" if backing else None)
    host.world.files.put(path, image)
    return path


def write_base(host: MatrixHost, draw: Random) -> Made:
    """By a tool that mounts it, say: everything that stands on it shows something else from then on."""
    host.world.files.write(f"{IMAGES}/web01-vda.qcow2", "owner", 7)
    return Made(damages=True)


# --------------------------------------------------------------------------- others, and time


def another_catalog(host: MatrixHost, draw: Random) -> Made:
    """Somebody with a catalog of his own tries all that he can do with this guest and this store."""
    file = host.file.with_suffix(".other")
    file.unlink(missing_ok=True)
    catalog = open_catalog(f"sqlite:///{file}", host.world.host)
    acts: tuple[Callable[[Coordinator], object], ...] = (
        lambda session: session.checkpoint("web01", "theirs"),
        lambda session: session.rollback("web01", "theirs"),
        lambda session: session.doctor(clean=True),
    )
    for act in acts:
        with suppress(SnapctlError):
            act(Coordinator(TwinHypervisor(host.world), catalog, store=STORE))
    catalog.close_connection()
    return Made()


def store_has_owner(host: MatrixHost) -> bool:
    """Whether a second catalog can tell at all that the store is not its own."""
    return f"{STORE}/store.json" in host.world.files.files


def new_host_uuid(host: MatrixHost, draw: Random) -> Made:
    """A firmware update, or a session daemon that was started again."""
    host.world.host = replace(host.world.host, uuid=str(uuid4()))
    host.reopen()
    return Made()


def clock_set_back(host: MatrixHost, draw: Random) -> Made:
    return Made(shift=timedelta(days=-1))


def week(host: MatrixHost, draw: Random) -> Made:
    """Nobody does anything, and somebody cleans up in the end."""
    with time_shifted(WEEK), suppress(SnapctlError):
        host.session().doctor(clean=True)
    return Made(shift=WEEK)


@contextmanager
def time_shifted(by: timedelta) -> Iterator[None]:
    """The client's clock is off by that much."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + by

    patches = [mock.patch.object(module, "datetime", Shifted) for module in TELLS_TIME]
    for patch in patches if by else ():
        patch.start()
    try:
        yield
    finally:
        for patch in patches if by else ():
            patch.stop()


ACTS = (
    Act("nothing", always, nothing, quiet=True),
    Act("it runs on", running, run_on),
    Act("shut down", active, shut_down),
    Act("destroyed", active, destroy),
    Act("crashed", active, crash),
    Act("managed-saved", active, managed_save),
    Act("booted", lambda host: active(host) or off(host), boot),
    Act("booted and shut down", off, boot_and_shut_down),
    Act("paused", running, pause),
    Act("resumed", paused, resume),
    Act("undefined", lambda host: active(host) or off(host), undefine),
    Act("renamed", off, rename),
    Act("a disk detached", lambda host: active(host) or off(host), lose_disk),
    Act("snapshot by a backup", running, snapshot),
    Act("moved", running, move),
    Act("on a rescue disk", off, rescue),
    Act("linked clone", has_frozen_layers, linked_clone, quiet=True),
    Act("running linked clone", has_frozen_layers, running_linked_clone, quiet=True),
    Act("base written", always, write_base),
    Act("another catalog", store_has_owner, another_catalog, quiet=True),
    Act("new host UUID", always, new_host_uuid),
    Act("clock set back", always, clock_set_back, quiet=True),
    Act("a week", always, week, quiet=True),
)
