"""What a configuration has without declaring it: a bucket for failed events; and what messages say of an alarm."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lambda_toolkit.pipeline.config.aws.alarm_notices import alarm_description, alarms_json
from lambda_toolkit.pipeline.config.aws.failed_events import failed_bucket, with_failed_events
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

BUCKET = {
    "name": "{name}-{stage}-failed-{account}",
    "versioned": False,
    "lifecycle": [{"name": "failed-events", "expire_days": 30}],
}


@pytest.mark.parametrize(
    ("document", "functions", "buckets"),
    [
        ({}, None, None),
        ({"functions": {"load": {}}}, {"load": {"on_failure": "failed"}}, {"failed": BUCKET}),
        ({"functions": {"own": {}, "access": {}}}, {"own": {}, "access": {}}, None),
        ({"functions": {"load": {"role": "r"}}}, {"load": {"role": "r"}}, None),
        ({"functions": {"load": {"on_failure": "x"}}}, {"load": {"on_failure": "x"}}, None),
        (
            {"functions": {"own": {"on_failure": "failed"}}, "buckets": {"b": {}}},
            *({"own": {"on_failure": "failed"}}, {"b": {}, "failed": BUCKET}),
        ),
        ({"functions": {"load": 3}}, {"load": 3}, None),
        ({"functions": {"own": {}, "load": {}}}, {"own": {}, "load": {"on_failure": "failed"}}, {"failed": BUCKET}),
        (
            {"functions": {"own": {"on_failure": "failed"}}, "pipeline": {"keep_failed_events": False}},
            *({"own": {"on_failure": "failed"}}, None),
        ),
        (
            {"functions": {"load": {}}, "pipeline": {"keep_failed_events": False}},
            *({"load": {"on_failure": ""}}, None),
        ),
        (
            {"functions": {"load": {}}, "buckets": {"failed": "mine"}},
            *({"load": {"on_failure": "failed"}}, {"failed": {**BUCKET, "name": "mine"}}),
        ),
        (
            {"functions": {"load": {}}, "buckets": {"failed": {"versioned": True}}},
            *({"load": {"on_failure": "failed"}}, {"failed": {**BUCKET, "versioned": True}}),
        ),
        ({"functions": {"load": {}}, "buckets": {"failed": 3}}, {"load": {"on_failure": "failed"}}, {"failed": 3}),
    ],
)
def test_events_that_fail_have_a_bucket(document: dict[str, Any], functions: Any, buckets: Any) -> None:
    found = with_failed_events(document)
    assert (found.get("functions"), found.get("buckets")) == (functions, buckets)
    assert found.get("pipeline") == document.get("pipeline")


@pytest.mark.parametrize("table", ["functions", "buckets", "pipeline"])
def test_document_of_another_form_is_left_as_it_is(table: str) -> None:
    document = {"functions": {"load": {}}, table: 3}
    assert with_failed_events(document) == document


def test_bucket_of_failed_events_is_named_where_it_is() -> None:
    pipeline = load(DEFAULT_PATH)
    assert failed_bucket(pipeline, "123456789012") == "totes-dev-failed-123456789012"
    assert failed_bucket(replace(pipeline, buckets={}), "123456789012") is None


def test_messages_say_what_the_alarm_declares() -> None:
    pipeline = load(DEFAULT_PATH, "prod", {})
    name = next(name for name in pipeline.functions["load"].alarms or () if name in pipeline.notices)
    alarm = replace(pipeline.alarms[name], description="{function} of {stage} fails: é.")
    notice = replace(pipeline.notices[name], command="logs {function} --stage {stage}", incident="{function} fails")
    declared = replace(pipeline, alarms={**pipeline.alarms, name: alarm}, notices={**pipeline.notices, name: notice})
    assert alarm_description(declared, "load", name) == ("load of prod fails: é. What helps: logs load --stage prod")
    silent = replace(declared, notices={})
    assert alarm_description(silent, "load", name) == "load of prod fails: é."
    document = json.loads(alarms_json(declared, "123456789012"))
    assert {key: value for key, value in document.items() if key != "alarms"} == {
        "format": document["format"],
        "pipeline": "totes",
        "stage": "prod",
    }
    assert document["alarms"][f"totes-prod-load-{name}"] == {
        "alarm": name,
        "function": "load",
        "log_group": "/aws/lambda/totes-prod-load",
        "incident": "load fails",
        "symptom": notice.symptom,
        "what": "load of prod fails: é.",
        "command": "logs load --stage prod",
    }
    watched = [each for each in declared.functions.values() if not each.is_notifier]
    assert len(document["alarms"]) == sum(len(each.alarms or ()) for each in watched)
    text = alarms_json(declared, "123456789012").decode()
    assert text.startswith('{\n "format": ') and "fails: é." in text and text.endswith("}\n"), "as a person reads it"
