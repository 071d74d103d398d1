"""The bugs: what each does wrong, where it is planted, and the tests that must notice.

The tests are fast ones, on the in-memory hypervisor. Where the text of the product changes, the bug is to
be planted anew in what took its place.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    what: str
    file: str
    old: str  # occurs once in the file
    new: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return self.what


MATRIX = "tests/crash/test_crash_matrix.py::test_recover_fault_at_some_calls_is_settled"
ORDER = "tests/crash/test_order.py::test_order_rules_hold_after_each_effect"
ORDER_OF_CHECKPOINT, ORDER_OF_ROLLBACK = (f"{ORDER}[{verb}, two disks]" for verb in ("checkpoint", "rollback"))
CUT_IMAGE = "tests/crash/test_order.py::test_checkpoint_image_without_memory_is_not_committed"
KILLED_CHECKPOINT = f"{MATRIX}[first checkpoint-client killed]"
KILLED_ROLLBACK = f"{MATRIX}[rollback-client killed]"
KILLED_DELETE = f"{MATRIX}[delete-client killed]"
FOREIGN = "tests/crash/test_foreign_acts.py"
PROCESSES = "tests/crash/test_two_processes.py"
OUTSIDE = "tests/crash/test_started_outside.py"
TIME = "tests/crash/test_time_passes.py"
VERIFY = "tests/crash/test_verify.py"
LEASE = "tests/unit/test_lease.py"
MEMBERS = "tests/crash/test_two_members.py"
CHECKPOINT_REFUSED = "tests/unit/test_planning_checkpoint_refused.py::test_refused"
PREFLIGHT = "tests/unit/test_planning_preflight.py"
ROLLBACK_REFUSED = "tests/unit/test_planning_rollback_refused.py::test_refused"
MEMBERS_AND_TIME = "tests/crash/test_members_and_time.py"

PULLED = tuple(
    f"tests/crash/{test}[collapse, two disks]"
    for test in (
        "test_order.py::test_order_rules_hold_after_each_effect",
        "test_fault_points.py::test_recover_each_fault_at_each_point_is_settled",
    )
)

MAKING = "orchestrator/store/workspace.py"
REWIND = "orchestrator/operations/shared/rewind.py"
CHECKPOINT = "orchestrator/operations/checkpoint/story.py"
CAPTURE = "orchestrator/operations/checkpoint/capture/save.py"
ROLLBACK = "orchestrator/operations/rollback/story.py"
DELETE = "orchestrator/operations/delete/story.py"
COLLAPSE = "orchestrator/operations/collapse/story.py"
JOURNAL = "orchestrator/engine/run.py"
ROWS = "orchestrator/catalog/journal.py"
FILES = "orchestrator/integrity/damage.py"

BUGS = (
    # ------------------------------------------------------------------ order of things
    Bug(
        "skip the persistent repoint",
        REWIND,
        "        define_sources(self._hypervisor, self._uuid, self._sources)\n",
        "        pass\n",
        (KILLED_ROLLBACK,),
    ),
    Bug(
        "believe in the persistent repoint unseen",
        REWIND,
        "return {} if all(defined.get(o.target, o.path) == o.path for o in self._overlays) else None",
        "return {}",
        (KILLED_ROLLBACK,),
    ),
    Bug(
        "restore before define",
        ROLLBACK,
        """\
            Step("repointed", self._repoint, self._rewind.is_repointed, self._point_back),
            Step("restored", self._restore, self._rewind.is_restored, self._unrestore),
""",
        """\
            Step("restored", self._restore, self._rewind.is_restored, self._unrestore),
            Step("repointed", self._repoint, self._rewind.is_repointed, self._point_back),
""",
        (ORDER_OF_ROLLBACK,),
    ),
    Bug(
        "stop before the overlays are made",
        ROLLBACK,
        """\
            prepared(self._hypervisor, self.plan.directory, self._manifest, self.results, self._before_stop),
            Step("stopped", self._stop, self._is_stopped, no_undo),
""",
        """\
            Step("stopped", self._stop, self._is_stopped, no_undo),
            prepared(self._hypervisor, self.plan.directory, self._manifest, self.results, self._before_stop),
""",
        (KILLED_ROLLBACK,),
    ),
    Bug(
        "resume before commit",
        ROLLBACK,
        """\
            Commit("committed", self._commit, self._is_committed),
            *resumed,
""",
        """\
            *resumed,
            Commit("committed", self._commit, self._is_committed),
""",
        (ORDER_OF_ROLLBACK,),
    ),
    Bug(
        "commit before the persistent repoint",
        CHECKPOINT,
        """\
            *repointed,
            Commit("committed", self._commit, self._is_committed, prepare=self._gather),
""",
        """\
            Commit("committed", self._commit, self._is_committed, prepare=self._gather),
            *repointed,
""",
        (ORDER_OF_CHECKPOINT,),
    ),
    Bug(
        "commit before the image is whole",
        CAPTURE,
        "return header if image.physical > saveimage.HEADER_LENGTH + header.data_length else None",
        "return header",
        (CUT_IMAGE,),
    ),
    Bug(
        "delete before commit",
        DELETE,
        """\
            Commit("hidden", self._hide, self._is_hidden, prepare=self._require_copy),
            Step("removed", self._remove, self._is_removed),
""",
        """\
            Step("removed", self._remove, self._is_removed),
            Commit("hidden", self._hide, self._is_hidden, prepare=self._require_copy),
""",
        (KILLED_DELETE,),
    ),
    Bug(
        "forget the names before the files are gone",
        MAKING,
        "    remove_files(hypervisor, domain_uuid, paths)\n",
        "    operation.forget_layers(paths)\n    remove_files(hypervisor, domain_uuid, paths)\n",
        (KILLED_ROLLBACK,),
    ),
    # ------------------------------------------------------------------ overlays
    Bug(
        "reuse an overlay that a QEMU had open",
        MAKING,
        "        if opened or info is None:\n",
        "        if info is None:\n",
        ("tests/unit/test_workspace.py", KILLED_ROLLBACK),
    ),
    Bug(
        "restore onto an overlay that was written to",
        MAKING,
        "        if info is not None and not is_empty(info, lengths[overlay.target]):\n",
        "        if False:\n",
        ("tests/unit/test_workspace.py", FOREIGN),
    ),
    Bug(
        "take back an overlay that was written to",
        MAKING,
        "if info is not None and not is_empty(info, lengths.get(overlay.target, info.physical)):",
        "if False:",
        ("tests/unit/test_workspace.py", FOREIGN),
    ),
    Bug(
        "two rollbacks in one directory",
        "orchestrator/operations/rollback/plan.py",
        "operation_directory(facts.store, checkpoint.domain_uuid, operation_id)",
        "operation_directory(facts.store, checkpoint.domain_uuid, checkpoint.id)",
        ("tests/unit/test_planning_rollback.py", KILLED_ROLLBACK),
    ),
    Bug(
        "no format on backing",
        "orchestrator/formats/storagexml.py",
        '    add(backing, "format", type=wanted.backing_format)\n',
        "",
        ("tests/unit/test_storagexml.py",),
    ),
    Bug(
        "remove files that a domain uses",
        MAKING,
        "        if path in in_use:\n",
        "        if False:\n",
        ("tests/unit/test_workspace.py", FOREIGN),
    ),
    Bug(
        "remove a directory that holds something else",
        MAKING,
        "if files is None or any(info.path != layout.manifest_path(directory) for info in files):",
        "if files is None:",
        ("tests/unit/test_workspace.py", KILLED_ROLLBACK),
    ),
    # ------------------------------------------------------------------ who may act
    Bug(
        "drop the token check of the fence",
        "orchestrator/engine/fence.py",
        "            self._operation.check()\n",
        "            pass\n",
        (PROCESSES,),
    ),
    Bug(
        "drop the token check of each step",
        JOURNAL,
        "        self._operation.check()  # as late as can be: whoever was frozen at the point finds out\n",
        "",
        ("tests/unit/test_journal_interrupted.py",),
    ),
    Bug(
        "drop the token check of each update",
        ROWS,
        "found is None or found.token != operation.token or found.state",
        "found is None or found.state",
        (LEASE, "tests/unit/test_catalog_journal.py"),
    ),
    Bug(
        "renew a lease that is another's",
        ROWS,
        "        OperationRow.token == operation.token,\n",
        "",
        (LEASE, "tests/unit/test_catalog_journal.py"),
    ),
    Bug(
        "a lease that never asks",
        "orchestrator/catalog/leases.py",
        "            journal.require(session, self._operation)\n",
        "            pass\n",
        (LEASE,),
    ),
    Bug(
        "a heart that does not beat",
        "orchestrator/catalog/leases.py",
        "        while not self._released.wait(self._times.beat):\n",
        "        while False:\n",
        (LEASE,),
    ),
    Bug(
        "take over what somebody is at",
        ROWS,
        "    if current.state is OperationState.OPEN and not is_abandoned(session, current):\n",
        "    if False:\n",
        (LEASE, PROCESSES),
    ),
    Bug(
        "open an operation without a look at others",
        "orchestrator/catalog/repository.py",
        "                    raise journal.busy(session, other)\n                journal.start(",
        "                    break\n                journal.start(",
        ("tests/unit/test_catalog_journal.py",),
    ),
    Bug(
        "take another machine of the same name for an earlier boot of this one",
        "orchestrator/catalog/owner_process.py",
        "if owner.machine_id and owner.machine_id == _machine_id() else Life.UNKNOWN",
        "if owner.machine_id or True else Life.UNKNOWN",
        ("tests/unit/test_owner_process.py",),
    ),
    Bug(
        "take a process that /proc hides for one that has ended",
        "orchestrator/catalog/owner_process.py",
        "return Life.UNKNOWN if _is_hidden(pid) else Life.GONE",
        "return Life.GONE",
        ("tests/unit/test_owner_process.py",),
    ),
    Bug(
        "take over from a living process whose lease ran out",
        ROWS,
        "        case owner_process.Life.ALIVE:\n            return False\n",
        "        case owner_process.Life.ALIVE:\n            pass\n",
        (LEASE,),
    ),
    Bug(
        "take a new process for the one that had its number",
        "orchestrator/catalog/owner_process.py",
        "return Life.ALIVE if start == owner.pid_start else Life.GONE",
        "return Life.ALIVE",
        ("tests/unit/test_owner_process.py",),
    ),
    Bug(
        "two operations on one domain",
        "migrations/versions/0002_journal.py",
        "        unique=True,\n",
        "        unique=False,\n",
        ("tests/migrations/test_migrations.py",),
    ),
    # ------------------------------------------------------------------ the journal
    Bug(
        "leave a guest off for a catalog that is out of reach for seconds",
        JOURNAL,
        "                self._await_catalog(deadline)\n",
        "                raise\n",
        ("tests/crash/test_catalog_outage.py",),
    ),
    Bug(
        "go by what was thought to be written before the catalog was out of reach",
        JOURNAL,
        "            member.read(record.completed)\n",
        "            member.read([step.name for step in member.story.steps])\n",
        ("tests/crash/test_catalog_outage.py",),
    ),
    Bug(
        "take an error for a failure without a look",
        JOURNAL,
        "            failure = error  # an RPC error means unknown, not failed: look\n",
        "            raise\n",
        ("tests/unit/test_journal.py", "tests/unit/test_journal_settled.py"),
    ),
    Bug(
        "go forward again after an undo has begun",
        JOURNAL,
        "if (decided := self._operation.record.decision) is not None:",
        "if (decided := self._operation.record.decision) is Direction.FORWARD:",
        ("tests/unit/test_journal_killed.py", "tests/unit/test_journal_settled.py", KILLED_ROLLBACK),
    ),
    Bug(
        "let one member go ahead of another",
        JOURNAL,
        "next((name for name in firsts if all(name not in names[1:] for names in waiting)), None)",
        "next(iter(firsts), None)",
        (MEMBERS,),
    ),
    Bug(
        "keep a member down because another cannot say",
        JOURNAL,
        "        if all(member.story.may_fall_back() for member in beyond):\n",
        "        if False:\n",
        (MEMBERS_AND_TIME,),
    ),
    Bug(
        "destroy for another member's sake a guest that worked on",
        ROLLBACK,
        '        return not written_after_stop(self.results["stops_on"], self._read_tops())\n\n    def caveat',
        "        return True\n\n    def caveat",
        (MEMBERS_AND_TIME,),
    ),
    Bug(
        "let one member that cannot be undone keep another from it",
        JOURNAL,
        "            self._stuck.append((member, problem))\n",
        "            raise\n",
        (MEMBERS_AND_TIME,),
    ),
    Bug(
        "bring back as a transient domain what was undefined",
        ROLLBACK,
        "            return False  # it was undefined since\n",
        "            pass\n",
        (MEMBERS_AND_TIME,),
    ),
    Bug(
        "commit each member by itself",
        "orchestrator/catalog/open_operation.py",
        "            self._joined = session, operation\n",
        "            self._joined = None\n",
        (MEMBERS,),
    ),
    Bug(
        "undo what is decided",
        JOURNAL,
        "if self._direction() is Direction.FORWARD:",
        "if False:",
        ("tests/unit/test_journal_settled.py",),
    ),
    Bug(
        "recover without a look at what was done",
        JOURNAL,
        "            evidence = step.observe() if settling else None\n",
        "            evidence = None\n",
        ("tests/unit/test_journal_settled.py", "tests/unit/test_journal_killed.py"),
    ),
    Bug(
        "drop the fsync",
        "orchestrator/catalog/database.py",
        'connection.execute("PRAGMA synchronous = FULL")',
        'connection.execute("PRAGMA synchronous = OFF")',
        ("tests/unit/test_catalog_database.py",),
    ),
    # ------------------------------------------------------------------ memory images
    Bug(
        "accept the magic of an image that is not whole",
        "orchestrator/formats/saveimage.py",
        "        whole=magic == WHOLE,\n",
        "        whole=True,\n",
        ("tests/unit/test_saveimage.py",),
    ),
    Bug(
        "pair an image with disks that were written to since",
        CAPTURE,
        "        if ran or (domain is not None and domain.managed_save):\n",
        "        if False:\n",
        (FOREIGN,),
    ),
    Bug(
        "delete an image that may be all that is left",
        CAPTURE,
        "            if self._whole_header(self._hypervisor.storage.stat(self._plan.memory_path)) is not None:\n",
        "            if False:\n",
        (FOREIGN, KILLED_CHECKPOINT),
    ),
    Bug(
        "stop another run than the one planned for",
        ROLLBACK,
        "            require_sources(domain, self.plan.previous_sources, self.plan.run_id)\n",
        "",
        (FOREIGN,),
    ),
    # ------------------------------------------------------------------ time passes
    Bug(
        "take any end of a guest for a stop of ours",
        ROLLBACK,
        "domain is not None and domain.off_reason is not OffReason.DESTROYED",
        "False",
        (TIME,),
    ),
    Bug(
        "discard what a guest wrote after it was to be rolled back",
        ROLLBACK,
        '        return not written_after_stop(self.results["stops_on"], self._read_tops())\n\n    def _is_others',
        "        return True\n\n    def _is_others",
        (TIME,),
    ),
    Bug(
        "restore a guest that libvirt has a managed-save image of",
        ROLLBACK,
        "return edited or domain.managed_save or bool(",
        "return edited or bool(",
        (TIME,),
    ),
    Bug(
        "repoint a definition that was edited",
        ROLLBACK,
        "return edited or domain.managed_save or bool(",
        "return domain.managed_save or bool(",
        (TIME,),
    ),
    Bug(
        "pair a guest's image with disks that were written to before another save",
        CAPTURE,
        "            ran = ended or any(_written_after(now, image) for now in frozen.values())\n",
        "            ran = ended\n",
        (TIME,),
    ),
    Bug(
        "take a boot for a restore",
        REWIND,
        'return {} if self._is_ours(domain) else {OUTSIDE: "started"}',
        "return {}",
        (OUTSIDE,),
    ),
    Bug(
        "keep the mark of an earlier run",
        "orchestrator/formats/domainxml.py",
        '    for mark in domain.findall(f"metadata/{_RUN}"):\n        _remove(mark)\n',
        "",
        (OUTSIDE, "tests/unit/test_domainxml.py"),
    ),
    Bug(
        "resume what was started outside snapctl",
        REWIND,
        "        if OUTSIDE in self._results:\n            return\n",
        "",
        (OUTSIDE,),
    ),
    Bug(
        "resume what its owner has paused",
        CAPTURE,
        " and self._is_restored_back(domain):",
        ":",
        (OUTSIDE,),
    ),
    Bug(
        "recover for an edit",
        "orchestrator/executor.py",
        "        self._runner.require_settled(guest.uuid)\n",
        "",
        (TIME,),
    ),
    Bug(
        "say nothing of a guest that was left off",
        JOURNAL,
        "(error.effect, *dict.fromkeys(member.story.now() for member in self._members))",
        "(error.effect,)",
        (TIME,),
    ),
    # ------------------------------------------------------------------ is it what it was?
    Bug(
        "skip the comparison of mtimes",
        FILES,
        "        yield TIME, found.mtime, layer.mtime\n",
        "        pass\n",
        ("tests/unit/test_planning_files.py", VERIFY),
    ),
    Bug(
        "skip the hash of layers",
        FILES,
        "    return _hash_problem(layer.sha256, seen.hashes.get(layer.path))\n",
        "    return None\n",
        ("tests/unit/test_planning_files.py", VERIFY),
    ),
    Bug(
        "skip the hash of memory images",
        FILES,
        "            or _hash_problem(memory.sha256, seen.hashes.get(memory.path))\n",
        "",
        ("tests/unit/test_planning_files.py", VERIFY),
    ),
    Bug(
        "run the emulator that an image names",
        FILES,
        "            or _xml_problem(checkpoint.origin.domain_xml, saveimage.domain_xml(head))\n",
        "",
        ("tests/unit/test_planning_files.py", VERIFY),
    ),
    Bug(
        "restore onto layers that the memory was not saved with",
        FILES,
        "            or _pairing_problem(checkpoint)\n",
        "",
        ("tests/unit/test_planning_files.py", VERIFY),
    ),
    Bug(
        "trust a header's backing file",
        "orchestrator/integrity/headers.py",
        "    if named != (backing and normpath(backing)):\n",
        "    if False:\n",
        ("tests/unit/test_planning_headers.py",),
    ),
    Bug(
        "follow a header to data in another file",
        "orchestrator/integrity/headers.py",
        "    if header.external_data:\n",
        "    if False:\n",
        ("tests/unit/test_planning_headers.py",),
    ),
    Bug(
        "no but-for on the writers of a checkpoint",
        "orchestrator/operations/checkpoint/facts.py",
        "writers(each for each in site.hypervisor.domains.disks() if each.uuid != guest.uuid)",
        "writers(site.hypervisor.domains.disks())",
        ("tests/unit/test_coordinator.py",),
    ),
    Bug(
        "no writers but those that run now",
        "orchestrator/integrity/users.py",
        'for when, disks in ((" from its next start on", domain.persistent_disks), ("", domain.disks)):',
        'for when, disks in (("", domain.disks),):',
        ("tests/unit/test_planning_files.py", "tests/unit/test_planning_dangers.py", VERIFY),
    ),
    Bug(
        "roll back to what is marked as damaged",
        "orchestrator/operations/rollback/plan.py",
        "    _refuse_damaged(checkpoint)\n",
        "",
        ("tests/unit/test_planning_rollback_refused.py", VERIFY),
    ),
    Bug(
        "roll back a domain that was given other disks",
        "orchestrator/operations/rollback/plan.py",
        "        refuse_drift(domain, facts.head)\n",
        "",
        ("tests/unit/test_planning_rollback_refused.py",),
    ),
    # ------------------------------------------------------------------ a tree that is cut and pulled together
    Bug(
        "lose the children of what is deleted",
        "orchestrator/catalog/commits.py",
        "    session.execute(children.where(CheckpointRow.parent_id == row.id).values(parent_id=row.parent_id))\n",
        "    session.execute(children.where(CheckpointRow.parent_id == row.id).values(parent_id=None))\n",
        ("tests/unit/test_catalog_commits.py", "tests/unit/test_coordinator.py"),
    ),
    Bug(
        "delete the only copy of a guest",
        "orchestrator/operations/delete/plan.py",
        "    if facts.is_only_copy:\n",
        "    if False:\n",
        ("tests/unit/test_planning_delete.py", "tests/unit/test_coordinator.py"),
    ),
    Bug(
        "pull a layer away from under a checkpoint",
        "orchestrator/catalog/collapsing.py",
        "LayerRow.operation_id.is_not(None) & _KEPT & ~frozen & ~active",
        "LayerRow.operation_id.is_not(None) & _KEPT & ~active",
        ("tests/unit/test_catalog_collapsing.py",),
    ),
    Bug(
        "pull a layer that two stand on",
        "orchestrator/catalog/collapsing.py",
        "return children[0] if len(children) == 1 else None",
        "return children[0] if children else None",
        ("tests/unit/test_catalog_collapsing.py",),
    ),
    Bug(
        "write below the disk of a running guest",
        "orchestrator/operations/collapse/plan.py",
        "    if holder := facts.holders.get(normpath(layer.path)):\n",
        "    if holder := None:\n",
        ("tests/unit/test_planning_collapse.py",),
    ),
    Bug(
        "pull up what is damaged",
        "orchestrator/operations/collapse/plan.py",
        "    _refuse_damaged(facts)\n",
        "",
        ("tests/unit/test_planning_collapse.py",),
    ),
    Bug(
        "remove the layers below before the pulled one is committed",
        COLLAPSE,
        "return {} if self._stands_on_base() and self._helper() is None and not self._job_of_guest() else None",
        "return {}",
        PULLED,
    ),
    Bug(
        "leave the helper to itself",
        COLLAPSE,
        "            self._hypervisor.domains.stop_streaming(self.plan.domain_uuid, target)\n"
        "        self._hypervisor.domains.destroy(self.plan.operation_id)\n",
        "            self._hypervisor.domains.stop_streaming(self.plan.domain_uuid, target)\n",
        PULLED,
    ),
    Bug(
        "rewrite a layer without a word to the catalog",
        COLLAPSE,
        '            Step("marked", self._mark, self._is_marked, self._unmark),\n',
        "",
        PULLED,
    ),
    Bug(
        "say that a rewritten layer is damaged",
        FILES,
        "    if layer.rewritten_by is not None:\n",
        "    if False:\n",
        ("tests/unit/test_planning_files.py", *PULLED),
    ),
    Bug(
        "forget the file information of a layer that was collapsed into",
        COLLAPSE,
        "        return replace(layer, physical=found.physical, allocation=found.allocation, mtime=found.mtime)\n",
        "        return layer\n",
        PULLED,
    ),
    Bug(
        "prune what is protected",
        "orchestrator/operations/prune/policy.py",
        "((PROTECTED,) if checkpoint.protected else ())",
        "()",
        ("tests/unit/test_planning_retention.py",),
    ),
    Bug(
        "prune what the domain stands on",
        "orchestrator/operations/prune/policy.py",
        "((HERE,) if checkpoint.current else ())",
        "()",
        ("tests/unit/test_planning_retention.py",),
    ),
    Bug(
        "prune what was protected meanwhile",
        DELETE,
        " or (plan.sparing and checkpoint and checkpoint.labels.protected)",
        "",
        ("tests/crash/test_retention.py", "tests/unit/test_coordinator.py"),
    ),
    Bug(
        "an empty policy prunes all",
        "orchestrator/operations/prune/policy.py",
        "    if not (policy.keeps or policy.expired):\n",
        "    if False:\n",
        ("tests/unit/test_planning_retention.py",),
    ),
    Bug(
        "pull layers in though the volume would be full",
        "orchestrator/operations/collapse/plan.py",
        "    if facts.free_bytes < moved + facts.reserve_bytes:\n",
        "    if False:\n",
        ("tests/unit/test_planning_collapse.py",),
    ),
    # ------------------------------------------------------------------ what is left, and who may read it
    Bug(
        "free a layer that another checkpoint stands on",
        "orchestrator/catalog/layers.py",
        "            held=row.id in held,\n",
        "            held=False,\n",
        ("tests/unit/test_catalog_commits.py", KILLED_ROLLBACK),
    ),
    Bug(
        "delete a base that is not ours",
        "orchestrator/catalog/layers.py",
        "            ours=row.operation_id is not None and row.domain_uuid == domain_uuid,\n",
        "            ours=True,\n",
        ("tests/unit/test_catalog_commits.py", "tests/unit/test_catalog_reachability.py"),
    ),
    Bug(
        "clean up what is still being made",
        "orchestrator/reports/doctor/orphans.py",
        "    if facts.now - directory.manifest.created < SETTLED_AFTER:\n",
        "    if False:\n",
        ("tests/unit/test_doctor_orphans.py",),
    ),
    Bug(
        "clean up what something stands on",
        "orchestrator/reports/doctor/orphans.py",
        "        free = [directory for directory in candidates if not directory.paths & needed]\n",
        "        free = list(candidates)\n",
        ("tests/unit/test_doctor_orphans.py",),
    ),
    Bug(
        "a catalog that all may read",
        "orchestrator/catalog/database.py",
        "os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)",
        "os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)",
        ("tests/unit/test_catalog_database.py",),
    ),
    Bug(
        "resolve the entities of an XML",
        "orchestrator/formats/xmltree.py",
        "    if root.getroottree().docinfo.internalDTD is not None:",
        "    if False:",
        ("tests/unit/test_domainxml_hostile.py",),
    ),
    Bug(
        "run a program that a URI names",
        "orchestrator/hypervisor/uri.py",
        "    refused = sorted(_parameters(parts.query) - PARAMETERS)\n",
        "    refused: list[str] = []\n",
        ("tests/unit/test_hypervisor_uri.py",),
    ),
    Bug(
        "flatten what makes the only copy of a guest look as if it had run",
        "orchestrator/operations/collapse/facts.py",
        "    if checkpoint is not None and is_only_copy(site.hypervisor, guest.domain, checkpoint, head):\n",
        "    if False:\n",
        ("tests/unit/test_coordinator.py",),
    ),
    # ------------------------------------------------------------------ what is certain to fail is found out first
    Bug(
        "roll back what cannot be repointed",
        "orchestrator/operations/rollback/plan.py",
        "        refuse_fixed_definition(domain, overlays)\n",
        "        pass\n",
        (f"{ROLLBACK_REFUSED}[a disk of another kind from the next start on]",),
    ),
    Bug(
        "checkpoint what cannot be restored",
        "orchestrator/operations/checkpoint/plan.py",
        "    refuse_fixed_disks(domain.xml, overlays)\n",
        "",
        (f"{CHECKPOINT_REFUSED}[an encrypted disk]",),
    ),
    Bug(
        "give an overlay the encryption of its base",
        "orchestrator/formats/domainxml.py",
        'if disk.find("encryption") is not None:',
        "if False:",
        (f"{CHECKPOINT_REFUSED}[an encrypted disk]",),
    ),
    Bug(
        "stop a guest whose network is not active",
        "orchestrator/operations/shared/preflight.py",
        "    for network in found.inactive_networks:\n",
        "    for network in ():\n",
        (PREFLIGHT,),
    ),
    Bug(
        "take a missing medium for one that may be missing",
        "orchestrator/formats/needs.py",
        "optional=ejectable and policy != MANDATORY,",
        "optional=ejectable,",
        ("tests/unit/test_needs.py",),
    ),
    Bug(
        "insist without being asked to",
        "orchestrator/operations/shared/preflight.py",
        "        if not force:\n",
        "        if force:\n",
        (PREFLIGHT,),
    ),
    Bug(
        "take a host for one that has what the definition needs",
        "orchestrator/operations/shared/host.py",
        "inactive_networks=tuple(name for name in needs.networks if name not in active),",
        "inactive_networks=(),",
        ("tests/badinput/test_table.py",),
    ),
    Bug(
        "make overlays that only the daemon may open",
        "orchestrator/formats/storagexml.py",
        "    if ownership is not None:\n",
        "    if False:\n",
        ("tests/unit/test_storagexml.py",),
    ),
    # ------------------------------------------------------------------ memory images that are doubtful
    Bug(
        "take an image that cannot be read for a partial one",
        "orchestrator/formats/saveimage.py",
        "        return Completeness.UNKNOWN\n",
        "        return Completeness.PARTIAL\n",
        (f"{FOREIGN}::test_recover_image_that_snapctl_cannot_read_is_kept",),
    ),
    Bug(
        "leave an image without its final mark",
        MAKING,
        "    hypervisor.storage.overwrite(image.path, saveimage.WHOLE)\n",
        "",
        (f"{FOREIGN}::test_recover_image_that_lost_its_final_mark_is_repaired",),
    ),
    Bug(
        "put the final mark on an image that is too short",
        MAKING,
        "found is None or found.physical != image.size",
        "found is None",
        ("tests/unit/test_workspace.py",),
    ),
    # ------------------------------------------------------------------ what a file is
    Bug(
        "believe a time that changed without reading the content",
        FILES,
        "return layer.sha256 is not None and seen.hashes.get(layer.path) == layer.sha256\n",
        "return layer.sha256 is not None\n",
        (VERIFY,),
    ),
    Bug(
        "mark all as damaged when the store is not mounted",
        "orchestrator/reports/verify.py",
        "                self._require_store(checkpoint)\n",
        "                pass\n",
        (f"{VERIFY}::test_verify_store_that_is_not_there_marks_nothing",),
    ),
    Bug(
        "restore another definition than was checked",
        REWIND,
        "        self._require_planned(xml)\n",
        "",
        (f"{FOREIGN}::test_recover_image_changed_after_the_stop_is_not_restored",),
    ),
    Bug(
        "take the disks of a domain that cannot be read for none",
        "orchestrator/hypervisor/domain_reader.py",
        "            disks=domainxml.mentioned(xml),\n",
        "            disks=(),\n",
        ("tests/unit/test_domain_reader.py",),
    ),
)
