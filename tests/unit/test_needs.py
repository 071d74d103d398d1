"""What a domain XML needs of the host."""

from __future__ import annotations

import pytest

from orchestrator.formats.needs import NeededFile, needs
from orchestrator.model import Platform

XML = """\
<domain type='kvm'>
  <name>web01</name><uuid>u</uuid>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>
    <nvram>/var/lib/libvirt/qemu/nvram/web01.fd</nvram>
    <kernel>/boot/vmlinuz</kernel>
    <initrd></initrd>
  </os>
  <cpu mode='custom'><model>Skylake</model></cpu>
  <devices>
    <emulator>/usr/bin/kvm</emulator>
    <disk type='file' device='disk'><source file='/images/vda'/><target dev='vda'/></disk>
    <disk type='file' device='disk'>
      <source file='/images/data' startupPolicy='optional'/><target dev='vdb'/><readonly/>
    </disk>
    <disk type='file' device='cdrom'>
      <source file='/images/seed.iso' startupPolicy='optional'/><target dev='sda'/><readonly/>
    </disk>
    <disk type='file' device='cdrom'><source file='/images/os.iso'/><target dev='sdb'/><readonly/></disk>
    <disk type='file' device='cdrom'><target dev='sdc'/><readonly/></disk>
    <disk type='block' device='cdrom'><source dev='/dev/sr0'/><target dev='sdd'/><readonly/></disk>
    <disk type='file' device='floppy'>
      <source file='/images/a.img' startupPolicy='requisite'/><target dev='fda'/>
    </disk>
    <interface type='bridge'><source network='lan' bridge='br0'/></interface>
    <interface type='network'><source network='lan'/></interface>
    <interface type='network'><source network='default'/></interface>
    <interface type='bridge'><source bridge='br1'/></interface>
    <interface type='user'/>
  </devices>
</domain>"""


def test_everything_that_is_needed() -> None:
    found = needs(XML)
    assert found.platform == Platform(
        emulator="/usr/bin/kvm", architecture="x86_64", machine="pc-q35-7.2", virtualization="kvm"
    )
    assert found.networks == ("lan", "default")
    assert [(file.what, file.path) for file in found.boot_files] == [
        ("firmware", "/usr/share/OVMF/OVMF_CODE.fd"),
        ("kernel", "/boot/vmlinuz"),
    ]
    assert found.media == (
        NeededFile(path="/images/data", what="disk image", target="vdb"),
        NeededFile(path="/images/seed.iso", what="cdrom image", target="sda", ejectable=True, optional=True),
        NeededFile(path="/images/os.iso", what="cdrom image", target="sdb", ejectable=True),
        NeededFile(path="/images/a.img", what="floppy image", target="fda", ejectable=True, optional=True),
    )


@pytest.mark.parametrize(
    ("cpu", "compared"),
    [
        ("<cpu mode='custom'><model>Skylake</model></cpu>", True),
        ("<cpu mode='host-passthrough'/>", False),
        ("<cpu mode='host-model'/>", False),
        ("", False),
    ],
)
def test_only_a_cpu_that_names_its_model_is_compared(cpu: str, compared: bool) -> None:
    assert bool(needs(f"<domain><name>d</name><uuid>u</uuid>{cpu}</domain>").cpu) is compared


def test_the_least_that_a_domain_may_say() -> None:
    found = needs("<domain><name>d</name><uuid>u</uuid></domain>")
    assert found.platform == Platform(emulator="", architecture="", machine="", virtualization="qemu")
    assert (found.networks, found.boot_files, found.media) == ((), (), ())
