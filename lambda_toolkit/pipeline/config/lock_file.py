"""The lock of the requirements: exact versions with the hashes of their files, so that no other file can be installed.

It is a requirements file of pip, beside ``pipeline.toml``, in the repository. Its first line has the day and a digest
of the requirements that it was made for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from lambda_script import FunctionSpec, PackageError, read_requirements
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.errors import ConfigurationError, UsageError
from lambda_toolkit.pipeline.installed import suggested

OLD = 90  # days
OLDEST_PYTHON = (3, 11)  # of the machines that deploy, whose Python the local stack's functions have
_HEAD = re.compile(r"# Locked on (\d{4}-\d\d-\d\d) for the requirements ([0-9a-f]{16})\.")


@dataclass(frozen=True)
class Lock:
    """A lock file: ``requirements`` have a version and hashes each."""

    made_on: date
    requirements: tuple[str, ...]


def read_lock(pipeline: Pipeline) -> Lock | None:
    """The lock of the pipeline's requirements; ``None`` where none is declared.

    Raises ConfigurationError where the file is missing, was made for other requirements, or has a line without a hash.
    """
    if pipeline.lock is None:
        return None
    again = f"Run: {suggested('lock')}"
    try:
        head = _HEAD.match(pipeline.lock.read_text(encoding="utf-8"))
        requirements = read_requirements(pipeline.lock)
    except (OSError, UnicodeDecodeError, PackageError) as error:
        raise ConfigurationError(
            f"[packages] `lock` names {pipeline.lock}, which cannot be read ({error}). {again}"
        ) from error
    if head is None or head[2] != _digest(pipeline.common.requirements):
        raise ConfigurationError(f"{pipeline.lock} was not made for the requirements of {pipeline.path}. {again}")
    open_ones = [line for line in requirements if "--hash" not in line]
    if open_ones or not requirements:
        raise ConfigurationError(f"{pipeline.lock} has no hash for {', '.join(open_ones) or 'anything'}. {again}")
    return Lock(date.fromisoformat(head[1]), requirements)


def write_lock(pipeline: Pipeline, today: date) -> Path:
    """Lock the requirements of ``[packages]`` to the newest versions that they permit; returns the file.

    Raises UsageError where there is nothing to lock, and PackageError where the versions cannot be found.
    """
    if pipeline.lock is None or not pipeline.common.requirements:
        raise UsageError(f'{pipeline.path} has no `requirements` and `lock` in [packages]. Name a file: lock = "..."')
    from lambda_script import lock_requirements  # from a module that takes long to import

    runtimes = [function.spec.runtime.removeprefix("python") for function in pipeline.functions.values()]
    oldest = min([OLDEST_PYTHON, *(tuple(map(int, runtime.split("."))) for runtime in runtimes)])
    exact = lock_requirements(pipeline.common.requirements, python=".".join(map(str, oldest)))
    head = (
        f"# Locked on {today.isoformat()} for the requirements {_digest(pipeline.common.requirements)}. "
        "Made by the command `lock`.\n"
    )
    try:
        pipeline.lock.parent.mkdir(parents=True, exist_ok=True)
        pipeline.lock.write_text(head + exact, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"The lock {pipeline.lock} cannot be written: {error.strerror}.") from error
    return pipeline.lock


def locked(spec: FunctionSpec, pipeline: Pipeline, lock: Lock | None) -> FunctionSpec:
    """``spec`` with the locked versions, where it has the requirements of ``[packages]``."""
    if lock is None or spec.requirements != pipeline.common.requirements:
        return spec
    return replace(spec, requirements=lock.requirements)


def lock_notes(functions: Sequence[FunctionSpec], lock: Lock | None, today: date) -> list[str]:
    """What a plan says about the lock: that it is old, and whose requirements have no hashes."""
    age = (today - lock.made_on).days if lock else 0
    old = [f"the lock of the requirements is {age} days old: `{suggested('lock')}` locks them to the newest versions"]
    free = [spec.name for spec in functions if any("--hash" not in line for line in spec.requirements)]
    unlocked = f"the requirements of {', '.join(free)} are not locked by hash: name a file as `lock` in [packages]"
    return [*(old if age > OLD else []), *([unlocked] if free else [])]


def _digest(requirements: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(set(requirements))).encode()).hexdigest()[:16]
