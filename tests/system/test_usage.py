"""What usage tells of a real guest is what the hypervisor's own `find` tells of its files."""

from __future__ import annotations

from posixpath import dirname

import pytest

from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.box.witness import Media

from .client import Client
from .host_state import unchanged
from .moments import write_notes

pytestmark = pytest.mark.system


def occupied(box: Box, *places: str) -> dict[str, int]:
    """Bytes that each file below takes on disk."""
    listing = box.run_inside("find", *places, "-type", "f", "-printf", "%p\\t%b\\n").stdout
    return {path: 512 * int(blocks) for path, blocks in (line.split("\t") for line in listing.splitlines())}


def test_usage_equals_the_size_of_the_files(box: Box, client: Client, guest: GuestFactory) -> None:
    web = guest(media=Media(disks=2))
    for name in ("root", "middle", "leaf"):
        write_notes(web, name)
        client.do("checkpoint", web.name, name)
    client.do("rollback", web.name, "middle", "-y")
    web.sh("dd if=/dev/urandom of=/mnt/more bs=1M count=3 2>/dev/null; sync")
    client.do("checkpoint", web.name, "side", "--after", "pause")
    place = dirname(dirname(client.do("show", web.name, "root")["memory"]["path"]))  # all of this domain's
    box.run_inside("sh", "-c", f"head -c 100000 /dev/urandom > {place}/stray")

    with unchanged(box, client):
        found = client.do("usage", web.name)
    files = occupied(box, place)
    own = {disk["path"] for disk in client.do("show", web.name, "root")["disks"] if disk["layer"]}

    (domain,) = found["domains"]
    assert domain["bytes"] == sum(files.values()) - files[f"{place}/stray"]
    assert found["uncatalogued_bytes"] == files[f"{place}/stray"] > 0
    assert domain["own_bytes"] == sum(occupied(box, *own).values())
    size, free = box.run_inside("stat", "-f", "-c", "%b %a", place).stdout.split()
    block = int(box.run_inside("stat", "-f", "-c", "%S", place).stdout)
    assert found["total_bytes"] == int(size) * block
    assert abs(found["free_bytes"] - int(free) * block) < 64 << 20  # others have files on it, too
    for each in found["checkpoints"]:
        shown = client.do("show", web.name, each["name"])
        layers = [disk["layer"] for disk in shown["disks"] if disk["layer"] and disk["layer"]["operation_id"]]
        assert each["memory_bytes"] == files[shown["memory"]["path"]]
        assert each["disk_bytes"] == sum(files[layer["path"]] for layer in layers)
        assert each["exclusive_bytes"] + each["shared_bytes"] >= each["memory_bytes"] + each["disk_bytes"]

    (leaf,) = (each for each in found["checkpoints"] if each["name"] == "leaf")
    directory = dirname(client.do("show", web.name, "leaf")["memory"]["path"])
    client.do("delete", web.name, "leaf", "-y")
    manifest = files[f"{directory}/manifest.json"]
    assert sum(files.values()) - sum(occupied(box, place).values()) == leaf["exclusive_bytes"] + manifest
