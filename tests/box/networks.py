"""Virtual networks of a box: each is a bridge that libvirt only uses, so that no dnsmasq is needed."""

from typing import Any

import libvirt

from tests.box.box import Box
from tests.box.connection import connect

NETWORK = "<network><name>{name}</name><forward mode='bridge'/><bridge name='{name}'/></network>"
INTERFACE = "<interface type='network'><source network='{name}'/><model type='virtio'/></interface></devices>"


def start(box: Box, name: str) -> None:
    """Start a network, which is defined unless it is; its name is that of its bridge, too."""
    box.run_inside("ip", "link", "add", name, "type", "bridge", check=False)  # it may be there
    box.run_inside("ip", "link", "set", name, "up")
    with connect(box.uri) as connection:
        network = _find(connection, name) or connection.networkDefineXML(NETWORK.format(name=name))
        if not network.isActive():
            network.create()


def stop(box: Box, name: str) -> None:
    """virsh net-destroy; a guest that is connected to it keeps running."""
    with connect(box.uri) as connection:
        connection.networkLookupByName(name).destroy()


def connect_guest(box: Box, domain: str, network: str) -> None:
    """Give a domain an interface from its next start on."""
    with connect(box.uri) as connection:
        xml = connection.lookupByName(domain).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        connection.defineXML(xml.replace("</devices>", INTERFACE.format(name=network)))


def _find(connection: Any, name: str) -> Any:
    return next((network for network in connection.listAllNetworks() if network.name() == name), None)
