"""What config/examples/ offers for copying is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import children

SERVICE = Path(__file__).parents[2] / "config" / "examples" / "snapctl-recover.service"


def complaints(service: str, directory: Path) -> str:
    """What systemd says of it, with a program that exists in place of snapctl."""
    file = directory / SERVICE.name
    file.write_text(service.replace("/usr/local/bin/snapctl", "/bin/true"))
    return children.run("systemd-analyze", "verify", "--man=no", str(file)).stderr


def test_recover_service_systemd_has_no_complaint(tmp_path: Path) -> None:
    assert complaints(SERVICE.read_text(), tmp_path) == ""


@pytest.mark.parametrize(("right", "wrong"), [("oneshot", "one-shot"), ("[Unit]", "[Units]"), ("After=", "Afer=")])
def test_recover_service_misspelt_is_complained_about(tmp_path: Path, right: str, wrong: str) -> None:
    assert SERVICE.name in complaints(SERVICE.read_text().replace(right, wrong), tmp_path)


def test_recover_service_runs_between_the_daemon_and_the_guests() -> None:
    lines = SERVICE.read_text().splitlines()
    (after,) = [line for line in lines if line.startswith("After=")]
    assert {"libvirtd.service", "virtqemud.service"} <= set(after.removeprefix("After=").split())
    assert "Before=libvirt-guests.service" in lines
    assert "ExecStart=/usr/local/bin/snapctl recover" in lines
