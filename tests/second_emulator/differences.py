"""What moto's server does differently from AWS, and the tests that it cannot run therefore: no other is skipped.

In the tests' own process, ``tests.support.moto_account`` and ``moto_lambda`` repair the same of moto; the server is as
it was published.
"""

from __future__ import annotations

from collections.abc import Mapping

CANNOT: Mapping[str, tuple[str, ...]] = {  # what the server does not do -> the tests
    "takes the condition of a bucket policy's statement away: the one that demands TLS forbids every object": (
        "test_an_object_that_may_not_be_deleted_is_named",
        "test_data_stays_unless_asked_for",
        "test_with_its_data",
        "test_a_large_layer_goes_through_the_artifact_bucket",
        "test_where_no_bucket_is_named_the_toolkit_makes_its_own",
        "test_data_goes_only_when_that_is_said",
    ),
    "ignores the architecture that comes with new code": (
        "test_another_architecture_comes_with_the_code",
        "test_plan_shows_what_was_there_before",
    ),
    "has neither provisioned concurrency nor the detection of recursive loops": (
        "test_environments_are_made_and_waited_for",
        "test_nothing_is_read_where_it_is_not_declared",
        "test_changed_by_hand_it_is_restored_and_then_removed",
        "test_release_waits_for_the_environments_of_its_version",
        "test_rollback_takes_them_along",
        "test_canary_ends_before_they_are_set",
        "test_failure_is_reported_and_repaired_by_the_next_deploy",
        "test_reservation_comes_first_and_destroy_takes_all",
        "test_loops_are_allowed_restored_and_stopped",
        "test_calls_where_nothing_changed_are_those_of_the_table",
        "test_plan_shows_and_sends_each_word",
    ),
    "tells nothing of the account's concurrency": (
        "test_account_is_asked_only_where_more_is_reserved",
        "test_concurrency_is_reserved_and_released",
        "test_plan_says_what_a_reservation_excludes",
        "test_plan_says_what_the_account_cannot_reserve",
        "test_what_only_aws_can_decide_is_a_note",
    ),
    "does not change what becomes of a schedule that fired once": (
        "test_single_time_that_was_changed_by_hand_is_restored",
    ),
    "keeps of an asynchronous configuration what the next one does not have": (
        "test_what_is_not_declared_of_it_stays",
        "test_changed_by_hand_and_declared_empty",
    ),
    "lists no schedule groups by their tags, lists schedules of groups that do not exist, and asks for no trust": (
        "test_destroy_calls_only_what_its_policy_grants",
        "test_zone_makes_a_schedule_that_may_invoke_the_alias_alone",
        "test_old_one_stays_where_the_new_one_fails",
        "test_open_window_of_the_old_one_is_waited_for_or_named",
        "test_prune_removes_what_no_function_declares",
    ),
    "has no LoggingConfig, and changes no other of these settings": (
        "test_setting_is_sent_kept_repaired_and_removed",
        "test_setting_that_is_not_declared_is_kept",
        "test_each_fault_of_settings_is_repaired",
        "test_role_may_write_traces_and_use_the_key",
        "test_log_settings_are_sent_once_and_kept",
        "test_only_declared_log_settings_are_managed",
        "test_text_takes_no_levels",
        "test_log_group_of_others_is_only_read",
        "test_each_fault_of_log_settings_is_repaired",
    ),
    "gives the number of a deleted version once more, and deletes a version that an alias names": (
        "test_what_was_lost_of_a_release_is_made_again[version]",
        "test_last_five_versions_and_aliased_ones_are_kept",
        "test_new_function_whose_network_failed_is_repaired",
    ),
    "answers each invocation in the same way: a check cannot fail": (
        "test_failed_health_check_is_retried_by_the_next_deploy",
        "test_first_version_that_fails_its_check_gets_no_attachments",
        "test_failed_health_check_does_not_stop_other_functions",
        "test_firings_of_one_schedule_are_made_up_for_by_one_run",
        "test_event_that_fails_again_is_kept",
        "test_unknown_event_is_refused_and_kept",
        "test_replay_that_is_stopped_before_the_deletion_repeats",
        "test_invoke_calls_the_live_version",
    ),
    "has no states of event source mappings, no tags of them, and one URL for all aliases": (
        "test_mapping_is_made_once_and_waited_for",
        "test_one_list_serves_all_and_others_need_none",
        "test_mapping_changed_by_hand_is_restored",
        "test_settings_that_are_not_declared_become_lambdas",
        "test_disabled_trigger_is_waited_for",
        "test_another_queue_takes_the_place_of_the_first",
        "test_no_trigger_any_more_ends_the_polling",
        "test_prune_removes_a_mapping_that_is_undeclared",
        "test_destroy_deletes_only_its_own_mapping",
        "test_orphaned_mapping_invokes_the_new_function",
        "test_mapping_made_by_hand_is_adopted_or_refused",
        "test_second_mapping_beside_the_alias_is_removed_when_adopted",
        "test_queue_that_does_not_exist_is_said_in_the_plan",
        "test_visibility_timeout_is_compared_with_the_functions",
        "test_what_lambda_says_of_its_last_attempt_is_a_note",
        "test_mapping_that_the_list_does_not_show_is_found",
        "test_mapping_that_is_in_use_is_waited_for",
        "test_given_role_is_not_written",
        "test_fifo_queue_has_no_window",
        "test_destroy_looks_once_for_all_functions",
        "test_kinesis_stream_is_read_as_declared",
        "test_table_that_was_created_again_is_followed",
        "test_source_that_does_not_exist_is_said_in_the_plan",
        "test_role_that_may_not_read_yet_is_waited_for",
        "test_reading_begins_at_a_time",
        "test_public_url_is_made_once_and_said_clearly",
        "test_url_is_closed_to_the_public_first",
        "test_url_changed_by_hand_is_restored",
        "test_url_is_removed_with_its_permissions",
        "test_url_of_others_is_adopted_or_refused",
        "test_denied_permission_leaves_no_open_url",
        "test_example_is_deployed_with_queue_events_and_url",
    ),
    "lists event buses by their tags, and no rules": (
        "test_prune_and_destroy_remove_the_rules",
        "test_undeclared_attachments_are_pruned",
        "test_what_is_unchanged_is_read_in_few_calls",
    ),
}


def reason(test: str) -> str | None:
    """Why the server cannot run ``test``, or its case ``test[case]``; ``None`` where it can."""
    names = {test, test.partition("[")[0]}
    return next((f"moto's server {what}" for what, tests in CANNOT.items() if names & set(tests)), None)
