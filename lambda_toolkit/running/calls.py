"""The calls of ``Lambda_script`` about a function that runs."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.running import invocation, local
from lambda_toolkit.running.log_events import LogEvent, log_events
from lambda_toolkit.spec.model import FunctionSpec

_POLL = 1.0  # seconds


def invoke(spec: FunctionSpec, event: Any, aws: Aws | None, region: str | None) -> invocation.Invocation:
    """Invoke the function of ``spec`` on ``aws``; where that is ``None``, on this machine. Raises ToolkitError."""
    if aws is None:
        return local.invoke_locally(spec, event, region=region)
    return invocation.invoke(aws, spec.name, event)


def logs(spec: FunctionSpec, aws: Aws, minutes: float, *, follow: bool) -> Iterator[LogEvent]:
    """What the function of ``spec`` logged in the last ``minutes``, and, with ``follow``, logs from now on."""
    wait = functools.partial(time.sleep, _POLL) if follow else None
    return log_events(aws, spec.name, time.time() - minutes * 60, group=spec.log_group or None, wait=wait)
