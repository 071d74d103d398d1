"""New disks for a domain: what every story makes before it restores."""

from collections.abc import Mapping

from orchestrator.formats import domainxml
from orchestrator.model import Domain, NewOverlay, Source
from orchestrator.ports import Hypervisor


def stack(hypervisor: Hypervisor, domain: Domain, directory: str) -> dict[str, Source]:
    """An empty overlay in `directory` on each disk that `domain` has now; by target."""
    hypervisor.storage.make_directory(directory)
    sources = {}
    for disk in domain.writable_disks:
        assert disk.source
        below = hypervisor.storage.stat(disk.source.path)
        assert below
        path = f"{directory}/{disk.target}.qcow2"
        overlay = NewOverlay(
            target=disk.target,
            path=path,
            backing=disk.source.path,
            backing_format=disk.source.format,
            capacity=below.capacity,
        )
        hypervisor.storage.create_overlay(overlay)
        sources[disk.target] = Source(path=path, format="qcow2")
    return sources


def restore(hypervisor: Hypervisor, image: str, sources: Mapping[str, Source]) -> None:
    saved = hypervisor.domains.saved_definition(image)
    hypervisor.domains.restore(image, domainxml.on_disks(saved, sources))
