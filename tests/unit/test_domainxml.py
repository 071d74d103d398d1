"""What is read from a domain XML, and what changes when the domain moves to other disks."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import HypervisorError, Refused, UsageError
from orchestrator.formats import domainxml
from orchestrator.model import Device, Disk, Source

LIVE = """\
<domain xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' type='kvm' id='7'>
  <name>web01</name>
  <uuid>3f2504e0-4f89-41d3-9a0c-0305e82c3301</uuid>
  <metadata><note xmlns='urn:x'><![CDATA[a < b ]]>&amp; more</note></metadata>
  <memory unit='KiB'>1048576</memory>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <cpu mode='custom'><model>Skylake</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none' discard='unmap' io='native'/>
      <source file='/images/top.qcow2' index='3'>
        <seclabel model='dac' relabel='no'/>
      </source>
      <backingStore type='file' index='4'>
        <format type='qcow2'/>
        <source file='/images/middle.qcow2'/>
        <backingStore type='file' index='5'>
          <format type='raw'/>
          <source file='/images/base.img'/>
          <backingStore/>
        </backingStore>
      </backingStore>
      <target dev='vda' bus='virtio'/>
      <serial>S1</serial>
      <alias name='virtio-disk0'/>
    </disk>
    <disk type='block' device='lun'>
      <driver name='qemu' type='raw'/>
      <source dev='/dev/vg/lun'/>
      <backingStore/>
      <target dev='sda' bus='scsi'/>
      <shareable/>
      <transient/>
    </disk>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      <source protocol='rbd' name='pool/image'><host name='ceph'/></source>
      <target dev='vdb' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='hda' bus='ide'/>
      <readonly/>
    </disk>
    <disk type='file' device='floppy'>
      <source file='/images/floppy.img' index='1'/>
      <backingStore/>
      <target dev='fda' bus='fdc'/>
    </disk>
  </devices>
  <qemu:commandline><qemu:arg value='-foo'/></qemu:commandline>
</domain>
"""
NEW = Source(path="/store/new.qcow2", format="qcow2")


def domain_with(disk: str) -> str:
    return f"<domain><name>d</name><uuid>u</uuid><devices><disk>{disk}</disk></devices></domain>"


def test_definition_reads_all_fields() -> None:
    said = domainxml.definition(LIVE)
    assert (said.name, said.uuid, said.run_id) == ("web01", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", 7)
    assert (said.machine, said.emulator) == ("pc-q35-7.2", "/usr/bin/qemu-system-x86_64")
    assert said.cpu.startswith("<cpu") and "<model>Skylake</model>" in said.cpu and said.cpu.endswith("</cpu>")
    assert said.memory_bytes == 1 << 30
    assert said.disks == domainxml.disks(LIVE)


def test_disks_in_order_with_their_chains() -> None:
    assert domainxml.disks(LIVE) == (
        Disk(
            target="vda",
            source=Source(path="/images/top.qcow2", format="qcow2"),
            backing=(
                Source(path="/images/middle.qcow2", format="qcow2"),
                Source(path="/images/base.img", format="raw"),
            ),
        ),
        Disk(
            target="sda",
            device=Device.LUN,
            source_type="block",
            source=Source(path="/dev/vg/lun", format="raw"),
            shareable=True,
            transient=True,
        ),
        Disk(target="vdb", source_type="network"),
        Disk(target="hda", device=Device.CDROM, readonly=True),
        Disk(target="fda", device=Device.FLOPPY, source=Source(path="/images/floppy.img", format="raw")),
    )


def test_every_file_that_an_unreadable_xml_names_may_be_used() -> None:
    broken = LIVE.replace("<target dev='vda' bus='virtio'/>", "") + "<source file='/a &amp; b'/>"
    assert {disk.path for disk in domainxml.mentioned(broken)} == {
        *("/images/top.qcow2", "/images/middle.qcow2", "/images/base.img", "/dev/vg/lun", "/images/floppy.img"),
        "/a & b",
    }
    assert all(disk.writable for disk in domainxml.mentioned(broken))


def test_a_layer_without_a_path_still_counts() -> None:
    xml = domain_with(
        "<driver type='qcow2'/><source file='/a'/><target dev='vda'/>"
        "<backingStore type='network'><format type='raw'/><source protocol='nbd' name='x'/></backingStore>"
    )
    assert domainxml.disks(xml)[0].backing == (Source(path="network:nbd:x", format="raw"),)


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        ("<memory>2048</memory>", 2 << 20),
        ("<memory unit='KiB'>2048</memory>", 2 << 20),
        ("<memory unit='GiB'>3</memory>", 3 << 30),
        ("<memory unit='MB'>3</memory>", 3_000_000),
        ("<memory unit='bytes'> 5 </memory>", 5),
        ("", 0),
    ],
)
def test_memory_in_any_unit(memory: str, size: int) -> None:
    assert domainxml.definition(f"<domain><name>d</name><uuid>u</uuid>{memory}</domain>").memory_bytes == size


# ---------------------------------------------------------------------- on other disks


def test_on_disks_changes_sources_only() -> None:
    moved = domainxml.on_disks(LIVE, {"vda": NEW})
    expected = LIVE.replace("<source file='/images/top.qcow2' index='3'>", "<source file='/store/new.qcow2'>")
    start, end = expected.index("<backingStore type='file' index='4'>"), expected.index("<target dev='vda'")
    expected = (expected[:start].rstrip() + expected[end:]).replace("'", '"')
    assert "".join(moved.split()) == "".join(expected.split())


def test_a_block_device_gives_way_to_a_file() -> None:
    moved = domainxml.on_disks(LIVE, {"sda": NEW})
    disk = next(disk for disk in domainxml.disks(moved) if disk.target == "sda")
    assert (disk.source_type, disk.source, disk.shareable) == ("file", NEW, True)
    assert "/dev/vg/lun" not in moved


def test_a_missing_driver_is_added() -> None:
    moved = domainxml.on_disks(domain_with("<source file='/a'/><target dev='vda'/>"), {"vda": NEW})
    assert domainxml.disks(moved)[0].source == NEW
    assert '<driver name="qemu" type="qcow2"/>' in moved


def test_moving_nothing_changes_nothing() -> None:
    assert domainxml.definition(domainxml.on_disks(LIVE, {})) == domainxml.definition(LIVE)


@pytest.mark.parametrize(
    ("target", "reason"),
    [("vdz", "no disk vdz"), ("vdb", "no file or block device"), ("hda", "no file or block device")],
)
def test_a_disk_that_cannot_move_is_refused(target: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        domainxml.on_disks(LIVE, {"vda": NEW, target: NEW})


@pytest.mark.parametrize("child", ["encryption", "slices", "reservations"])
def test_a_source_that_is_more_than_a_path_is_refused(child: str) -> None:
    xml = domain_with(f"<source file='/a'><{child}/></source><target dev='vda'/>")
    with pytest.raises(Refused, match=child):
        domainxml.on_disks(xml, {"vda": NEW})


def test_encryption_beside_the_source_is_refused() -> None:
    """Where libvirt had it at first, and still takes it."""
    xml = domain_with("<source file='/a'/><target dev='vda'/><encryption format='luks'/>")
    with pytest.raises(Refused, match="disk vda of d has <encryption>, which an overlay cannot have"):
        domainxml.on_disks(xml, {"vda": NEW})


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), min_size=1
)


@given(path=TEXT)
def test_on_disks_any_path_is_read_back(path: str) -> None:
    source = Source(path=path, format="qcow2")
    once = domainxml.on_disks(LIVE, {"vda": source})
    assert domainxml.disks(once)[0].source == source
    assert domainxml.on_disks(once, {"vda": source}) == once


@given(path=TEXT)
def test_disks_any_path_is_read_as_written(path: str) -> None:
    assert domainxml.disks(domain_with(f"<source file={quoteattr(path)}/><target dev='a'/>"))[0].path == path


@pytest.mark.parametrize("path", ["/a\0b", "/a\x1bb", "/a\ud800b"])
def test_a_path_that_xml_cannot_carry_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        domainxml.on_disks(LIVE, {"vda": Source(path=path, format="qcow2")})


# ---------------------------------------------------------------------- what is no domain


@pytest.mark.parametrize(
    "xml",
    [
        "<domain><uuid>u</uuid></domain>",
        "<domain><name>d</name></domain>",
        "<domain><name>d</name><uuid>u</uuid><memory unit='furlong'>1</memory></domain>",
        "<domain><name>d</name><uuid>u</uuid><memory>-1</memory></domain>",
        "<domain><name>d</name><uuid>u</uuid><memory>much</memory></domain>",
        domain_with("<source file='/a'/>"),
        domain_with("<target/>"),
        "<domain><name>d</name><uuid>u</uuid><devices><disk device='tape'><target dev='a'/></disk></devices></domain>",
    ],
)
def test_a_domain_without_what_libvirt_always_writes_is_an_error(xml: str) -> None:
    with pytest.raises(HypervisorError) as caught:
        domainxml.definition(xml)
    assert "\n" not in str(caught.value)


def test_run_mark_is_added_beside_the_owners_metadata() -> None:
    marked = domainxml.with_run_mark(LIVE, "one")

    assert domainxml.run_mark(LIVE) is None
    assert domainxml.run_mark(marked) == "one"
    assert "<note xmlns=" in marked and "&amp; more</note>" in marked
    assert '<snapctl:run xmlns:snapctl="urn:snapctl:run" operation="one"/>' in marked


def test_run_mark_of_an_earlier_operation_is_replaced() -> None:
    marked = domainxml.with_run_mark(domainxml.with_run_mark(LIVE, "one"), "two")

    assert domainxml.run_mark(marked) == "two"
    assert marked.count("snapctl:run ") == 1


def test_run_mark_is_added_where_there_is_no_metadata() -> None:
    plain = "<domain><name>web01</name></domain>"

    assert domainxml.run_mark(domainxml.with_run_mark(plain, "one")) == "one"
