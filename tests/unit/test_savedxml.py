"""The XML inside a memory image is held against the catalogued one: same guest, same host, nothing smuggled in."""

from __future__ import annotations

import pytest

from orchestrator.errors import HypervisorError
from orchestrator.formats.imagexml import LONGEST_VALUE, differences, named

QEMU = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"

SAVED = f"""
<domain type='kvm' {QEMU}>
  <name>web01</name>
  <uuid>3f2504e0-4f89-41d3-9a0c-0305e82c3301</uuid>
  <metadata><os:path xmlns:os='http://libosinfo.org/'>/old</os:path></metadata>
  <memory unit='KiB'>2097152</memory>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.fd</loader>
    <nvram template='/usr/share/OVMF/OVMF_VARS.fd'>/var/lib/libvirt/qemu/nvram/web01_VARS.fd</nvram>
    <kernel>/boot/vmlinuz</kernel>
    <initrd>/boot/initrd.img</initrd>
    <cmdline>root=/dev/vda quiet</cmdline>
  </os>
  <cpu mode='host-model' check='partial'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/images/web01.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='network' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source protocol='http' name='install.iso'><host name='mirror' port='80'/>
        <cookies><cookie name='session'>/s3cret</cookie></cookies></source>
      <target dev='sda' bus='sata'/>
      <readonly/>
    </disk>
    <filesystem type='mount'>
      <driver type='virtiofs'/>
      <binary path='/usr/libexec/virtiofsd'/>
      <source dir='/srv/share'/>
      <target dir='share'/>
    </filesystem>
    <interface type='network'>
      <source network='default'/>
      <script path='/etc/qemu-ifup'/>
    </interface>
    <serial type='pty'><target port='0'/></serial>
    <channel type='unix'>
      <source mode='bind'/>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>
    <graphics type='vnc' port='-1' autoport='yes' passwd='s3cret'><listen type='address'/></graphics>
    <hostdev mode='subsystem' type='usb' managed='no'>
      <source><vendor id='0x1234'/><product id='0xbeef'/></source>
    </hostdev>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
  <seclabel type='static' model='selinux' relabel='yes'><label>system_u:system_r:svirt_t:s0</label></seclabel>
  <qemu:commandline><qemu:arg value='-no-fd-bootchk'/></qemu:commandline>
</domain>
"""
"""As libvirt writes it into a memory image: the persistent form, with secrets."""

COOKIES = "<cookies><cookie name='session'>/s3cret</cookie></cookies>"

RUNNING = {
    "<domain type='kvm' ": "<domain type='kvm' id='7' ",
    ">/old<": ">/new<",
    "<cpu mode='host-model' check='partial'/>": "<cpu mode='custom' match='exact'><model>EPYC</model></cpu>",
    "<source file='/images/web01.qcow2'/>": "<source file='/images/web01.qcow2' index='2'/>"
    "<backingStore type='file'><format type='raw'/><source file='/images/base'/><backingStore/></backingStore>",
    "<source network='default'/>": "<source network='default' portid='e1' bridge='virbr0'/><target dev='vnet0'/>",
    "<serial type='pty'>": "<serial type='pty'><source path='/dev/pts/3'/><alias name='serial0'/>",
    "<source mode='bind'/>": "<source mode='bind' path='/run/libvirt/agent.sock'/>",
    " passwd='s3cret'": "",
    COOKIES: "",
    "port='-1'": "port='5900'",
    "<product id='0xbeef'/>": "<product id='0xbeef'/><address bus='1' device='4'/>",
    "</domain>": "<seclabel type='dynamic' model='dac' relabel='yes'><label>+64055:+64055</label></seclabel></domain>",
}
"""What is different in the XML of the same guest as `virsh dumpxml` shows it while it runs."""


def changed(xml: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert xml.count(old) == 1, old
        xml = xml.replace(old, new)
    return xml


CATALOGUED = changed(SAVED, *RUNNING.items())


def told(saved: str, catalogued: str = CATALOGUED) -> list[str]:
    return differences(named(saved), named(catalogued))


def test_the_two_forms_of_one_definition_agree() -> None:
    assert told(SAVED) == []


def test_a_catalog_rebuilt_from_the_image_agrees_with_it() -> None:
    assert told(SAVED, changed(SAVED, (" passwd='s3cret'", ""), (COOKIES, ""))) == []


def test_indentation_and_prefixes_are_no_difference() -> None:
    flat = "".join(line.strip() for line in SAVED.splitlines())

    assert told(flat.replace("qemu:", "q:").replace("xmlns:q:", "xmlns:qemu:").replace("xmlns:qemu=", "xmlns:q=")) == []


EMULATOR = "/usr/bin/qemu-system-x86_64"
DECIDING: dict[str, tuple[tuple[str, str], str]] = {
    "emulator": ((EMULATOR, "/tmp/evil"), f"its emulator is /tmp/evil, not {EMULATOR}"),
    "emulator gone": ((f"<emulator>{EMULATOR}</emulator>", ""), f"its emulator is missing, not {EMULATOR}"),
    "name": ((">web01<", ">web02<"), "its name is web02, not web01"),
    "UUID": (
        ("3f2504e0", "00000000"),
        "its UUID is 00000000-4f89-41d3-9a0c-0305e82c3301, not 3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    ),
    "loader": (("OVMF_CODE.fd", "X.fd"), "its loader is /usr/share/OVMF/X.fd, not /usr/share/OVMF/OVMF_CODE.fd"),
    "NVRAM": (
        ("web01_VARS", "web02_VARS"),
        "its NVRAM file is /var/lib/libvirt/qemu/nvram/web02_VARS.fd, not /var/lib/libvirt/qemu/nvram/web01_VARS.fd",
    ),
    "kernel": (("/boot/vmlinuz", "/tmp/k"), "its kernel is /tmp/k, not /boot/vmlinuz"),
    "initrd": (("/boot/initrd.img", "/tmp/i"), "its initrd is /tmp/i, not /boot/initrd.img"),
    "device tree": (("<cmdline>", "<dtb>/tmp/d</dtb><cmdline>"), "its device tree is /tmp/d, not missing"),
    "command line": (
        ("quiet", "init=/bin/sh"),
        "its kernel command line is root=/dev/vda init=/bin/sh, not root=/dev/vda quiet",
    ),
    "disk": (
        ("file='/images/web01.qcow2'", "file='/etc/shadow'"),
        "its disk vda is disk /etc/shadow (qcow2), not disk /images/web01.qcow2 (qcow2)",
    ),
    "disk format": (
        ("type='qcow2'", "type='raw'"),
        "its disk vda is disk /images/web01.qcow2 (raw), not disk /images/web01.qcow2 (qcow2)",
    ),
    "disk no longer read-only": (
        ("<readonly/>", ""),
        "its disk sda is cdrom no file (network), not cdrom read-only no file (network)",
    ),
    "one disk more": (
        ("<filesystem", "<disk type='block'><source dev='/dev/sda'/><target dev='vdb'/></disk><filesystem"),
        "its disk vdb is disk /dev/sda (raw), not missing",
    ),
    "one host device more": (
        ("<rng", "<hostdev mode='subsystem' type='usb'/><rng"),
        "its number of host devices is 2, not 1",
    ),
    "QEMU argument": (
        ("-no-fd-bootchk", "-snapshot"),
        "its QEMU command line is <commandline><arg value='-snapshot'>, "
        "not <commandline><arg value='-no-fd-bootchk'>",
    ),
    "QEMU capability": (
        ("</qemu:commandline>", "</qemu:commandline><qemu:capabilities/>"),
        "its QEMU command line is <capabilities>, <commandline><arg value='-no-fd-bootchk'>, "
        "not <commandline><arg value='-no-fd-bootchk'>",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "difference"), DECIDING.values(), ids=DECIDING)
def test_differences_changed_value_is_named(change: tuple[str, str], difference: str) -> None:
    assert told(changed(SAVED, change)) == [difference]


ADDED: dict[str, tuple[tuple[str, str], str]] = {
    "a helper program": (("/usr/libexec/virtiofsd", "/tmp/evil"), "its devices/filesystem/binary path is /tmp/evil"),
    "a script": (("/etc/qemu-ifup", "/tmp/evil"), "its devices/interface/script path is /tmp/evil"),
    "a shared directory": (("dir='/srv/share'", "dir='/'"), "its devices/filesystem/source dir is /"),
    "another network": (("network='default'", "network='prod'"), "its devices/interface/source network is prod"),
    "another server": (("name='mirror'", "name='evil'"), "its devices/disk/source/host name is evil"),
    "another device": (("0xbeef", "0xdead"), "its devices/hostdev/source/product id is 0xdead"),
    "a random source": (("/dev/urandom", "/etc/shadow"), "its devices/rng/backend is /etc/shadow"),
    "a terminal that is a file": (
        ("<serial type='pty'>", "<serial type='file'><source path='/etc/passwd'/>"),
        "its devices/serial/source path is /etc/passwd",
    ),
    "a table": (
        ("<cpu", "<acpi><table type='slic'>/etc/shadow</table></acpi><cpu"),
        "its acpi/table is /etc/shadow",
    ),
    "no confinement": (
        ("<seclabel type='static' model='selinux' relabel='yes'>", "<seclabel type='none' model='selinux'>"),
        "its seclabel is none selinux system_u:system_r:svirt_t:s0",
    ),
    "another user": (
        ("</domain>", "<seclabel type='static' model='dac'><label>root:root</label></seclabel></domain>"),
        "its seclabel is static dac root:root",
    ),
}


@pytest.mark.parametrize(("change", "difference"), ADDED.values(), ids=ADDED)
def test_differences_resource_unknown_to_catalog_is_named(change: tuple[str, str], difference: str) -> None:
    assert told(changed(SAVED, change)) == [f"{difference}, which is not in the catalog"]


def test_differences_ignores_secrets() -> None:
    """Not even one that looks like a path: it would be told to everybody."""
    for secret in ("s3cret", "/s3cret"):
        saved = named(changed(SAVED, ("passwd='s3cret'", f"passwd='{secret}'")))

        assert "s3cret" not in repr(saved)
        assert differences(saved, named(CATALOGUED)) == []


def test_differences_ignores_metadata_of_others() -> None:
    assert told(changed(SAVED, (">/old<", ">/anything<"))) == []


def test_a_long_value_is_cut() -> None:
    (difference,) = told(changed(SAVED, ("/boot/vmlinuz", "/" + "x" * 100_000)))

    assert len(difference) < LONGEST_VALUE + 100


@pytest.mark.parametrize(
    "xml", ["", "<domain>", "<network/>", "<domain/>", "<!DOCTYPE domain [<!ENTITY a 'b'>]><domain/>"]
)
def test_named_no_domain_xml_is_refused(xml: str) -> None:
    with pytest.raises(HypervisorError):
        named(xml)
