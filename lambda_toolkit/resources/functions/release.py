"""Release a published version: check it, optionally try it as a canary, and point the alias ``live`` to it.

In CodeDeploy's words: BeforeAllowTraffic is the health event, AllowTraffic the canary and the move of the alias.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import AwsError, CheckError
from lambda_toolkit.resources.functions import canary, provisioned, version
from lambda_toolkit.resources.planning import alias
from lambda_toolkit.resources.planning.alias import LiveAlias, Release
from lambda_toolkit.spec.model import FunctionSpec

_NEW_ROLE = 20.0  # seconds until the permissions of a role that was created with its function are in effect everywhere


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
    if release.settings != settings and (release.digest == digest or latest_differs):
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
            canary.try_version(aws, spec, live, release.version)
    except CheckError as error:
        outcome = f"{alias.LIVE} stays at version {live.version}" if live else "nothing was released"
        raise CheckError(f"{error} So {outcome}; fix it and deploy again.") from error
    try:
        alias.move(aws, spec.name, live, release)
        if spec.provisioned_concurrency and live is not None:
            provisioned.wait_until_ready(aws, spec.name)
    except AwsError:
        if is_canary and live is not None:
            canary.roll_back(aws, spec.name, live.version, release.version)
        raise
