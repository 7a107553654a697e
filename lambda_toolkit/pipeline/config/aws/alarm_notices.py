"""What messages say of each alarm, for the notifier's package: ``[alarms]`` and the functions that name them."""

from __future__ import annotations

import json
from typing import Any

from lambda_toolkit.pipeline.config.aws.role_policy import group_of
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.lambdas.notifier.notices import ALARMS_FORMAT


def alarm_description(pipeline: Pipeline, function: str, alarm: str) -> str:
    """The description on CloudWatch of ``alarm`` of ``function``: what is wrong, and the command that helps."""
    text = _filled(pipeline, function, pipeline.alarms[alarm].description)
    command = _filled(pipeline, function, pipeline.notices[alarm].command) if alarm in pipeline.notices else ""
    return f"{text} What helps: {command}".strip() if command else text


def alarms_json(pipeline: Pipeline, account: str) -> bytes:
    """The alarms that notify the topic ``alarms``, by their names on AWS; the same bytes for the same declaration.

    Each has its function, the function's log group, the text of its incident, and what a message says.
    """
    found: dict[str, Any] = {}
    for function in pipeline.functions.values():
        for name in () if function.is_notifier else function.alarms or ():
            notice = pipeline.notices[name]
            found[f"{function.spec.name}-{name}"] = {
                "alarm": name,
                "function": function.name,
                "log_group": group_of(pipeline, function, account),
                "incident": _filled(pipeline, function.name, notice.incident),
                "symptom": notice.symptom,
                "what": _filled(pipeline, function.name, pipeline.alarms[name].description),
                "command": _filled(pipeline, function.name, notice.command),
            }
    document = {"format": ALARMS_FORMAT, "pipeline": pipeline.name, "stage": pipeline.stage, "alarms": found}
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _filled(pipeline: Pipeline, function: str, text: str) -> str:
    return text.replace("{function}", function).replace("{stage}", pipeline.stage)
