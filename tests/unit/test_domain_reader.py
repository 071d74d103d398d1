"""One domain that cannot be read stops snapctl for no other, and nothing it may use is taken for unused."""

from __future__ import annotations

from orchestrator.hypervisor.domain_reader import disks_of
from orchestrator.integrity.users import writers


class Unreadable:
    """A virDomain that has a kind of disk which snapctl does not know."""

    def XMLDesc(self, flags: int) -> str:
        disk = "<disk device='tape'><source file='/images/tape'/><target dev='a'/></disk>"
        return f"<domain id='3'><name>db01</name><uuid>u</uuid><devices>{disk}</devices></domain>"

    def UUIDString(self) -> str:
        return "u"

    def name(self) -> str:
        return "db01"

    def isActive(self) -> int:
        return 1


def test_the_files_that_it_names_are_in_use() -> None:
    found = disks_of(Unreadable())
    assert (found.uuid, found.name, found.active) == ("u", "db01", True)
    assert list(writers([found])) == ["/images/tape"]
