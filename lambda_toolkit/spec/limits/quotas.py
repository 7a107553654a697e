"""AWS's quotas and value ranges, checked before the first call that writes. Pure.

What is written down here is dated. Where a value exceeds it, AWS's own model decides (``service_model``): what that
allows too is a doubt, which a plan notes and AWS decides; anything else is a problem.

Values as of November 2026, from:
- Lambda's quotas: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
- environment variables: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
- log retention: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
- inline policies of roles: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
- alarms: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
- tags: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from lambda_toolkit.errors import LimitError
from lambda_toolkit.spec import service_model
from lambda_toolkit.spec.bucket import BUCKET_NAMES, BucketSpec, is_bucket_name
from lambda_toolkit.spec.limit_checks import (
    DATE,
    Doubt,
    Found,
    allowing,
    field_problems,
    in_range,
    of_length,
    unknown_value,
)
from lambda_toolkit.spec.limits.schedule_quotas import schedule_problems
from lambda_toolkit.spec.limits.setting_quotas import setting_problems
from lambda_toolkit.spec.metric_math import METRIC_ID, ExpressionError, parse
from lambda_toolkit.spec.model import Alarm, FunctionSpec

MIB = 1024 * 1024
DIRECT_UPLOAD = 50 * MIB - 4096  # bytes: Lambda's limit of 50 MiB includes the rest of the request
UNZIPPED = 250 * MIB  # bytes: function and layers together
_ENVIRONMENT = 4096  # bytes
_INLINE_POLICY = 10_240  # characters, white space not counted
_DESCRIPTION = 256  # characters
_RUNTIME = re.compile(r"python3\.(9|[1-9][0-9])")
_RUNTIMES = tuple(f"python3.{minor}" for minor in range(9, 15))
_MEMORY, _TIMEOUT = (128, 10_240), (1, 900)  # MB, seconds
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DESTINATION = re.compile(
    r"arn:aws[a-z-]*:(sqs|sns|events|lambda):[a-z0-9-]+:\d{12}:[^\s:].*|arn:aws[a-z-]*:s3:::[^\s/:]+"
)
_ATTEMPTS, _EVENT_AGE = (0, 2), (60, 21_600)  # retries, seconds
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
_POLICY = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", re.ASCII)
_ARCHITECTURES = ("x86_64", "arm64")
_RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
_LONGEST_CANARY = 60  # minutes: the deploy runs that long; not a quota of AWS
_ALARM_NAME, _ALARM_DESCRIPTION, _DIMENSIONS = 255, 1024, 30  # characters; a number
_DIMENSION_NAME, _DIMENSION_VALUE = 255, 1024  # characters
_ALARM_PERIODS = (10, 20, 30)  # seconds; otherwise a multiple of 60
_ALARM_HOUR, _ALARM_DAY, _ALARM_WEEK = 3600, 86_400, 604_800  # seconds
_LAMBDA = "AWS/Lambda"
_METRICS = (  # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    *("Invocations", "Errors", "DeadLetterErrors", "DestinationDeliveryFailures", "Throttles", "Duration"),
    *(
        "PostRuntimeExtensionsDuration",
        "OversizedRecordCount",
        "RecursiveInvocationsDropped",
        "IteratorAge",
        "OffsetLag",
    ),
    *("ConcurrentExecutions", "ClaimedAccountConcurrency", "UnreservedConcurrentExecutions"),
    *("ProvisionedConcurrentExecutions", "ProvisionedConcurrencyInvocations", "ProvisionedConcurrencyUtilization"),
    *("ProvisionedConcurrencySpilloverInvocations", "AsyncEventsReceived", "AsyncEventAge", "AsyncEventsDropped"),
    *("SignatureValidationErrors", "PolledEventCount", "FilteredOutEventCount", "InvokedEventCount"),
    *("FailedInvokeEventCount", "DroppedEventCount", "OnFailureDestinationDeliveredEventCount", "DeletedEventCount"),
)
_STATISTICS = ("Average", "Maximum", "Minimum", "SampleCount", "Sum")
_COMPARISONS = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanOrEqualToThreshold",
    "LessThanThreshold",
)
_MISSING_DATA = ("breaching", "ignore", "missing", "notBreaching")
_RESERVED_VARIABLES = frozenset(  # environment variables that Lambda sets
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SECURITY_TOKEN",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
_TAG = re.compile(r"[\w .:/=+@-]*")  # the characters that all tagged services allow
_TAG_KEY, _TAG_VALUE, _TAGS = 128, 256, 46  # 50 tags, four of them the toolkit's


def runtime_version(runtime: str) -> tuple[int, int]:
    """``python3.12`` as (3, 12). Raises LimitError for what is not a Python runtime."""
    if not _RUNTIME.fullmatch(runtime):
        raise LimitError(f"Runtime `{runtime}` is not one of Lambda's for Python. Write it like python3.12.")
    return 3, int(runtime.partition(".")[2])


def check_function(spec: FunctionSpec) -> None:
    """Raise LimitError, listing all problems together, where AWS would reject ``spec``."""
    problems = function_problems(spec)
    if problems:
        raise LimitError(f"Function `{spec.name}`: {' '.join(problems)}")


def function_problems(spec: FunctionSpec) -> list[str]:
    """The problems of ``spec`` that AWS would reject it for: one sentence each, with what to write instead."""
    return [found for found in _problems(spec) if isinstance(found, str)]


def function_doubts(spec: FunctionSpec) -> list[str]:
    """What AWS may reject of ``spec``: a sentence each, without the period."""
    return [found.text for found in _problems(spec) if isinstance(found, Doubt)]


def check_bucket(spec: BucketSpec) -> None:
    """Raise LimitError where S3 would reject the name of a bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    """
    if not is_bucket_name(spec.name):
        raise LimitError(f"Bucket `{spec.name}`: {BUCKET_NAMES}")


def _problems(spec: FunctionSpec) -> Found:
    if not _NAME.fullmatch(spec.name):
        yield "its name must be 1 to 64 letters, digits, `-` and `_`."
    yield from _runtime_problems(spec.runtime)
    if spec.architecture not in _ARCHITECTURES:
        otherwise = f"is not one of {' and '.join(_ARCHITECTURES)}"
        yield from unknown_value("lambda", "Architecture", "architecture", spec.architecture, otherwise)
    yield from in_range("lambda", "MemorySize", "memory", spec.memory, _MEMORY, "MB")
    yield from in_range("lambda", "Timeout", "timeout", spec.timeout, _TIMEOUT, "seconds")
    yield from of_length("lambda", "Description", "its description", spec.description or "", _DESCRIPTION)
    yield from setting_problems(spec)
    yield from schedule_problems(spec)
    if spec.log_retention_days is not None and spec.log_retention_days not in _RETENTIONS:
        yield f"log_retention_days {spec.log_retention_days} is not one of {', '.join(map(str, _RETENTIONS))}."
    yield from _release_problems(spec)
    yield from _tag_problems(spec.tags)
    yield from _environment_problems(spec)
    yield from _role_problems(spec)
    yield from _invocation_problems(spec)
    yield from _attachment_problems(spec)
    yield from field_problems(spec)


def _runtime_problems(runtime: str) -> Found:
    if runtime in _RUNTIMES:
        return
    if not _RUNTIME.fullmatch(runtime):
        yield f"runtime `{runtime}` is not one of Lambda's for Python; write it like python3.12."
    elif service_model.allows("lambda", "Runtime", runtime):
        yield Doubt(f"runtime `{runtime}` is not among those of {DATE}; {allowing()}")
    else:
        of_python = [name for name in service_model.known_values("lambda", "Runtime") if _RUNTIME.fullmatch(name)]
        yield (
            f"runtime `{runtime}` is not one of Lambda's: {service_model.installed()} knows {', '.join(of_python)}. "
            "Where Lambda has it by now, update boto3."
        )


def _release_problems(spec: FunctionSpec) -> Iterable[str]:
    if spec.health_event is not None:
        try:
            json.dumps(spec.health_event, allow_nan=False)
        except (TypeError, ValueError) as error:
            yield f"its health event cannot be sent as JSON: {error}."
    if spec.canary is None:
        return
    if not 0 < spec.canary.weight < 1:
        yield f"its canary's weight {spec.canary.weight} is not between 0 and 1."
    if not 0 < spec.canary.minutes <= _LONGEST_CANARY:
        yield f"its canary's minutes {spec.canary.minutes} are not more than 0 and at most {_LONGEST_CANARY}."
    watching = [alarm for alarm in spec.alarms or () if alarm.watches_canary]
    if not watching:
        yield "its canary needs at least one alarm of the function to watch it."
    for alarm in watching:
        needed = alarm.period * (alarm.datapoints_to_alarm or alarm.evaluation_periods) / 60
        if needed > spec.canary.minutes:
            yield (
                f"its canary lasts {spec.canary.minutes:g} minutes, and alarm `{alarm.name}` needs {needed:g}: "
                "give the canary more minutes, or the alarm a shorter period."
            )


def _tag_problems(tags: Mapping[str, str]) -> Iterable[str]:
    if len(tags) > _TAGS:
        yield f"{len(tags)} tags are more than {_TAGS}."
    for key, value in tags.items():
        if not (
            0 < len(key) <= _TAG_KEY and len(value) <= _TAG_VALUE and _TAG.fullmatch(key) and _TAG.fullmatch(value)
        ):
            yield (
                f"tag `{key}`: AWS accepts keys of {_TAG_KEY} and values of {_TAG_VALUE} letters, digits, spaces and "
                "`_.:/=+-@`."
            )
        if key.lower().startswith("aws:"):
            yield f"tag `{key}`: keys that begin with `aws:` are reserved by AWS."


def _invocation_problems(spec: FunctionSpec) -> Found:
    """https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html."""
    if spec.on_failure and not _DESTINATION.fullmatch(spec.on_failure):
        yield (
            f"on_failure `{spec.on_failure}` is not the ARN of a queue, topic, bucket, event bus or function; write it "
            "like arn:aws:sqs:eu-west-2:123456789012:failed."
        )
    elif spec.on_failure and spec.on_failure.endswith(".fifo"):
        yield f"on_failure `{spec.on_failure}`: Lambda sends failed events to standard queues and topics only."
    if spec.retries is not None:
        yield from in_range("lambda", "MaximumRetryAttempts", "retries", spec.retries, _ATTEMPTS, "attempts")
    if spec.max_event_age is not None:
        age = spec.max_event_age
        yield from in_range("lambda", "MaximumEventAgeInSeconds", "max_event_age", age, _EVENT_AGE, "seconds")


def _role_problems(spec: FunctionSpec) -> Iterable[str]:
    """A role of others is not written, so nothing that would be written to it may be declared.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    if spec.role is not None and not _ROLE.fullmatch(spec.role):
        yield f"role `{spec.role}` is not the ARN of a role; write it like arn:aws:iam::123456789012:role/report."
    if spec.role is not None and spec.permissions is not None:
        yield "its role is given, and nothing of it is written: that role has the permissions, so leave them out here."
    if spec.role is not None and spec.permissions_boundary is not None:
        yield "its role is given, and nothing of it is written: that role has the boundary, so leave it out here."
    if spec.permissions_boundary and not _POLICY.fullmatch(spec.permissions_boundary):
        yield (
            f"permissions_boundary `{spec.permissions_boundary}` is not the ARN of a managed policy; write it like "
            "arn:aws:iam::123456789012:policy/limits."
        )


def _environment_problems(spec: FunctionSpec) -> Iterable[str]:
    size = len(json.dumps(dict(spec.environment or {}), separators=(",", ":"), ensure_ascii=False).encode())
    if size > _ENVIRONMENT:
        yield f"its environment has {size} bytes; the limit is {_ENVIRONMENT}. Move large values to a file or a secret."
    for name in spec.environment or ():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]+", name):
            yield f"`{name}` cannot be the name of an environment variable."
        if name in _RESERVED_VARIABLES:
            yield f"the environment variable `{name}` is reserved by Lambda."


def _attachment_problems(spec: FunctionSpec) -> Found:
    policy = len(re.sub(r"\s", "", json.dumps(list(spec.permissions or ()))))
    if policy > _INLINE_POLICY - 500:  # reserved for the statement for its log group
        yield f"its permissions have {policy} characters; the limit of a role's policy is {_INLINE_POLICY}."
    names = [alarm.name for alarm in spec.alarms or ()]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two alarms are called `{name}`."
    for alarm in spec.alarms or ():
        if len(f"{spec.name}-{alarm.name}") > _ALARM_NAME:
            yield f"alarm `{alarm.name}`: with the function's name it has more than {_ALARM_NAME} characters."
        yield from _alarm_problems(alarm)


def _alarm_problems(alarm: Alarm) -> Found:
    where = f"alarm `{alarm.name}`:"
    for what, shape, text, most in (
        ("its description", "AlarmDescription", alarm.description, _ALARM_DESCRIPTION),
        ("its metric's name", "MetricName", alarm.metric, _ALARM_NAME),
        ("its namespace", "Namespace", alarm.namespace, _ALARM_NAME),
    ):
        yield from of_length("cloudwatch", shape, f"{where} {what}", text, most)
    if not alarm.name or not alarm.metric or not alarm.namespace:
        yield f"{where} its name, its metric and its namespace must not be empty."
    if alarm.namespace == _LAMBDA and alarm.metric not in _METRICS:
        close = get_close_matches(alarm.metric, _METRICS, 1)
        meant = f" Did you mean {close[0]}?" if close else ""
        yield Doubt(f"{where} Lambda had no metric `{alarm.metric}` in {DATE}, and without data no alarm fires.{meant}")
    if alarm.namespace.startswith(":"):
        yield f"{where} its namespace must not begin with a colon."
    if len(alarm.dimensions or ()) > _DIMENSIONS:
        yield f"{where} {len(alarm.dimensions or ())} dimensions; the limit is {_DIMENSIONS}."
    for name, value in (alarm.dimensions or {}).items():
        yield from of_length("cloudwatch", "DimensionName", f"{where} the name of a dimension", name, _DIMENSION_NAME)
        yield from of_length("cloudwatch", "DimensionValue", f"{where} dimension `{name}`", value, _DIMENSION_VALUE)
        if not name.strip() or not value.strip() or name.startswith(":"):
            yield f"{where} a dimension needs a name, which does not begin with a colon, and a value."
    for what, known_value, known in (
        ("statistic", alarm.statistic, _STATISTICS),
        ("comparison", alarm.comparison, _COMPARISONS),
        ("missing_data", alarm.missing_data, _MISSING_DATA),
    ):
        if known_value not in known:
            yield f"{where} {what} `{known_value}` is not one of {', '.join(known)}."
    if alarm.notify_on_insufficient_data and alarm.missing_data != "missing":
        yield (
            f"alarm `{alarm.name}`: notify_on_insufficient_data needs missing_data `missing`: with "
            f"`{alarm.missing_data}`, data are never missing."
        )
    points = alarm.datapoints_to_alarm
    if points is not None and not 1 <= points <= alarm.evaluation_periods:
        yield f"alarm `{alarm.name}`: datapoints_to_alarm {points} is not from 1 to {alarm.evaluation_periods}."
    if alarm.expression:
        try:
            parse(alarm.expression, (METRIC_ID,))
        except ExpressionError as error:
            yield f"alarm `{alarm.name}`: its expression `{alarm.expression[:_ALARM_NAME]}`: {error}."
    if alarm.period not in _ALARM_PERIODS and (alarm.period < 60 or alarm.period % 60):
        yield f"alarm `{alarm.name}`: period {alarm.period} is neither 10, 20, 30 nor a multiple of 60 seconds."
    longest = _ALARM_DAY if alarm.period < _ALARM_HOUR else _ALARM_WEEK
    if not 1 <= alarm.evaluation_periods <= longest // max(alarm.period, 1):
        yield (
            f"alarm `{alarm.name}`: {alarm.evaluation_periods} periods of {alarm.period} s; CloudWatch evaluates 1 or "
            f"more that last {longest} s together."
        )


def artifact_bucket(account: str, region: str) -> str:
    """The name of the bucket that the toolkit creates for packages too large for a direct upload."""
    return f"lambda-script-{account}-{region}"


def check_sizes(spec: FunctionSpec, unzipped: int, largest: Iterable[tuple[str, int]]) -> None:
    """Raise LimitError where package and layer together exceed Lambda's limit. Sizes are in bytes.

    ``largest`` are the names and sizes of the largest distributions, for the message.
    """
    if unzipped > UNZIPPED:
        parts = ", ".join(f"{name} {size / MIB:.1f} MiB" for name, size in largest)
        raise LimitError(
            f"Function `{spec.name}` with its requirements has {unzipped / MIB:.0f} MiB unzipped; the limit is "
            f"{UNZIPPED // MIB}. The largest parts: {parts}. Exclude unused files with requirements_exclude."
        )
