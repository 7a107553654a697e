"""The alias ``live`` of a function: the version that schedules, triggers and people invoke.

Its description records the release, so that one read shows whether alias, version or $LATEST were changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import AwsError

LIVE = "live"
_RELEASE = re.compile(r"version (\d+), digest ([0-9a-f]+), code (\S+), settings ([0-9a-f]+), by lambda_script")
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new resource is not known everywhere yet


@dataclass(frozen=True)
class Release:
    """What was released. Stored as the alias's description."""

    version: str
    """The published version."""
    digest: str
    """The digest of the declaration that it was published from: see :func:`release.digest`."""
    code: str
    """The fingerprint of its package: see :class:`Package`."""
    settings: str
    """The digest of the version's settings that are not declared: see :func:`settings.digest`."""

    @property
    def description(self) -> str:
        """The release as the alias's description."""
        recorded = f"version {self.version}, digest {self.digest}, code {self.code}, settings {self.settings}"
        return f"{recorded}, by lambda_script"

    @classmethod
    def of(cls, description: str) -> Release | None:
        """The release recorded in an alias's description; ``None`` where none is recorded."""
        match = _RELEASE.fullmatch(description)
        return cls(match[1], match[2], match[3], match[4]) if match else None


@dataclass(frozen=True)
class LiveAlias:
    """The alias on AWS, with weighted routing where other versions get a share of the calls."""

    version: str
    """The version that the alias points to."""
    weights: Mapping[str, float]
    """Weighted routing: by version, its share of the calls, 0 to 1. The rest goes to ``version``."""
    release: Release | None
    """What the alias's description records; ``None`` where something else is written there."""

    def holds(self, digest: str, settings: str) -> bool:
        """Whether all calls go to the release of the declaration with this ``digest``, and with these ``settings``."""
        released = self.release
        if released is None or self.weights:
            return False
        return (released.digest, released.settings, released.version) == (digest, settings, self.version)


def arn(arns: ArnFormat, function: str) -> str:
    """The ARN of the alias, which schedules, triggers and permissions name."""
    return arns.arn("lambda", f"function:{function}:{LIVE}")


def read(aws: Aws, function: str) -> LiveAlias | None:
    """The alias of ``function``; ``None`` where the alias or the function does not exist."""
    answer = aws.find("lambda", "get_alias", FunctionName=function, Name=LIVE)
    if answer is None:
        return None
    weights = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return LiveAlias(str(answer["FunctionVersion"]), weights, Release.of(answer.get("Description") or ""))


def move(aws: Aws, function: str, live: LiveAlias | None, release: Release) -> None:
    """Point the alias to ``release``, which then gets all calls. ``live`` is the alias before."""
    pointing: dict[str, Any] = {"FunctionName": function, "Name": LIVE, "FunctionVersion": release.version}
    if live is None:
        try:
            aws.call("lambda", "create_alias", also_retry=_NEW, Description=release.description, **pointing)
        except AwsError as error:
            if not error.code.endswith("ConflictException") or "already exists" not in str(error):
                raise  # otherwise the first attempt of a retried call had created it
        else:
            return
    aws.call("lambda", "update_alias", Description=release.description, **pointing, **_routing({}))


def route(aws: Aws, function: str, version: str, weights: Mapping[str, float]) -> None:
    """Route the calls to ``version``, save for the shares in ``weights``. The alias's description is unchanged.

    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    aws.call("lambda", "update_alias", FunctionName=function, Name=LIVE, FunctionVersion=version, **_routing(weights))


def _routing(weights: Mapping[str, float]) -> dict[str, Any]:
    return {"RoutingConfig": {"AdditionalVersionWeights": dict(weights)}}
