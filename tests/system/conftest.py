"""Fixtures of the tests on real guests, beside those of `tests.box.fixtures`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from orchestrator import Coordinator, settings
from tests.box.box import Box

from .client import Client, new_client


@pytest.fixture(scope="module")
def client(box: Box) -> Iterator[Client]:
    """A user with a catalog that all tests of a module share."""
    with new_client(box.uri) as made:
        yield made


@pytest.fixture(scope="module")
def library(box: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    """snapctl as a library, in this process, with a catalog of its own: for tests that call it often."""
    home = tmp_path_factory.mktemp("library")
    config = home / "snapctl.toml"
    config.write_text(f'[store]\npath = "/var/lib/libvirt/images/{home.name}-{os.getpid()}"\n')
    catalog = f"sqlite:///{home}/catalog.sqlite"
    with Coordinator.open(settings.load(connect=box.uri, config=config, catalog=catalog)) as opened:
        yield opened
