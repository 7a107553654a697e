"""The schedules of a function in ``pipeline.toml``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lambda_script import Schedule
from lambda_toolkit.pipeline.config.aws.deployment import function_spec
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

SHIPPED = DEFAULT_PATH.read_text(encoding="utf-8")
SCHEDULED = """[functions.load]
timezone = "Europe/London"
schedule_role = "arn:aws:iam::{account}:role/scheduler"

[[functions.load.schedule]]
expression = "0 9 * * MON-FRI"
input = { action = "load" }
dead_letter_queue = "arn:aws:sqs:{region}:{account}:unstarted"

[[functions.load.schedule]]
expression = "rate(1 hour)"
timezone = "UTC"
end = "2027-12-31T23:59:00"

"""


def test_schedules_are_tables_where_a_text_is_not_enough(tmp_path):
    """Each has the function's time zone unless it has its own; names of accounts are filled; a stage may say a text."""

    def loaded(text: str, stage: str = "dev"):
        whole = re.sub(r"(?s)\[functions\.load\].*?\n\n", lambda _: text, SHIPPED, count=1)
        path = Path(tmp_path / "config" / "pipeline.toml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(whole, encoding="utf-8")
        return load(path, stage)

    pipeline = loaded(SCHEDULED)
    spec = function_spec(pipeline, pipeline.functions["load"], "123456789012")
    queue = "arn:aws:sqs:eu-west-2:123456789012:unstarted"
    nine, hourly = spec.schedules
    assert nine == Schedule(
        "cron(0 9 ? * MON-FRI *)", "Europe/London", input={"action": "load"}, dead_letter_queue=queue
    )
    assert hourly == Schedule("rate(1 hour)", "UTC", end="2027-12-31T23:59:00")
    assert (spec.schedule, spec.schedule_role) == ("", "arn:aws:iam::123456789012:role/scheduler")
    rule = loaded(SCHEDULED, "local").functions["load"].spec
    assert (rule.schedule, rule.schedules) == ("rate(1 minute)", ()), "the local stage says when, and a rule does it"
    for wrong, says in (
        (SCHEDULED.replace("Europe/London", "Europe/Lodnon"), "Did you mean Europe/London"),
        (SCHEDULED.replace('"0 9 * * MON-FRI"', '"nine"'), r"\[functions.load\] `schedule`: "),
        (SCHEDULED.replace("expression", "expresion", 1), r"unknown key `expresion`"),
        (SCHEDULED.replace("2027-12-31T23:59:00", "never"), "`never` is not a time of ISO 8601"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            loaded(wrong)
