"""How long a chain may get: refused before libvirt would refuse it, and told before that."""

from __future__ import annotations

import pytest

from orchestrator.errors import Refused
from orchestrator.model import Domain, Source
from orchestrator.operations.shared.depth import depth_after, depth_note, longest_chain, refuse_too_deep
from tests.unit.builders import disk, domain


def on(layers: int) -> Domain:
    """web01 with a disk of that many layers, its active one included."""
    below = tuple(Source(path=f"/l{number}.qcow2", format="qcow2") for number in range(layers - 1))
    return domain(disk(backing=below), disk("vdb", "/other.qcow2"))


@pytest.mark.parametrize(
    ("version", "longest"),
    [
        ("9.0.0", 200),
        ("10.7.0", 200),
        ("10.8.0", 24),
        ("11.3.0", 24),
        ("11.10.0", 24),
        ("12.0.0", 200),
        ("12.8.0", 200),
    ],
)
def test_the_limit_is_that_of_the_host_s_libvirt(version: str, longest: int) -> None:
    assert longest_chain(version) == longest
    refuse_too_deep(on(longest - 1), version)
    with pytest.raises(
        Refused, match=f"would have a chain of {longest + 1} layers; libvirt {version} opens at most {longest}"
    ) as no:
        refuse_too_deep(on(longest), version)
    assert no.value.hint == "snapctl checkpoint --flatten, or first: snapctl flatten web01"


def test_the_deepest_disk_counts() -> None:
    assert depth_after(on(7)) == 8


@pytest.mark.parametrize(("depth", "told"), [(50, False), (51, True)])
def test_depth_note_from_the_soft_limit_on(depth: int, told: bool) -> None:
    assert (depth_note("web01", depth, "9.0.0", 50) is not None) is told


def test_depth_note_low_limit_warns_before_it() -> None:
    assert depth_note("web01", 19, "11.3.0", 50) is None
    assert depth_note("web01", 20, "11.3.0", 50) == (
        "web01 has a chain of 20 of at most 24 layers; shorten it: snapctl prune web01, or snapctl flatten web01"
    )
