"""Start-up: what a command costs before it does anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tools.bench import snapctl
from tools.bench.aims import MB, peaks_below
from tools.bench.commands import measured
from tools.bench.groups import Group
from tools.bench.guests import Site
from tools.bench.rounds import Competitor
from tools.bench.virsh import Virsh

PYTHON = "python -c pass"
VERSION = "snapctl --version"
LIST = "snapctl list"


@contextmanager
def competitors(site: Site) -> Iterator[list[Competitor]]:
    command = snapctl.Command(site.uri, site.catalog("empty"))
    virsh = Virsh(site.uri)
    yield [
        Competitor(PYTHON, lambda: measured(sys.executable, "-c", "pass")),
        Competitor("virsh list", lambda: virsh("list", "--all")),
        Competitor(VERSION, lambda: measured(snapctl.PROGRAM, "--version")),
        Competitor(LIST, lambda: command("list")),  # connects, and opens the catalog
    ]


GROUP = Group(title="start-up", reference=PYTHON, competitors=competitors, aims=(peaks_below(LIST, 100 * MB),))
