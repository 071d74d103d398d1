"""Which URIs lead to a hypervisor, and which could lead anywhere."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.hypervisor import uri

GOOD = [
    "qemu:///system",
    "qemu:///session",
    "qemu+unix:///system?socket=/run/libvirt/libvirt-sock",
    "qemu+ssh://root@host.example:2222/system?keyfile=/home/u/.ssh/id&no_tty=1",
    "qemu+tls://[2001:db8::1]/system",
    "qemu:///system?",
]

BAD = [
    "",
    "web01",
    "qemu",
    "test:///default",
    "xen:///system",
    "qemu+ext:///system",
    "qemu+ext:///system?command=/tmp/x",
    "qemu:///embed?root=/tmp",
    "qemu:///",
    "qemu:///system/../session",
    "qemu+ssh://u:secret@host/system",
    "qemu+ssh://host:port/system",
    "qemu+ssh://-oProxyCommand=x/system",
    "qemu+ssh://-l@host/system",
    "qemu+ssh://host/system?command=/tmp/x",
    "qemu+ssh://host/system?COMMAND=/tmp/x",
    "qemu+ssh://host/system?comm%61nd=/tmp/x",
    "qemu+ssh://host/system?no_tty=1;command=/tmp/x",
    "qemu+ssh://host/system?netcat=/tmp/x",
    "qemu+ssh://host/system?proxy=netcat",
    "qemu+ssh://host/system?no_verify=1",
    "qemu+libssh2://host/system?known_hosts_verify=ignore",
    "qemu+libssh2://host/system?known_hosts=/tmp/x",
    "qemu+tls://host/system?no_sanity=1",
    "qemu:///system\n",
    "qemu:///sys\ttem",
    "qemu:///system ?socket=x",
    "qemu://[::1/system",
]


@pytest.mark.parametrize("good", GOOD)
def test_check_accepts_plain_qemu_uris(good: str) -> None:
    uri.check(good)


@pytest.mark.parametrize("good", GOOD)
def test_shown_is_the_whole_uri(good: str) -> None:
    assert uri.shown(good) == good.rstrip("?")


def test_shown_and_public_have_no_password() -> None:
    there = "qemu+ssh://ann:hunter2@host:22/system?socket=/s"
    assert uri.shown(there) == "qemu+ssh://ann@host:22/system?socket=/s"
    assert uri.public(there) == "qemu+ssh://host:22/system"


@pytest.mark.parametrize("bad", BAD)
def test_check_refuses_other_uris_in_one_line_without_secrets(bad: str) -> None:
    with pytest.raises(UsageError) as caught:
        uri.check(bad)
    said = str(caught.value)
    assert "\n" not in said and len(said) <= 200
    assert "secret" not in said


@pytest.mark.parametrize(
    ("full", "public"),
    [
        ("qemu:///system", "qemu:///system"),
        ("qemu+unix:///system?socket=/tmp/s", "qemu+unix:///system"),
        ("qemu+ssh://root@host:22/system?keyfile=/k", "qemu+ssh://host:22/system"),
    ],
)
def test_the_public_form_has_no_user_and_no_parameters(full: str, public: str) -> None:
    assert uri.public(full) == public
