"""Backing chains, looked at without snapctl."""

from __future__ import annotations

from orchestrator.formats import domainxml
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.witness import Witness

from .client import Client


def depth(box: Box, guest: Witness) -> int:
    """Layers of its first disk, as libvirt has them open."""
    with connect(box.uri) as connection:
        xml = connection.lookupByName(guest.name).XMLDesc()
    return 1 + len(domainxml.disks(xml)[0].backing)


def content(box: Box, client: Client, guest: Witness, name: str) -> list[str]:
    """The digest of each disk of a checkpoint."""
    return [digest(box, layer) for layer in layers(client, guest, name)]


def layers(client: Client, guest: Witness, name: str) -> list[str]:
    """What a checkpoint froze, disk by disk."""
    return [disk["layer"]["path"] for disk in client.do("show", guest.name, name)["disks"]]


def digest(box: Box, layer: str) -> str:
    """SHA-256 of what a guest would see on a disk with this layer on top."""
    script = "qemu-img convert -U -f qcow2 -O raw $0 /run/seen && sha256sum </run/seen; rm /run/seen"
    return box.run_inside("sh", "-c", script, layer).stdout
