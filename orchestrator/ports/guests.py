"""Guests: what snapctl asks of libvirt's domain API."""

from __future__ import annotations

from typing import Protocol

from ..model import Domain, DomainDisks, Platform
from .progress import Progress


class Domains(Protocol):
    def find(self, name: str) -> Domain | None:
        """The domain of that name (or UUID) as it is now, or None."""

    def get(self, uuid: str) -> Domain | None:
        """The domain of that UUID as it is now, or None when the hypervisor has none."""

    def measured(self, domain: Domain) -> Domain:
        """The same with `capacities` and `resident_bytes`, which only this fills in: QEMU itself must be
        asked, which takes the longer the deeper the chains are. A busy one is returned unmeasured.

        Raises `NotFound` when it no longer exists.
        """

    def all(self) -> list[Domain]:
        """Every domain of the host, active or not, as `get` shows it, by name."""

    def disks(self) -> list[DomainDisks]:
        """The disks of every domain of the host, by name: much cheaper than `all`, and waits for no job."""

    def definition(self, uuid: str) -> str:
        """The persistent XML *with* its secrets: to be edited and defined again, never stored."""

    def platform_problem(self, platform: Platform) -> str | None:
        """Why the host cannot start a domain of this kind (its emulator is not there, or does not have that machine
        type), None if it can. That it can is remembered for as long as the connection lives."""

    def cpu_problem(self, platform: Platform, cpu: str) -> str | None:
        """What the host lacks of a guest CPU (a `<cpu>` element), None if nothing, or if it cannot tell."""

    def active_networks(self) -> frozenset[str]:
        """The names of the host's active virtual networks."""

    def define(self, xml: str) -> None:
        """Make `xml` the persistent definition (virDomainDefineXML). A running guest does not notice."""

    def undefine(self, uuid: str) -> None:
        """Remove the persistent definition; the files that belong to it (NVRAM, TPM state) are kept. Harmless when
        there is no such domain."""

    def save(self, uuid: str, path: str, progress: Progress) -> None:
        """Write the guest's memory to `path` and stop it (virDomainSaveFlags).

        Blocks until done. An interrupt (KeyboardInterrupt) aborts the job: the guest keeps running and
        `Interrupted` is raised. Overwrites what is at `path` without a word: give it a new one.
        A kill of the daemon leaves a file whose magic is `LibvirtQemudPart`.
        """

    def saved_definition(self, path: str) -> str:
        """The domain XML, with secrets, inside the memory image at `path`."""

    def saved_xml(self, path: str) -> str:
        """The same without its secrets: to be read and stored, never to restore with."""

    def restore(self, path: str, xml: str) -> None:
        """Start the guest from the memory image with `xml` as its definition, **paused**.

        Nothing checks that the storage fits (virDomainRestoreFlags): that is the caller's whole job.
        """

    def resume(self, uuid: str) -> None:
        """Let the vCPUs of a paused guest run. Harmless when they run."""

    def destroy(self, uuid: str) -> None:
        """End the guest's QEMU at once. Harmless when it is off."""

    def create_paused(self, xml: str) -> None:
        """Start a transient domain whose vCPUs never run (virDomainCreateXML).

        libvirt ends it when this client's connection ends (VIR_DOMAIN_START_AUTODESTROY), but not when
        the daemon was killed: whoever made it looks for it again.
        """

    def lock_problem(self, xml: str) -> str | None:
        """Start such a domain and end it again: what libvirt says when another QEMU process, here or on another host,
        holds the lock of one of its disks; None when it started. Raises `HypervisorError` when it did not for
        any other reason."""

    def stream(self, uuid: str, target: str, base: str | None, progress: Progress) -> None:
        """Copy the data of the layers above `base` (of all for None) into the disk's active layer,
        whose backing file is `base` then (virDomainBlockRebase). What the guest sees does not change.

        Blocks until the job has ended, completed or not: `stat` of the layer shows which.
        Joins a stream that is running on that disk. An interrupt aborts it and raises `Interrupted`.
        A kill of the client leaves the job running, or its domain gone; both leave a whole chain.
        """

    def stop_streaming(self, uuid: str, target: str) -> None:
        """Abort the stream on a disk, no other job. Harmless when there is none, or no such domain."""

    def managed_save_xml(self, uuid: str) -> str | None:
        """The domain XML, without secrets, inside the managed-save image of a domain; None when it has none."""

    def remove_managed_save(self, uuid: str) -> None:
        """Remove the managed-save image of a domain, running or not. Harmless when it has none."""

    def wait_for_job(self, uuid: str) -> None:
        """Return when no job (save, restore, ...) that a client left behind is still running.

        Raises `HypervisorError` when it does not end within the time configured.
        """
