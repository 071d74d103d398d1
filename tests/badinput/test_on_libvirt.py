"""Bad inputs that only a real hypervisor can show."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from tests.box import layout
from tests.box.box import Box
from tests.box.fixtures import GuestFactory
from tests.system.client import Client, new_client
from tests.system.host_state import unchanged

pytestmark = pytest.mark.system

USAGE, ENVIRONMENT, INTEGRITY, REFUSED = 2, 3, 5, 6


@pytest.fixture(scope="module")
def client(box: Box) -> Iterator[Client]:
    with new_client(box.uri) as made:
        yield made


@pytest.fixture(scope="module")
def base(client: Client, module_guest: GuestFactory) -> str:
    """The name of a domain that stands still on its checkpoint `base`."""
    guest = module_guest(boot=False)
    guest.start(paused=True)
    client.do("checkpoint", guest.name, "base")
    return guest.name


@pytest.fixture
def configured(client: Client) -> Iterator[Callable[[str], None]]:
    """Configures the client for one test."""
    yield client.configure
    client.configure("")


@pytest.mark.parametrize("below", ["", "/store"])
def test_checkpoint_store_below_a_file_is_refused(
    box: Box, client: Client, base: str, configured: Callable[[str], None], below: str
) -> None:
    configured(f'[store]\npath = "{layout.IMAGES}/{base}-disk-vda.qcow2{below}"\n')
    with unchanged(box, client):
        assert "Not a directory; nothing was changed" in client.refusal(ENVIRONMENT, "checkpoint", base, "new")


def test_checkpoint_store_in_proc_is_refused(
    box: Box, client: Client, base: str, configured: Callable[[str], None]
) -> None:
    """libvirtd would read /proc/kmsg, and wait there for ever."""
    configured('[store]\npath = "/proc/store"\n')
    with unchanged(box, client):
        assert "is a kernel file system" in client.refusal(USAGE, "checkpoint", base, "new")


@pytest.mark.parametrize("verb", [("checkpoint", "new"), ("rollback", "base", "-y")])
def test_changing_verb_on_read_only_connection_is_refused(
    box: Box, client: Client, base: str, verb: tuple[str, ...]
) -> None:
    name, *arguments = verb
    with unchanged(box, client):
        line = client.refusal(ENVIRONMENT, "-c", f"{box.uri}-ro", name, base, *arguments)
    assert "must be in the libvirt group" in line


def test_list_hung_daemon_is_refused_after_timeout(box: Box, client: Client, configured: Callable[[str], None]) -> None:
    configured("[connection]\ntimeout_s = 1\n")
    with unchanged(box, client):
        box.kill_libvirtd(signal.SIGSTOP)
        try:
            assert "no answer within 1 s" in client.refusal(ENVIRONMENT, "list")
        finally:
            box.kill_libvirtd(signal.SIGCONT)


@pytest.mark.parametrize(
    "command",
    ["mkfifo {}", "mknod {} c 1 5", "mkdir {}", "ln -s /nowhere {}", "ln -s {} {}"],
    ids=["FIFO", "device", "directory", "dangling symlink", "symlink to itself"],
)
def test_rollback_no_regular_file_in_place_of_image_is_refused(
    box: Box, client: Client, base: str, command: str
) -> None:
    path = client.do("show", base, "base")["memory"]["path"]
    box.run_inside("mv", path, f"{path}.real")
    box.run_inside(*command.replace("{}", path).split())
    try:
        with unchanged(box, client):
            assert "memory.save is missing" in client.refusal(INTEGRITY, "rollback", base, "base", "-y")
    finally:
        box.run_inside("rm", "-rf", path)
        box.run_inside("mv", f"{path}.real", path)


def test_checkpoint_missing_base_is_refused(box: Box, client: Client, module_guest: GuestFactory) -> None:
    """A running guest has it open still; but what was saved could not be restored."""
    guest = module_guest(boot=False)
    guest.start(paused=True)
    client.do("checkpoint", guest.name, "first")
    client.do("checkpoint", guest.name, "second")
    box.run_inside("rm", f"{layout.IMAGES}/{guest.name}-disk-vda.qcow2")
    before = client.do("list", guest.name)
    line = client.refusal(REFUSED, "checkpoint", guest.name, "third")
    assert "is missing; checkpoint first, second relied on it; nothing was changed; mount or restore it" in line
    assert client.do("list", guest.name) == before
    with unchanged(box, client):
        assert "-disk-vda.qcow2 is missing" in client.refusal(INTEGRITY, "rollback", guest.name, "second", "-y")
