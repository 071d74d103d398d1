"""Witness guests: defined, booted, talked to, removed."""

import hashlib
import re
import string
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import libvirt

from tests.box import cache, storage
from tests.box.connection import connect
from tests.box.console import Answer, Console
from tests.box.disks import formatted_disk
from tests.box.domainxml import Disk, witness_xml
from tests.box.errors import BoxError, ConsoleTimeout
from tests.box.initramfs import initramfs
from tests.box.kernel import kernel

BOOT_TIMEOUT = 120.0
DEFAULT_MEMORY = 128
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
UNDEFINE_ALL = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
)


@dataclass(frozen=True)
class Media:
    """What a witness has for disks.  In the guest they are vda, vdb, ... in the order given here."""

    disks: int = 1
    """Ordinary writable disks."""
    image_format: str = "qcow2"
    """Of all disks: ``qcow2`` or ``raw``."""
    readonly: bool = False
    """One more disk, read-only."""
    shareable: bool = False
    """One more disk, marked as shared with other domains (libvirt takes only raw ones)."""
    transient: bool = False
    """One more disk, whose changes are dropped when the guest stops."""
    cdrom: bool = False
    """A CD-ROM with a medium, as ``hda`` (the guest has no driver for it)."""


ONE_DISK = Media()


class Witness:
    """A witness guest.

    Only a handle: any number of them, in any process, may stand for the same domain.
    """

    def __init__(self, uri: str, name: str) -> None:
        self.uri = uri
        self.name = name
        self._console = Console(uri, name)

    @classmethod
    def define(
        cls,
        uri: str,
        name: str,
        *,
        media: Media = ONE_DISK,
        memory_mib: int = DEFAULT_MEMORY,
        persistent: bool = True,
        paused: bool = False,
    ) -> "Witness":
        """Upload what the guest needs and define it, switched off.

        If it is not to be `persistent` there is no such thing as off: it is created and starts at
        once (with `paused`, before its first instruction).
        """
        if not NAME.fullmatch(name):
            raise BoxError(f"domain name {name!r}: use letters, digits, '.', '_' and '-'")
        with connect(uri) as connection:
            if any(domain.name() == name for domain in connection.listAllDomains()):
                raise BoxError(f"domain {name} exists already; choose another name, or undefine it first")
            pool = storage.default_pool(connection)
            with cache.lock():
                boot_files = kernel()
                image = _upload_shared(pool, "kernel", boot_files.image)
                initrd = _upload_shared(pool, "initramfs", initramfs(boot_files))
                disks = [_upload_disk(pool, name, disk) for disk in _disks(media)]
            xml = witness_xml(name, kernel=image, initrd=initrd, memory_mib=memory_mib, disks=disks)
            if persistent:
                connection.defineXML(xml)
            else:
                connection.createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)
        return cls(uri, name)

    def boot(self, *, timeout: float = BOOT_TIMEOUT) -> None:
        """Start the guest and return when its shell answers."""
        self.start()
        self.wait_for_shell(timeout=timeout)

    def start(self, *, paused: bool = False) -> None:
        """Start the guest and return at once."""
        with connect(self.uri) as connection:
            domain = connection.lookupByName(self.name)
            domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)

    def wait_for_shell(self, *, timeout: float = BOOT_TIMEOUT) -> None:
        """Return when the guest's shell answers.

        A guest that is still booting loses what it is sent, hence short tries; the longer its boot
        takes, the longer they get, because on a busy machine the answer takes longer as well.
        """
        begin = time.monotonic()
        while True:
            elapsed = time.monotonic() - begin
            try:
                self._console.run("true", patience=max(0.3, elapsed / 10))
            except ConsoleTimeout:
                if elapsed > timeout:
                    raise
            else:
                return

    def run(self, command: str, *, timeout: float = 30.0) -> Answer:
        """Run a shell command in the guest, whatever its status."""
        return self._console.run(command, timeout=timeout)

    def sh(self, command: str, *, timeout: float = 30.0) -> str:
        """Run a shell command in the guest and return what it printed; a status but 0 is an error."""
        answer = self.run(command, timeout=timeout)
        if answer.status != 0:
            raise BoxError(f"in {self.name}, status {answer.status} of {command!r}: {answer.text}")
        return answer.text

    def report(self) -> dict[str, str]:
        """What ``witness report`` says: boot, counter, a number per disk, mismatches."""
        return dict(line.split("=", 1) for line in self.sh("witness report").splitlines())

    def remove(self) -> None:
        """Destroy the guest if it runs, undefine it, and delete its disks; harmless if it is gone.

        Disks that were put in the place of the first ones (overlays) are not ours to delete.
        """
        self._console.close()
        with connect(self.uri) as connection:
            for domain in connection.listAllDomains():
                if domain.name() == self.name:
                    persistent = domain.isPersistent()  # a transient one is gone once it is destroyed
                    if domain.isActive():
                        domain.destroy()
                    if persistent:
                        domain.undefineFlags(UNDEFINE_ALL)
            pool = storage.default_pool(connection)
            storage.remove_all(pool, prefix=_volume_prefix(self.name))


def _upload_shared(pool: Any, purpose: str, path: Path) -> str:
    """Upload a file that all witnesses boot from, under a name that tells its content."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return storage.upload_once(pool, f"witness-{purpose}-{digest}", path)


def _upload_disk(pool: Any, name: str, disk: Disk) -> Disk:
    image = formatted_disk(disk.image_format)
    volume = f"{_volume_prefix(name)}{disk.target}.{disk.image_format}"
    path = storage.upload(pool, volume, image)
    return replace(disk, path=path)


def _volume_prefix(name: str) -> str:
    return f"{name}-disk-"


def _disks(media: Media) -> list[Disk]:
    """The disks, with target names, whose volumes are still to be made."""
    marks: list[tuple[str, ...]] = [()] * media.disks
    marks += [(mark,) for mark in ("readonly", "shareable", "transient") if getattr(media, mark)]
    disks = [
        Disk(target=f"vd{letter}", image_format=media.image_format, marks=each)
        for letter, each in zip(string.ascii_lowercase, marks, strict=False)
    ]
    if media.cdrom:
        disks.append(Disk(target="hda", image_format="raw", device="cdrom", marks=("readonly",)))
    return disks
