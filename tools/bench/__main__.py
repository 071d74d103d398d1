"""``python -m tools.bench``: measure, print tables, judge the aims. Exit status 0 whatever the verdicts."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from orchestrator.hypervisor import connect
from orchestrator.model import Host
from tests.box.box import Box
from tools.bench import checkpoint, depth, growth, listing, machine, rollback, startup, verify
from tools.bench.groups import Group
from tools.bench.guests import Site
from tools.bench.rounds import interleave
from tools.bench.table import render

BOX = f"bench-{os.getpid()}"
ROUNDS = 7
GROUPS = {
    "rollback": rollback.GROUP,
    "checkpoint": checkpoint.GROUP,
    "verify": verify.GROUP,
    "list": listing.GROUP,
    "start": startup.GROUP,
    "growth": growth.GROUP,
    "depth": depth.GROUP,
}


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    began = monotonic()
    box = Box(BOX)
    try:
        box.up()
        with tempfile.TemporaryDirectory(prefix="snapctl-bench-") as directory:
            _furnish(directory)
            site = Site(box, Path(directory), _host(box.uri))
            print(f"{machine.facts(site.host)}; {options.rounds} rounds\n", flush=True)
            for name in options.only or GROUPS:
                _measure(GROUPS[name], site, options.rounds)
    finally:
        box.down()
    print(f"total time: {monotonic() - began:.0f} s")
    return 0


def _furnish(directory: str) -> None:
    """See to it that snapctl is measured as it is after an installation."""
    os.environ["XDG_CONFIG_HOME"] = directory  # no configuration
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, not at each start


def _measure(group: Group, site: Site, rounds: int) -> None:
    print(f"measuring {group.title} ...", file=sys.stderr, flush=True)
    with group.competitors(site) as competitors:
        results = interleave(competitors, min(rounds, group.rounds or rounds))
    for line in render(group.title, results, group.reference, group.aims):
        print(line)
    print(flush=True)


def _host(uri: str) -> Host:
    hypervisor = connect(uri, read_only=True)
    try:
        return hypervisor.host
    finally:
        hypervisor.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description="snapctl beside plain libvirt.")
    parser.add_argument("--rounds", type=_positive, default=ROUNDS, metavar="N", help=f"(default {ROUNDS})")
    parser.add_argument(
        "--only", action="append", choices=GROUPS, metavar="ROW", help=f"one of {', '.join(GROUPS)}; may be repeated"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
