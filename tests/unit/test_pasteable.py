"""Commands in messages name the hypervisor that they are for."""

from __future__ import annotations

import pytest

from orchestrator.cli.pasteable import make_pasteable, pasteable
from orchestrator.errors import Refused

HINT = "start it: virsh start web01, then: snapctl recover web01"
FAR = "qemu+ssh://root@far/system?no_tty=1"


@pytest.mark.parametrize(
    ("uri", "environ", "root"),
    [
        ("qemu:///system", {}, True),
        ("qemu:///session", {}, False),
        (FAR, {"LIBVIRT_DEFAULT_URI": FAR}, False),
        (FAR, {"LIBVIRT_DEFAULT_URI": "qemu:///system", "VIRSH_DEFAULT_CONNECT_URI": FAR}, True),
    ],
)
def test_pasteable_hypervisor_that_virsh_takes_by_default_is_not_named(
    uri: str, environ: dict[str, str], root: bool
) -> None:
    assert pasteable(HINT, uri, environ, root=root) == HINT


@pytest.mark.parametrize(
    ("uri", "environ", "root"),
    [
        ("qemu:///system", {}, False),
        ("qemu:///session", {}, True),
        ("qemu:///system", {"LIBVIRT_DEFAULT_URI": FAR}, True),
    ],
)
def test_pasteable_other_hypervisor_is_named(uri: str, environ: dict[str, str], root: bool) -> None:
    assert pasteable(HINT, uri, environ, root=root) == HINT.replace("virsh", f"virsh -c {uri}")


def test_pasteable_uri_is_quoted_for_a_shell() -> None:
    assert "virsh -c 'qemu+ssh://root@far/system?no_tty=1' start" in pasteable(HINT, FAR, {}, root=True)


def test_pasteable_text_about_virsh_stays() -> None:
    assert pasteable("virsh, or Cockpit", FAR, {}, root=True) == "virsh, or Cockpit"


def test_make_pasteable_all_parts_of_an_error() -> None:
    error = Refused("virsh start failed", effect="see: virsh list", hint="virsh edit web01")
    make_pasteable(error, "test:///default")
    assert str(error).count("virsh -c test:///default ") == 3
