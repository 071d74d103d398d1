"""The persistent definition of a domain that is rolled back: on the new overlays, with the checkpoint's set of disks.

Disks that were detached since come back as the memory image has them, those that were attached since go, and a domain
that was undefined is defined again from that image, with the secrets in it. All other settings are those of now.
Undone, the definition has its former disks again, or is removed again.
"""

from __future__ import annotations

from ...errors import Refused
from ...formats import domainxml
from ...model import Domain, Source
from ...ports import Catalog, Evidence, Hypervisor
from ..shared.rewind import Rewind, point_back
from .plan import RollbackPlan


class Definition:
    """`memory_path` is the image that is restored."""

    def __init__(self, plan: RollbackPlan, hypervisor: Hypervisor, rewind: Rewind, memory_path: str) -> None:
        self._plan = plan
        self._hypervisor = hypervisor
        self._rewind = rewind
        self._memory_path = memory_path
        self._new = {overlay.target: Source(path=overlay.path, format="qcow2") for overlay in plan.overlays}

    def repoint(self) -> None:
        if self._plan.defines:
            self._refuse_others()
            saved = self._hypervisor.domains.saved_definition(self._memory_path)
            self._hypervisor.domains.define(domainxml.on_disks(domainxml.without_run_mark(saved), self._new))
            return
        if self._plan.changes_set:
            self._define_set()
        self._rewind.repoint()

    def _refuse_others(self) -> None:
        """It was not defined when this was planned: a definition of its owner's is not overwritten."""
        domain = self._hypervisor.domains.get(self._plan.domain_uuid)
        if domain is not None and domain.persistent and not self._is_ours(domain):
            raise Refused(f"{domain.name} was defined outside snapctl after the plan was made", hint="try again")

    def is_repointed(self) -> Evidence | None:
        domain, plan = self._hypervisor.domains.get(self._plan.domain_uuid), self._plan
        defined = domain.persistent_sources() if domain is not None and domain.persistent else None
        if defined is None:
            return None if plan.defines else {}
        wanted = plan.returns if not plan.defines else tuple(self._new)
        if any(target not in defined for target in wanted) or any(target in defined for target in plan.leaves):
            return None
        return self._rewind.is_repointed()

    def point_back(self) -> None:
        plan, domain = self._plan, self._hypervisor.domains.get(self._plan.domain_uuid)
        if plan.defines:
            if domain is not None and domain.persistent and self._is_ours(domain):
                self._hypervisor.domains.undefine(plan.domain_uuid)
            return
        previous = {disk.target: disk.source for disk in plan.defined if disk.source is not None}
        if plan.changes_set and domain is not None and domain.persistent:
            self._define_former_set(domain)
        point_back(self._hypervisor, plan.domain_uuid, previous, plan.overlays)

    def _define_set(self) -> None:
        """All at once, on the overlays: there is no moment at which a frozen layer is a disk of the domain."""
        plan, domains = self._plan, self._hypervisor.domains
        domain = domains.get(plan.domain_uuid)
        if domain is None or not domain.persistent:
            return
        saved = domains.saved_definition(self._memory_path)
        changed = domainxml.with_set(
            domains.definition(plan.domain_uuid), like=saved, added=plan.returns, removed=plan.leaves
        )
        present = {disk.target for disk in domainxml.disks(changed)}
        new = {target: source for target, source in self._new.items() if target in present}
        domains.define(domainxml.on_disks(changed, new))

    def _define_former_set(self, domain: Domain) -> None:
        """Only of what this operation changed: a disk that its owner put there since stays."""
        plan, defined = self._plan, domain.persistent_sources()
        ours = [target for target in plan.returns if defined.get(target) == self._new[target].path]
        gone = [target for target in plan.leaves if target not in defined]
        if ours or gone:
            former = domainxml.with_set(
                self._hypervisor.domains.definition(plan.domain_uuid),
                like=plan.definition,
                added=gone,
                removed=ours,
            )
            self._hypervisor.domains.define(former)

    def _is_ours(self, domain: Domain) -> bool:
        """Whether the definition is the one that this operation made, and neither a run nor a managed-save image is on
        its disks."""
        made = {target: source.path for target, source in self._new.items()}
        runs_on_them = domain.active and not set(domain.sources().values()).isdisjoint(made.values())
        return not runs_on_them and not domain.managed_save and domain.persistent_sources() == made


def catalogued(plan: RollbackPlan, catalog: Catalog) -> str:
    """The domain XML of the checkpoint under the name that the domain has now. No checkpoint that is being restored is
    deleted."""
    checkpoint = catalog.checkpoint_by_id(plan.checkpoint_id)
    assert checkpoint is not None  # noqa: S101 - one open operation per domain
    known = checkpoint.origin.domain_xml
    return known if plan.renamed_path is None else domainxml.renamed(known, plan.domain_name)
