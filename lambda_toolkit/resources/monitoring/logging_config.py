"""A function's LoggingConfig: the format of its log, the levels that Lambda filters it by, and the log group.

Lambda takes it as a whole, so what is not declared of it is sent back as it is.
https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambda_toolkit.resources.monitoring.log_group import group_name
from lambda_toolkit.spec.model import JSON_LOGS, TEXT_LOGS, FunctionSpec

LOGGING = "LoggingConfig"
_FORMAT, _GROUP = "LogFormat", "LogGroup"
_LEVELS = ("ApplicationLogLevel", "SystemLogLevel")
_DEFAULT_LEVEL = "INFO"


def declared(spec: FunctionSpec) -> dict[str, str]:
    """What ``spec`` declares of it, in Lambda's words; an empty value declares Lambda's default."""
    is_text = not spec.log_format  # levels need JSON: where nothing filters, there is none to write
    levels = {} if is_text else dict(zip(_LEVELS, (spec.log_level, spec.system_log_level), strict=True))
    found = {
        _FORMAT: spec.log_format if spec.log_format is None else spec.log_format or TEXT_LOGS,
        **{name: level if level is None else level or _DEFAULT_LEVEL for name, level in levels.items()},
        _GROUP: spec.log_group if spec.log_group is None else spec.log_group or group_name(spec.name),
    }
    return {name: value for name, value in found.items() if value is not None}


def defaults(function: str) -> dict[str, str]:
    """What Lambda has where nothing was set."""
    return {_FORMAT: TEXT_LOGS, **dict.fromkeys(_LEVELS, _DEFAULT_LEVEL), _GROUP: group_name(function)}


def live(configuration: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, str]:
    """What a function's ``configuration`` has of the keys of ``wanted``; calls may omit what is a default."""
    known = {**defaults(str(configuration.get("FunctionName"))), **(configuration.get(LOGGING) or {})}
    return {name: known[name] for name in wanted}


def complete(wanted: Mapping[str, str], configuration: Mapping[str, Any]) -> dict[str, str]:
    """``wanted``, and what ``configuration`` has besides: the whole of it, as it is sent. Text takes no levels."""
    whole = {**(configuration.get(LOGGING) or {}), **wanted}
    if whole.get(_FORMAT) != JSON_LOGS:
        whole = {name: value for name, value in whole.items() if name not in _LEVELS}
    return whole
