"""A hypervisor with what a test does around it: guests, other clients, mishaps. In memory, and in a box."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Protocol
from uuid import uuid4

from orchestrator.hypervisor import connect
from orchestrator.model import Device, Disk, Domain, FileInfo, Source
from orchestrator.ports import Hypervisor, silent
from tests import children
from tests.box import networks
from tests.box.box import Box
from tests.box.errors import BoxError
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness
from tests.children import Child
from tests.twin import Machine, TwinHypervisor, World
from tests.waiting import wait_until

SMALL = 64 << 10
"""Bytes of the small file system: less than the memory image of any guest."""

HELD = 30.0
"""Seconds after which a held save is let go in any case, so that a test fails rather than hangs."""


class Operator(Protocol):
    """Whoever sits at a guest, with a number in mind."""

    def remember(self, number: int) -> None:
        """Put the number into the guest's memory and on each of its disks."""

    def try_to_remember(self, number: int) -> None:
        """The same in a guest that may be stopped in the midst of it."""

    def recall(self) -> tuple[int, list[int]]:
        """The number in its memory, and those on its disks."""

    def boot(self) -> None:
        """virsh start, and come back to the console."""


class ContractHost(Protocol):
    @property
    def hypervisor(self) -> Hypervisor: ...
    def connect(self) -> Hypervisor:
        """Another client."""

    def guest(self, *, disks: int = 1, persistent: bool = True, cdrom: bool = False) -> Domain:
        """A new running domain."""

    def connected_guest(self, network: str) -> Domain:
        """A new running domain with a network interface."""

    def start_network(self, name: str) -> None:
        """A virtual network, which is defined unless it is."""

    def stop_network(self, name: str) -> None:
        """virsh net-destroy."""

    def manned_guest(self, *, disks: int) -> tuple[Domain, Operator]:
        """A new running domain with somebody at its console."""

    def start(self, name: str) -> None:
        """virsh start."""

    def suspend(self, name: str) -> None:
        """virsh suspend."""

    def managed_save(self, name: str) -> None:
        """virsh managedsave."""

    def rename(self, name: str, new: str) -> None:
        """virsh domrename."""

    def directory(self) -> str:
        """A directory that does not exist, in one that does."""

    def small_directory(self) -> str:
        """An existing directory on a file system of `SMALL` bytes."""

    def separate_directory(self) -> str:
        """An existing directory on a file system that holds nothing else."""

    def fill(self, directory: str) -> None:
        """Leave no room on the file system of that directory."""

    def alter(self, path: str, old: str, new: str) -> None:
        """Put other letters or digits in place of these, as many, wherever they are in a file that no QEMU has open."""

    def cut(self, path: str, length: int) -> None:
        """Take so many bytes away at the end of a file."""

    def set_back(self, before: FileInfo) -> None:
        """Put a file's time of last change back to what it was."""

    def restart_daemon(self) -> None:
        """SIGKILL to libvirtd, and a new one."""

    def held_save(self) -> contextlib.AbstractContextManager[Callable[[], None]]:
        """A save begun in this context does not end, whole or aborted, before the callable is called."""

    def abandoned_save(self, domain: Domain, path: str) -> contextlib.AbstractContextManager[None]:
        """A save whose client died in the middle of it; while the context lasts it goes on."""


class TwinOperator:
    def __init__(self, twin: TwinHypervisor, name: str) -> None:
        self._guest = twin.guest(name)

    def remember(self, number: int) -> None:
        self._guest.ram["counter"] = number
        for target in self._guest.machine.tops():
            self._guest.write(target, number)

    def try_to_remember(self, number: int) -> None:
        self.remember(number)

    def recall(self) -> tuple[int, list[int]]:
        return self._guest.ram["counter"], [self._guest.read(target) or 0 for target in self._guest.machine.tops()]

    def boot(self) -> None:
        self._guest.start()


class ClientDied(BaseException):
    """The end of a process."""


class TwinContractHost:
    def __init__(self) -> None:
        self.world = World()
        self.world.lacking_features = frozenset({"hle"})
        self._twin = TwinHypervisor(self.world)

    @property
    def hypervisor(self) -> Hypervisor:
        return self._twin

    def connect(self) -> Hypervisor:
        return TwinHypervisor(self.world)

    def guest(self, *, disks: int = 1, persistent: bool = True, cdrom: bool = False) -> Domain:
        name = f"guest{len(self.world.machines)}"
        medium = Source(path=f"/images/{name}.iso", format="raw")
        others = [Disk(target="hda", device=Device.CDROM, source=medium, readonly=True)] if cdrom else []
        guest = self.world.add(name, disks=disks, persistent=persistent, others=others)
        if persistent:
            guest.start()
        return _found(self._twin, guest.name)

    def connected_guest(self, network: str) -> Domain:
        guest = self._twin.guest(self.guest().name)
        guest.shut_down()
        guest.machine.persistent_xml = with_interface(guest.machine.persistent_xml or "", network)
        guest.start()
        return _found(self._twin, guest.name)

    def start_network(self, name: str) -> None:
        self.world.active_networks |= {name}

    def stop_network(self, name: str) -> None:
        self.world.active_networks -= {name}

    def manned_guest(self, *, disks: int) -> tuple[Domain, Operator]:
        domain = self.guest(disks=disks)
        return domain, TwinOperator(self._twin, domain.name)

    def start(self, name: str) -> None:
        self._twin.guest(name).start()

    def suspend(self, name: str) -> None:
        self._twin.guest(name).suspend()

    def managed_save(self, name: str) -> None:
        self._twin.guest(name).managed_save()

    def rename(self, name: str, new: str) -> None:
        self.world.rename(self._twin.guest(name).uuid, new)

    def directory(self) -> str:
        return f"/images/test-{uuid4()}"

    def small_directory(self) -> str:
        self.world.files.make_directory("/small")
        self.world.files.free = 512
        return "/small"

    def separate_directory(self) -> str:
        self.world.files.make_directory("/separate")
        return "/separate"

    def fill(self, directory: str) -> None:
        self.world.files.free = 0

    def alter(self, path: str, old: str, new: str) -> None:
        self.world.files.alter(path, old, new)

    def cut(self, path: str, length: int) -> None:
        file = self.world.files[path]
        file.content = file.content[:-length]

    def set_back(self, before: FileInfo) -> None:
        self.world.files[before.path].mtime = int(before.mtime.partition(".")[0])

    def restart_daemon(self) -> None:
        self.world.restart_daemon()

    def held_save(self) -> contextlib.AbstractContextManager[Callable[[], None]]:
        return contextlib.nullcontext(lambda: None)  # it reports, and may be interrupted, before it is whole

    @contextlib.contextmanager
    def abandoned_save(self, domain: Domain, path: str) -> Iterator[None]:
        def die(_: Machine) -> None:
            raise ClientDied

        self.world.in_mid_job = die
        with contextlib.suppress(ClientDied):
            self.connect().domains.save(domain.uuid, path, silent)
        yield


class BoxOperator:
    def __init__(self, witness: Witness, disks: int) -> None:
        self._witness = witness
        self._mounts = ["/mnt", *(f"/mnt{number}" for number in range(2, disks + 1))]

    def remember(self, number: int) -> None:
        places = " ".join(f"{place}/number" for place in ("/tmp", *self._mounts))
        self._witness.sh(f"for place in {places}; do echo {number} > $place; done; sync")

    def try_to_remember(self, number: int) -> None:
        with contextlib.suppress(BoxError):  # a console has no more to say then
            self.remember(number)

    def recall(self) -> tuple[int, list[int]]:
        # What the guest has of its disks in its page cache is memory, too.
        places = " ".join(f"{place}/number" for place in ("/tmp", *self._mounts))
        memory, *disks = self._witness.sh(f"echo 3 > /proc/sys/vm/drop_caches; cat {places}").split()
        return int(memory), [int(number) for number in disks]

    def boot(self) -> None:
        self._witness.boot()


class BoxContractHost:
    """A box; `abandoned_save` and `held_save` need one that is up with slow saves."""

    def __init__(self, box: Box, make: GuestFactory) -> None:
        self._box = box
        self._make = make
        self._clients: list[Hypervisor] = []
        self.hypervisor = self.connect()

    def connect(self) -> Hypervisor:
        self._clients.append(connect(self._box.uri, job_timeout=30))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def guest(self, *, disks: int = 1, persistent: bool = True, cdrom: bool = False) -> Domain:
        witness = self._make(media=Media(disks=disks, cdrom=cdrom), persistent=persistent, boot=False)
        if persistent:
            witness.start()
        return _found(self.hypervisor, witness.name)

    def connected_guest(self, network: str) -> Domain:
        witness = self._make(boot=False)
        networks.connect_guest(self._box, witness.name, network)
        witness.start()
        return _found(self.hypervisor, witness.name)

    def start_network(self, name: str) -> None:
        networks.start(self._box, name)

    def stop_network(self, name: str) -> None:
        networks.stop(self._box, name)

    def manned_guest(self, *, disks: int) -> tuple[Domain, Operator]:
        witness = self._make(media=Media(disks=disks))
        return _found(self.hypervisor, witness.name), BoxOperator(witness, disks)

    def start(self, name: str) -> None:
        Witness(self._box.uri, name).start()

    def suspend(self, name: str) -> None:
        self._virsh("suspend", name)

    def managed_save(self, name: str) -> None:
        self._virsh("managedsave", name)

    def rename(self, name: str, new: str) -> None:
        self._virsh("domrename", name, new)

    def directory(self) -> str:
        return f"/var/lib/libvirt/images/test-{uuid4()}"

    def small_directory(self) -> str:
        path = f"/run/small-{uuid4()}"
        self._box.mount_tmpfs(path, str(SMALL))
        return path

    def separate_directory(self) -> str:
        path = f"/run/separate-{uuid4()}"
        self._box.mount_tmpfs(path, "4m")
        return path

    def fill(self, directory: str) -> None:
        done = self._box.run_inside("dd", "if=/dev/zero", f"of={directory}/filler", "bs=4k", check=False)
        assert "No space left" in done.stderr, done.stderr

    def alter(self, path: str, old: str, new: str) -> None:
        assert len(old) == len(new)
        before = self._box.run_inside("sha256sum", path).stdout
        self._box.run_inside("sed", "--in-place", f"s/{old}/{new}/g", path)
        assert self._box.run_inside("sha256sum", path).stdout != before

    def cut(self, path: str, length: int) -> None:
        self._box.run_inside("truncate", f"--size=-{length}", path)

    def set_back(self, before: FileInfo) -> None:
        self._box.run_inside("touch", f"--date=@{before.mtime}", before.path)

    def restart_daemon(self) -> None:
        self._box.kill_libvirtd()
        self._box.start_libvirtd()

    @contextlib.contextmanager
    def held_save(self) -> Iterator[Callable[[], None]]:
        with contextlib.ExitStack() as held:
            held.enter_context(self._box.hold_saves())
            # An aborted save, too, waits for its compressor: without a deadline the test would wait with it.
            last_resort = threading.Timer(HELD, held.close)
            last_resort.daemon = True
            last_resort.start()
            held.callback(last_resort.cancel)
            yield held.close

    @contextlib.contextmanager
    def abandoned_save(self, domain: Domain, path: str) -> Iterator[None]:
        command = [sys.executable, "-c", SAVE, self._box.uri, domain.uuid, path]
        with self._box.hold_saves():
            with Child(command) as client:
                wait_until(lambda: self.hypervisor.storage.stat(path), what="the save", process=client)
            yield

    def _virsh(self, *arguments: str) -> None:
        children.run("virsh", "-q", "-c", self._box.uri, *arguments, check=True)


def with_interface(xml: str, network: str) -> str:
    return xml.replace("</devices>", f'<interface type="network"><source network="{network}"/></interface></devices>')


SAVE = """
import sys
from orchestrator.hypervisor import connect
from orchestrator.ports import silent
uri, uuid, path = sys.argv[1:]
connect(uri).domains.save(uuid, path, silent)
"""


def _found(hypervisor: Hypervisor, name: str) -> Domain:
    domain = hypervisor.domains.find(name)
    assert domain is not None
    return hypervisor.domains.measured(domain)
