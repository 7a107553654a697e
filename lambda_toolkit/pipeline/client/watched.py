"""What ``watch`` deploys after each save: the pipeline, or what a script or a function's source declares."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lambda_toolkit.pipeline.client.scripts import scripts_of
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.aws.role_policy import group_of

if TYPE_CHECKING:
    from lambda_script import Deployment, FunctionSpec, Lambda_script, Plan
    from lambda_toolkit.aws import Aws


_READ_BY_SCRIPTS = (".py", ".txt", ".toml", ".json", ".yaml", ".yml")  # not logs and packages, which deploys write


class Watched(Protocol):
    """Something that is deployed after each save."""

    def places(self) -> Sequence[Path]:
        """The files and folders whose changes are deployed."""

    def read(self) -> None:
        """Read the declaration again. Raises an error of a command or of the toolkit."""

    def aws(self) -> Aws:
        """The client, the same each time: connections stay open."""

    def plan(self, changed: Collection[str]) -> Plan:
        """What a deploy after a change of the files ``changed`` would change."""

    def log_groups(self) -> Mapping[str, str]:
        """The functions by their names on AWS, and their log groups; empty where that is the function's own."""


@dataclass
class WatchedScript:
    """A script with ``Lambda_script``, or the source of one function."""

    path: Path
    arguments: Sequence[str] = ()
    _scripts: list[Lambda_script] = field(default_factory=list)
    _aws: Aws | None = None

    def places(self) -> Sequence[Path]:
        """The packages' sources, and what is beside the script: modules and requirements that it reads."""
        found = self.path.absolute().parent.iterdir() if self.path.is_file() else ()
        beside = (file for file in found if file.suffix in _READ_BY_SCRIPTS and file.is_file())
        return [self.path, *beside, *_sources(self._specs())]

    def read(self) -> None:
        """Run the script again, without deploying."""
        self._scripts = scripts_of(self.path, self.arguments)

    def aws(self) -> Aws:
        """A client for the region of the first function."""
        from lambda_toolkit.aws import Aws

        if self._aws is None:
            self._aws = Aws(region=self._scripts[0].region if self._scripts else None)
        return self._aws

    def plan(self, changed: Collection[str]) -> Plan:
        """As ``deploy_all`` of the script's functions."""
        from lambda_script import deployment_of, plan

        return plan(_without_copies(deployment_of(self._scripts)), self.aws())

    def log_groups(self) -> Mapping[str, str]:
        """Those of the script's functions."""
        return {spec.name: spec.log_group or "" for spec in self._specs()}

    def _specs(self) -> Iterator[FunctionSpec]:
        return (script.spec for script in self._scripts)


@dataclass
class WatchedPipeline:
    """The pipeline: its functions, and after a change of its configuration all of it."""

    config: Path
    read_target: Callable[[], Target]
    _target: Target | None = None
    _aws: Aws | None = None

    def places(self) -> Sequence[Path]:
        """The folder of the configuration, and the functions' sources."""
        functions = self._target.pipeline.functions.values() if self._target else ()
        return [self.config.parent, *_sources(function.spec for function in functions)]

    def read(self) -> None:
        """Read the configuration again."""
        self._target = self.read_target()

    def aws(self) -> Aws:
        """The client of the target."""
        if self._aws is None:
            self._aws = self._known().aws()
        return self._aws

    def plan(self, changed: Collection[str]) -> Plan:
        """Of the functions alone, unless the configuration changed. Nothing undeclared is removed."""
        from lambda_script import plan

        target, aws = self._known(), self.aws()
        wanted = _without_copies(deployment(target.pipeline, aws.account_id, target.environ))
        folder = f"{self.config.absolute().parent}/"
        code_only = bool(changed) and not any(path.startswith(folder) for path in changed)
        return plan(wanted, aws, only=[spec.name for spec in wanted.functions] if code_only else None)

    def log_groups(self) -> Mapping[str, str]:
        """Those of the pipeline's functions."""
        target = self._known()
        account = self.aws().account_id
        declared = target.pipeline.functions.values()
        return {function.spec.name: group_of(target.pipeline, function, account) for function in declared}

    def _known(self) -> Target:
        if self._target is None:
            self.read()
        assert self._target is not None  # noqa: S101  # nosec B101  # it was just read
        return self._target


def _sources(specs: Any) -> list[Path]:
    from lambda_toolkit.running.watching import files_of

    return list(dict.fromkeys(place for spec in specs for place in files_of(spec)))


def _without_copies(wanted: Deployment) -> Deployment:
    """Without a copy of each package on disk: it could be written into a folder that is watched."""
    return replace(wanted, functions=tuple(replace(spec, zip_path=None) for spec in wanted.functions))
