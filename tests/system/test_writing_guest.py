"""A guest that is at work on its disks while it is checkpointed: memory and disks are of one instant all the same."""

from __future__ import annotations

import pytest

from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media, Witness

from .client import Client
from .moments import say_everywhere, write_notes

pytestmark = pytest.mark.system

TURMOIL = """
mkdir -p /tmp/from && head -c 300000 /dev/urandom >/tmp/from/a && cp /tmp/from/a /mnt/kept && sync
cat >/tmp/turmoil <<'end'
while [ ! -e /tmp/calm ]; do
    for at in /mnt /mnt2; do
        mkdir $at/dir && cp /tmp/from/a $at/dir/new && mv $at/dir/new $at/moved && rmdir $at/dir
        cmp /tmp/from/a $at/moved || echo $at >>/tmp/torn
        rm $at/moved
    done
    n=$((n + 1)) && echo $n >/tmp/next && mv /tmp/next /tmp/rounds
    usleep 20000
done
touch /tmp/calmed
end
setsid sh /tmp/turmoil >/tmp/torn 2>&1 &
witness start
until [ -s /tmp/rounds ] && [ -s /mnt2/counter ]; do sleep 0.05; done
"""
"""Files come, move and go on both disks for as long as the guest lives; its counter is written there, too."""


@pytest.fixture(scope="module")
def busy(module_guest: GuestFactory) -> Witness:
    """A witness that never leaves its two disks alone."""
    guest = module_guest(media=Media(disks=2))
    guest.sh(TURMOIL)
    return guest


def go_on(guest: Witness, rounds: int) -> None:
    """Let files come and go so many times more."""
    guest.sh(f"end=$(($(cat /tmp/rounds) + {rounds})); until [ $(cat /tmp/rounds) -ge $end ]; do usleep 50000; done")


def require_sound(guest: Witness) -> None:
    """By the guest's own account, what it wrote is what it reads."""
    assert guest.report()["mismatches"] == "0"
    assert guest.sh("cat /tmp/torn; echo 3 >/proc/sys/vm/drop_caches; cmp /tmp/from/a /mnt/kept") == ""


def check_file_system(box: Box, path: str) -> None:
    """Let e2fsck judge what a layer shows that nobody writes to."""
    raw = "/tmp/e2fsck.raw"
    box.run_inside("qemu-img", "convert", "-O", "raw", path, raw)
    box.run_inside("e2fsck", "-fn", raw)


def test_rollback_of_writing_guest_keeps_memory_and_disks_consistent(box: Box, client: Client, busy: Witness) -> None:
    boot = busy.report()["boot"]
    write_notes(busy, "then")
    client.do("checkpoint", busy.name, "midst")
    for _ in range(2):
        write_notes(busy, "now")
        go_on(busy, 10)
        require_sound(busy)
        client.do("rollback", busy.name, "midst", "-y")
        assert say_everywhere(busy, "then")
        go_on(busy, 2)
        require_sound(busy)
    assert busy.report()["boot"] == boot

    # Everything that memory holds of the disks goes there: what did not belong together would show now.
    busy.sh("witness stop; touch /tmp/calm; until [ -e /tmp/calmed ]; do usleep 50000; done; umount /mnt; umount /mnt2")
    client.do("checkpoint", busy.name, "unmounted")
    for disk in client.do("show", busy.name, "unmounted")["disks"]:
        check_file_system(box, disk["layer"]["path"])
