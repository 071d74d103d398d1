"""The box keeps its promises: without them no other system test proves anything."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest
from lxml import etree

from tests import children
from tests.box import cache, layout
from tests.box.box import REPOSITORY, Box
from tests.box.connection import connect
from tests.box.errors import BoxError
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness
from tests.waiting import join, wait_until

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def shared(module_guest: GuestFactory) -> Witness:
    """A booted witness with two disks, for tests that leave it as they found it."""
    return module_guest(media=Media(disks=2))


@contextlib.contextmanager
def another_box(name: str, *, slow_save: bool = False) -> Iterator[Box]:
    """A box that a test may ruin."""
    box = Box(f"{name}-{os.getpid()}")
    try:
        yield box.up(slow_save=slow_save)
    finally:
        box.down()


def by_hand(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``python -m tests.box`` as a person would."""
    argv = [sys.executable, "-m", "tests.box", *arguments]
    return children.run(*argv, cwd=REPOSITORY, timeout=90)


def processes_of(box: Box) -> set[int]:
    """The machine's numbers of all processes in the box."""
    namespace = os.readlink(f"/proc/{box.require_up()}/ns/pid")
    found = set()
    for entry in Path("/proc").glob("[0-9]*/ns/pid"):
        with contextlib.suppress(OSError):
            if os.readlink(entry) == namespace:
                found.add(int(entry.parts[2]))
    return found


@pytest.fixture
def nobodys_cache(shared: Witness) -> Iterator[Path]:
    """A cache directory of nobody's own, with what ours has in it (`shared` has filled that)."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        copy = shutil.copytree(cache.directory(), Path(directory, "snapctl-box"))
        for path in (Path(directory), copy, *copy.rglob("*")):
            shutil.chown(path, "nobody", "nogroup")
        yield Path(directory)


class TestBox:
    def test_a_second_up_changes_nothing(self, box: Box) -> None:
        pid = box.require_up()
        again = by_hand("up", box.name)
        assert again.stdout.splitlines()[-1] == box.uri
        assert box.require_up() == pid

    def test_list_shows_the_box_and_its_domains(self, box: Box, shared: Witness) -> None:
        listed = by_hand("list").stdout
        assert f"{box.name}  up, pid {box.pid()}  {box.uri}" in listed
        assert f"{shared.name}  active" in listed

    def test_client_and_hypervisor_share_no_files(self, box: Box) -> None:
        box.run_inside("touch", "/var/lib/libvirt/images/inside", "/tmp/inside")
        assert not Path("/var/lib/libvirt/images/inside").exists()
        assert not Path("/tmp/inside").exists()

    def test_boxes_have_different_host_uuids(self, box: Box) -> None:
        with another_box("second") as second, connect(box.uri) as here, connect(second.uri) as there:
            identities = {
                etree.fromstring(connection.getCapabilities()).findtext("host/uuid") for connection in (here, there)
            }
            assert len(identities) == 2

    @pytest.mark.skipif(os.geteuid() != 0, reason="looks into the namespaces of root's processes")
    def test_down_leaves_no_process_mount_or_file(self) -> None:
        mounts = Path("/proc/self/mountinfo").read_text()
        with another_box("gone") as box:
            Witness.define(box.uri, "running").start()
            inside = processes_of(box)
            assert len(inside) >= 4  # PID 1, virtlogd, libvirtd, QEMU
            done = by_hand("down", box.name)
            assert (done.returncode, done.stderr) == (0, "")
            assert not [pid for pid in inside if Path(f"/proc/{pid}").exists()]
            assert not box.state.directory.exists()
        assert Path("/proc/self/mountinfo").read_text() == mounts

    def test_a_failure_is_one_line(self) -> None:
        for arguments in (["up", "no/such/name"], ["guest", "never-was", "x"], ["console", "never-was", "x", "true"]):
            failed = by_hand(*arguments)
            assert failed.returncode == 1
            assert len(failed.stderr.splitlines()) == 1

    def test_down_of_no_box_is_harmless(self) -> None:
        assert by_hand("down", "never-was").returncode == 0

    @pytest.mark.skipif(os.geteuid() != 0, reason="kills a process of root's")
    def test_a_box_that_died_comes_up_again(self) -> None:
        with another_box("killed") as box:
            first = box.require_up()
            os.kill(first, signal.SIGKILL)
            wait_until(lambda: box.pid() is None)
            assert f"{box.name}  dead" in by_hand("list").stdout
            assert box.up().require_up() != first

    def test_up_starts_a_libvirtd_that_died_and_list_says_that_it_did(self) -> None:
        with another_box("headless") as box:
            pid = box.require_up()
            box.kill_libvirtd()
            box.run_inside("sh", "-c", f"echo 1 > {layout.LIBVIRTD_PID}")  # the number is another process's by now
            assert f"{box.name}  up, pid {pid}, but its libvirtd is dead" in by_hand("list").stdout
            assert by_hand("up", box.name).returncode == 0
            assert box.require_up() == pid
            assert f"{box.name}  up, pid {pid}  {box.uri}" in by_hand("list").stdout
            assert box.domains() == []

    def test_a_small_file_system_fills_up(self, box: Box, shared: Witness) -> None:
        box.mount_tmpfs("/small", "1m")
        with connect(box.uri) as connection, pytest.raises(libvirt.libvirtError):
            connection.lookupByName(shared.name).save("/small/image")
        assert shared.run("true").status == 0  # libvirt resumed it

    def test_hold_saves_delays_a_save(self) -> None:
        with another_box("slow", slow_save=True) as box, connect(box.uri) as connection:
            Witness.define(box.uri, "sleepy").start(paused=True)
            domain = connection.lookupByName("sleepy")
            saving = threading.Thread(target=domain.save, args=["/var/lib/libvirt/images/image"], daemon=True)
            with box.hold_saves():
                saving.start()
                saving.join(1)
                assert saving.is_alive()
                assert domain.isActive()
            join(saving)
            assert not domain.isActive()


class TestGuest:
    def test_by_hand(self, box: Box) -> None:
        made = by_hand("guest", box.name, "handmade", "--disks", "2", "--memory", "96")
        assert made.returncode == 0, made.stderr
        try:
            told = by_hand("console", box.name, "handmade", "echo out; echo err >&2; exit 7")
            assert (told.returncode, told.stdout) == (7, "out\nerr\n")
            again = by_hand("guest", box.name, "handmade")
            assert again.returncode == 1
            assert len(again.stderr.splitlines()) == 1
            assert "exists already" in again.stderr
        finally:
            Witness(box.uri, "handmade").remove()

    def test_memory_and_disks_are_where_they_are_promised(self, shared: Witness) -> None:
        mounts = {line.split()[1]: line.split()[:3:2] for line in shared.sh("cat /proc/mounts").splitlines()}
        assert mounts["/tmp"] == ["tmpfs", "tmpfs"]
        assert mounts["/mnt"] == ["/dev/vda", "ext4"]
        assert mounts["/mnt2"] == ["/dev/vdb", "ext4"]

    def test_an_idle_witness_leaves_its_disks_alone(self, box: Box, shared: Witness) -> None:
        shared.sh("sync")
        with connect(box.uri) as connection:
            domain = connection.lookupByName(shared.name)
            before = domain.blockStats("vda")
            time.sleep(1)
            assert domain.blockStats("vda") == before

    def test_destroy_does_not_wait_for_a_zombie(self, box: Box, guest: GuestFactory) -> None:
        witness = guest(boot=False)
        witness.start()
        with connect(box.uri) as connection:
            took = []
            for _ in range(3):  # one may be held up by whatever else the machine does
                begin = time.monotonic()
                connection.lookupByName(witness.name).destroy()
                took.append(time.monotonic() - begin)
                witness.start()
            assert min(took) < 1

    def test_every_kind_of_disk_boots(self, guest: GuestFactory) -> None:
        kinds = Media(disks=1, image_format="raw", readonly=True, shareable=True, transient=True, cdrom=True)
        witness = guest(media=kinds, persistent=False)
        assert witness.run("echo x >/mnt/x").status == 0
        assert witness.run("echo x >/mnt2/x").status != 0
        assert witness.run("echo x >/mnt3/x; echo x >/mnt4/x").status == 0

    def test_shutdown_by_the_power_button(self, box: Box, guest: GuestFactory) -> None:
        witness = guest()
        with connect(box.uri) as connection:
            domain = connection.lookupByName(witness.name)
            domain.shutdown()
            wait_until(lambda: not domain.isActive())


class TestWitness:
    def test_a_restore_continues_and_a_wrong_disk_is_noticed(self, box: Box, guest: GuestFactory) -> None:
        witness = guest(media=Media(disks=2))
        image = "/var/lib/libvirt/images/witness.save"
        with connect(box.uri) as connection:
            witness.sh("witness start; witness tick")
            before = witness.report()
            connection.lookupByName(witness.name).save(image)

            # 1. Memory and disks of the same moment: it goes on, and nothing is amiss.
            connection.restore(image)
            witness.sh("witness tick")
            after = witness.report()
            assert after["boot"] == before["boot"]
            assert int(after["counter"]) > int(before["counter"])
            assert after["mismatches"] == "0"

            # 2. The same memory again, but the disks have moved on.
            connection.lookupByName(witness.name).destroy()
            connection.restore(image)
            witness.sh("witness tick")
            # Of one disk it may have been between the look and the write when it was saved: of one only.
            assert int(witness.report()["mismatches"]) >= 1

    def test_guest_survives_kill_of_libvirtd(self, box: Box, shared: Witness) -> None:
        before = shared.report()
        box.kill_libvirtd()
        with pytest.raises(BoxError), connect(box.uri):
            pass
        box.start_libvirtd()
        shared.sh(f"until [ $(cat /tmp/counter) -gt {before['counter']} ]; do usleep 20000; done")
        assert shared.report()["boot"] == before["boot"]

    def test_its_death_is_noticed(self, box: Box, guest: GuestFactory) -> None:
        witness = guest(boot=False)
        witness.start()
        box.kill_qemu(witness.name)
        with connect(box.uri) as connection:
            domain = connection.lookupByName(witness.name)
            wait_until(lambda: not domain.isActive())


class TestConsole:
    @pytest.mark.parametrize(
        ("command", "output"),
        [
            ("printf 'no line end'", b"no line end"),
            ("echo \"it's\"\necho 'two <end> lines'", b"it's\ntwo <end> lines\n"),
            ("printf '\\000\\r\\n\\377'", b"\0\r\n\xff"),
            ("head -c 200000 /dev/zero | tr '\\0' '>'", b">" * 200_000),
            ("cat", b""),
        ],
        ids=["no line end", "quotes and lines", "bytes", "much", "no input"],
    )
    def test_output_arrives_as_it_was_printed(self, shared: Witness, command: str, output: bytes) -> None:
        answer = shared.run(command)
        assert answer.status == 0
        assert answer.output == output

    def test_a_command_that_does_not_end_is_ended(self, shared: Witness) -> None:
        assert shared.run("sleep 60", timeout=1).status == 137
        assert shared.sh("echo well") == "well"

    def test_a_command_too_long_is_refused(self, shared: Witness) -> None:
        assert shared.run(f": {'x' * 2890}").status == 0
        with pytest.raises(BoxError, match="the console takes"):
            shared.run(f": {'x' * 3000}")

    def test_console_leftover_input_of_others_is_ignored(self, box: Box, shared: Witness) -> None:
        with connect(box.uri) as connection:
            stream = connection.newStream()
            connection.lookupByName(shared.name).openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_FORCE)
            stream.send(b"\nrun 0123456789abcdef 8 9 ZWNobyBh\nrun half a requ")
            stream.abort()
        assert shared.sh("echo mine") == "mine"

    def test_the_last_to_come_has_the_console(self, box: Box, shared: Witness) -> None:
        other = Witness(box.uri, shared.name)
        assert [each.sh("echo x") for each in (shared, other, shared)] == ["x"] * 3

    def test_a_paused_guest_is_said_to_be_paused(self, box: Box, shared: Witness) -> None:
        with connect(box.uri) as connection:
            domain = connection.lookupByName(shared.name)
            domain.suspend()
            with pytest.raises(BoxError, match="not running"):
                shared.sh("true")
            domain.resume()
        assert shared.sh("echo back") == "back"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_client_without_any_rights_makes_and_uses_a_guest(box: Box, nobodys_cache: Path) -> None:
    script = (
        "import sys; from tests.box.witness import Witness\n"
        "guest = Witness.define(sys.argv[1], 'nobodys'); guest.boot(); print(guest.sh('id -u')); guest.remove()"
    )
    unprivileged = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(nobodys_cache)}
    command = [*unprivileged, sys.executable, "-B", "-c", script, box.uri]
    done = children.run(*command, cwd=REPOSITORY, env=environment, timeout=90)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr
