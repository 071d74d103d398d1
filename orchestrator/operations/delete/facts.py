"""What a deletion is planned from: read only, from the hypervisor and the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...integrity.file_users import find_users
from ...model import Checkpoint, Layer
from ..shared.guest import Guest, is_only_copy
from ..shared.site import Site
from .plan import DeleteFacts


def gather(
    site: Site,
    guest: Guest,
    checkpoint: Checkpoint,
    freed: Sequence[Layer] | None = None,
    *,
    with_reasons: bool = False,
    only_if_unneeded: bool = False,
    force: bool = False,
) -> DeleteFacts:
    """`freed` are the layers that go with it, unless it is the only one to be deleted; `with_reasons` says
    to find out what needs the others."""
    head = site.catalog.head(guest.uuid)
    layers = site.catalog.layers_freed_by(checkpoint.id) if freed is None else freed
    going = {layer.path for layer in layers}
    retained = list(dict.fromkeys(_nearest_kept(site, checkpoint, going)))
    return DeleteFacts(
        host=site.hypervisor.host,
        domain_name=guest.domain.name if guest.domain else checkpoint.domain_name,
        checkpoint=checkpoint,
        head=head,
        layers=layers,
        retained=retained,
        needed_by=_needed_by(site, guest, checkpoint, retained) if with_reasons else (),
        only_if_unneeded=only_if_unneeded,
        is_only_copy=head is not None and is_only_copy(site.hypervisor, site.catalog, guest.domain, checkpoint, head),
        force=force,
        seen=site.hypervisor.storage.stat_all(sorted(going)),
        users=find_users(site.hypervisor, site.catalog, [*checkpoint.own_files, *sorted(going)]),
    )


def _nearest_kept(site: Site, checkpoint: Checkpoint, going: set[str]) -> Iterator[str]:
    """By disk: the first layer, from the checkpoint's own down, that does not go with it."""
    for layer in checkpoint.layers.values():
        chain = [layer] if layer.path not in going else site.catalog.chain(layer.path)
        yield from [each.path for each in chain if each.path not in going and each.operation_id is not None][:1]


def _needed_by(site: Site, guest: Guest, checkpoint: Checkpoint, retained: Iterable[str]) -> list[str]:
    relying = [each for path in retained for each in site.catalog.relying_on(path)]
    names = [each.name for each in relying if each.id != checkpoint.id]
    head = site.catalog.head(guest.uuid)
    tops = head.overlays.values() if head else ()
    below = {layer.path for top in tops for layer in site.catalog.chain(top)}
    return list(dict.fromkeys([*names, *([f"the disks of {guest.name}"] if below & set(retained) else [])]))
