"""`ports.Domains` over virDomain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic, sleep
from typing import Any, TypeVar
from uuid import UUID

import libvirt

from ..errors import HypervisorError
from ..model import Domain, DomainDisks, GuestState, Platform
from ..ports import Progress
from . import blockjobs, platforms, save_job
from .connection import Connection
from .domain_reader import capacities, disks_of, job_under_way, observe, resident_bytes
from .errors import changing, code, message, reading, says_locked

T = TypeVar("T")

KEEP_ALL = libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_TPM

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5  # seconds between two queries of a job


class LibvirtDomains:
    def __init__(self, connection: Connection, *, job_timeout: float) -> None:
        self._connection = connection
        self._job_timeout = job_timeout
        self._startable: tuple[Any, set[Platform]] = (None, set())  # as the host said over that handle

    # ------------------------------------------------------------------ reading

    def find(self, name: str) -> Domain | None:
        if "\0" in name or not _encodable(name):
            return None  # which the binding would raise something of its own for
        handle = self._connection.handle
        with reading(f"look up domain {name}"):
            domain = _unless_gone(lambda: handle.lookupByName(name))
            if domain is None and _is_uuid(name):
                domain = _unless_gone(lambda: handle.lookupByUUIDString(name))
            return _unless_gone(lambda: observe(domain)) if domain else None

    def get(self, uuid: str) -> Domain | None:
        handle = self._connection.handle
        with reading(f"read domain {uuid}"):
            return _unless_gone(lambda: observe(handle.lookupByUUIDString(uuid)))

    def measured(self, domain: Domain) -> Domain:
        if domain.state is GuestState.BUSY:
            return domain  # libvirt answers no queries about it
        handle = self._connection.handle
        with reading(f"measure domain {domain.name}"):
            found = self._lookup(domain.uuid)
            return replace(domain, capacities=capacities(handle, found), resident_bytes=resident_bytes(found))

    def all(self) -> list[Domain]:
        handle = self._connection.handle
        with reading("list the domains"):
            seen = [_unless_gone(partial(observe, domain)) for domain in handle.listAllDomains(0)]
        return sorted((domain for domain in seen if domain), key=lambda domain: domain.name)

    def disks(self) -> list[DomainDisks]:
        handle = self._connection.handle
        with reading("list the disks of the domains"):
            seen = [_unless_gone(partial(disks_of, domain)) for domain in handle.listAllDomains(0)]
        return sorted((domain for domain in seen if domain), key=lambda domain: domain.name)

    def definition(self, uuid: str) -> str:
        with reading(f"read the definition of domain {uuid}"):
            domain = self._lookup(uuid)
            xml: str = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE)
        return xml

    def saved_definition(self, path: str) -> str:
        return self._saved_xml(path, libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)

    def saved_xml(self, path: str) -> str:
        return self._saved_xml(path, 0)

    def platform_problem(self, platform: Platform) -> str | None:
        handle = self._connection.handle
        if self._startable[0] is not handle:
            self._startable = (handle, set())
        if platform in self._startable[1]:
            return None
        with reading("ask for the capabilities of the host"):
            problem = platforms.platform_problem(handle, platform)
        if problem is None:
            self._startable[1].add(platform)
        return problem

    def cpu_problem(self, platform: Platform, cpu: str) -> str | None:
        return platforms.cpu_problem(self._connection.handle, platform, cpu)

    def active_networks(self) -> frozenset[str]:
        handle = self._connection.handle
        with reading("list the networks"):
            return platforms.active_networks(handle)

    # ------------------------------------------------------------------ changing

    def define(self, xml: str) -> None:
        handle = self._connection.handle
        with changing("define the domain"):
            handle.defineXML(xml)

    def undefine(self, uuid: str) -> None:
        handle = self._connection.handle
        with changing(f"undefine domain {uuid}"):
            _unless_gone(lambda: handle.lookupByUUIDString(uuid).undefineFlags(KEEP_ALL))

    def save(self, uuid: str, path: str, progress: Progress) -> None:
        with changing(f"save domain {uuid} to {path}"):
            save_job.save(self._lookup(uuid), path, progress)

    def restore(self, path: str, xml: str) -> None:
        handle = self._connection.handle
        with changing(f"restore a domain from {path}"):
            handle.restoreFlags(path, xml, libvirt.VIR_DOMAIN_SAVE_PAUSED)

    def resume(self, uuid: str) -> None:
        with changing(f"resume domain {uuid}"):
            domain = self._lookup(uuid)
            try:
                domain.resume()
            except libvirt.libvirtError:
                if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
                    raise

    def destroy(self, uuid: str) -> None:
        handle = self._connection.handle
        with changing(f"destroy domain {uuid}"):
            _unless_gone(lambda: _destroy(handle.lookupByUUIDString(uuid)))

    def create_paused(self, xml: str) -> None:
        handle = self._connection.handle
        with changing("start a paused domain"):
            handle.createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY)

    def lock_problem(self, xml: str) -> str | None:
        handle = self._connection.handle
        with changing("start a paused domain"):
            try:
                started = handle.createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_AUTODESTROY)
            except libvirt.libvirtError as error:
                if says_locked(error):
                    return message(error)
                raise
            _unless_gone(lambda: _destroy(started))
        return None

    def stream(self, uuid: str, target: str, base: str | None, progress: Progress) -> None:
        with changing(f"copy backing data into disk {target} of domain {uuid}"):
            blockjobs.stream(self._lookup(uuid), target, base, progress)

    def stop_streaming(self, uuid: str, target: str) -> None:
        handle = self._connection.handle
        with changing(f"stop copying backing data into disk {target} of domain {uuid}"):
            _unless_gone(lambda: blockjobs.abort(handle.lookupByUUIDString(uuid), target))

    def managed_save_xml(self, uuid: str) -> str | None:
        handle = self._connection.handle
        with reading(f"read the managed-save image of domain {uuid}"):
            return _unless_gone(lambda: _managed_save_xml(handle.lookupByUUIDString(uuid)))

    def remove_managed_save(self, uuid: str) -> None:
        handle = self._connection.handle
        with changing(f"remove the managed-save image of domain {uuid}"):
            _unless_gone(lambda: _remove_managed_save(handle.lookupByUUIDString(uuid)))

    def wait_for_job(self, uuid: str) -> None:
        deadline = monotonic() + self._job_timeout
        pause = FIRST_PAUSE
        while job := self._job(uuid):
            if monotonic() + pause > deadline:
                raise HypervisorError(
                    f"the {job} of domain {uuid} did not end within {self._job_timeout:.0f} s",
                    hint=f"wait for it, or abort it: virsh domjobabort {uuid}",
                )
            sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _saved_xml(self, path: str, flags: int) -> str:
        handle = self._connection.handle
        with reading(f"read the domain XML in {path}"):
            xml: str = handle.saveImageGetXMLDesc(path, flags)
        return xml

    def _job(self, uuid: str) -> str | None:
        handle = self._connection.handle
        with reading(f"read the job of domain {uuid}"):
            return _unless_gone(lambda: job_under_way(handle.lookupByUUIDString(uuid)))

    def _lookup(self, uuid: str) -> Any:
        return self._connection.handle.lookupByUUIDString(uuid)


def _destroy(domain: Any) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError:
        if domain.isActive():
            raise


def _managed_save_xml(domain: Any) -> str | None:
    return str(domain.managedSaveGetXMLDesc(0)) if domain.hasManagedSaveImage(0) else None


def _remove_managed_save(domain: Any) -> None:
    try:
        domain.managedSaveRemove(0)
    except libvirt.libvirtError:
        if domain.hasManagedSaveImage(0):
            raise


def _unless_gone(call: Callable[[], T]) -> T | None:
    """The result, or None when the hypervisor has no such domain (any more)."""
    try:
        return call()
    except libvirt.libvirtError as error:
        if code(error) != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
