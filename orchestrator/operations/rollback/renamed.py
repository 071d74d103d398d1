"""A copy of the memory image under the name that a domain has by now.

libvirt restores an image only as the domain that it names, and cannot rename a domain that runs; the image itself is
the only copy of its memory, and is never changed. So what is restored is a copy, whose XML has the present name. It is
made before the guest is stopped, and removed at the end.
"""

from __future__ import annotations

from ...engine.story import Step
from ...errors import HypervisorError, IntegrityError
from ...formats import domainxml, saveimage
from ...ports import Evidence, Hypervisor
from ...store.workspace import remove_if_empty
from .plan import RollbackPlan


class RenamedImage:
    def __init__(self, plan: RollbackPlan, path: str, hypervisor: Hypervisor) -> None:
        self._plan = plan
        self._path = path
        self._hypervisor = hypervisor
        self._storage = hypervisor.storage

    @property
    def step(self) -> Step:
        return Step("copied", self._make, self._is_made, self._remove)

    def remove(self) -> None:
        self._storage.remove(self._path)

    def is_removed(self) -> bool:
        return self._storage.stat(self._path) is None

    def _make(self) -> None:
        """Until the last bytes are written it has the mark of an image that is not whole."""
        self._storage.make_directory(self._plan.directory)
        self._storage.remove(self._path)
        self._storage.copy(self._plan.memory_path, self._path)
        try:
            head = saveimage.renamed(self._head(self._path), self._rename)
        except saveimage.BadHeader as error:
            raise IntegrityError(f"the memory image {self._plan.memory_path} {error}") from error
        self._storage.overwrite(self._path, head)
        self._storage.overwrite(self._path, saveimage.WHOLE)

    def _is_made(self) -> Evidence | None:
        """As long as its original, whole, and under the new name."""
        original, copy = self._storage.stat(self._plan.memory_path), self._storage.stat(self._path)
        if original is None or copy is None or copy.physical != original.physical:
            return None
        head = self._head(self._path)
        try:
            xml = saveimage.domain_xml(head) if saveimage.is_whole(head) else None
            return {} if xml is not None and domainxml.definition(xml).name == self._plan.domain_name else None
        except (saveimage.BadHeader, HypervisorError):
            return None

    def _remove(self) -> None:
        self.remove()
        remove_if_empty(self._hypervisor, self._plan.directory)

    def _rename(self, xml: str) -> str:
        return domainxml.renamed(xml, self._plan.domain_name)

    def _head(self, path: str) -> bytes:
        """Header and XML, with all of the padding."""
        header = self._storage.read(path, 0, saveimage.HEADER_LENGTH)
        length = saveimage.parse_header(header).data_length if saveimage.is_whole(header) else 0
        return self._storage.read(path, 0, saveimage.HEADER_LENGTH + length)
