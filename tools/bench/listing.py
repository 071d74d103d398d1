"""list, with few and with many checkpoints in the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tools.bench import generator, snapctl
from tools.bench.aims import MB, at_most_more, peaks_below
from tools.bench.groups import Group
from tools.bench.guests import Site
from tools.bench.rounds import Competitor

FEW, MOST = 10, 10_000
SIZES = (FEW, 1_000, MOST)


@contextmanager
def competitors(site: Site) -> Iterator[list[Competitor]]:
    """Catalogs that have nothing but rows, as `list` looks at no file."""
    yield [_competitor(site, size) for size in SIZES]


def _competitor(site: Site, size: int) -> Competitor:
    catalog = site.catalog(f"list-{size}")
    generator.fill(catalog, site.host, size)
    with snapctl.library(site.uri, catalog) as library:
        if len(library.list()) != size:
            raise AssertionError(f"the generated catalog does not list {size} checkpoints")
    command = snapctl.Command(site.uri, catalog)
    return Competitor(_row(size), lambda: command("list"))


def _row(size: int) -> str:
    return f"list of {size:,}"


GROUP = Group(
    title="list",
    reference=_row(FEW),
    competitors=competitors,
    aims=(
        at_most_more(_row(MOST), _row(FEW), 0.5),
        peaks_below(_row(MOST), 100 * MB),
    ),
)
