"""checkpoint, against the same calls by hand and against `virsh save` + `virsh restore`.

virsh saves memory only, and its image is good for one restore. snapctl also hashes the memory
image, after the guest runs again: so both the whole time and the time without guest are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from posixpath import join

from tests.box import layout
from tools.bench import snapctl
from tools.bench.aims import MB, peaks_below
from tools.bench.byhand import ByHand
from tools.bench.groups import Group
from tools.bench.guests import Guest, Site
from tools.bench.rounds import Competitor, timed
from tools.bench.statistics import Measurement
from tools.bench.virsh import Virsh

VIRSH = "virsh save, virsh restore"
BY_HAND = "the same calls by hand"

EARLIER, NOW = "earlier", "now"
"""Marks: of the checkpoint that each round begins and ends at, and of the state that is checkpointed."""


@contextmanager
def competitors(site: Site) -> Iterator[list[Competitor]]:
    """A guest each, that stands on a checkpoint `EARLIER` of the competitor's own kind."""
    with ExitStack() as stack:

        def guest(name: str) -> Guest:
            guest = stack.enter_context(site.guest(name))
            guest.wake(EARLIER)
            return guest

        yield [
            _virsh(guest("virsh"), site),
            _by_hand(guest("by-hand"), stack),
            _in_process(guest("in-process"), site, stack),
            _command(guest("command"), site),
        ]


def _competitor(name: str, guest: Guest, run: Callable[[], Measurement], go_back: Callable[[], None]) -> Competitor:
    """`go_back` drops the checkpoint that `run` made, so that every round begins alike."""
    guest.rest(EARLIER)

    def check() -> None:
        guest.rest(NOW)
        go_back()
        guest.rest(EARLIER)

    return Competitor(name, run, ready=lambda: guest.wake(NOW), check=check)


def _virsh(guest: Guest, site: Site) -> Competitor:
    virsh = Virsh(guest.uri)
    memory = join(layout.IMAGES, f"{guest.name}.memory")

    def run() -> Measurement:
        return Measurement(seconds=virsh("save", guest.name, memory).seconds + virsh("restore", memory).seconds)

    def go_back() -> None:
        """It cannot: that is why there is snapctl."""
        site.box.run_inside("rm", memory)
        guest.wake(EARLIER)

    return _competitor(VIRSH, guest, run, go_back)


def _by_hand(guest: Guest, stack: ExitStack) -> Competitor:
    script = stack.enter_context(closing(ByHand(guest.uri, guest.name)))
    earlier = now = script.checkpoint()

    def save() -> float:
        nonlocal now
        now = script.checkpoint()
        return now.stopped

    def go_back() -> None:
        script.rollback(earlier)
        script.drop(now)

    return _competitor(BY_HAND, guest, lambda: timed(save), go_back)


def _in_process(guest: Guest, site: Site, stack: ExitStack) -> Competitor:
    library = stack.enter_context(snapctl.library(site.uri, site.catalog(f"checkpoint-{guest.name}")))
    library.checkpoint(guest.name, EARLIER)

    def go_back() -> None:
        library.rollback(guest.name, EARLIER)
        library.delete(guest.name, [NOW])

    return _competitor(
        snapctl.IN_PROCESS, guest, lambda: timed(lambda: library.checkpoint(guest.name, NOW).downtime_s), go_back
    )


def _command(guest: Guest, site: Site) -> Competitor:
    command = snapctl.Command(site.uri, site.catalog(f"checkpoint-{guest.name}"))
    command("checkpoint", guest.name, EARLIER)

    def go_back() -> None:
        command("rollback", guest.name, EARLIER, "-y")
        command("delete", guest.name, NOW, "-y")

    return _competitor(snapctl.COMMAND, guest, lambda: command("checkpoint", guest.name, NOW), go_back)


GROUP = Group(
    title="checkpoint",
    reference=VIRSH,
    competitors=competitors,
    aims=(peaks_below(snapctl.COMMAND, 100 * MB),),
)
