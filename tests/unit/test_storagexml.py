"""Pools and volumes as XML."""

from __future__ import annotations

import pytest

from orchestrator.errors import HypervisorError
from orchestrator.formats import storagexml
from orchestrator.formats.xmltree import parse
from orchestrator.model import FileInfo, NewOverlay

VOLUME = """\
<volume type='file'>
  <name>vda.qcow2</name>
  <capacity unit='bytes'>67108864</capacity>
  <allocation unit='bytes'>200704</allocation>
  <physical unit='bytes'>196616</physical>
  <target>
    <path>/store/vda.qcow2</path>
    <format type='qcow2'/>
    <permissions><mode>0600</mode><owner>0</owner><group>0</group></permissions>
    <timestamps><mtime>1795442220.493052777</mtime></timestamps>
  </target>
  <backingStore><path>/images/base.img</path><format type='raw'/></backingStore>
</volume>
"""
ODD = "/store/a ]]> & \" ' <ü>"


def test_file_info_of_volume_xml() -> None:
    assert storagexml.file_facts(VOLUME) == FileInfo(
        path="/store/vda.qcow2",
        physical=196616,
        allocation=200704,
        capacity=67108864,
        format="qcow2",
        mode=0o600,
        mtime="1795442220.493052777",
        backing="/images/base.img",
    )


def test_an_empty_file_has_no_length_in_its_xml() -> None:
    facts = storagexml.file_facts(VOLUME.replace("<physical unit='bytes'>196616</physical>", ""))
    assert facts and facts.physical == 0


def test_a_directory_is_no_file() -> None:
    directory = VOLUME.replace("type='file'", "type='dir'", 1)
    assert storagexml.file_facts(directory) is None
    assert storagexml.directory_facts(VOLUME) is None
    assert storagexml.directory_facts(directory)


@pytest.mark.parametrize(
    ("was", "is_now"),
    [
        ("196616", "many"),
        ("unit='bytes'>196616", "unit='KiB'>196616"),
        ("<mode>0600</mode>", "<mode>rw</mode>"),
        ("<mode>0600</mode>", ""),
        ("<path>/store/vda.qcow2</path>", ""),
        ("<timestamps><mtime>1795442220.493052777</mtime></timestamps>", ""),
        ("<capacity unit='bytes'>67108864</capacity>", ""),
    ],
)
def test_facts_are_never_guessed(was: str, is_now: str) -> None:
    with pytest.raises(HypervisorError):
        storagexml.file_facts(VOLUME.replace(was, is_now))


def test_an_overlay_names_everything_libvirt_might_guess() -> None:
    wanted = NewOverlay(target="vda", path=f"{ODD}/vda.qcow2", backing=ODD, backing_format="raw", capacity=5)
    volume = parse(storagexml.overlay(wanted), "volume")
    assert volume.findtext("name") == "vda.qcow2"
    assert volume.findtext("capacity") == "5"
    assert volume.findtext("target/permissions/mode") == "0600"
    assert volume.findtext("backingStore/path") == ODD
    formats = [element.get("type") for element in volume.iter("format")]
    assert formats == ["qcow2", "raw"]


def test_an_overlay_is_whose_the_layer_below_is() -> None:
    """Where libvirt changes no owner, QEMU could not open one that is the daemon's."""
    below = VOLUME.replace("<owner>0</owner><group>0</group>", "<owner>64055</owner><group>108</group>")
    wanted = NewOverlay(target="vda", path=f"{ODD}/vda.qcow2", backing=ODD, backing_format="raw", capacity=5)
    volume = parse(storagexml.overlay(wanted, storagexml.ownership(below)), "volume")
    permissions = {element.tag: element.text for element in volume.iterfind("target/permissions/*")}
    assert permissions == {"mode": "0600", "owner": "64055", "group": "108"}


def test_a_pool_is_one_directory() -> None:
    pool = parse(storagexml.pool(ODD, name="n", uuid="u"), "pool")
    assert (pool.get("type"), pool.findtext("target/path")) == ("dir", ODD)
    assert (pool.findtext("name"), pool.findtext("uuid")) == ("n", "u")
    assert pool.findtext("target/permissions/mode") == "0711"
