"""The keys of ``pipeline.toml`` about the pipeline as a whole: buckets, alerts, secrets, alarms.

See :mod:`.keys` for what is made of them.
"""

from __future__ import annotations

from lambda_script import Alarm, BucketSpec, FunctionSpec
from lambda_toolkit.pipeline.config.schema.function_keys import LOGGING
from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type

PIPELINE = Table(
    "pipeline",
    "The pipeline as a whole.",
    (
        Key(
            "name",
            Type.STRING,
            "Begins the name of every resource and is its tag `application`.",
            '"totes"',
            required=True,
        ),
        Key("stage", Type.STRING, "The stage that commands are about without `--stage`.", '"dev"', default="dev"),
        Key(
            "region",
            Type.STRING,
            "The AWS region. `AWS_REGION` and `AWS_DEFAULT_REGION` of the environment take precedence.",
            '"eu-west-2"',
            absent="the environment must name one",
        ),
        Key(
            "log_retention_days",
            Type.INTEGER,
            "Days that CloudWatch Logs keeps the functions' logs: one of the values that it accepts.",
            "30",
            default=FunctionSpec.log_retention_days,
        ),
        *LOGGING,
        Key(
            "permissions_boundary",
            Type.STRING,
            "The ARN of the managed policy that limits every role that the deploy creates "
            "([permissions](permissions.md#a-permissions-boundary)). An empty text removes it.",
            '"arn:aws:iam::{account}:policy/limits"',
            absent="not managed",
        ),
        Key(
            "keep_failed_events",
            Type.BOOLEAN,
            "Whether the bucket `failed` keeps the events on which extract, transform, load, notifier and freshness "
            "failed for good ([failed events](deploying.md#failed-events-of-the-pipeline)). `[buckets.failed]` changes "
            "the bucket; `on_failure` of a function says another place.",
            "false",
            default=True,
        ),
        Key(
            "fresh_within",
            Type.STRING,
            "How soon the warehouse shall have each change ([freshness](freshness.md)): minutes, hours or days. The "
            "function `freshness` watches that.",
            '"30 minutes"',
            absent="nothing is promised",
        ),
        Key(
            "tags",
            Type.STRING_TABLE,
            "Tags of every resource. A tag with an empty value is removed.",
            '{ project = "totes" }',
            default={},
        ),
    ),
)

LIFECYCLE = Table(
    "buckets.<name>.lifecycle",
    "A lifecycle rule of a bucket. It needs one of the keys that end in `_days`.",
    (
        Key("name", Type.STRING, "The rule's ID.", '"uploads"', required=True),
        Key("prefix", Type.STRING, "The objects that it is about, by the start of their keys.", '"old/"', default=""),
        Key(
            "abort_uploads_days",
            Type.INTEGER,
            "Days after which an incomplete multipart upload is aborted.",
            "7",
            absent="never",
        ),
        Key(
            "noncurrent_days",
            Type.INTEGER,
            "Days after which a noncurrent version is deleted.",
            "30",
            absent="never",
        ),
        Key("expire_days", Type.INTEGER, "Days after which an object expires.", "365", absent="never"),
        Key(
            "transition_days",
            Type.INTEGER,
            "Days after which an object moves to `storage_class`, which it needs.",
            "90",
            absent="never",
        ),
        Key(
            "storage_class",
            Type.STRING,
            "The storage class that objects move to after `transition_days`.",
            '"GLACIER_IR"',
            absent="none",
            choices=("DEEP_ARCHIVE", "GLACIER", "GLACIER_IR", "INTELLIGENT_TIERING", "ONEZONE_IA", "STANDARD_IA"),
        ),
    ),
)
BUCKET = Table(
    "buckets.<name>",
    "An S3 bucket. Functions name it by `<name>`, and find its name on AWS in the variable `<NAME>_BUCKET`.",
    (
        Key(
            "name",
            Type.STRING,
            'Its name on AWS. A bucket that needs nothing else is written `<name> = "..."` below `[buckets]`.',
            '"{name}-{stage}-ingestion-{account}"',
            required=True,
        ),
        Key(
            "kms_key",
            Type.STRING,
            "The ARN of the KMS key that encrypts its objects.",
            '"arn:aws:kms:eu-west-2:123456789012:key/1234abcd"',
            absent="S3's own keys (SSE-S3)",
        ),
        Key(
            "versioned",
            Type.BOOLEAN,
            "Whether it keeps old versions of objects.",
            "true",
            default=BucketSpec.versioned,
        ),
        Key(
            "lifecycle",
            Type.TABLES,
            "Its lifecycle rules. An empty list removes those that an earlier deploy made.",
            '[{ name = "uploads", abort_uploads_days = 7 }]',
            absent="not managed",
            table=LIFECYCLE,
        ),
    ),
)

ALERTS = Table(
    "alerts",
    "Who is notified when an alarm changes to `ALARM`.",
    (
        Key(
            "topic",
            Type.STRING,
            "The name of the SNS topic that people read: the addresses are subscribed to it.",
            '"{name}-{stage}-alerts"',
            required=True,
        ),
        Key(
            "alarms",
            Type.STRING,
            "The name of another SNS topic, which alarms notify in place of `topic`: for the function that makes "
            'readable [messages](messages.md) of them, whose `topic_trigger` has `"alarms"`.',
            '"{name}-{stage}-alarms"',
            absent="alarms notify `topic`",
        ),
        Key(
            "emails",
            Type.STRINGS,
            "The addresses that are subscribed; AWS asks each to confirm. An empty list removes all.",
            '["data@example.com"]',
            absent="not managed",
        ),
        Key(
            "kms_key",
            Type.STRING,
            "The ARN of the KMS key that encrypts the messages ([its policy](deploying.md#the-topic)). An empty text "
            "removes it.",
            '"arn:aws:kms:eu-west-2:123456789012:key/1234abcd"',
            absent="not managed; SNS encrypts what it stores",
        ),
    ),
)

DASHBOARD = Table(
    "cloudwatch_dashboard",
    "A dashboard in the CloudWatch console: freshness, latency, rows, rejected and pending rows, errors, durations, "
    "alarms ([observability](observability.md#the-cloudwatch-dashboard)). Three in an account are free, each further "
    "one costs $3 a month. Without this table there is none.",
    (
        Key(
            "name",
            Type.STRING,
            "Its name, unique in the account: dashboards have no region. A deploy finds one that is no longer declared "
            "if its name begins with `<pipeline>-<stage>`.",
            '"{name}-{stage}-{region}"',
            default="{name}-{stage}",
        ),
    ),
)

LAKE = Table(
    "lake",
    "What SQL engines read of the lake: a database of the Glue Data Catalog with tables over the processed files, and "
    "views of the history and the present ([the lake](lake.md)).",
    (
        Key(
            "catalog",
            Type.BOOLEAN,
            "Whether a deploy keeps that database. It costs nothing: AWS charges for objects beyond a million in an "
            "account, and Athena $5 for each terabyte that a query reads. Without it, the next deploy removes the "
            "database.",
            "false",
            default=True,
        ),
        Key(
            "database",
            Type.STRING,
            "Its name, unique in the account and region. Characters that Athena does not take become `_`.",
            '"{name}_{stage}"',
            default="{name}_{stage}",
        ),
    ),
)
ALARM = Table(
    "alarms.<name>",
    "A CloudWatch alarm, for each function that names it. Its name on AWS is `<function>-<name>`.",
    (
        Key("metric", Type.STRING, "The metric's name.", '"Errors"', required=True),
        Key("namespace", Type.STRING, "The metric's namespace.", '"AWS/Lambda"', default=Alarm.namespace),
        Key(
            "threshold",
            Type.NUMBER,
            "In alarm when the statistic over a period reaches this.",
            "1",
            absent="1, unless `below` is given",
        ),
        Key(
            "below",
            Type.NUMBER,
            "Instead of `threshold`: in alarm when the statistic is less than this. Periods without data count as 0.",
            "1",
            absent="`threshold` applies",
        ),
        Key("period", Type.INTEGER, "Seconds: 10, 20, 30 or a multiple of 60.", "900", default=Alarm.period),
        Key(
            "evaluation_periods",
            Type.INTEGER,
            "How many periods are evaluated.",
            "2",
            default=Alarm.evaluation_periods,
        ),
        Key(
            "datapoints_to_alarm",
            Type.INTEGER,
            "How many of them must breach. With `below`, at least 2: the data of the last minutes come late.",
            "2",
            absent="all",
        ),
        Key(
            "missing_data",
            Type.STRING,
            "How periods without data count, as CloudWatch has it. With `below` they count as 0.",
            '"breaching"',
            absent=f"`{Alarm.missing_data}`",
            choices=("breaching", "ignore", "missing", "notBreaching"),
        ),
        Key(
            "expression",
            Type.STRING,
            "What is compared in place of the statistic, which is `m` in it: numbers, `+ - * /`, parentheses and "
            "`FILL(m, number)`.",
            '"FILL(m, 0) / 60"',
            absent="`m`; with `below`, `FILL(m, 0)`",
        ),
        Key(
            "alias",
            Type.STRING,
            "Count the calls of this alias alone: `live`, which schedules and triggers call, and commands do not.",
            '"live"',
            default=Alarm.alias,
        ),
        Key(
            "statistic",
            Type.STRING,
            "The statistic over a period.",
            '"Maximum"',
            default=Alarm.statistic,
            choices=("Average", "Maximum", "Minimum", "SampleCount", "Sum"),
        ),
        Key(
            "description",
            Type.STRING,
            "What the message says is wrong. It may contain `{function}` and `{stage}`.",
            '"{function} failed."',
            default=Alarm.description,
        ),
        Key(
            "command",
            Type.STRING,
            "The command that helps, which the message ends with. It may contain `{function}` and `{stage}`.",
            '"lambda-script logs {function} --stage {stage}"',
            default="",
        ),
        Key(
            "incident",
            Type.STRING,
            "Alarms with the same text are one incident: one message when it begins, one when it is over. It may "
            "contain `{function}`.",
            '"rejected rows"',
            default="{function}",
        ),
        Key(
            "symptom",
            Type.BOOLEAN,
            "Whether it follows from what other alarms are about: while another incident is open, it is part of that "
            "one.",
            "true",
            default=False,
        ),
    ),
)
