"""What others may have done to a guest behind snapctl's back, by libvirt alone.

All of it is done to a domain that was started paused and never boots: that takes no time, and a
guest that does not run cannot itself be what changed a file. `restart_as` takes all of it back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import libvirt

from tests.box import layout
from tests.box.storage import default_pool
from tests.box.witness import UNDEFINE_ALL
from tests.waiting import wait_until

Trouble = Callable[[Any], None]
"""Is given the domain."""

INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
BACKUP = "<domainbackup mode='pull'><server transport='unix' socket='/tmp/backup.socket'/></domainbackup>"
SPARE_VOLUME = """<volume><name>{name}</name><capacity unit='MiB'>8</capacity>
<target><format type='qcow2'/></target></volume>"""
ENCRYPTION = f"<encryption format='luks'><secret type='passphrase' uuid='{uuid4()}'/></encryption>"
SLICE = "<slices><slice type='storage' offset='0' size='65536'/></slices>"
SPARE_DISK = """<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/>
<source pool='default' volume='{name}'/><target dev='vdz' bus='virtio'/></disk></devices>"""


def redefine(domain: Any, edit: Callable[[str], str]) -> None:
    """Change the persistent definition."""
    before = domain.XMLDesc(INACTIVE)
    after = edit(before)
    assert after != before
    domain.connect().defineXML(after)


def restart(domain: Any, edit: Callable[[str], str]) -> None:
    """Change the definition and start the domain, paused, from it."""
    domain.destroy()
    redefine(domain, edit)
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)


def restart_as(connection: Any, name: str, definition: str) -> None:
    """Start a domain, paused, from that definition, whatever became of it and its name meanwhile."""
    for domain in connection.listAllDomains():
        if domain.name() == name or domain.UUIDString() in definition:
            for mark in (*domain.listAllSnapshots(), *domain.listAllCheckpoints()):
                mark.delete()
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(UNDEFINE_ALL)
    connection.defineXML(definition).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)


# --------------------------------------------------------------------------- troubles


def shut_off(domain: Any) -> None:
    domain.destroy()


def managed_save(domain: Any) -> None:
    domain.managedSave()


def libvirt_snapshot(domain: Any) -> None:
    domain.snapshotCreateXML("<domainsnapshot><name>theirs</name></domainsnapshot>")


def libvirt_checkpoint(domain: Any) -> None:
    domain.checkpointCreateXML("<domaincheckpoint><name>theirs</name></domaincheckpoint>")


def block_job(domain: Any) -> None:
    """A copy of the first disk, which nobody has ended yet."""
    copy = f"<disk type='file'><source file='/tmp/{uuid4()}.qcow2'/><driver type='qcow2'/></disk>"
    domain.blockCopy("vda", copy, flags=libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)
    wait_until(lambda: "ready='yes'" in domain.XMLDesc(), what="the whole copy")


def backup_job(domain: Any) -> None:
    """A backup that lasts until its reader is done."""
    domain.backupBegin(BACKUP, None)


def edited_disk(domain: Any) -> None:
    """It is to have another disk from its next start on."""
    redefine(domain, lambda xml: xml.replace("/vda.qcow2'", "/other.qcow2'"))


def other_disk(domain: Any) -> None:
    """It runs on the disk that it had before its first checkpoint."""
    own = f"{layout.IMAGES}/{domain.name()}-disk-vda.qcow2"
    restart(domain, lambda xml: re.sub(r"/[^']*/vda\.qcow2", own, xml))


def encrypted_disk(domain: Any) -> None:
    """Its disk is to be encrypted from its next start on, in the older of the two places where libvirt takes that."""
    redefine(domain, lambda xml: xml.replace("<target ", f"{ENCRYPTION}<target ", 1))


def encrypted_source(domain: Any) -> None:
    """The same in the newer one."""
    redefine(domain, lambda xml: _with_child(xml, ENCRYPTION))


def sliced_disk(domain: Any) -> None:
    """Its disk is a part of a file, and it runs."""
    redefine(domain, lambda xml: _with_child(xml, SLICE).replace("type='qcow2'", "type='raw'", 1))
    domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)


def _with_child(xml: str, child: str) -> str:
    return re.sub(r"<source file='([^']*)'/>", rf"<source file='\1'>{child}</source>", xml, count=1)


def pending_volume_disk(domain: Any) -> None:
    """Its disk is to be a volume of a pool from its next start on."""
    volume = f"<source pool='default' volume='{domain.name()}-disk-vda.qcow2'/>"
    redefine(
        domain,
        lambda xml: re.sub(r"<source file='[^']*'/>", volume, xml, count=1).replace("type='file'", "type='volume'", 1),
    )


def volume_disk(domain: Any) -> None:
    """It has a disk more, which its definition names not as a file but as a volume of a pool."""
    name = f"{uuid4()}.qcow2"
    default_pool(domain.connect()).createXML(SPARE_VOLUME.format(name=name))
    restart(domain, lambda xml: xml.replace("</devices>", SPARE_DISK.format(name=name)))


def namesake(domain: Any) -> None:
    """Another domain bears its name now."""
    definition = domain.XMLDesc(INACTIVE)
    undefined(domain)
    anew = re.sub("<uuid>.*</uuid>", "", definition)
    domain.connect().defineXML(anew).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)


def renamed(domain: Any) -> None:
    domain.destroy()
    domain.rename(f"{domain.name()}-renamed")


def undefined(domain: Any) -> None:
    """Nobody but a catalog knows it any more."""
    domain.destroy()
    domain.undefine()
