"""A hypervisor that does not let us in."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import libvirt
import pytest

from orchestrator.hypervisor import errors
from tests.system.client import new_client


def test_forbidden_socket_is_refused_with_the_rights_needed() -> None:
    """As nobody, or as its owner who took every right from himself: root is let in everywhere."""
    with new_client("") as client, socket.socket(socket.AF_UNIX) as listening:
        there = Path(client.home, "daemon.sock")
        listening.bind(str(there))
        listening.listen()
        there.chmod(0)

        line = client.refusal(3, "-c", f"qemu+unix:///system?socket={there}", "checkpoint", "web01", "new")

        assert "Permission denied; nothing was changed; this user must be in the libvirt group" in line
        assert not client.catalog.exists()


@pytest.mark.parametrize("closed", ["directory", "file"])
def test_forbidden_catalog_says_so_and_what_to_check(closed: str) -> None:
    with new_client("") as client:
        there = Path(client.home, "others")
        there.mkdir()
        file = there / "catalog.sqlite"
        file.touch()
        (there if closed == "directory" else file).chmod(0)

        line = client.refusal(3, "--catalog", f"sqlite:///{file}", "catalog", "info")

        there.chmod(0o700)
        assert "permission denied" in line.lower() and "there is no catalog" not in line
        assert line.endswith(
            "check the permissions of the file and its directory, or name another catalog: --catalog URL"
        )


@pytest.mark.parametrize(
    "code",
    [libvirt.VIR_ERR_AUTH_UNAVAILABLE, libvirt.VIR_ERR_AUTH_CANCELLED, libvirt.VIR_ERR_ACCESS_DENIED],
)
def test_a_refusal_by_polkit_names_its_action(code: int) -> None:
    error: Any = libvirt.libvirtError("not seen")
    error.err = (code, 0, "authentication unavailable", 2, None, None, None, -1, -1)
    raised = errors.unreachable("qemu:///system", error)
    assert raised.exit_code == 3
    assert str(raised).endswith("polkit action org.libvirt.unix.manage")
