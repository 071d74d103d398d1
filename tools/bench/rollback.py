"""rollback, against the same calls by hand and against what libvirt offers instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from posixpath import join

from tests.box import layout
from tools.bench import snapctl
from tools.bench.aims import MB, at_most_more, at_most_times, peaks_below
from tools.bench.byhand import ByHand
from tools.bench.commands import CommandFailed
from tools.bench.groups import Group
from tools.bench.guests import Guest, Site
from tools.bench.rounds import Competitor, Unavailable, timed
from tools.bench.statistics import Measurement
from tools.bench.virsh import Virsh

BY_HAND = "the same calls by hand"
INTERNAL = "virsh snapshot-revert, internal"
EXTERNAL = "virsh snapshot-revert, external"

SAVED, CHANGED = "saved", "changed"


@contextmanager
def competitors(site: Site) -> Iterator[list[Competitor]]:
    """A guest each, marked `SAVED`, and with a checkpoint of that state of the competitor's own kind."""
    with ExitStack() as stack:

        def guest(name: str) -> Guest:
            guest = stack.enter_context(site.guest(name))
            guest.wake(SAVED)
            return guest

        yield [
            _by_hand(guest("by-hand"), stack),
            _in_process(guest("in-process"), site, stack),
            _command(guest("command"), site),
            _internal(guest("internal")),
            _external(guest("external")),
        ]


def _competitor(name: str, guest: Guest, run: Callable[[], Measurement]) -> Competitor:
    guest.rest(SAVED)
    return Competitor(name, run, ready=lambda: guest.wake(CHANGED), check=lambda: guest.rest(SAVED))


def _by_hand(guest: Guest, stack: ExitStack) -> Competitor:
    script = stack.enter_context(closing(ByHand(guest.uri, guest.name)))
    saved = script.checkpoint()
    return _competitor(BY_HAND, guest, lambda: timed(lambda: script.rollback(saved)))


def _in_process(guest: Guest, site: Site, stack: ExitStack) -> Competitor:
    library = stack.enter_context(snapctl.library(site.uri, site.catalog(guest.name)))
    library.checkpoint(guest.name, "clean")
    return _competitor(
        snapctl.IN_PROCESS, guest, lambda: timed(lambda: library.rollback(guest.name, "clean").downtime_s)
    )


def _command(guest: Guest, site: Site) -> Competitor:
    command = snapctl.Command(site.uri, site.catalog(guest.name))
    command("checkpoint", guest.name, "clean")
    return _competitor(snapctl.COMMAND, guest, lambda: command("rollback", guest.name, "clean", "-y"))


def _internal(guest: Guest) -> Competitor:
    virsh = Virsh(guest.uri)
    virsh("snapshot-create-as", guest.name, "clean")
    return _competitor(INTERNAL, guest, lambda: _revert(virsh, guest))


def _external(guest: Guest) -> Competitor:
    virsh = Virsh(guest.uri)
    memory = join(layout.IMAGES, f"{guest.name}.memory")
    virsh("snapshot-create-as", guest.name, "clean", "--memspec", f"file={memory},snapshot=external")
    return _competitor(EXTERNAL, guest, lambda: _revert(virsh, guest))


def _revert(virsh: Virsh, guest: Guest) -> Measurement:
    """Not every libvirt can: external snapshots from 9.9 on, internal ones not in 11.2 and 11.3."""
    try:
        return virsh("snapshot-revert", guest.name, "clean")
    except CommandFailed as failure:
        raise Unavailable(failure.said) from failure


GROUP = Group(
    title="rollback",
    reference=BY_HAND,
    competitors=competitors,
    aims=(
        at_most_times(snapctl.IN_PROCESS, BY_HAND, 1.05),
        at_most_more(snapctl.COMMAND, snapctl.IN_PROCESS, 0.3),
        peaks_below(snapctl.COMMAND, 100 * MB),
    ),
)
