"""Layers, and the chains that they make."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.model import Chain, Disk, Layer, LayerKind, Source, chain_of, walk
from tests.unit.builders import BASE, CLEAN, cdrom, device_layer, disk, in_store, layer

TOP, MIDDLE = in_store(CLEAN, "vda.qcow2"), "/images/middle.qcow2"
LAYERS = {
    each.path: each for each in (layer(TOP, backing=MIDDLE, operation_id=CLEAN), layer(MIDDLE, backing=BASE), layer())
}


# --------------------------------------------------------------------------- what a layer is


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (layer(), "frozen file"),
        (layer(physical=0, allocation=0), "frozen file"),
        (layer(TOP, operation_id=CLEAN, physical=None, allocation=None, mtime=None), "active"),
        (device_layer(), "block"),
        (replace(device_layer(), physical=1), "block"),
    ],
    ids=["frozen", "frozen and empty", "active", "block device", "block device with a length"],
)
def test_layer_is_one_of_frozen_file_active_and_block(made: Layer, what: str) -> None:
    said = {"frozen file": made.is_frozen_file, "active": made.is_active, "block": made.is_block}
    assert [name for name, holds in said.items() if holds] == [what]


def test_layer_without_a_kind_is_a_file() -> None:
    assert Layer(path="/a", target="vda", format="raw", capacity=1).kind is LayerKind.FILE


# --------------------------------------------------------------------------- the walk


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 9)), st.none() | st.integers(0, 9))
def test_walk_ends_and_visits_nothing_twice(below: dict[int, int], top: int | None) -> None:
    walked = list(walk(top, below.get))
    assert len(walked) == len(set(walked))
    assert walked[:1] == ([] if top is None else [top])
    for upper, lower in pairwise(walked):
        assert below[upper] == lower
    if walked:
        assert below.get(walked[-1]) in (None, *walked)


def test_walks_that_share_what_was_seen_go_over_each_place_once() -> None:
    below = {"a": "c", "b": "c", "c": "d"}
    seen: set[str] = set()
    assert list(walk("a", below.get, seen)) == ["a", "c", "d"]
    assert list(walk("b", below.get, seen)) == ["b"]
    assert seen == {"a", "b", "c", "d"}


# --------------------------------------------------------------------------- chains


def test_chain_of_walks_down_known_layers() -> None:
    chain = chain_of(TOP, LAYERS)
    assert list(chain) == list(LAYERS.values())
    assert (chain.top, chain.depth, chain.paths) == (LAYERS[TOP], 3, (TOP, MIDDLE, BASE))
    assert chain_of(TOP, {path: each for path, each in LAYERS.items() if path != BASE}).paths == (TOP, MIDDLE)


def test_chain_of_nothing_is_empty() -> None:
    for chain in (chain_of(None, LAYERS), chain_of("/unknown", LAYERS), Chain[Layer]()):
        assert (chain.top, chain.depth, list(chain), list(chain.pairs())) == (None, 0, [], [])


def test_chain_of_layers_in_a_circle_ends() -> None:
    circle = {**LAYERS, BASE: layer(backing=TOP)}
    assert chain_of(MIDDLE, circle).paths == (MIDDLE, BASE, TOP)
    itself = {BASE: layer(backing=BASE)}
    assert chain_of(BASE, itself).paths == (BASE,)


def test_chain_pairs_each_layer_with_the_one_below() -> None:
    top, middle, base = LAYERS.values()
    assert list(chain_of(TOP, LAYERS).pairs()) == [(top, middle), (middle, base), (base, None)]


def test_chain_contains_layers_by_their_paths() -> None:
    chain = chain_of(MIDDLE, LAYERS)
    assert chain.contains(BASE)
    assert not chain.contains(TOP)


def test_chain_is_a_sequence_and_a_value() -> None:
    chain = chain_of(TOP, LAYERS)
    assert (chain[0], chain[1:]) == (LAYERS[TOP], (LAYERS[MIDDLE], LAYERS[BASE]))
    assert len({chain, chain_of(TOP, LAYERS), chain_of(BASE, LAYERS)}) == 2


# --------------------------------------------------------------------------- of disks


def test_disk_s_chain_is_its_source_and_all_below() -> None:
    below = (Source(path=MIDDLE, format="qcow2"), Source(path=BASE, format="raw"))
    running = disk(path=TOP, backing=below)
    assert running.chain.paths == (TOP, MIDDLE, BASE)
    assert running.chain.top == running.source


@pytest.mark.parametrize("empty", [cdrom(None), Disk(target="vda", source_type="network")], ids=["drive", "network"])
def test_disk_without_a_path_has_an_empty_chain(empty: Disk) -> None:
    assert empty.chain.depth == 0
