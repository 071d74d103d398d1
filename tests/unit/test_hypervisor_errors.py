"""libvirtError in our words: what is passed on, and what is explained."""

from __future__ import annotations

from errno import ECONNRESET, ENOENT
from typing import Any

import libvirt
import pytest

from orchestrator.errors import HypervisorError
from orchestrator.hypervisor.errors import changing, unreachable

RESET = "Unable to read from monitor: Connection reset by peer"


def libvirt_error(message: str, *, domain: int, code: int = libvirt.VIR_ERR_SYSTEM_ERROR, errno: int = 0) -> Exception:
    error = libvirt.libvirtError(message)
    error.err = (code, domain, message, libvirt.VIR_ERR_ERROR, "%s", None, None, errno, -1)
    return error  # type: ignore[no-any-return]


def problem_of(error: Exception) -> str:
    with pytest.raises(HypervisorError) as translated, changing("stream disk vda"):
        raise error
    return translated.value.problem


@pytest.mark.parametrize(
    ("message", "code", "errno"),
    [
        (RESET, libvirt.VIR_ERR_SYSTEM_ERROR, ECONNRESET),
        ("End of file from qemu monitor", libvirt.VIR_ERR_INTERNAL_ERROR, 0),
    ],
    ids=["reset", "end of file"],
)
def test_changing_qemu_died_says_so_with_libvirts_words(message: str, code: int, errno: int) -> None:
    error = libvirt_error(message, domain=libvirt.VIR_FROM_QEMU, code=code, errno=errno)
    assert problem_of(error) == f"cannot stream disk vda: its QEMU process ended ({message})"


def test_changing_connection_to_libvirt_reset_is_not_taken_for_a_dead_qemu() -> None:
    message = "Cannot recv data: Connection reset by peer"
    error = libvirt_error(message, domain=libvirt.VIR_FROM_RPC, errno=ECONNRESET)
    assert problem_of(error) == f"cannot stream disk vda: {message}"


def test_changing_other_error_passes_on_libvirts_words() -> None:
    error = libvirt_error("cannot open /x", domain=libvirt.VIR_FROM_QEMU, errno=ENOENT)
    assert problem_of(error) == "cannot stream disk vda: cannot open /x"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (
            "Cannot recv data: ssh: Could not resolve hostname vm: Name or service not known: Connection reset by peer",
            "check the host name in the URI",
        ),
        ("unable to resolve address 'vm' service '16509': Name or service not known", "check the host name in the URI"),
        ("Failed to connect socket to '/s': No such file or directory", "check the URI, and that the libvirt daemon"),
    ],
)
def test_unreachable_hints_at_the_host_name_where_it_is_that(said: str, hint: str) -> None:
    error: Any = libvirt_error(said, domain=libvirt.VIR_FROM_RPC)
    raised = unreachable("qemu+unix:///system?socket=/s", error)
    assert raised.problem == f"cannot connect to qemu+unix:///system?socket=/s: {said}"
    assert raised.hint.startswith(hint)
