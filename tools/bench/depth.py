"""rollback on chains of 1 … 150 layers, beside the same calls by hand on chains as deep.

The layers are real and empty, in a directory each as operations would leave them, and catalogued as theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from posixpath import join
from uuid import uuid4

from orchestrator.formats import domainxml
from orchestrator.hypervisor import connect
from orchestrator.model import NewOverlay, Source
from orchestrator.store.layout import operation_directory
from tests.box.disks import SIZE
from tools.bench import generator, snapctl
from tools.bench.aims import grows_at_most
from tools.bench.byhand import ByHand
from tools.bench.groups import Group
from tools.bench.guests import Guest, Site
from tools.bench.rounds import Competitor, timed

DEPTHS = (1, 10, 50, 150)
BY_HAND, SNAPCTL = "by hand", "snapctl"
ROUNDS = 2

SAVED, LOST = "saved", "lost"


@contextmanager
def competitors(site: Site) -> Iterator[list[Competitor]]:
    with ExitStack() as stack:

        def guest(who: str, depth: int) -> Guest:
            name = f"depth-{who.replace(' ', '-')}-{depth}"
            guest = stack.enter_context(site.guest(name, lambda name: deepen(site.uri, name, depth)))
            guest.wake(SAVED)
            return guest

        yield [
            make(depth, guest(who, depth), site, stack)
            for depth in DEPTHS
            for who, make in ((BY_HAND, _by_hand), (SNAPCTL, _snapctl))
        ]


def deepen(uri: str, name: str, depth: int) -> None:
    """Put a domain that is off upon overlays, so that with its own disks so many layers are below."""
    with closing(connect(uri)) as hypervisor:
        domain = hypervisor.domains.find(name)
        if domain is None:
            raise AssertionError(f"there is no {name}")
        tops = {disk.target: disk.source for disk in domain.writable_disks if disk.source}
        for _ in range(depth - 1):
            directory = operation_directory(generator.STORE, domain.uuid, str(uuid4()))
            hypervisor.storage.make_directory(directory)
            for target, top in tops.items():
                overlay = NewOverlay(
                    target=target,
                    path=join(directory, f"{target}.qcow2"),
                    backing=top.path,
                    backing_format=top.format,
                    capacity=SIZE,
                )
                hypervisor.storage.create_overlay(overlay)
                tops[target] = Source(path=overlay.path, format="qcow2")
        hypervisor.domains.define(domainxml.on_disks(hypervisor.domains.definition(domain.uuid), tops))


def _by_hand(depth: int, guest: Guest, site: Site, stack: ExitStack) -> Competitor:
    script = stack.enter_context(closing(ByHand(guest.uri, guest.name)))
    saved = script.checkpoint()
    return _competitor(_row(BY_HAND, depth), guest, lambda: script.rollback(saved))


def _snapctl(depth: int, guest: Guest, site: Site, stack: ExitStack) -> Competitor:
    catalog = site.catalog(guest.name)
    library = stack.enter_context(snapctl.library(site.uri, catalog))
    library.checkpoint(guest.name, "clean")
    generator.adopt(catalog, generator.STORE)
    return _competitor(_row(SNAPCTL, depth), guest, lambda: library.rollback(guest.name, "clean").downtime_s)


def _competitor(name: str, guest: Guest, rollback: Callable[[], float | None]) -> Competitor:
    guest.rest(SAVED)
    return Competitor(name, lambda: timed(rollback), ready=lambda: guest.wake(LOST), check=lambda: guest.rest(SAVED))


def _row(who: str, depth: int) -> str:
    return f"rollback, {who}, chain of {depth}"


def _first(row: str) -> str:
    return _row(row.split(", ")[1], DEPTHS[0])


GROUP = Group(
    title="on deep chains",
    reference=_first,
    competitors=competitors,
    aims=(
        grows_at_most(
            _row(SNAPCTL, DEPTHS[-1]),
            _row(SNAPCTL, DEPTHS[0]),
            1.2,
            beside=(_row(BY_HAND, DEPTHS[0]), _row(BY_HAND, DEPTHS[-1])),
        ),
    ),
    rounds=ROUNDS,
)
