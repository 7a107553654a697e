"""Release a published version: check it, optionally try it as a canary, and point the alias ``live`` to it.

In CodeDeploy's words: BeforeAllowTraffic is the health event, AllowTraffic the canary and the move of the alias.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import Advice, AwsError, CheckError, Hint
from lambda_toolkit.resources.functions import provisioned, version
from lambda_toolkit.resources.monitoring.alarm import alarm_name
from lambda_toolkit.resources.planning import alias
from lambda_toolkit.resources.planning.alias import LiveAlias, Release
from lambda_toolkit.spec.model import FunctionSpec

_NEW_ROLE = 20.0  # seconds until the permissions of a role that was created with its function are in effect everywhere
_INTERVAL = 10.0  # seconds between two reads of the alarms' states
_STEP = 1.0  # seconds that a sleep may last: an interruption is noticed after that
_TICK = 0.001  # seconds: what remains is no time; a clock may not move by what rounding leaves of it


def digest(desired: Mapping[str, Any], *others: str) -> str:
    """The digest of a declaration (configuration, code, layer, architecture): sixteen hexadecimal characters."""
    text = json.dumps([desired, *others], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def difference(live: LiveAlias | None, digest: str, settings: str, *, latest_differs: bool) -> str | None:
    """How the alias differs from the declaration, in words; ``None`` where that of $LATEST already shows it."""
    if live is None:
        return f"it is not released: the alias {alias.LIVE} is missing"
    shares = ", ".join(f"{share:.0%} of its calls to version {number}" for number, share in live.weights.items())
    if shares:
        return f"{alias.LIVE} sends {shares}"
    release = live.release
    if release is None:
        return f"{alias.LIVE} is version {live.version}, and its description does not say of what"
    if release.settings != settings:
        return f"{alias.LIVE} is version {live.version}; settings that are not declared were changed on $LATEST since"
    if release.digest == digest and release.version != live.version:
        return f"{alias.LIVE} is version {live.version}; what is declared was released as {release.version}"
    if release.digest != digest and not latest_differs:
        return f"{alias.LIVE} is version {live.version}; what is declared was not released yet"
    return None


def promote(aws: Aws, spec: FunctionSpec, live: LiveAlias | None, release: Release) -> None:
    """Wait until the version of ``release`` is active, check it, try it as a canary if declared, and make it live.

    Raises CheckError or AwsError; the alias then points where it did before, and no version keeps a canary's share.
    """
    is_canary = spec.canary is not None and live is not None and live.version != release.version
    version.wait_until_active(aws, spec.name, release.version)
    try:
        if spec.health_event is not None:
            timeout = _NEW_ROLE if live is None else 0.0
            version.check(aws, spec.name, release.version, spec.health_event, timeout)
        if is_canary and live is not None:
            _try_as_canary(aws, spec, live, release.version)
    except CheckError as error:
        outcome = f"{alias.LIVE} stays at version {live.version}" if live else "nothing was released"
        raise CheckError(f"{error} So {outcome}; fix it and deploy again.") from error
    try:
        alias.move(aws, spec.name, live, release)
        if spec.provisioned_concurrency and live is not None:
            provisioned.wait_until_ready(aws, spec.name)
    except AwsError:
        if is_canary and live is not None:
            _roll_back_traffic(aws, spec.name, live.version, release.version)
        raise


def _try_as_canary(aws: Aws, spec: FunctionSpec, live: LiveAlias, number: str) -> None:
    """Route the canary's share of the calls to the version for its minutes; roll back whatever ends it early."""
    canary = spec.canary
    if canary is None:
        return
    finished = False
    try:
        alias.route(aws, spec.name, live.version, {number: canary.weight})
        alarms = [alarm_name(spec.name, alarm.name) for alarm in spec.alarms or () if alarm.watches_canary]
        raised = _watch(aws, alarms, canary.minutes * 60)
        if raised is not None:
            raise CheckError(f"Version {number} of {spec.name}, with {canary.weight:.0%} of the calls: {raised}")
        finished = True
    finally:
        if not finished:
            _roll_back_traffic(aws, spec.name, live.version, number)


def _roll_back_traffic(aws: Aws, function: str, stable: str, number: str) -> None:
    try:
        alias.route(aws, function, stable, {})
    except AwsError as error:
        raise AwsError(
            f"{function} still routes a share of its calls to version {number}, and rolling back the traffic failed: "
            f"{error}",
            code=error.code,
            operation=error.operation,
            advice=Advice(Hint.ROLLBACK_TO, (function, stable)),
        ) from error


def _watch(aws: Aws, alarms: Sequence[str], seconds: float) -> str | None:
    """Wait ``seconds`` and return which of ``alarms`` went into ALARM, as a sentence; ``None`` where none did.

    An alarm that is in ALARM from the start counts only after it was in another state. Raises CheckError where the
    program is interrupted.
    """
    started = aws.clock.now()
    before = set(_in_alarm(aws, alarms))
    while True:
        left = seconds - (aws.clock.now() - started)
        if left <= _TICK:
            return None
        _sleep(aws, min(left, _INTERVAL))
        now = _in_alarm(aws, alarms)
        before &= set(now)
        for name, reason in now.items():
            if name not in before:
                return f"the alarm {name} went into ALARM: {reason.rstrip('.') or 'no reason given'}."


def _sleep(aws: Aws, seconds: float) -> None:
    until = aws.clock.now() + seconds
    while (left := until - aws.clock.now()) > _TICK:
        if aws.clock.interrupted.is_set():
            raise CheckError("It was interrupted while it was watched.")
        aws.clock.sleep(min(left, _STEP))


def _in_alarm(aws: Aws, alarms: Sequence[str]) -> dict[str, str]:
    """Those of ``alarms`` whose state is ALARM, with the reasons that CloudWatch gives."""
    answer = aws.call("cloudwatch", "describe_alarms", AlarmNames=list(alarms))
    return {
        str(alarm["AlarmName"]): str(alarm.get("StateReason", ""))
        for alarm in answer.get("MetricAlarms", ())
        if alarm["StateValue"] == "ALARM"
    }
