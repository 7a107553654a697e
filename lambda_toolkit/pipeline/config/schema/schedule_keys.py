"""The keys of ``pipeline.toml`` about the schedules of a function.

See :mod:`.keys` for what is made of them.
"""

from __future__ import annotations

from lambda_script import Schedule
from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type

SCHEDULE = Table(
    "functions.<name>.schedule",
    "One schedule of a function, or each of several.",
    (
        Key(
            "expression",
            Type.STRING,
            "Unix cron, `rate(...)`, EventBridge's `cron(...)`, or once: `at(2027-01-31T09:00:00)`.",
            '"0 9 * * MON-FRI"',
            required=True,
        ),
        Key(
            "timezone",
            Type.STRING,
            "The IANA name of the time zone of a cron expression.",
            '"Europe/London"',
            absent="that of the function",
        ),
        Key(
            "name",
            Type.STRING,
            "Its name among the function's schedules: 1 to 23 letters, digits, `-` and `_`.",
            '"morning"',
            absent="one that follows from its expression, time zone and input",
        ),
        Key(
            "input",
            Type.OBJECT,
            "The event that the function gets.",
            '{ action = "sweep" }',
            absent="Scheduler's own event",
        ),
        Key(
            "flexible_minutes",
            Type.INTEGER,
            "Within how many minutes after its time it may start, 0 to 1440.",
            "15",
            default=Schedule.flexible_minutes,
        ),
        Key(
            "retries",
            Type.INTEGER,
            "How often Scheduler repeats an invocation that Lambda did not accept, 0 to 185.",
            "5",
            default=Schedule.retries,
        ),
        Key(
            "max_event_age",
            Type.INTEGER,
            "For how many seconds it repeats it, 60 to 86400.",
            "3600",
            default=Schedule.max_event_age,
        ),
        Key(
            "dead_letter_queue",
            Type.STRING,
            "The ARN of the standard queue for invocations that Lambda did not accept.",
            '"arn:aws:sqs:{region}:{account}:unstarted"',
            default="",
        ),
        Key(
            "start",
            Type.STRING,
            "Nothing fires before this time, ISO 8601; without an offset, in its time zone.",
            '"2027-01-01T00:00:00"',
            default="",
        ),
        Key("end", Type.STRING, "Nothing fires after this time.", '"2027-12-31T23:59:00"', default=""),
    ),
)
SCHEDULING = (
    Key(
        "schedule",
        Type.STRING_OR_TABLES,
        "When it is started: unix cron, `rate(...)`, `cron(...)`, or once, `at(...)`; or tables, for what EventBridge "
        "Scheduler does beyond that ([schedules](schedules.md)). An empty string removes all of them.",
        '"rate(5 minutes)"',
        absent="not managed",
        table=SCHEDULE,
    ),
    Key(
        "timezone",
        Type.STRING,
        "The IANA name of the time zone of its cron expressions.",
        '"Europe/London"',
        absent="UTC",
    ),
    Key(
        "schedule_role",
        Type.STRING,
        "The ARN of the role with which EventBridge Scheduler invokes it, which exists; nothing of IAM is then "
        "written for its schedules.",
        '"arn:aws:iam::{account}:role/scheduler"',
        absent="the deploy creates one, where Scheduler runs a schedule",
    ),
)
"""Those of a function itself."""
