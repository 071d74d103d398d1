"""Where files of the store are, and how they are recognised."""

from __future__ import annotations

import pytest

from orchestrator.store import layout
from tests.unit.builders import CLEAN, DOMAIN, NEXT, STORE

DIRECTORY = f"{STORE}/{DOMAIN}/{CLEAN}"


def test_every_file_of_an_operation_is_in_its_directory() -> None:
    assert layout.operation_directory(STORE, DOMAIN, CLEAN) == DIRECTORY
    assert layout.domain_directory(STORE, DOMAIN) == f"{STORE}/{DOMAIN}"
    assert layout.manifest_path(DIRECTORY) == f"{DIRECTORY}/manifest.json"
    assert layout.memory_path(DIRECTORY) == f"{DIRECTORY}/memory.save"
    assert layout.overlay_path(DIRECTORY, "vda") == f"{DIRECTORY}/vda.qcow2"
    assert layout.sidecar_path(DIRECTORY, "nvram") == f"{DIRECTORY}/nvram.sidecar"


def test_directory_names_operation_and_domain() -> None:
    assert layout.directory_of(layout.memory_path(DIRECTORY)) == DIRECTORY
    assert layout.operation_of(DIRECTORY) == CLEAN
    assert layout.domain_of(DIRECTORY) == DOMAIN
    assert layout.domain_of_place(f"{STORE}/{DOMAIN}") == DOMAIN
    assert layout.store_of(DIRECTORY) == STORE


@pytest.mark.parametrize(
    ("path", "made"),
    [
        (f"{DIRECTORY}/vda.qcow2", True),
        (f"/elsewhere/{DOMAIN}/{CLEAN}/x", True),
        (f"{STORE}/{DOMAIN}/{NEXT}/vda.qcow2", False),
        (f"{STORE}/{NEXT}/{CLEAN}/vda.qcow2", False),
        (f"{DIRECTORY}/sub/vda.qcow2", False),
        (f"{DIRECTORY}/../{CLEAN}/vda.qcow2", False),
        (f"/{DIRECTORY}/vda.qcow2", False),
        (f"{DOMAIN}/{CLEAN}/vda.qcow2", False),
        (DIRECTORY, False),
        (b"/x", False),
        (None, False),
    ],
)
def test_file_is_recognised_by_where_it_is(path: object, made: bool) -> None:
    assert layout.is_made_by(path, DOMAIN, CLEAN) is made


@pytest.mark.parametrize(
    ("path", "is_its"),
    [
        (DIRECTORY, True),
        (f"{DIRECTORY}/", False),
        (f"{STORE}/{DOMAIN}", False),
        (f"{STORE}/{DOMAIN}/{NEXT}", False),
        (f"{DOMAIN}/{CLEAN}", False),
        (None, False),
        (b"", False),
    ],
)
def test_directory_is_recognised_by_where_it_is(path: object, is_its: bool) -> None:
    assert layout.is_directory_of(path, DOMAIN, CLEAN) is is_its


@pytest.mark.parametrize("path", ["/a", "/a b/c", "/"])
def test_plain_path_has_one_spelling(path: str) -> None:
    assert layout.is_plain(path)


@pytest.mark.parametrize("path", ["", "a", "./a", "//a", "/a/", "/a/../b", "/a//b", "/."])
def test_other_spellings_are_not_plain(path: str) -> None:
    assert not layout.is_plain(path)
