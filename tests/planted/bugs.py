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
FAILED_RESTORES = "tests/crash/test_failed_restores.py"
ORDER_OF_ROLLBACK = f"{ORDER}[rollback, two disks]"
CUT_IMAGE = "tests/crash/test_order.py::test_checkpoint_image_without_memory_is_not_committed"
KILLED_CHECKPOINT = f"{MATRIX}[first checkpoint-client killed]"
KILLED_ROLLBACK = f"{MATRIX}[rollback-client killed]"
KILLED_DELETE = f"{MATRIX}[delete-client killed]"
FOREIGN = "tests/crash/test_foreign_acts.py"
PROCESSES = "tests/crash/test_two_processes.py"
OUTSIDE = "tests/crash/test_started_outside.py"
TIME = "tests/crash/test_time_passes.py"
PRESENT = "tests/crash/test_present_set.py"
ADOPT = "tests/crash/test_adopt.py"
ATTACKS = "tests/crash/test_attacks.py"
CHANGED = "tests/crash/test_changed_base.py"
KEEP = "tests/crash/test_keep_current.py"
SAVED = "tests/crash/test_saved_guest.py"
VERIFY = "tests/crash/test_verify.py"
PRINTS = "tests/crash/test_prints.py"
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

OWNER = "tests/cli/test_owner.py"
HOST_IDENTITY = "tests/cli/test_host_identity.py"

MAKING = "orchestrator/store/workspace.py"
REMOVAL = "orchestrator/operations/shared/removal.py"
USERS = "orchestrator/integrity/file_users.py"
CLONES = "tests/crash/test_linked_clones.py"
REWIND = "orchestrator/operations/shared/rewind.py"
CHECKPOINT = "orchestrator/operations/checkpoint/story.py"
CAPTURE = "orchestrator/operations/checkpoint/capture/save.py"
MADE = "orchestrator/operations/checkpoint/made.py"
RETREAT = "orchestrator/operations/checkpoint/retreat.py"
AGREED = "orchestrator/operations/rollback/agreed.py"
KEEPING = "orchestrator/operations/keeping/story.py"
ROLLBACK = "orchestrator/operations/rollback/story.py"
DELETE = "orchestrator/operations/delete/story.py"
COLLAPSE = "orchestrator/operations/collapse/story.py"
JOURNAL = "orchestrator/engine/run.py"
ROWS = "orchestrator/catalog/journal.py"
FILES = "orchestrator/integrity/damage.py"
DIFFERENCES = "orchestrator/integrity/differences.py"
OWNERSHIP = "orchestrator/store/ownership.py"
IDENTITY = "orchestrator/store/identity.py"
REBUILD = "orchestrator/reports/rebuild.py"
REBUILT = "tests/crash/test_rebuilt_trees.py"
WRITTEN = "tests/crash/test_written_since.py"
ONLY_COPY = "tests/crash/test_between_steps.py::test_delete_only_copy"
REBUILT_HEAD = f"{REBUILT}::test_rebuild_head_is_that_of_the_lost_catalog"

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
            Step("repointed", self._repoint, self._persistent.is_repointed, self._persistent.point_back),
            Step("restored", self._restore, self._rewind.is_restored, self._rewind.unrestore),
""",
        """\
            Step("restored", self._restore, self._rewind.is_restored, self._rewind.unrestore),
            Step("repointed", self._repoint, self._persistent.is_repointed, self._persistent.point_back),
""",
        (ORDER_OF_ROLLBACK,),
    ),
    Bug(
        "stop before the overlays are made",
        ROLLBACK,
        """\
            prepared(
                self._hypervisor, self._catalog, self.plan.directory, self._manifest, self.results, self._before_stop
            ),
            Step("stopped", self._stop, self._is_stopped, no_undo),
""",
        """\
            Step("stopped", self._stop, self._is_stopped, no_undo),
            prepared(
                self._hypervisor, self._catalog, self.plan.directory, self._manifest, self.results, self._before_stop
            ),
""",
        (KILLED_ROLLBACK,),
    ),
    Bug(
        "resume before commit",
        ROLLBACK,
        """\
            Commit("committed", self._commit, self._is_committed),
            *saved,
            *resumed,
""",
        """\
            *resumed,
            Commit("committed", self._commit, self._is_committed),
            *saved,
""",
        (ORDER_OF_ROLLBACK,),
    ),
    Bug(
        "commit a checkpoint before it is restored",
        CHECKPOINT,
        """\
            *restored,
            Commit("committed", self._commit, self._made.is_committed, prepare=self._gather),
""",
        """\
            Commit("committed", self._commit, self._made.is_committed, prepare=self._gather),
            *restored,
""",
        (FAILED_RESTORES,),
    ),
    Bug(
        "commit on a definition that names the frozen layers again",
        CHECKPOINT,
        "        if not self._has_repointed and not self._rewind.is_going():\n",
        "        if False:\n",
        (FAILED_RESTORES,),
    ),
    Bug(
        "delete the image of a guest that was started on the new overlays",
        CAPTURE,
        "            raise self._on_the_overlays()\n",
        "            pass\n",
        (FAILED_RESTORES,),
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
        REMOVAL,
        "        for path in going:\n",
        "        self._operation.forget_layers(going)\n        for path in going:\n",
        (KILLED_ROLLBACK,),
    ),
    # ------------------------------------------------------------------ nobody stands on what goes
    Bug(
        "remove what a clone stands on",
        REMOVAL,
        "        reasons |= {path: str(user) for path, user in users.items()} | dict(keeping or {})\n",
        "        reasons |= dict(keeping or {})\n",
        (f"{CLONES}::test_rollback_clone_on_what_it_discards_keeps_that",),
    ),
    Bug(
        "remove what is below what a clone stands on",
        REMOVAL,
        "            path = known[path].backing\n",
        "            break\n",
        (f"{WRITTEN}::test_rollback_former_disk_was_written_to_keeps_what_was_to_go_with_it",),
    ),
    Bug(
        "take a disk's own file for all that its domain stands on",
        USERS,
        "            yield from self.below(lowest)\n",
        "            pass\n",
        (f"{CLONES}::test_rollback_clone_on_what_it_discards_keeps_that",),
    ),
    Bug(
        "follow a header that a guest wrote",
        USERS,
        "        if not is_qcow2 or (header := self._header(path)) is None or header.backing is None:\n",
        "        if (header := self._header(path)) is None or header.backing is None:\n",
        (f"{CLONES}::test_rollback_header_that_a_guest_wrote_is_not_followed",),
    ),
    Bug(
        "do not ask the store for checkpoints that the catalog does not know",
        USERS,
        "            search.ask_directory(directory)\n",
        "            pass\n",
        (f"{CLONES}::test_delete_checkpoint_that_only_the_store_knows_keeps_what_it_stands_on",),
    ),
    Bug(
        "clean away an overlay with data in it",
        "orchestrator/reports/doctor/orphans.py",
        '    return info.format == "qcow2" and info.physical <= qcow2.empty_length(info.capacity)\n',
        '    return info.format == "qcow2"\n',
        (f"{CLONES}::test_doctor_clean_of_a_new_catalog_keeps_all_that_has_data",),
    ),
    Bug(
        "clean away a discarded layer without asking again",
        "orchestrator/reports/doctor/__init__.py",
        "        orphans = _still_unused(hypervisor, catalog, orphans)\n",
        "        pass\n",
        (f"{CLONES}::test_doctor_clean_clone_made_in_the_last_moment_keeps_the_layer",),
    ),
    Bug(
        "start a guest a second time that runs on another host",
        "orchestrator/operations/shared/elsewhere.py",
        "    if problem := lock_elsewhere(hypervisor, catalog, operation_id, like, active_layers):\n",
        "    if problem := None:\n",
        ("tests/crash/test_running_elsewhere.py",),
    ),
    Bug(
        "remove what a guest uses that was started on another host since",
        ROLLBACK,
        "                keeping = dict.fromkeys(self.plan.discards, locked)\n",
        "                pass\n",
        ("tests/crash/test_running_elsewhere.py",),
    ),
    Bug(
        "collapse what a clone stands on",
        "orchestrator/operations/collapse/plan.py",
        "        if user := facts.users.get(layer.path):\n",
        "        if False:\n",
        (f"{CLONES}::test_collapse_clone_on_an_absorbed_layer_is_deferred",),
    ),
    Bug(
        "remove a layer that another domain's checkpoint has come to need",
        "orchestrator/catalog/layers.py",
        "    needed = _with_all_below(_held(session, list(backing), ()), backing)\n",
        "    needed: set[int] = set()\n",
        ("tests/unit/test_catalog_commits.py",),
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
        '        return not written_after_stop(self.results["stops_on"], self._read_tops())\n\n    def may_give_up',
        "        return True\n\n    def may_give_up",
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
        "            if self._is_whole():\n",
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
        "return self._has_stopped and self._is_state_of_then()",
        'return "stops_on" in self.results',
        (TIME,),
    ),
    Bug(
        "discard what a guest wrote after its stop",
        ROLLBACK,
        'return not ran and not written_since(self.results["stopped_on"], tops)',
        "return True",
        (TIME,),
    ),
    Bug(
        "restore a guest that libvirt has a managed-save image of",
        ROLLBACK,
        "return edited or saved or bool(",
        "return edited or bool(",
        (TIME,),
    ),
    Bug(
        "remove the managed-save image before the new state is committed",
        ROLLBACK,
        '            Step("repointed", self._repoint,',
        '            *saved,\n            Step("repointed", self._repoint,',
        ("tests/crash/test_managed_save.py",),
    ),
    Bug(
        "remove a managed-save image of the new state",
        REWIND,
        "return xml is not None and not any(disk.path in ours for disk in domainxml.disks(xml))",
        "return xml is not None",
        ("tests/crash/test_managed_save.py",),
    ),
    Bug(
        "repoint a definition that was edited",
        ROLLBACK,
        "return edited or saved or bool(",
        "return saved or bool(",
        (TIME,),
    ),
    Bug(
        "pair a guest's image with disks that were written to before another save",
        CAPTURE,
        "            ran = ended or unproved or any(_written_after(now, image) for now in frozen.values())\n",
        "            ran = ended or unproved\n",
        (TIME,),
    ),
    Bug(
        "take a boot for a restore",
        REWIND,
        '            return {OUTSIDE: "started"}\n        raise on_other_disks(domain)\n\n    def resume',
        "            return {}\n        raise on_other_disks(domain)\n\n    def resume",
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
        "        elif not self._is_restored_back(domain):",
        "        elif False:",
        (OUTSIDE,),
    ),
    Bug(
        "recover for an edit",
        "orchestrator/executor.py",
        "        self._runner.require_settled(recorded(self._site, guest).uuid)\n",
        "",
        (TIME,),
    ),
    Bug(
        "say nothing of a guest that was left off",
        JOURNAL,
        "(error.effect, *self.states())",
        "(error.effect,)",
        (TIME,),
    ),
    # ------------------------------------------------------------------ is it what it was?
    Bug(
        "skip the comparison of mtimes",
        DIFFERENCES,
        "        yield TIME, found.mtime, layer.mtime\n",
        "        pass\n",
        ("tests/unit/test_planning_files.py", VERIFY),
    ),
    Bug(
        "skip the hash of layers",
        FILES,
        "        return problem\n    return _hash_problem(layer.sha256, seen.hashes.get(layer.path))\n",
        "        return problem\n    return None\n",
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
        "    _refuse_damaged(checkpoint, facts)\n",
        "",
        ("tests/unit/test_planning_rollback_refused.py", VERIFY),
    ),
    Bug(
        "roll back a domain with a disk that another catalog knows",
        "orchestrator/operations/rollback/plan.py",
        "        refuse_strangers(domain, facts.strangers)\n",
        "",
        ("tests/unit/test_planning_rollback_refused.py",),
    ),
    Bug(
        "roll back a guest that runs on a frozen layer",
        "orchestrator/operations/rollback/plan.py",
        "        _refuse_frozen_disks(domain, checkpoint, facts.chains)\n",
        "        pass\n",
        (f"{PRESENT}::test_rollback_guest_runs_on_frozen_layer_is_refused",),
    ),
    Bug(
        "leave a disk that was attached since in the definition",
        "orchestrator/operations/rollback/disk_set.py",
        "leaves=tuple(target for target in defined if",
        "leaves=tuple(target for target in () if",
        (f"{PRESENT}::test_rollback_brings_back_the_domain_and_its_set_of_disks[attach]",),
    ),
    Bug(
        "leave a definition that was made again on overlays that are removed",
        "orchestrator/operations/rollback/definition.py",
        "                self._hypervisor.domains.undefine(plan.domain_uuid)\n",
        "                pass\n",
        (f"{PRESENT}::test_rollback_undefined_undone_after_it_was_defined_is_undefined_again",),
    ),
    Bug(
        "restore a renamed domain from the image that has its former name",
        "orchestrator/operations/rollback/plan.py",
        "renamed_path=renamed_memory_path(directory) if is_renamed else None",
        "renamed_path=None",
        (f"{PRESENT}::test_rollback_brings_back_the_domain_and_its_set_of_disks[rename]",),
    ),
    Bug(
        "adopt disks and keep the wrong parent",
        "orchestrator/operations/checkpoint/plan.py",
        "if self.head and not self.is_root else None",
        "if self.head else None",
        (f"{ADOPT}::test_checkpoint_adopts_the_present_disks",),
    ),
    Bug(
        "adopt a layer that checkpoints rely on and that was written to",
        "orchestrator/operations/checkpoint/drift.py",
        "    if written is not None:\n",
        "    if False:\n",
        (f"{ADOPT}::test_checkpoint_frozen_base_was_written_names_the_lost_checkpoints",),
    ),
    Bug(
        "checkpoint disks that the catalog does not know without being asked to",
        "orchestrator/operations/checkpoint/drift.py",
        "    if moved and not adopt:\n",
        "    if False:\n",
        (f"{ADOPT}::test_checkpoint_disks_differ_is_refused_with_a_way_on",),
    ),
    Bug(
        "leave a layer that its domain left for ever",
        "orchestrator/catalog/commits.py",
        "[*frozen, *layers.left_above(session, member.domain_uuid, frozen)]",
        "frozen",
        (f"{ADOPT}::test_adopted_checkpoint_leaves_nothing_that_cannot_be_deleted",),
    ),
    Bug(
        "keep the chain of a layer that was pulled up outside snapctl",
        "orchestrator/catalog/layers.py",
        "            row.backing_id = _backing_id(session, place, layer)\n",
        "",
        (f"{ADOPT}::test_checkpoint_after_blockpull_records_the_chain_as_it_is",),
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
        "    if facts.is_only_copy and not facts.force:\n",
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
        " and is_only_copy(site.hypervisor, site.catalog, guest.domain, checkpoint, head):",
        " and False:",
        ("tests/unit/test_coordinator.py",),
    ),
    # ------------------------------------------------------------------ what is certain to fail is found out first
    Bug(
        "roll back what cannot be repointed",
        "orchestrator/operations/rollback/plan.py",
        "        refuse_fixed_definition(change.applied_to(domain, saved), overlays, domain.name)\n",
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
        DIFFERENCES,
        'return each.sha256 is not None and seen.hashes.get(each.path or "") == each.sha256\n',
        "return each.sha256 is not None\n",
        (VERIFY,),
    ),
    Bug(
        "look at no block device before a restore",
        DIFFERENCES,
        "    return is_comparable(was) and was != is_now\n",
        "    return False\n",
        (f"{PRINTS}::test_rollback_device_was_written_to_is_refused",),
    ),
    Bug(
        "restore onto a device that changed after the guest was stopped",
        AGREED,
        "    return _are_printed_intact(plan, checkpoint, hypervisor) and all(\n",
        "    return all(\n",
        (f"{PRINTS}::test_recover_device_written_to_after_the_stop_is_undone",),
    ),
    Bug(
        "pair an image with a device that moved on",
        CAPTURE,
        " or devices_differ(known, devices)\n",
        "\n",
        (f"{PRINTS}::test_recover_device_moved_on_after_the_save_was_recorded_does_not_restore",),
    ),
    Bug(
        "accept a file whose SHA-256 says that it is another",
        "orchestrator/reports/accept.py",
        "        if found.path not in accepted:\n",
        "        if False:\n",
        (f"{PRINTS}::test_accept_layer_whose_sha256_does_not_match_is_refused",),
    ),
    Bug(
        "accept what changed after it was shown",
        "orchestrator/reports/accept.py",
        "        if self.plan(checkpoints) != agreed:\n",
        "        if False:\n",
        (f"{PRINTS}::test_accept_what_changed_after_it_was_shown_is_refused",),
    ),
    Bug(
        "leave a medium in its drive that is to be left out",
        REWIND,
        "domainxml.without_media(domainxml.on_disks(xml, sources), self._ejects)",
        "domainxml.on_disks(xml, sources)",
        (f"{PRINTS}::test_rollback_without_media_leaves_the_drive_empty",),
    ),
    Bug(
        "take any damage for that of a medium that is left out",
        "orchestrator/operations/rollback/plan.py",
        '    return mark is not None and set(mark.split("; ")) <= known\n',
        "    return True\n",
        (f"{PRINTS}::test_rollback_without_media_of_what_else_is_damaged_is_refused",),
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
    # ------------------------------------------------------------------ whose a store is, and which host
    Bug(
        "let a second catalog change what is in a store",
        OWNERSHIP,
        "        if self._claimed:\n            return\n        self.refuse_foreign()\n",
        "        if self._claimed or self.is_foreign:\n            return\n",
        (f"{OWNER}::test_change_second_catalog_is_refused_and_changes_nothing[True-edit web01 base -d mine]",),
    ),
    Bug(
        "take the disk of another catalog for the user's own file",
        "orchestrator/operations/checkpoint/plan.py",
        "    refuse_strangers(domain, facts.strangers)\n",
        "",
        (f"{OWNER}::test_checkpoint_disk_of_another_catalog_is_refused",),
    ),
    Bug(
        "believe that a store of which no owner is recorded is one's own",
        OWNERSHIP,
        "        elif not self._is_empty() and not self.knows_files():\n",
        "        elif False:\n",
        (f"{OWNER}::test_change_store_of_before_is_claimed_by_the_catalog_that_knows_it",),
    ),
    Bug(
        "claim the mount point of a store that is not mounted",
        OWNERSHIP,
        "        elif self.registered_id is not None:\n",
        "        elif False:\n",
        (f"{OWNER}::test_change_store_not_mounted_is_refused",),
    ),
    Bug(
        "know a host by the UUID that libvirt reports",
        IDENTITY,
        "    proven = _by_store(reported, owner, hosts) if owner is not None else None\n",
        "    proven = None\n",
        (f"{HOST_IDENTITY}::test_host_with_another_uuid_keeps_its_checkpoints",),
    ),
    Bug(
        "take two hosts with one UUID for one",
        IDENTITY,
        "        if known.name == reported.name or has_files_of(known.uuid):\n",
        "        if True:\n",
        (f"{HOST_IDENTITY}::test_two_hosts_with_one_uuid_do_not_meet",),
    ),
    # ------------------------------------------------------------------ a base is written to meanwhile
    Bug(
        "look only at the layers right below before a rollback restores",
        AGREED,
        "for chain in chains for layer in chain if",
        "for chain in chains for layer in list(chain)[:1] if",
        (f"{FOREIGN}::test_recover_rollback_base_was_written_is_not_paired",),
    ),
    Bug(
        "restore a checkpoint on a base that was written to",
        CHECKPOINT,
        "        self._capture.require_unwritten()\n        self._made.require_its_disks()\n",
        "        self._capture.require_unwritten()\n",
        (f"{FOREIGN}::test_recover_checkpoint_base_was_written_is_not_paired",),
    ),
    Bug(
        "fall back onto a base that was written to",
        RETREAT,
        " and self._made.is_on_its_disks()\n",
        "\n",
        (f"{FOREIGN}::test_recover_checkpoint_base_was_written_is_not_paired",),
    ),
    Bug(
        "catalog a base as it is at the commit",
        MADE,
        'if (recorded := self._results.get("below")) is not None:',
        'if (recorded := self._results.get("below")) is None and recorded:',
        (f"{FOREIGN}::test_recover_checkpoint_base_was_written_guest_was_started_is_damaged_from_birth",),
    ),
    # ------------------------------------------------------------------ what attackers found
    Bug(
        "resume a guest that its owner paused before the save",
        CHECKPOINT,
        'was_running = self.results.get("memory", {}).get("was_running", self.plan.was_running)',
        "was_running = self.plan.was_running",
        (f"{ATTACKS}::test_checkpoint_guest_was_switched_before_the_save_is_left_as_it_was_saved",),
    ),
    Bug(
        "prune what was decided on before the first deletion",
        "orchestrator/operations/delete/verb.py",
        "            if not self.may_go(each.checkpoint_id):\n",
        "            if not self.may_go:\n",
        (f"{ATTACKS}::test_prune_act_of_others_between_two_checkpoints_keeps_what_is_to_be_kept",),
    ),
    Bug(
        "take an older backup for the disks that were stopped on",
        MAKING,
        "return not 0 <= float(now.mtime) - float(then.mtime) <= within",
        "return not -inf <= float(now.mtime) - float(then.mtime) <= within",
        (f"{ATTACKS}::test_recover_rollback_older_backup_was_put_in_place_keeps_it",),
    ),
    Bug(
        "pair a memory with an older backup of its disks",
        MADE,
        ' or replaced_since(self._results["before_save"], self._read_tops()):\n',
        ":\n",
        (f"{ATTACKS}::test_recover_checkpoint_older_backup_was_put_in_place_is_not_paired",),
    ),
    Bug(
        "take a disk that is not mounted for one that was written to",
        MADE,
        "            require_there(self._plan, self._results, self._hypervisor)\n",
        "",
        (f"{SAVED}::test_recover_disk_is_not_mounted_yet_is_finished_once_it_is[base-save-checkpoint]",),
    ),
    Bug(
        "record a disk that is not mounted as one without file information",
        CAPTURE,
        '        if any(frozen[target] is None for target in self._results.get("before_save", {})):\n',
        "        if False:\n",
        (f"{SAVED}::test_recover_disk_is_not_mounted_yet_is_finished_once_it_is[active layer-save-checkpoint]",),
    ),
    Bug(
        "plan a checkpoint on a base that was changed after another one froze it",
        "orchestrator/operations/checkpoint/facts.py",
        "*(layer.path for layer in changed(layers.values(), found, {}))",
        "*()",
        (f"{CHANGED}::test_checkpoint_base_was_changed_while_off_is_refused_in_its_plan",),
    ),
    Bug(
        "save a guest on a base that was changed after the plan was made",
        MADE,
        "        self._require_frozen_as_recorded(below, prints)\n",
        "",
        (f"{CHANGED}::test_checkpoint_base_was_changed_after_the_plan_is_undone",),
    ),
    Bug(
        "keep what is recorded of a base though no checkpoint relies on it",
        "orchestrator/operations/checkpoint/record.py",
        " or changed(known.layers[1:], below, prints)\n",
        "\n",
        (f"{CHANGED}::test_checkpoint_once_the_others_are_deleted_is_of_the_base_as_it_is",),
    ),
    Bug(
        "accept a layer for others without naming them",
        "orchestrator/reports/accept.py",
        "        if not isinstance(each, Layer):\n",
        "        if each is not None:\n",
        (f"{CHANGED}::test_accept_names_all_that_rely_on_the_file",),
    ),
    Bug(
        "take --yes for a checkpoint that was not named",
        "orchestrator/cli/commands/verify.py",
        "        if yes and plan.unnamed:\n",
        "        if not yes and plan.unnamed:\n",
        ("tests/cli/test_verify.py::test_verify_accept_yes_is_not_said_for_checkpoints_not_named",),
    ),
    # ------------------------------------------------------------------ --keep-current is one operation
    Bug(
        "restore the other checkpoint although one of its layers was written to",
        KEEPING,
        "        require_intact(self.plan.back, self._hypervisor, self._catalog)\n",
        "",
        (f"{KEEP}::test_keep_current_layer_of_the_other_alone_written_to_meanwhile_guest_runs_on",),
    ),
    Bug(
        "pair what is kept with disks that were written to",
        KEEPING,
        "        self._capture.require_unwritten()\n        self._made.require_its_disks()\n        self._keep",
        "        self._keep",
        (KEEP,),
    ),
    Bug(
        "forget what was kept",
        KEEPING,
        "            kept_id=self.plan.keep.checkpoint_id,\n",
        "",
        ("tests/crash/test_retention.py::test_undo_twice_returns_to_where_it_was",),
    ),
    Bug(
        "discard what was kept",
        "orchestrator/operations/keeping/story.py",
        "        self._made.commit(head, back.overlays)\n",
        "        self._operation.commit_rollback(head, new_layers(back.operation_id, back.overlays))\n",
        (KEEP,),
    ),
    Bug(
        "fall back onto the overlays of the other checkpoint",
        RETREAT,
        "        self._home.restore_back({o.target: Source(path=o.backing,",
        "        self._onward.restore_back({o.target: Source(path=o.backing,",
        (f"{KEEP}::test_keep_current_other_cannot_be_restored_guest_runs_on",),
    ),
    # ------------------------------------------------------------------ a guest that was saved
    Bug(
        "delete the image of a guest that runs on other disks",
        CAPTURE,
        "        elif self._is_whole() and set(domain.sources().values()).isdisjoint(self._plan.tops.values()):\n",
        "        elif False:\n",
        (f"{SAVED}::test_recover_owner_started_it_on_a_rescue_disk_keeps_the_image",),
    ),
    Bug(
        "define a guest that its owner resumed on our overlays again",
        REWIND,
        "domain.active and not self.is_held()\n",
        "False\n",
        (f"{SAVED}::test_recover_owner_resumed_it_and_took_a_snapshot_leaves_the_definition",),
    ),
    Bug(
        "define over what its owner defined meanwhile",
        "orchestrator/operations/rollback/definition.py",
        "            self._refuse_others()\n",
        "",
        (f"{SAVED}::test_keep_current_defined_by_its_owner_meanwhile_is_not_overwritten",),
    ),
    Bug(
        "advise to restore what is committed by hand",
        "orchestrator/operations/abandon/plan.py",
        " and record.decision is not Direction.FORWARD:\n",
        ":\n",
        (f"{SAVED}::test_abandon_of_a_committed_one_does_not_advise_to_restore_it_by_hand",),
    ),
    Bug(
        "forget the open operations when a file is to go",
        USERS,
        "            search.ask_operation(record)\n",
        "            pass\n",
        (f"{SAVED}::test_delete_saved_guest_stands_on_a_layer_that_no_definition_names_keeps_it",),
    ),
    Bug(
        "undo an overlay that a clone stands on",
        "orchestrator/operations/shared/prepared.py",
        "        for path, user in find_users(hypervisor, catalog, paths, besides=besides).items():\n",
        "        for path, user in dict[str, str]().items():\n",
        (f"{SAVED}::test_recover_clone_stands_on_the_overlay_that_is_to_go_keeps_it",),
    ),
    Bug(
        "restore a memory although a read-only disk was written to",
        MADE,
        "        return not are_exchanged(self._hypervisor.storage, self._plan.disks, media)\n",
        "        return True\n",
        (f"{SAVED}::test_recover_read_only_disk_was_written_to_restores_no_memory",),
    ),
    Bug(
        "restore a memory although a device below was written to",
        MADE,
        'if self._results.get("prints_below", {}) != self._read_prints_below():',
        "if False:",
        (f"{SAVED}::test_recover_device_below_was_written_to_restores_no_memory",),
    ),
    Bug(
        "leave the definition on the disks of the other checkpoint",
        KEEPING,
        "        super().fall_back()\n        self._persistent.point_back()\n",
        "        super().fall_back()\n",
        (f"{SAVED}::test_keep_current_guest_went_back_definition_went_back_at_once",),
    ),
    # ------------------------------------------------------------------ the catalog is lost
    Bug(
        "look for the lost head below the disks only",
        REBUILD,
        "    line = standing.line if standing.line is not None else _line(standing, chains, checkpoints)\n",
        "    line = _line(standing, chains, checkpoints)\n",
        (f"{REBUILT_HEAD}[deleted above a flattened layer]",),
    ),
    Bug(
        "look for lost parents below the layers only",
        REBUILD,
        "        if record.ancestors is not None:\n",
        "        if not known:\n",
        (f"{REBUILT}::test_rebuild_parents_are_those_of_the_lost_catalog[deleted above a flattened layer]",),
    ),
    Bug(
        "forget the disks of a domain that has no checkpoint left",
        REBUILD,
        "{uuid: [] for uuid in _on_the_store(facts)}",
        "{}",
        (f"{REBUILT_HEAD}[no checkpoint is left]",),
    ),
    Bug(
        "forget what no checkpoint describes below a disk",
        REBUILD,
        "    below = _between(overlays, layers, {**facts.bases, **_made_here(own, facts.store)})\n",
        "    below = _between(overlays, layers, _made_here(own, facts.store))\n",
        (f"{REBUILT_HEAD}[no checkpoint is left]",),
    ),
    Bug(
        "forget what was kept when the catalog is lost",
        REBUILD,
        "        kept_id=standing.kept_id if standing.kept_id in known else None,\n",
        "",
        (f"{REBUILT}::test_rebuild_undo_takes_back_the_last_rollback",),
    ),
    Bug(
        "take the overlays beside an edited checkpoint for its own",
        "orchestrator/operations/shared/manifests.py",
        "        line=line_of(catalog, head.checkpoint_id if head is not None and is_here else checkpoint.id),\n",
        "        line=line_of(catalog, checkpoint.id),\n",
        (f"{REBUILT_HEAD}[kept, edited and flattened]",),
    ),
    Bug(
        "ask nothing of a directory of which one file is known",
        "orchestrator/catalog/reading.py",
        " - frozenset(mixed)\n",
        "\n",
        (f"{REBUILT}::test_delete_catalog_lost_in_a_keep_spares_what_the_guest_was_saved_on",),
    ),
    # ------------------------------------------------------------------ after the word was given
    Bug(
        "remove what was written to after its removal was agreed to",
        REMOVAL,
        "        reasons = dict.fromkeys(self._written, WRITTEN)\n",
        "        reasons: dict[str, str] = {}\n",
        (f"{WRITTEN}::test_rollback_killed_after_its_commit_former_disk_was_written_to",),
    ),
    Bug(
        "keep for ever what was damaged when it was to be deleted",
        "orchestrator/operations/delete/story.py",
        ", then=msgspec.to_builtins(plan.seen))",
        ")",
        (f"{WRITTEN}::test_delete_layer_that_was_damaged_before_goes",),
    ),
    Bug(
        "forget that what was written to is backed by something",
        "orchestrator/catalog/layers.py",
        "        upsert(session, MixedDirectoryRow, key, key=list(key))\n",
        "        pass\n",
        (WRITTEN,),
    ),
    Bug(
        "take a rescue system for a run of the guest that was saved",
        "orchestrator/operations/shared/guest.py",
        " <= _run_on(hypervisor, domain):",
        " and _run_on(hypervisor, domain):",
        (f"{ONLY_COPY}_while_the_domain_is_on_a_rescue_disk_is_refused",),
    ),
    Bug(
        "take an empty overlay on other layers for that of a guest that did not run",
        "orchestrator/operations/shared/guest.py",
        "    if any(top is None or top.backing != frozen.get(target) for target, top in tops.items()):\n",
        "    if False:\n",
        ("tests/crash/test_between_steps.py::test_domain_that_ran_since_is_not_taken_for_one_that_did_not",),
    ),
    Bug(
        "ask nothing of a memory image that the catalog lost",
        USERS,
        "            self._ask_memory(directory.manifest, user)\n",
        "            pass\n",
        (f"{REBUILT}::test_catalog_lost_in_a_checkpoint_its_directory_is_what_needs_the_layers",),
    ),
    Bug(
        "take what a collapse has not described yet for damage",
        REBUILD,
        "    known = {path: _as_streamed(layer, described, files, needed) for path, layer in described.items()}\n",
        "    known = described\n",
        (f"{REBUILT}::test_catalog_lost_in_a_collapse_its_checkpoints_are_sound[commit_rewrite]",),
    ),
    Bug(
        "take any lower backing file for a collapse",
        REBUILD,
        " or each.path in needed or ",
        " or ",
        (f"{REBUILT}::test_catalog_lost_backing_file_exchanged_by_somebody_else_is_damage",),
    ),
    Bug(
        "adopt what was there when the user was asked",
        "orchestrator/reports/adopt.py",
        "            _refuse_changed(catalog, owned, agreed)\n",
        "            pass\n",
        (
            f"{REBUILT}::test_adopt_owner_made_a_checkpoint_while_the_user_was_asked_is_refused",
            f"{REBUILT}::test_adopt_owner_began_an_operation_while_the_user_was_asked_is_busy",
        ),
    ),
)
