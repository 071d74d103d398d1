"""usage: golden output for people, the document for programs."""

from __future__ import annotations

import re

from tests.twin import World
from tests.twin.files import File
from tests.workstation import STORE, Workstation

from .conftest import Run

USAGE = """\
NAME            MEMORY      DISKS      FREES     SHARED
base          96.0 KiB        0 B   96.0 KiB        0 B
experiment    96.0 KiB    1.5 MiB   96.0 KiB    1.5 MiB
experiment-2  96.0 KiB  256.0 KiB  352.0 KiB        0 B
patched       96.0 KiB  256.0 KiB   96.0 KiB  256.0 KiB
before-test   96.0 KiB  256.0 KiB   96.0 KiB  256.0 KiB

web01: 3.0 MiB (memory 480.0 KiB, frozen 2.3 MiB, active 256.0 KiB, manifests N KiB)
  backed by files outside the store, 448.0 KiB: not counted
store /store: 1024.0 GiB of 1.0 TiB free
  3.0 MiB of it not in the catalog; see: snapctl doctor
"""


def test_usage_one_domain(run: Run, station: Workstation) -> None:
    directory = station.memory("patched").removesuffix("/memory.save")
    station.world.files.put(f"{directory}/stray", File(bytes(3 << 20)))
    result = run("usage", "web01")
    assert (result.code, re.sub(r"(?<=manifests )\d+\.\d", "N", result.out), result.err) == (0, USAGE, "")


def test_usage_all_domains_names_them(run: Run) -> None:
    lines = run("usage").out.splitlines()
    assert lines[0].split()[:2] == ["DOMAIN", "NAME"]
    assert [line.split(":")[0] for line in lines if line.startswith(("web01:", "db:", "store"))] == [
        "db",
        "web01",
        "store /store",
    ]


def test_usage_no_checkpoints_is_that_of_the_store(run: Run, station: Workstation) -> None:
    station.world = World()
    station.catalog.unlink()
    assert run("usage").out == f"store {STORE}: 1.0 TiB of 1.0 TiB free\n"


def test_usage_json_has_the_sum_of_each_domain(run: Run) -> None:
    found = run("usage", "web01", "-o", "json").json
    assert set(found) == {"store", "total_bytes", "free_bytes", "uncatalogued_bytes", "domains", "checkpoints"}
    (domain,) = found["domains"]
    parts = ("memory_bytes", "sidecar_bytes", "frozen_bytes", "active_bytes", "manifest_bytes")
    assert domain["bytes"] == sum(domain[part] for part in parts)
    assert domain["manifest_bytes"] > 0
    assert {"name", "id", "memory_bytes", "disk_bytes", "exclusive_bytes", "shared_bytes"} <= set(
        found["checkpoints"][0]
    )


def test_usage_control_characters_are_shown_escaped(run: Run, station: Workstation) -> None:
    station.sql("UPDATE domain SET name = ? WHERE name = 'db'", "ev\x1b[31mil")
    out = run("usage").out
    assert "\x1b" not in out
    assert r"ev\x1b[31mil" in out
