"""The alias ``live`` of a function: the version that schedules, triggers and people invoke.

Its description says what it was released as, so that one read tells whether alias, version or $LATEST were changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import AwsError

LIVE = "live"
_RELEASE = re.compile(r"version (\d+), digest ([0-9a-f]+)(?:, code (\S+))?, by lambda_script")
_NEW = ("ResourceNotFoundException",)  # what was made a moment ago is not known everywhere


@dataclass(frozen=True)
class Release:
    """What was released: ``version``, made of the declaration that ``digest`` stands for.

    ``code`` is the stamp of the package (:class:`Package`).
    """

    version: str
    digest: str
    code: str = ""

    @property
    def description(self) -> str:
        """The release as the alias's description."""
        code = f", code {self.code}" if self.code else ""
        return f"version {self.version}, digest {self.digest}{code}, by lambda_script"

    @classmethod
    def of(cls, description: str) -> Release | None:
        """The release that a description tells of; ``None`` where it tells of none."""
        match = _RELEASE.fullmatch(description)
        return cls(match[1], match[2], match[3] or "") if match else None


@dataclass(frozen=True)
class LiveAlias:
    """The alias as AWS has it. ``weights`` are the shares, 0 to 1, of other versions."""

    version: str
    weights: Mapping[str, float]
    release: Release | None

    def holds(self, digest: str) -> bool:
        """Whether all calls go to the release of the declaration that ``digest`` stands for."""
        release = self.release
        return release is not None and (release.digest, release.version) == (digest, self.version) and not self.weights


def arn(aws: Aws, function: str) -> str:
    """The ARN of the alias, which schedules, triggers and permissions name."""
    return aws.arn("lambda", f"function:{function}:{LIVE}")


def read(aws: Aws, function: str) -> LiveAlias | None:
    """The alias of ``function``; ``None`` where there is no alias or no function."""

    def ask() -> LiveAlias | None:
        answer = aws.find("lambda", "get_alias", FunctionName=function, Name=LIVE)
        if answer is None:
            return None
        weights = (answer.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        return LiveAlias(str(answer["FunctionVersion"]), weights, Release.of(answer.get("Description") or ""))

    return aws.once(("alias", function), ask)


def move(aws: Aws, function: str, live: LiveAlias | None, release: Release) -> None:
    """Let ``release`` take all calls. ``live`` is the alias until now."""
    pointing: dict[str, Any] = {"FunctionName": function, "Name": LIVE, "FunctionVersion": release.version}
    if live is None:
        try:
            aws.call("lambda", "create_alias", also_wait_for=_NEW, Description=release.description, **pointing)
        except AwsError as error:
            if not error.code.endswith("ConflictException") or "already exists" not in str(error):
                raise  # otherwise a repeated call found what its first try had made
        else:
            return
    aws.call("lambda", "update_alias", Description=release.description, **pointing, **_routing({}))


def share(aws: Aws, function: str, version: str, weights: Mapping[str, float]) -> None:
    """Let ``version`` take the calls, but for the shares of ``weights``. What the alias says of itself stays."""
    aws.call("lambda", "update_alias", FunctionName=function, Name=LIVE, FunctionVersion=version, **_routing(weights))


def _routing(weights: Mapping[str, float]) -> dict[str, Any]:
    return {"RoutingConfig": {"AdditionalVersionWeights": dict(weights)}}
