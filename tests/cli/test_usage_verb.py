"""usage: golden output for people, the document for programs."""

from __future__ import annotations

from .conftest import Run
from .standin import StandIn

USAGE = """\
NAME            MEMORY    DISKS     FREES     SHARED
base          95.0 MiB  1.5 MiB  96.0 MiB  512.0 KiB
experiment    95.0 MiB  1.5 MiB  96.0 MiB  512.0 KiB
experiment-2  95.0 MiB  1.5 MiB  96.0 MiB  512.0 KiB
patched       95.0 MiB  1.5 MiB  96.0 MiB  512.0 KiB
before-test   95.0 MiB  1.5 MiB  96.0 MiB  512.0 KiB

web01: 480.5 MiB (memory 475.0 MiB, frozen 5.0 MiB, active 512.0 KiB, manifests 12.0 KiB)
  stands on files of your own, 4.0 GiB: not counted
store /store: 60.0 GiB of 100.0 GiB free
  3.0 MiB in it not catalogued; see: snapctl doctor
"""


def test_usage_of_one_domain(run: Run) -> None:
    result = run("usage", "web01")
    assert (result.code, result.out, result.err) == (0, USAGE, "")


def test_usage_of_all_names_the_domains(run: Run) -> None:
    lines = run("usage").out.splitlines()
    assert lines[0].split()[:2] == ["DOMAIN", "NAME"]
    assert [line.split(":")[0] for line in lines if line.startswith(("web01:", "db:", "store"))] == [
        "db",
        "web01",
        "store /store",
    ]


def test_usage_of_nothing_is_the_store_s(run: Run, world: StandIn) -> None:
    world.checkpoints.clear()
    assert run("usage").out.startswith("store /store: 60.0 GiB of 100.0 GiB free\n")


def test_usage_as_json(run: Run) -> None:
    found = run("usage", "web01", "-o", "json").json
    assert set(found) == {"store", "total_bytes", "free_bytes", "uncatalogued_bytes", "domains", "checkpoints"}
    (domain,) = found["domains"]
    parts = ("memory_bytes", "frozen_bytes", "active_bytes", "manifest_bytes")
    assert domain["bytes"] == sum(domain[part] for part in parts)
    assert {"name", "id", "memory_bytes", "disk_bytes", "exclusive_bytes", "shared_bytes"} <= set(
        found["checkpoints"][0]
    )


def test_what_a_terminal_might_obey_is_shown_escaped(run: Run, world: StandIn) -> None:
    world.domains = (*world.domains, "ev\x1b[31mil")
    world.add("odd", domain="ev\x1b[31mil")
    assert "\x1b" not in run("usage").out
