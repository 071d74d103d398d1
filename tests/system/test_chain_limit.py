"""The longest chain that libvirt opens, a real one: up to there, no further, and how to go on."""

from __future__ import annotations

from contextlib import closing

import pytest

from orchestrator.hypervisor import connect
from orchestrator.operations.shared.depth import longest_chain
from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tools.bench.depth import deepen

from .chains import depth
from .client import Client
from .moments import moment, say_everywhere, write_notes

pytestmark = [pytest.mark.system, pytest.mark.long]

REFUSED = 6


def test_checkpoint_beyond_the_chain_limit_is_refused_and_flatten_helps(
    box: Box, client: Client, guest: GuestFactory
) -> None:
    web = guest(boot=False)
    with closing(connect(box.uri)) as hypervisor:
        limit = longest_chain(hypervisor.host.libvirt_version)
    deepen(box.uri, web.name, limit - 1)
    web.boot()
    write_notes(web, "last")
    client.do("checkpoint", web.name, "last")
    assert depth(box, web) == limit
    write_notes(web, "present")

    line = client.refusal(REFUSED, "checkpoint", web.name, "more")
    assert f"would have a chain of {limit + 1} layers" in line and "snapctl checkpoint --flatten" in line
    assert say_everywhere(web, "present")

    client.do("checkpoint", web.name, "more", "--flatten", "--dry-run")
    client.do("checkpoint", web.name, "more", "--flatten")
    assert depth(box, web) == 2
    assert say_everywhere(web, "present")
    for name, words in (("last", "last"), ("more", "present")):
        client.do("rollback", web.name, name, "-y")
        assert say_everywhere(web, words) and moment(web).mismatches == 0
    client.do("rollback", web.name, "last", "-y")
    client.do("flatten", web.name)
    assert depth(box, web) == 1
    assert say_everywhere(web, "last")
