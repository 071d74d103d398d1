"""make demo: the main job on a real guest, step by step.

It stays up afterwards, to be played with by hand; a second run removes it, says so, and begins again.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.box.box import Box
from tests.box.layout import State
from tests.box.witness import Media, Witness
from tests.waiting import PATIENCE

BOX = "demo"
DOMAIN = "web01"
SNAPCTL = Path(sys.executable).with_name("snapctl")

CHANGE = "echo changed > /tmp/note; echo changed > /mnt/note; echo changed > /mnt2/note; sync"
ASK = 'echo "memory: $(cat /tmp/note)   first disk: $(cat /mnt/note)   second disk: $(cat /mnt2/note)"'


def main() -> int:
    say("Starting a private libvirtd in its own namespaces (the machine's own libvirt is not touched) ...")
    box = Box(BOX)
    if box.pid() is not None:
        say("The box of an earlier demo is removed, with all that was done in it: each demo starts afresh.")
    box.down()
    box.up()
    catalog = State.of(BOX).directory / "catalog.sqlite"  # goes with the box
    say(f"Booting {DOMAIN}, a small Linux guest with two disks, under software emulation ...")
    guest = Witness.define(box.uri, DOMAIN, media=Media(disks=2))
    guest.boot()

    tell(guest, "echo original > /tmp/note; echo original > /mnt/note; echo original > /mnt2/note; sync")
    tell(guest, ASK)
    snapctl(box, catalog, "checkpoint", DOMAIN, "clean", "-d", "all is well")
    for round_ in range(1, 4):
        say(f"Round {round_}: change its memory and both disks, then roll back.")
        tell(guest, CHANGE)
        tell(guest, ASK)
        snapctl(box, catalog, "rollback", DOMAIN, "clean", "-y")
        answer = tell(guest, ASK)
        if answer.count("original") != 3:
            say("The guest is NOT as it was.")
            return 1
    snapctl(box, catalog, "list", DOMAIN)
    say("The guest is as it was, three times. It stays up; continue by hand:")
    for line in (
        f"export SNAPCTL_URI={shlex.quote(box.uri)}",
        f"alias snapctl='{display(SNAPCTL)} --catalog sqlite:///{catalog}'",
        f"snapctl checkpoint {DOMAIN} mine",
        f"{display(sys.executable)} -m tests.box console {BOX} {DOMAIN} 'echo hello > /mnt/greeting; ls /mnt'",
        f"snapctl rollback {DOMAIN} mine",
        f"{display(sys.executable)} -m tests.box console {BOX} {DOMAIN} 'ls /mnt'",
        "snapctl tree",
        f"{display(sys.executable)} -m tests.box down {BOX}   # when you are done; the catalog goes with it",
    ):
        print(f"    {line}", flush=True)
    return 0


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def tell(guest: Witness, command: str) -> str:
    """Have the guest's own shell run `command`, and show what it says."""
    print(f"{DOMAIN}# {command}", flush=True)
    answer = guest.sh(command)
    if answer.strip():
        print(answer.rstrip(), flush=True)
    return answer


def snapctl(box: Box, catalog: Path, *arguments: str) -> None:
    print(f"$ snapctl {shlex.join(arguments)}", flush=True)
    subprocess.run(
        [SNAPCTL, "--connect", box.uri, "--catalog", f"sqlite:///{catalog}", *arguments], check=True, timeout=PATIENCE
    )


def display(path: str | Path) -> str:
    """A program's path as one would type it from here."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
