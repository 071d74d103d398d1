"""A restore that fails each time, on real guests: back where the guest was, as far as that is still there."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator import Coordinator
from orchestrator.errors import HypervisorError, OperationUndone
from tests.box import networks
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Witness

from .client import Client

pytestmark = pytest.mark.system

LAN = "lan79"
FAILED, UNFINISHED = 1, 7


def is_active(box: Box, guest: Witness) -> bool:
    with connect(box.uri) as connection:
        return bool(connection.lookupByName(guest.name).isActive())


def test_checkpoint_restore_fails_each_time_the_guest_runs_on_from_its_memory(
    box: Box, library: Coordinator, guest: GuestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libvirt is not asked for the restore onto the new overlays; all else is real."""
    web = guest()
    web.sh("echo 4711 > /tmp/only-in-memory; echo 4711 > /mnt/on-disk; sync")
    domains: Any = library._hypervisor.domains
    restore = domains.restore

    def refused(path: str, xml: str) -> None:
        if library._site.store in xml.split("<devices>", 1)[1]:
            raise HypervisorError("operation failed: guest CPU doesn't match specification: missing features: hle")
        restore(path, xml)

    monkeypatch.setattr(domains, "restore", refused)
    with pytest.raises(OperationUndone, match="missing features: hle") as failure:
        library.checkpoint(web.name, "new")

    assert f"{web.name} is running" in failure.value.effect
    assert web.sh("cat /tmp/only-in-memory /mnt/on-disk").split() == ["4711", "4711"]
    assert library.list(web.name) == []
    assert library.unfinished() == []
    monkeypatch.undo()
    library.checkpoint(web.name, "new")
    assert web.sh("cat /tmp/only-in-memory").strip() == "4711"


def test_restores_that_libvirt_refuses(box: Box, client: Client, guest: GuestFactory) -> None:
    """A network is gone, and their user insisted."""
    web = guest(boot=False)
    networks.start(box, LAN)
    networks.connect_guest(box, web.name, LAN)
    web.start(paused=True)
    client.do("checkpoint", web.name, "clean")
    networks.stop(box, LAN)

    error = client.run("checkpoint", web.name, "new", "--force").error(UNFINISHED)
    assert "its memory is in" in error
    networks.start(box, LAN)
    client.do("recover", web.name)
    assert is_active(box, web)

    networks.stop(box, LAN)
    error = client.run("rollback", web.name, "clean", "-y", "--force").error(FAILED)
    assert LAN in error
    assert not is_active(box, web)
    assert client.run("recover", web.name).code == 0
    networks.start(box, LAN)
    web.start(paused=True)
    client.do("rollback", web.name, "clean", "-y")
    assert client.run("verify", web.name).code == 0


def test_abandon_changes_nothing_on_the_hypervisor(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest(boot=False)
    networks.start(box, LAN)
    networks.connect_guest(box, web.name, LAN)
    web.start(paused=True)
    networks.stop(box, LAN)
    client.run("checkpoint", web.name, "new", "--force").error(UNFINISHED)

    shown = client.run("recover", web.name, "--abandon", "--dry-run").stdout
    image = next(line for line in shown.splitlines() if "virsh restore " in line).rsplit(" ", 1)[1]
    client.run("recover", web.name, "--abandon", "-y")
    assert client.run("recover", web.name).code == 0
    client.run("doctor", "--clean", "-y")

    networks.start(box, LAN)
    with connect(box.uri) as connection:  # which is what it says
        connection.restore(image)
    assert is_active(box, web)
