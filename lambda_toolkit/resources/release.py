"""A published version takes over: it is checked, may get a part of the calls first, and becomes the alias ``live``."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import AwsError, CheckError
from lambda_toolkit.resources import alias, version
from lambda_toolkit.resources.alarm import alarm_name
from lambda_toolkit.resources.alias import LiveAlias, Release
from lambda_toolkit.resources.canary import watch
from lambda_toolkit.spec.model import FunctionSpec

_NEW_ROLE = 20.0  # seconds until what a role that was made with its function may do is known everywhere


def digest(desired: dict[str, Any], *others: str) -> str:
    """Sixteen characters that stand for a declaration: its configuration, code, layer and architecture."""
    text = json.dumps([desired, *others], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def difference(live: LiveAlias | None, digest: str, *, latest_differs: bool) -> str | None:
    """How the alias differs from the declaration, in words; ``None`` where what differs in $LATEST says it already."""
    if live is None:
        return f"it is not released: the alias {alias.LIVE} is missing"
    shares = ", ".join(f"{share:.0%} of its calls to version {number}" for number, share in live.weights.items())
    if shares:
        return f"{alias.LIVE} sends {shares}"
    release = live.release
    if release is None:
        return f"{alias.LIVE} is version {live.version}, and its description does not say of what"
    if release.digest == digest and release.version != live.version:
        return f"{alias.LIVE} is version {live.version}; what is declared was released as {release.version}"
    if release.digest != digest and not latest_differs:
        return f"{alias.LIVE} is version {live.version}; what is declared was not released yet"
    return None


def take_over(aws: Aws, spec: FunctionSpec, live: LiveAlias | None, release: Release) -> None:
    """Wait for the version of ``release``, check it, try it as a canary where that is declared, and make it live.

    Raises CheckError or AwsError; the alias is then where it was.
    """
    version.wait_until_active(aws, spec.name, release.version)
    try:
        if spec.health_event is not None:
            patience = _NEW_ROLE if live is None else 0.0
            version.check(aws, spec.name, release.version, spec.health_event, patience)
        if spec.canary is not None and live is not None and live.version != release.version:
            _try(aws, spec, live, release.version)
    except CheckError as error:
        stays = f"{alias.LIVE} stays at version {live.version}" if live else "nothing was released"
        raise CheckError(f"{error} So {stays}; mend it and deploy again.") from error
    alias.move(aws, spec.name, live, release)


def _try(aws: Aws, spec: FunctionSpec, live: LiveAlias, number: str) -> None:
    """Let the version take its share of the calls for its minutes. It gives them back whatever ends the trial early."""
    canary = spec.canary
    if canary is None:
        return
    finished = False
    try:
        alias.share(aws, spec.name, live.version, {number: canary.weight})
        alarms = [alarm_name(spec.name, alarm.name) for alarm in spec.alarms or ()]
        gone_off = watch(aws, alarms, canary.minutes * 60)
        if gone_off is not None:
            raise CheckError(f"Version {number} of {spec.name}, with {canary.weight:.0%} of the calls: {gone_off}")
        finished = True
    finally:
        if not finished:
            _give_back(aws, spec.name, live.version, number)


def _give_back(aws: Aws, function: str, stable: str, number: str) -> None:
    try:
        alias.share(aws, function, stable, {})
    except AwsError as error:
        raise AwsError(
            f"{function} goes on sending a share of its calls to version {number}, which was to be taken back: {error} "
            f"Take it back with: rollback {function} --to {stable}",
            code=error.code,
            operation=error.operation,
        ) from error
