"""What has become of a guest since its checkpoint, libvirt's own doing included: a rollback gives all of it up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import libvirt
import pytest

from orchestrator.formats import domainxml
from orchestrator.formats.xmltree import Element, parse, serialize
from orchestrator.model import Source
from tests.box import layout
from tests.box.box import Box
from tests.box.connection import connect
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness
from tests.waiting import wait_until

from .client import Client
from .moments import say_everywhere, write_notes

pytestmark = pytest.mark.system

REFUSED = 6
INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
SECURE = libvirt.VIR_DOMAIN_XML_SECURE
FOR_GOOD = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
SNAPSHOT = "<domainsnapshot><name>theirs</name></domainsnapshot>"
GUARDED = "<graphics type='vnc' port='-1' autoport='yes' passwd='hush'/></devices>"


@pytest.fixture
def web(guest: GuestFactory, client: Client) -> Witness:
    """A guest with two disks that has left its checkpoint `base`."""
    web = guest(media=Media(disks=2))
    write_notes(web, "base")
    client.do("checkpoint", web.name, "base")
    write_notes(web, "later")
    return web


@pytest.fixture
def domain(box: Box, web: Witness) -> Iterator[Any]:
    with connect(box.uri) as connection:
        yield connection.lookupByName(web.name)


def test_rollback_managed_save_is_discarded(client: Client, web: Witness, domain: Any) -> None:
    domain.managedSave()
    assert f"{client.virsh} start {web.name}" in client.refusal(REFUSED, "checkpoint", web.name, "new")
    planned = client.run("rollback", web.name, "base", "--dry-run").stdout
    assert f"remove the managed-save image of {web.name}" in planned

    client.do("rollback", web.name, "base", "-y")

    assert not domain.hasManagedSaveImage()
    assert say_everywhere(web, "base")
    boot = web.report()["boot"]
    domain.destroy()
    domain.create()
    web.wait_for_shell()
    assert web.report()["boot"] != boot  # a cold boot, and nothing stale


def test_rollback_undefined_domain_is_defined_again_with_secrets(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest(boot=False)
    with connect(box.uri) as connection:
        domain = connection.lookupByName(web.name)
        connection.defineXML(domain.XMLDesc(INACTIVE | SECURE).replace("</devices>", GUARDED))
        web.start()
        web.wait_for_shell()
        write_notes(web, "base")
        client.do("checkpoint", web.name, "base")
        before = domain.XMLDesc(INACTIVE | SECURE)
        domain.destroy()
        domain.undefine()
        assert [each["name"] for each in client.do("list", web.name)] == ["base"]
        planned = client.run("rollback", web.name, "base", "--dry-run").stdout
        assert f"define {web.name} again" in planned

        client.do("rollback", web.name, "base", "-y")

        again = connection.lookupByName(web.name)
        assert again.isPersistent() and again.UUIDString() == domain.UUIDString()
        assert say_everywhere(web, "base")
        assert differing(again.XMLDesc(INACTIVE | SECURE), before) == {"source"}
        again.destroy()
        again.create()
        web.wait_for_shell()


def differing(one: str, other: str) -> set[str]:
    """The elements, by tag, in whose lines two domain XMLs differ."""
    lines = set(one.splitlines()) ^ set(other.splitlines())
    return {line.strip().lstrip("<").split()[0] for line in lines}


def test_rollback_renamed_domain_keeps_its_new_name(client: Client, web: Witness, domain: Any) -> None:
    image = client.do("show", web.name, "base")
    domain.destroy()
    domain.rename(f"{web.name}-new")
    name = f"{web.name}-new"
    try:
        assert [each["name"] for each in client.do("list", name)] == ["base"]
        client.do("rollback", name, "base", "-y")
        assert domain.name() == name
        assert say_everywhere(Witness(web.uri, name), "base")
        assert client.do("show", name, "base")["artifacts"] == image["artifacts"]
        client.do("verify", name, "--deep")
        client.do("checkpoint", name, "next")  # which has the new name in its image
        client.do("rollback", name, "next", "-y")
        client.do("rollback", name, "base", "-y")
    finally:
        domain.destroy()
        domain.rename(web.name)


def test_rollback_disk_detached_for_good_comes_back(client: Client, web: Witness, domain: Any) -> None:
    web.sh("umount /mnt2")
    domain.detachDeviceFlags(disk_xml(domain, "vdb"), FOR_GOOD)
    wait_until(lambda: "'vdb'" not in domain.XMLDesc(), what="the disk to be detached")
    assert "vdb" in client.refusal(REFUSED, "checkpoint", web.name, "new")

    client.do("rollback", web.name, "base", "-y")

    assert say_everywhere(web, "base")
    domain.destroy()
    domain.create()
    web.wait_for_shell()
    assert web.sh("cat /mnt2/note") == "base"


def test_rollback_disk_moved_by_blockcopy_comes_back(client: Client, web: Witness, domain: Any) -> None:
    copied = blockcopy(domain, "vda")

    client.do("rollback", web.name, "base", "-y")

    assert say_everywhere(web, "base")
    assert copied not in domain.XMLDesc() + domain.XMLDesc(INACTIVE)


def disk_xml(domain: Any, target: str) -> str:
    (disk,) = [each for each in parse(domain.XMLDesc(), "domain").iterfind("devices/disk") if named(each) == target]
    return serialize(disk)


def named(disk: Element) -> str:
    target = disk.find("target")
    return "" if target is None else target.get("dev", "")


def blockcopy(domain: Any, target: str) -> str:
    """virsh blockcopy --pivot, and the definition with it: the path of the copy."""
    path = f"{layout.IMAGES}/{uuid4()}.qcow2"
    copy = f"<disk type='file'><source file='{path}'/><driver type='qcow2'/></disk>"
    domain.blockCopy(target, copy, flags=libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)
    wait_until(lambda: "ready='yes'" in domain.XMLDesc(), what="the whole copy")
    domain.blockJobAbort(target, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)
    wait_until(lambda: not domain.blockJobInfo(target), what="the pivot")
    old = next(disk for disk in domainxml.disks(domain.XMLDesc(INACTIVE)) if disk.target == target).path
    if old != path:
        xml = domain.XMLDesc(INACTIVE | SECURE)
        domain.connect().defineXML(domainxml.on_disks(xml, {target: Source(path=path, format="qcow2")}))
    return path


def test_checkpoint_adopts_what_is_left_of_a_detached_disk(client: Client, web: Witness, domain: Any) -> None:
    web.sh("umount /mnt2")
    domain.detachDeviceFlags(disk_xml(domain, "vdb"), FOR_GOOD)
    wait_until(lambda: "'vdb'" not in domain.XMLDesc(), what="the disk to be detached")
    write_notes(web, "adopted")
    assert "--adopt" in client.refusal(REFUSED, "checkpoint", web.name, "new")

    client.do("checkpoint", web.name, "new", "--adopt", "-y")

    assert client.do("show", web.name, "new")["parent"] == "base"
    client.do("rollback", web.name, "base", "-y")
    assert say_everywhere(web, "base")
    client.do("rollback", web.name, "new", "-y")
    assert say_everywhere(web, "adopted") and "'vdb'" not in domain.XMLDesc() + domain.XMLDesc(INACTIVE)


def test_checkpoint_adopts_a_disk_moved_by_blockcopy_as_a_root(client: Client, web: Witness, domain: Any) -> None:
    copied = blockcopy(domain, "vda")
    write_notes(web, "adopted")
    assert copied.rpartition("/")[2][:8] in client.refusal(REFUSED, "checkpoint", web.name, "new")

    client.do("checkpoint", web.name, "new", "--adopt", "-y")

    assert client.do("show", web.name, "new")["parent"] is None
    write_notes(web, "later still")
    client.do("rollback", web.name, "new", "-y")
    assert say_everywhere(web, "adopted")
    client.do("rollback", web.name, "base", "-y")
    assert say_everywhere(web, "base")
    client.do("verify", web.name, "--deep")


def test_checkpoint_adopts_an_external_snapshot_of_libvirt(client: Client, web: Witness, domain: Any) -> None:
    domain.snapshotCreateXML(SNAPSHOT, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
    write_notes(web, "adopted")
    refusal = client.refusal(REFUSED, "checkpoint", web.name, "new")
    assert f"{client.virsh} snapshot-delete --metadata {web.name} theirs" in refusal
    domain.snapshotLookupByName("theirs").delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY)

    client.do("checkpoint", web.name, "new", "--adopt", "-y")

    write_notes(web, "later still")
    client.do("rollback", web.name, "new", "-y")
    assert say_everywhere(web, "adopted")
    client.do("rollback", web.name, "base", "-y")
    assert say_everywhere(web, "base")


def test_checkpoint_after_blockpull_is_sound(client: Client, web: Witness, domain: Any) -> None:
    domain.blockPull("vda")
    wait_until(lambda: not domain.blockJobInfo("vda"), what="the pull")
    write_notes(web, "pulled")

    made = client.do("checkpoint", web.name, "new")

    assert "the chain of vda was changed outside snapctl" in made["note"]
    client.do("verify", web.name)
    write_notes(web, "later still")
    client.do("rollback", web.name, "new", "-y")
    assert say_everywhere(web, "pulled")
    client.do("rollback", web.name, "base", "-y")
    assert say_everywhere(web, "base")
