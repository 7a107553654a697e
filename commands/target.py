"""Which AWS a command talks to: the one that the environment points at, or the embedded stack on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.configuration import Pipeline, load

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from local.stack import Stack

LOCAL_STAGE = "local"
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


@dataclass(frozen=True)
class Target:
    """The pipeline for one stage, and the environment that deploying it reads."""

    pipeline: Pipeline
    environ: Mapping[str, str]
    is_local: bool

    def aws(self) -> Aws:
        """The door to this target's AWS."""
        from lambda_toolkit.aws import Aws

        return Aws(region=self.pipeline.region)


def choose(config: Path, stage: str | None, environ: Mapping[str, str]) -> Target:
    """The target for ``--stage`` and the environment.

    The embedded stack is meant by ``--stage local``, by an ``AWS_ENDPOINT_URL`` that is its own, and, as a convenience,
    when it is up and the environment names neither an endpoint nor credentials. Anything else is AWS (or whatever
    ``AWS_ENDPOINT_URL`` names). Raises CommandError for a configuration that does not hold, and
    LocalError for a stack that is not up.
    """
    from local.stack import load_stack, running_stack

    root = config.resolve().parent.parent
    stack = running_stack(root)
    if not _means_local(stage, stack, environ):
        return Target(load(config, stage, environ), environ, is_local=False)
    return local_target(config, stack or load_stack(root), environ, stage)


def local_target(config: Path, stack: Stack, environ: Mapping[str, str], stage: str | None = None) -> Target:
    """The target that ``stack`` is. From here on this process's AWS clients talk to it and to nothing else."""
    from local.stack import environment

    values = environment(stack)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)  # a profile or a session of the real AWS must not be mixed with the stack's keys
    os.environ.update({name: value for name, value in values.items() if name.startswith("AWS_")})
    merged = {**environ, **values}
    return Target(load(config, stage or LOCAL_STAGE, merged), merged, is_local=True)


def _means_local(stage: str | None, stack: Stack | None, environ: Mapping[str, str]) -> bool:
    if stage == LOCAL_STAGE:
        return True
    endpoint = environ.get("AWS_ENDPOINT_URL")
    if stack is None:
        return False
    if endpoint:
        return endpoint == stack.aws_endpoint_url and stage is None
    return stage is None and not any(environ.get(name) for name in _CREDENTIALS)
