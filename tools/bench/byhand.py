"""The plain script: what snapctl asks of libvirt, asked by hand, without catalog, journal or checks.

Not to be imitated, as it knows nothing of failure: it shows what libvirt itself takes. It keeps its
connection and its pools open, as a script that does this all day would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from posixpath import basename, join
from time import perf_counter
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

import libvirt

from tests.box import layout
from tests.box.connection import close
from tests.box.disks import SIZE

STORE = join(layout.IMAGES, "by-hand")
SECURE_INACTIVE = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE


@dataclass(slots=True)
class Place:
    """A directory, the pool on it, the overlays in it by target, and perhaps a memory image."""

    directory: str
    pool: Any
    overlays: Mapping[str, str]
    holds_memory: bool = False

    @property
    def memory(self) -> str:
        return join(self.directory, "memory.save")


@dataclass(frozen=True, slots=True)
class Saved:
    """A memory image, and the layers that belong to it."""

    place: Place  # where the image is
    layers: Mapping[str, str]  # by target
    stood_on: Place | None  # where the layers are; None: they are the guest's first disks
    stopped: float  # seconds for which the guest did not run


class ByHand:
    """The script's one guest."""

    def __init__(self, uri: str, domain: str) -> None:
        self._connection = libvirt.open(uri)
        self._domain = self._connection.lookupByName(domain)
        self._current: Place | None = None

    def close(self) -> None:
        close(self._connection)

    def checkpoint(self) -> Saved:
        """Save the memory, and let the guest go on upon new overlays."""
        tops = _sources(self._domain.XMLDesc(0))
        place, stood_on = self._new_place(tops), self._current
        began = perf_counter()
        self._domain.saveFlags(place.memory, None, 0)
        place.holds_memory = True
        self._come_back(place.memory, place)
        return Saved(place, tops, stood_on, stopped=perf_counter() - began)

    def rollback(self, saved: Saved) -> float:
        """Put the guest back upon new overlays, and delete those that it stood on.

        Returns for how many seconds the guest did not run.
        """
        place, former = self._new_place(saved.layers), self._current
        began = perf_counter()
        self._domain.destroy()
        self._come_back(saved.place.memory, place)
        stopped = perf_counter() - began
        if former is not None:
            self._delete_overlays(former)
        return stopped

    def drop(self, saved: Saved) -> None:
        """Delete a saved state after a rollback to an earlier one."""
        saved.place.pool.refresh(0)  # virDomainSave tells no pool
        saved.place.pool.storageVolLookupByName("memory.save").delete(0)
        self._remove(saved.place)
        if saved.stood_on is not None:
            self._delete_overlays(saved.stood_on)

    def _new_place(self, backings: Mapping[str, str]) -> Place:
        directory = join(STORE, str(uuid4()))
        pool = self._connection.storagePoolCreateXML(_pool(directory), libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
        for target, backing in backings.items():
            pool.createXML(_overlay(f"{target}.qcow2", backing), 0)
        return Place(directory, pool, {target: join(directory, f"{target}.qcow2") for target in backings})

    def _come_back(self, memory: str, place: Place) -> None:
        self._connection.defineXML(_on(self._domain.XMLDesc(SECURE_INACTIVE), place.overlays))
        saved = self._connection.saveImageGetXMLDesc(memory, libvirt.VIR_DOMAIN_SAVE_IMAGE_XML_SECURE)
        self._connection.restoreFlags(memory, _on(saved, place.overlays), libvirt.VIR_DOMAIN_SAVE_PAUSED)
        self._domain.resume()
        self._current = place

    def _delete_overlays(self, place: Place) -> None:
        for target in place.overlays:
            place.pool.storageVolLookupByName(f"{target}.qcow2").delete(0)
        if not place.holds_memory:
            self._remove(place)

    def _remove(self, place: Place) -> None:
        """The empty directory. Only an inactive pool can be deleted, and a transient one is never inactive."""
        pool = self._connection.storagePoolDefineXML(_pool(place.directory), 0)
        pool.destroy()
        pool.delete(0)
        pool.undefine()


def _disks(domain: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """The `<disk>` elements by target."""
    return {_child(disk, "target").attrib["dev"]: disk for disk in domain.iterfind("devices/disk")}


def _sources(xml: str) -> dict[str, str]:
    return {target: _child(disk, "source").attrib["file"] for target, disk in _disks(_parsed(xml)).items()}


def _on(xml: str, overlays: Mapping[str, str]) -> str:
    """The same domain on other disks."""
    domain = _parsed(xml)
    for target, disk in _disks(domain).items():
        _child(disk, "source").set("file", overlays[target])
        for stale in disk.findall("backingStore"):
            disk.remove(stale)
    return ElementTree.tostring(domain, encoding="unicode")


def _parsed(xml: str) -> ElementTree.Element:
    return ElementTree.fromstring(xml)  # noqa: S314 - of our own guest


def _child(element: ElementTree.Element, tag: str) -> ElementTree.Element:
    child = element.find(tag)
    if child is None:
        raise ValueError(f"<{element.tag}> has no <{tag}>")
    return child


def _pool(directory: str) -> str:
    uuid = basename(directory)  # the same each time: it is the same pool
    permissions = "<permissions><mode>0711</mode></permissions>"
    target = f"<target><path>{directory}</path>{permissions}</target>"
    return f"<pool type='dir'><name>by-hand-{uuid}</name><uuid>{uuid}</uuid>{target}</pool>"


def _overlay(name: str, backing: str) -> str:
    target = "<target><format type='qcow2'/><permissions><mode>0600</mode></permissions></target>"
    store = f"<backingStore><path>{backing}</path><format type='qcow2'/></backingStore>"
    return f"<volume><name>{name}</name><capacity>{SIZE}</capacity>{target}{store}</volume>"
