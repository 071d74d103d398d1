"""Which tests cover which finding of the review (A1 – D4) and which case of the bug reports (C01 – C21).

Each test that is named exists; what is not covered yet is listed with the reason.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TIME, FOREIGN, BETWEEN = "crash/test_time_passes.py", "crash/test_foreign_acts.py", "crash/test_between_steps.py"
OUTSIDE, VERIFY, WIDE = "crash/test_started_outside.py", "crash/test_verify.py", "crash/test_wide_matrix.py"
PREFLIGHT, RANDOM = "system/test_preflight.py", "kills/test_random.py"
WHOLE_MATRIX = f"{WIDE}::test_recover_each_act_after_some_kill_loses_nothing"

COVERED: dict[str, tuple[str, ...]] = {
    "A1": (
        f"{TIME}::test_rollback_killed_before_stop_guest_worked_on_loses_nothing",
        f"{TIME}::test_rollback_of_guest_that_was_off_killed_owner_worked_in_it_loses_nothing",
        f"{TIME}::test_edit_operation_is_open_recovers_nothing",
        f"{RANDOM}::test_killed_at_any_time",
        WHOLE_MATRIX,
    ),
    "A3": (
        f"{FOREIGN}::test_recover_image_that_snapctl_cannot_read_is_kept",
        f"{FOREIGN}::test_recover_image_that_lost_its_final_mark_is_repaired",
        "unit/test_saveimage.py::test_what_cannot_be_read_is_not_taken_for_partial",
    ),
    "B2": (
        "unit/test_domainxml.py::test_a_source_that_is_more_than_a_path_is_refused",
        "unit/test_domainxml.py::test_encryption_beside_the_source_is_refused",
    ),
    "B5": (
        "unit/test_signals.py::test_signal_interrupts_and_gives_its_exit_code",
        "system/test_interruptions.py::test_interrupted_checkpoint_guest_runs_on",
    ),
    "C1": (
        f"{OUTSIDE}::test_guest_is_started_before_its_restore_the_verb_says_so",
        f"{OUTSIDE}::test_a_restored_run_carries_the_mark_of_the_operation_that_restored_it_last",
    ),
    "C2": (
        "unit/test_owner_process.py::test_process_of_another_machine_of_the_same_name_is_unknown",
        "unit/test_owner_process.py::test_living_process_that_proc_hides_is_unknown",
        "unit/test_lease.py::test_expired_lease_of_a_living_process_stays_its_own",
    ),
    "C3": (
        f"{OUTSIDE}::test_recover_does_not_resume_what_its_owner_paused",
        "crash/test_attacks.py::test_recover_guest_was_switched_before_the_save_is_left_as_it_was_saved",
    ),
    "C4": ("crash/test_stale_plans.py::test_keep_current_medium_changed_since_planned_keeps_one_that_can_be_restored",),
    "C7": (
        f"{FOREIGN}::test_recover_guest_was_started_on_saved_disks_drops_the_stale_image",
        f"{BETWEEN}::test_rollback_guest_started_after_its_restore_failed_keeps_its_disks",
    ),
    "D1": (
        f"{VERIFY}::test_verify_layer_with_another_time_is_sound_if_its_content_is_what_it_was",
        "system/test_verify.py::test_verify_hashed_layer_with_another_time_of_last_change_is_sound",
    ),
    "D2": (f"{VERIFY}::test_verify_store_that_is_not_there_marks_nothing",),
    "D4": (
        "unit/test_domain_reader.py::test_the_files_that_it_names_are_in_use",
        "unit/test_domainxml.py::test_every_file_that_an_unreadable_xml_names_may_be_used",
    ),
    "C01": (
        f"{PREFLIGHT}::test_a_medium_that_was_deleted_while_the_guest_runs",
        "unit/test_planning_preflight.py::test_a_read_only_disk_cannot_be_ejected",
    ),
    "C02": (
        "unit/test_domainxml.py::test_encryption_beside_the_source_is_refused",
        "unit/test_domainxml.py::test_a_source_that_is_more_than_a_path_is_refused",
    ),
    "C06": (f"{PREFLIGHT}::test_a_kernel_that_is_gone", f"{PREFLIGHT}::test_an_emulator_that_is_gone"),
    "C07": (f"{PREFLIGHT}::test_a_network_that_is_not_active",),
    "C12": (
        "system/test_interruptions.py::test_interrupted_checkpoint_guest_runs_on",
        "unit/test_signals.py::test_signal_interrupts_and_gives_its_exit_code",
    ),
    "C15": (f"{PREFLIGHT}::test_a_medium_that_may_be_missing", "contract/test_needs.py::test_a_medium_that_is_gone"),
}

KNOWN = "an exception of the wide matrix (tests/crash/matrix/known.py)"
NOT_LOOKED_THROUGH = "no test was matched with it yet"
OPEN: dict[str, str] = {
    "A2": f"{KNOWN}: a layer is removed under a linked clone",
    "A4": "block devices have no fingerprint yet",
    "A5": "a store does not say yet whose it is",
    "A6": "doctor --clean goes by the domains that there are now",
    "A7": "read-only disks and media have no fingerprint yet",
    "A8": "--keep-current is two operations still",
    "A9": "the lock of the image is not asked for yet",
    "A10": "manifests are not asked before a deletion yet",
    "B1": "what is certain to fail is refused (C06, C07), but a failed restore has no way back yet",
    "B3": NOT_LOOKED_THROUGH,
    "B4": "retries are being added",
    "B6": f"{KNOWN}: a new host UUID hides all checkpoints",
    "B7": f"{KNOWN}: a domain without one of its disks is not rolled back",
    "B8": "there is no --abandon yet",
    "C5": NOT_LOOKED_THROUGH,
    "C6": NOT_LOOKED_THROUGH,
    "C8": "check and call are two things, as the finding says: there is nothing to mend",
    "C9": NOT_LOOKED_THROUGH,
    "D3": NOT_LOOKED_THROUGH,
    "C03": "the overlays' owner and group are not those of the layer below yet",
    "C04": NOT_LOOKED_THROUGH,
    "C05": NOT_LOOKED_THROUGH,
    "C08": "drift is refused still",
    "C09": "drift is refused still",
    "C10": f"{KNOWN}: a new host UUID hides all checkpoints",
    "C11": f"{KNOWN}: a layer is removed under a linked clone",
    "C13": "a store does not say yet whose it is",
    "C14": "what has no SHA-256 cannot be accepted yet",
    "C16": "libvirt's own snapshots are refused still",
    "C17": NOT_LOOKED_THROUGH,
    "C18": NOT_LOOKED_THROUGH,
    "C19": "media have no fingerprint yet",
    "C20": "the checkpoints of another UUID cannot be adopted yet",
    "C21": f"{KNOWN}: a renamed domain is not rolled back",
}

ALL = (
    *(f"A{number}" for number in range(1, 11)),
    *(f"B{number}" for number in range(1, 9)),
    *(f"C{number}" for number in range(1, 10)),
    *(f"D{number}" for number in range(1, 5)),
    *(f"C{number:02}" for number in range(1, 22)),
)


def test_findings_each_is_covered_or_open() -> None:
    assert sorted([*COVERED, *OPEN]) == sorted(ALL)
    assert all(COVERED.values())
    assert all(OPEN.values())


@pytest.mark.parametrize("finding", COVERED)
def test_findings_tests_that_cover_it_exist(finding: str) -> None:
    for test in COVERED[finding]:
        file, _, name = test.partition("::")
        assert name in _functions(file), f"{test} does not exist"


@cache
def _functions(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
