"""What a witness says of itself: which boot it is, how far its memory has counted, what its disks hold."""

from __future__ import annotations

from dataclasses import dataclass

from tests.box.witness import Witness

PLACES = """/tmp $(awk '$1 ~ "^/dev/vd" && $4 ~ "^rw" { print $2 }' /proc/mounts)"""
"""Shell words: a directory in memory, and the mount point of each writable disk."""


@dataclass(frozen=True)
class Moment:
    """Two of them are equal only if the guest was put back; a reboot would change `boot`."""

    boot: str
    counter: int
    notes: dict[str, str]  # directory -> what `write_notes` wrote there
    on_disks: dict[str, str]  # mount point -> the counter as it is on the disk
    mismatches: int


def moment(guest: Witness) -> Moment:
    """Ask the guest; what its disks hold is read from the disks, not from memory."""
    report = guest.report()
    return Moment(
        boot=report.pop("boot"),
        counter=int(report.pop("counter")),
        mismatches=int(report.pop("mismatches")),
        on_disks=report,
        notes=notes(guest),
    )


def write_notes(guest: Witness, text: str) -> None:
    """Leave the same words in memory and on each writable disk."""
    guest.sh(f"for place in {PLACES}; do echo '{text}' >$place/note; done; sync")


def notes(guest: Witness) -> dict[str, str]:
    """The words in memory and on each writable disk, by directory."""
    answer = guest.sh(f'echo 3 >/proc/sys/vm/drop_caches; for at in {PLACES}; do echo "$at=$(cat $at/note)"; done')
    return dict(line.split("=", 1) for line in answer.splitlines())


def say_everywhere(guest: Witness, text: str) -> bool:
    """Whether memory and all disks hold these words."""
    return set(notes(guest).values()) == {text}


def halt_counter(guest: Witness) -> None:
    """Let the guest count on its disks for a while, and then no more: its counter tells one moment exactly."""
    guest.sh("witness start; witness tick; witness stop")
    # Never in the middle of a write, which would leave the counter's file empty.
    guest.sh("while kill -STOP $(pidof witness); [ ! -s /tmp/counter ]; do kill -CONT $(pidof witness); done")


def let_it_count(guest: Witness) -> None:
    """Undo `halt_counter`: the counter goes on, in memory and on the disks."""
    guest.sh("kill -CONT $(pidof witness); witness start; witness tick; witness stop")
