"""What Lambda would reject of a function's settings: log, temporary storage, tracing, key, snapshots. Pure.

https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
"""

from __future__ import annotations

import re

from lambda_toolkit.spec.limit_checks import Found, in_range, unknown_value
from lambda_toolkit.spec.model import (
    ACTIVE,
    ALLOW_LOOPS,
    DEFAULT_STORAGE,
    JSON_LOGS,
    PASS_THROUGH,
    TERMINATE_LOOPS,
    TEXT_LOGS,
    UNRESERVED,
    FunctionSpec,
)

_LOG_FORMATS = (TEXT_LOGS, JSON_LOGS)
_LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SYSTEM_LOG_LEVELS = ("DEBUG", "INFO", "WARN")
_LOG_GROUP = re.compile(r"[A-Za-z0-9_./#-]{1,512}")
_STORAGE = (DEFAULT_STORAGE, 10_240)  # MB
_TRACING = (ACTIVE, PASS_THROUGH)
_LOOPS = (ALLOW_LOOPS, TERMINATE_LOOPS)
_LAYERS = 5  # of a function: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_LAYER = re.compile(r"arn:[a-z0-9-]+:lambda:[a-z0-9-]+:\d{12}:layer:[A-Za-z0-9_-]+:\d+", re.A)
_KEY = re.compile(r"arn:[a-z0-9-]+:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+", re.A)
_SNAPSHOTS = 12  # the first minor version of Python whose functions Lambda starts from a snapshot


def setting_problems(spec: FunctionSpec) -> Found:
    """What Lambda would reject: a sentence each, with what to write instead."""
    yield from _logging_problems(spec)
    if spec.ephemeral_storage:
        size = spec.ephemeral_storage
        yield from in_range("lambda", "EphemeralStorageSize", "ephemeral_storage", size, _STORAGE, "MB")
    if spec.tracing and spec.tracing not in _TRACING:
        otherwise = f"is not one of {' and '.join(_TRACING)}"
        yield from unknown_value("lambda", "TracingMode", "tracing", spec.tracing, otherwise)
    if spec.recursive_loop and spec.recursive_loop not in _LOOPS:
        otherwise = f"is not one of {' and '.join(_LOOPS)}"
        yield from unknown_value("lambda", "RecursiveLoop", "recursive_loop", spec.recursive_loop, otherwise)
    yield from _concurrency_problems(spec)
    yield from _layer_problems(spec)
    if spec.kms_key and not _KEY.fullmatch(spec.kms_key):
        yield f"kms_key `{spec.kms_key}` is not the ARN of a key: arn:aws:kms:<region>:<account>:key/<id>."
    if spec.snapstart:
        minor = spec.runtime.removeprefix("python3.")
        if minor.isdigit() and int(minor) < _SNAPSHOTS:
            yield f"snapstart needs python3.{_SNAPSHOTS} or later, not {spec.runtime}."
        if (spec.ephemeral_storage or DEFAULT_STORAGE) > DEFAULT_STORAGE:
            yield f"snapstart and more than {DEFAULT_STORAGE} MB of ephemeral_storage exclude each other."


def _layer_problems(spec: FunctionSpec) -> Found:
    """https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html."""
    for arn in spec.layers:
        if not _LAYER.fullmatch(arn):
            yield (
                f"layer `{arn}` is not the ARN of a layer's version: arn:aws:lambda:<region>:<account>:layer:<name>:"
                "<version>."
            )
    twice = sorted({arn for arn in spec.layers if spec.layers.count(arn) > 1})
    if twice:
        yield f"layer `{twice[0]}` is declared twice."
    own = bool(spec.requirements)
    if len(spec.layers) + own > _LAYERS:
        beside = ", with that of the requirements," if own else ""
        yield f"{len(spec.layers) + own} layers{beside} are more than the {_LAYERS} that Lambda allows."


def _concurrency_problems(spec: FunctionSpec) -> Found:
    """https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html."""
    wanted = spec.provisioned_concurrency or 0
    if isinstance(spec.concurrency, int) and spec.concurrency < 0:
        yield f'concurrency {spec.concurrency} is negative; "{UNRESERVED}" removes the reservation.'
    if wanted < 0:
        yield f"provisioned_concurrency {wanted} is negative; 0 removes it."
    if isinstance(spec.concurrency, int) and 0 < wanted > spec.concurrency >= 0:
        yield (
            f"provisioned_concurrency {wanted} is more than the function's concurrency {spec.concurrency}: no more "
            "environments can be ready than may run."
        )
    if wanted > 0 and spec.snapstart:
        yield "provisioned_concurrency and snapstart exclude each other."


def _logging_problems(spec: FunctionSpec) -> Found:
    """https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html."""
    if spec.log_format and spec.log_format not in _LOG_FORMATS:
        otherwise = f"is not one of {' and '.join(_LOG_FORMATS)}"
        yield from unknown_value("lambda", "LogFormat", "log_format", spec.log_format, otherwise)
    for what, level, shape, known in (
        ("log_level", spec.log_level, "ApplicationLogLevel", _LOG_LEVELS),
        ("system_log_level", spec.system_log_level, "SystemLogLevel", _SYSTEM_LOG_LEVELS),
    ):
        if level and level not in known:
            yield from unknown_value("lambda", shape, what, level, f"is not one of {', '.join(known)}")
        if level and spec.log_format in (None, "", TEXT_LOGS):
            yield f'{what} `{level}` needs log_format "JSON": Lambda filters no text.'
    if spec.log_group and not _LOG_GROUP.fullmatch(spec.log_group):
        yield f"log_group `{spec.log_group}` is no name of a log group: 1 to 512 letters, digits and `_-/.#`."
