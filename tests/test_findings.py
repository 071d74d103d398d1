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
PRINTS, FAILED = "crash/test_prints.py", "crash/test_failed_restores.py"
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
    "A2": (
        "crash/test_linked_clones.py::test_rollback_clone_on_what_it_discards_keeps_that",
        "crash/test_linked_clones.py::test_delete_clone_defined_after_the_plan_keeps_its_base",
        "system/test_linked_clones.py::test_clone_keeps_its_base_from_delete_rollback_and_collapse",
    ),
    "A4": (
        f"{PRINTS}::test_recover_device_written_to_after_the_stop_is_undone",
        f"{PRINTS}::test_rollback_device_was_written_to_is_refused",
        "system/test_prints.py::test_rollback_device_that_was_written_to_is_refused_until_accepted",
    ),
    "A5": (
        "cli/test_owner.py::test_change_second_catalog_is_refused_and_changes_nothing",
        "cli/test_owner.py::test_checkpoint_disk_of_another_catalog_is_refused",
        "system/test_store_owner.py::test_overlay_of_another_catalog_is_not_frozen",
    ),
    "A6": (
        "crash/test_linked_clones.py::test_doctor_clean_of_a_new_catalog_keeps_all_that_has_data",
        "system/test_linked_clones.py::test_doctor_clean_keeps_the_present_disk_of_an_undefined_domain_of_a_lost_catalog",
    ),
    "A7": (
        f"{PRINTS}::test_rollback_exchanged_medium_is_refused",
        "system/test_prints.py::test_rollback_exchanged_medium_is_refused_until_it_is_accepted",
    ),
    "A8": (
        "crash/test_keep_current.py::test_keep_current_working_guest_all_that_it_did_is_kept",
        "crash/test_keep_current.py::test_keep_current_pays_one_save_and_one_restore",
        "system/test_states.py::test_nothing_that_the_guest_does_is_missing_from_what_is_kept",
    ),
    "A9": (
        "crash/test_running_elsewhere.py::test_domain_runs_elsewhere_is_refused_and_keeps_its_files",
        "system/test_linked_clones.py::test_domain_that_runs_elsewhere_is_not_started_twice_and_keeps_its_files",
    ),
    "A10": ("crash/test_linked_clones.py::test_delete_checkpoint_that_only_the_store_knows_keeps_what_it_stands_on",),
    "B1": (
        f"{PREFLIGHT}::test_a_network_that_is_not_active",
        f"{FAILED}::test_rollback_restore_fails_each_time_leaves_the_disks_of_before",
        f"{FAILED}::test_checkpoint_restore_fails_each_time_guest_runs_on",
        "system/test_failed_restores.py::test_restores_that_libvirt_refuses",
    ),
    "B3": ("unit/test_planning_rollback_refused.py::test_refused",),
    "B4": (
        "crash/test_catalog_outage.py::test_catalog_out_of_reach_for_seconds_operation_is_settled_by_itself",
        f"{FAILED}::test_checkpoint_restore_fails_both_ways_keeps_the_image",
    ),
    "B6": (
        "cli/test_host_identity.py::test_host_with_another_uuid_keeps_its_checkpoints",
        "cli/test_host_identity.py::test_two_hosts_with_one_uuid_do_not_meet",
        "system/test_store_owner.py::test_host_uuid_new_at_each_start_of_the_daemon_keeps_checkpoints",
    ),
    "B7": (
        "crash/test_present_set.py::test_rollback_brings_back_the_domain_and_its_set_of_disks",
        "crash/test_adopt.py::test_checkpoint_adopts_the_present_disks",
        "system/test_present_state.py::test_rollback_disk_detached_for_good_comes_back",
    ),
    "B8": (
        "crash/test_abandon.py::test_abandon_after_a_kill_at_each_effect_keeps_everything",
        "system/test_failed_restores.py::test_abandon_changes_nothing_on_the_hypervisor",
    ),
    "C5": (
        "unit/test_catalog_journal.py::test_steps_and_facts_only_grow",
        "migrations/test_abandoned.py::test_domain_of_abandoned_operation_is_not_changed",
    ),
    "C6": ("crash/test_attacks.py::test_recover_flatten_layer_lost_its_header_keeps_what_is_below",),
    "D3": (f"{PRINTS}::test_flatten_of_device_needs_the_space_of_its_capacity",),
    "C03": (
        "system/test_ownership.py::test_a_host_where_libvirt_changes_no_owner",
        "system/test_ownership.py::test_a_disk_whose_owner_stays",
    ),
    "C04": (
        "crash/test_adopt.py::test_checkpoint_after_blockpull_records_the_chain_as_it_is",
        "system/test_present_state.py::test_checkpoint_after_blockpull_is_sound",
    ),
    "C05": ("contract/test_libvirt_only.py::test_a_file_with_a_name_that_is_not_utf_8_is_passed_over",),
    "C08": (
        "crash/test_adopt.py::test_checkpoint_frozen_base_was_written_names_the_lost_checkpoints",
        "crash/test_adopt.py::test_adopted_checkpoint_leaves_nothing_that_cannot_be_deleted",
    ),
    "C09": (
        "crash/test_adopt.py::test_checkpoint_adopts_the_present_disks",
        "system/test_present_state.py::test_checkpoint_adopts_a_disk_moved_by_blockcopy_as_a_root",
    ),
    "C10": (
        "cli/test_host_identity.py::test_host_with_another_uuid_and_name_is_taken_over_by_one_command",
        "system/test_store_owner.py::test_host_uuid_new_at_each_start_of_the_daemon_keeps_checkpoints",
    ),
    "C11": (
        "crash/test_linked_clones.py::test_rollback_clone_on_what_it_discards_keeps_that",
        "system/test_linked_clones.py::test_clone_keeps_its_base_from_delete_rollback_and_collapse",
    ),
    "C13": ("system/test_store_owner.py::test_second_catalog_is_refused_until_it_adopts_the_store",),
    "C14": (
        f"{PRINTS}::test_accept_layer_with_another_time_records_time_and_sha256",
        "system/test_prints.py::test_rollback_moved_store_is_sound_by_its_content",
    ),
    "C16": ("system/test_present_state.py::test_checkpoint_adopts_an_external_snapshot_of_libvirt",),
    "C17": (
        "contract/test_devices.py::test_device_is_read_and_no_other_node_is_opened",
        "system/test_prints.py::test_rollback_device_as_it_was_is_done_and_no_other_node_is_opened",
    ),
    "C18": (
        "contract/test_libvirt_only.py::test_files_of_hostile_directory_does_not_block",
        "contract/test_libvirt_only.py::test_stat_and_read_file_in_any_directory",
    ),
    "C19": (
        f"{PRINTS}::test_checkpoint_writable_floppy_is_named_and_not_compared",
        f"{PRINTS}::test_rollback_exchanged_medium_is_refused",
        "system/test_prints.py::test_checkpoint_writable_floppy_is_named_as_no_part_of_it",
    ),
    "C20": ("crash/test_present_set.py::test_domain_created_again_under_its_name_old_checkpoints_can_be_deleted",),
    "C21": (
        "crash/test_present_set.py::test_rollback_renamed_leaves_the_image_alone",
        "system/test_present_state.py::test_rollback_renamed_domain_keeps_its_new_name",
    ),
}

OPEN: dict[str, str] = {
    "C8": "check and call are two things, as the finding says: there is nothing to mend",
    "C9": "libvirt has no way to edit a definition at once: an edit in the same instant is lost",
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
