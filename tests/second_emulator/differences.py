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
    "ignores the architecture that comes with new code": ("test_another_architecture_comes_with_the_code",),
    "has no LoggingConfig, and changes no other of these settings": (
        "test_setting_is_sent_kept_repaired_and_removed",
        "test_setting_that_is_not_declared_is_kept",
        "test_each_fault_of_settings_is_repaired",
        "test_log_settings_are_sent_once_and_kept",
        "test_only_declared_log_settings_are_managed",
        "test_text_takes_no_levels",
        "test_log_group_of_others_is_only_read",
        "test_each_fault_of_log_settings_is_repaired",
    ),
    "gives the number of a deleted version once more, and deletes a version that an alias names": (
        "test_what_was_lost_of_a_release_is_made_again[version]",
        "test_last_five_versions_and_aliased_ones_are_kept",
    ),
    "answers each invocation in the same way: a check cannot fail": (
        "test_failed_health_check_is_retried_by_the_next_deploy",
        "test_first_version_that_fails_its_check_gets_no_attachments",
        "test_failed_health_check_does_not_stop_other_functions",
    ),
    "lists event buses by their tags, and no rules": (
        "test_undeclared_attachments_are_pruned",
        "test_what_is_unchanged_is_read_in_few_calls",
    ),
}


def reason(test: str) -> str | None:
    """Why the server cannot run ``test``, or its case ``test[case]``; ``None`` where it can."""
    names = {test, test.partition("[")[0]}
    return next((f"moto's server {what}" for what, tests in CANNOT.items() if names & set(tests)), None)
