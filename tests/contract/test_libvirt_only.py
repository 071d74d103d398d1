"""What only a real libvirt can show: storage pools that others made, modes, and clients without rights or sight."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import libvirt
import pytest

from orchestrator.errors import EnvironmentLacks, HypervisorError, UsageError
from orchestrator.hypervisor import LibvirtHypervisor, connect
from orchestrator.model import GuestState, NewOverlay
from tests import children
from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.waiting import join

pytestmark = pytest.mark.system


@pytest.fixture
def hypervisor(box: Box) -> Iterator[LibvirtHypervisor]:
    hypervisor = connect(box.uri)
    try:
        yield hypervisor
    finally:
        hypervisor.close()


@pytest.fixture
def other(box: Box) -> Iterator[Any]:
    """Somebody else's plain libvirt connection."""
    with contextlib.closing(libvirt.open(box.uri)) as connection:
        yield connection


@pytest.fixture
def directory() -> str:
    return f"/var/lib/libvirt/images/test-{uuid4()}"


def pools(connection: Any) -> set[str]:
    return {pool.name() for pool in connection.listAllStoragePools()}


def pool_xml(name: str, path: str) -> str:
    return f"<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"


def test_directories_are_0711_and_so_are_their_parents(box: Box, hypervisor: LibvirtHypervisor, directory: str) -> None:
    hypervisor.storage.make_directory(f"{directory}/a/b")
    stat = box.run_inside("stat", "-c", "%a", directory, f"{directory}/a", f"{directory}/a/b")
    assert stat.stdout.split() == ["711"] * 3


def test_make_directory_existing_keeps_its_mode(box: Box, hypervisor: LibvirtHypervisor, directory: str) -> None:
    box.run_inside("mkdir", "-m", "2770", directory)
    hypervisor.storage.make_directory(directory)
    hypervisor.storage.make_directory(f"{directory}/new")
    stat = box.run_inside("stat", "-c", "%a", directory, f"{directory}/new")
    assert stat.stdout.split() == ["2770", "711"]


def test_an_overlay_is_whose_its_backing_file_is(box: Box, hypervisor: LibvirtHypervisor, directory: str) -> None:
    hypervisor.storage.make_directory(directory)
    backing, path = f"{directory}/base.raw", f"{directory}/vda.qcow2"
    hypervisor.storage.write(backing, bytes(1024))
    box.run_inside("chown", "1234:5678", backing)
    overlay = NewOverlay(target="vda", path=path, backing=backing, backing_format="raw", capacity=1024)
    hypervisor.storage.create_overlay(overlay)
    assert box.run_inside("stat", "-c", "%a %u %g", path).stdout.split() == ["600", "1234", "5678"]


def test_a_file_with_a_name_that_is_not_utf_8_is_passed_over(
    box: Box, hypervisor: LibvirtHypervisor, directory: str
) -> None:
    storage, good = hypervisor.storage, f"{directory}/good"
    storage.make_directory(directory)
    storage.write(good, b"good")
    box.run_inside("sh", "-ec", f"""cd {directory}; mkdir "$(printf 'd\\377')"; touch "$(printf 'a\\377b')" """)
    found = storage.stat(good)
    assert found
    assert storage.stat_all([good, f"{directory}/none"]) == {good: found, f"{directory}/none": None}
    assert (storage.files(directory), storage.directories(directory)) == ([found], [])
    storage.write(good, b"better")
    assert storage.read(good, 0, 10) == b"better"


def test_an_entry_that_libvirt_cannot_inspect_makes_no_file_missing(
    box: Box, hypervisor: LibvirtHypervisor, directory: str
) -> None:
    """It lists nothing of that directory then: not even snapctl can, but it must not say that all is gone."""
    storage, good = hypervisor.storage, f"{directory}/good"
    storage.make_directory(directory)
    storage.write(good, b"good")
    box.run_inside("ln", "-s", "good/x", f"{directory}/through")
    for ask in (storage.stat, lambda path: storage.stat_all([path])):
        with pytest.raises(HypervisorError, match=f"libvirt cannot list {directory}: .*through"):
            ask(good)
    with pytest.raises(HypervisorError, match="remove that entry"):
        connect(box.uri).storage.files(directory)
    assert storage.files(f"{good}/x") is None


def test_no_pool_is_left_behind(box: Box, other: Any, directory: str) -> None:
    before = pools(other)
    hypervisor = connect(box.uri)
    hypervisor.storage.make_directory(f"{directory}/a")
    hypervisor.storage.files("/usr/share")
    hypervisor.storage.free_bytes(f"{directory}/x/y")
    hypervisor.storage.remove_directory(f"{directory}/a")
    hypervisor.close()
    assert pools(other) == before


def test_active_pool_of_the_user_is_used_and_not_removed(
    box: Box, hypervisor: LibvirtHypervisor, other: Any, directory: str
) -> None:
    box.run_inside("mkdir", directory)
    theirs = other.storagePoolCreateXML(pool_xml(f"own-{uuid4()}", directory))
    try:
        before = pools(other)
        box.run_inside("touch", f"{directory}/file")
        facts = hypervisor.storage.stat(f"{directory}/file")
        assert facts and facts.physical == 0
        assert pools(other) == before
        with pytest.raises(HypervisorError):
            hypervisor.storage.remove_directory(directory)
        hypervisor.close()
        assert theirs.isActive()
    finally:
        theirs.destroy()


def test_a_pool_of_the_users_own_that_is_not_active_is_named(
    box: Box, hypervisor: LibvirtHypervisor, other: Any, directory: str
) -> None:
    box.run_inside("mkdir", directory)
    name = f"own-{uuid4()}"
    theirs = other.storagePoolDefineXML(pool_xml(name, directory))
    try:
        with pytest.raises(HypervisorError) as caught:
            hypervisor.storage.files(directory)
        assert name in caught.value.problem and "virsh pool-list" in caught.value.hint
    finally:
        theirs.undefine()


def test_pools_may_go_away_at_any_time(hypervisor: LibvirtHypervisor, other: Any, directory: str) -> None:
    hypervisor.storage.make_directory(directory)
    for call in (hypervisor.storage.files, hypervisor.storage.free_bytes, hypervisor.storage.remove_directory):
        for pool in other.listAllStoragePools():
            if pool.name().startswith("snapctl-"):
                pool.destroy()
        call(directory)
    assert hypervisor.storage.files(directory) is None


def test_remove_directory_with_pool_left_by_killed_removal_cleans_up(
    hypervisor: LibvirtHypervisor, other: Any, directory: str
) -> None:
    hypervisor.storage.make_directory(directory)
    (ours,) = (pool for pool in other.listAllStoragePools() if f"<path>{directory}</path>" in pool.XMLDesc())
    other.storagePoolDefineXML(ours.XMLDesc())  # as far as a removal that was killed had come
    ours.destroy()
    assert hypervisor.storage.files(directory) == []
    hypervisor.storage.remove_directory(directory)
    assert hypervisor.storage.files(directory) is None
    assert ours.name() not in pools(other)


def test_files_of_hostile_directory_does_not_block(box: Box, hypervisor: LibvirtHypervisor, directory: str) -> None:
    box.run_inside(
        "sh", "-ec",
        f"""mkdir {directory}; cd {directory}
        mkfifo fifo; ln -s nowhere dangling; ln -s loop loop; ln -s fifo to-fifo; mknod null c 1 3; echo x > file
        qemu-img create -q -f qcow2 -u -b fifo -F raw on-fifo.qcow2 1M
        qemu-img create -q -f qcow2 -u -b nbd://192.0.2.1/x -F raw on-nbd.qcow2 1M
        qemu-img create -q -f qcow2 itself.qcow2 1M; qemu-img rebase -u -b itself.qcow2 -F qcow2 itself.qcow2
        qemu-img create -q -f qcow2 -u -b missing -F qcow2 on-missing.qcow2 1M""",
    )  # fmt: skip
    files = hypervisor.storage.files(directory)
    assert files is not None
    backing = {facts.path.rpartition("/")[2]: facts.backing for facts in files}
    assert backing["file"] is None
    assert backing["on-nbd.qcow2"] == "nbd://192.0.2.1/x"
    assert "fifo" not in backing and "dangling" not in backing


def test_stat_and_read_file_in_any_directory(box: Box, hypervisor: LibvirtHypervisor) -> None:
    facts = hypervisor.storage.stat("/etc/hostname")
    assert facts and facts.path == "/etc/hostname"
    assert hypervisor.storage.read("/etc/hostname", 0, 1000) == box.run_inside("cat", "/etc/hostname").stdout.encode()


def test_a_path_is_absolute(hypervisor: LibvirtHypervisor) -> None:
    for path in ("", "vda.qcow2", "../x"):
        with pytest.raises(UsageError):
            hypervisor.storage.stat(path)


def test_a_block_job_is_seen(hypervisor: LibvirtHypervisor, guest: GuestFactory, other: Any, directory: str) -> None:
    witness = guest(boot=False)
    witness.start(paused=True)
    hypervisor.storage.make_directory(directory)
    domain = other.lookupByName(witness.name)
    copy = f"<disk type='file'><source file='{directory}/copy.raw'/><driver type='raw'/></disk>"
    domain.blockCopy("vda", copy, flags=libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB)
    try:
        seen = hypervisor.domains.get(domain.UUIDString())
        assert seen and seen.block_jobs == ("vda",) and seen.state is GuestState.PAUSED
    finally:
        domain.blockJobAbort("vda")


def test_get_shows_libvirt_snapshots_and_checkpoints(
    hypervisor: LibvirtHypervisor, guest: GuestFactory, other: Any
) -> None:
    witness = guest(boot=False)
    witness.start(paused=True)
    domain = other.lookupByName(witness.name)
    domain.checkpointCreateXML("<domaincheckpoint><name>mark</name></domaincheckpoint>")
    seen = hypervisor.domains.get(domain.UUIDString())
    assert seen and seen.libvirt_checkpoints == ("mark",)
    domain.checkpointLookupByName("mark").delete()
    domain.snapshotCreateXML("<domainsnapshot><name>shot</name></domainsnapshot>")
    seen = hypervisor.domains.get(domain.UUIDString())
    assert seen and seen.libvirt_snapshots == ("shot",)
    domain.snapshotLookupByName("shot").delete()
    domain.managedSave()
    seen = hypervisor.domains.get(domain.UUIDString())
    assert seen and seen.managed_save and seen.state is GuestState.OFF
    domain.managedSaveRemove()


def test_secrets_are_only_in_what_is_to_be_defined_again(
    hypervisor: LibvirtHypervisor, guest: GuestFactory, other: Any
) -> None:
    witness = guest(boot=False)
    domain = other.lookupByName(witness.name)
    graphics = "<graphics type='vnc' port='-1' autoport='yes' passwd='hush'/></devices>"
    other.defineXML(domain.XMLDesc().replace("</devices>", graphics))
    seen = hypervisor.domains.get(domain.UUIDString())
    assert seen and "hush" not in seen.xml
    assert "hush" in hypervisor.domains.definition(domain.UUIDString())


@pytest.mark.parametrize("user", ["nobody"])
def test_storage_works_for_a_user_without_access_to_the_files(box: Box, user: str, directory: str) -> None:
    script = (
        "import sys; from orchestrator.hypervisor import connect; h = connect(sys.argv[1]); "
        "h.storage.make_directory(sys.argv[2]); print(h.storage.files(sys.argv[2]), h.host.name); "
        "h.storage.remove_directory(sys.argv[2]); h.close()"
    )
    command = ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups", sys.executable, "-c", script]
    done = children.run(*command, box.uri, directory, check=True)
    assert done.stdout.startswith("[] ") and done.stderr == ""


def test_connect_no_daemon_is_one_line_with_a_next_step() -> None:
    with pytest.raises(EnvironmentLacks) as caught:
        connect("qemu+unix:///system?socket=/nowhere/libvirt-sock")
    assert caught.value.exit_code == 3
    assert "daemon" in caught.value.hint and "\n" not in str(caught.value)


def test_a_read_only_connection_changes_nothing(box: Box, directory: str) -> None:
    hypervisor = connect(box.uri.replace("libvirt-sock", "libvirt-sock-ro"), read_only=True)
    try:
        assert isinstance(hypervisor.domains.all(), list)
        with pytest.raises(EnvironmentLacks):
            hypervisor.storage.make_directory(directory)
    finally:
        hypervisor.close()


def test_stat_in_a_pool_where_a_volume_is_being_made_waits(
    box: Box, hypervisor: LibvirtHypervisor, other: Any, directory: str
) -> None:
    """libvirt then refuses to refresh it: "has asynchronous jobs running"."""
    flags = libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD
    pool = other.storagePoolCreateXML(pool_xml("busy", directory), flags)
    size = "<capacity unit='MiB'>512</capacity><target><format type='raw'/></target>"
    source = pool.createXML(f"<volume><name>source</name>{size}</volume>", 0)
    ended = threading.Event()
    found, refused = [], 0

    def clone() -> None:
        for number in range(10):
            pool.createXMLFrom(f"<volume><name>clone{number}</name>{size}</volume>", source, 0)
        ended.set()

    def look() -> None:
        with contextlib.closing(connect(box.uri)) as second:
            while not ended.is_set():
                found.append(second.storage.stat(f"{directory}/source"))

    threads = [threading.Thread(target=target, daemon=True) for target in (clone, look)]
    try:
        for thread in threads:
            thread.start()
        with contextlib.closing(libvirt.open(box.uri)) as third:
            while not ended.is_set():
                try:
                    third.storagePoolLookupByName("busy").refresh(0)
                except libvirt.libvirtError as error:
                    assert "asynchronous jobs" in str(error)
                    refused += 1
        for thread in threads:
            join(thread)
    finally:
        pool.destroy()
    assert refused and found and all(found)
