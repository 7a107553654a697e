"""Keep one Python function deployed on AWS Lambda.

    from lambda_script import Lambda_script

    deployer = Lambda_script(lambda_function_path="path/to/lambda_function.py",
                             zip_file_name="lambda_function.zip",
                             function_name_template="my_lambda_function",
                             schedule="0 0 * * *")
    deployer.deploy()

Importing this module does nothing. Credentials, region and endpoint are found as boto3 finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, DeployError, Failure, Plan, Progress, Report
from lambda_toolkit.deploy.execute import execute
from lambda_toolkit.deploy.plan import make_destroy_plan, make_plan
from lambda_toolkit.deploy.rollback import Rollback, rollback
from lambda_toolkit.errors import (
    AwsError,
    CheckError,
    LimitError,
    OwnershipError,
    PackageError,
    PlanError,
    ScheduleError,
    ToolkitError,
    TriggerError,
)
from lambda_toolkit.spec.argument_types import Arguments
from lambda_toolkit.spec.arguments import function_spec
from lambda_toolkit.spec.model import Alarm, Canary, Deployment, S3Trigger

__all__ = [
    "Alarm",
    "AwsError",
    "Canary",
    "Change",
    "CheckError",
    "DeployError",
    "Failure",
    "Lambda_script",
    "LimitError",
    "OwnershipError",
    "PackageError",
    "Plan",
    "PlanError",
    "Progress",
    "Report",
    "Rollback",
    "S3Trigger",
    "ScheduleError",
    "ToolkitError",
    "TriggerError",
    "deploy_all",
]


class Lambda_script:
    """One function and everything that belongs to it: role, log group, schedule, S3 triggers, alarms, layer.

    ``lambda_function_path`` is a file or a folder. ``zip_file_name`` is where a copy of its package is left.
    ``schedule`` is unix cron (``0 6 * * MON-FRI``), ``rate(5 minutes)`` or EventBridge's ``cron(...)``, always in
    UTC. ``function_name_template`` may hold ``{stage}``. ``memory`` is in MB, ``timeout`` in seconds.
    ``requirements`` (a list, or the path of a requirements file) become a layer, installed for Lambda's platform;
    ``requirements_exclude`` leaves files of it out, by globs. ``permissions`` are IAM statements.
    ``health_event`` is sent to each new version, which goes live only if it takes it without an error; ``canary`` lets
    it take a share of the calls first. ``adopt`` takes
    over things of these names that the toolkit did not make. ``application`` (the function's name unless given) and
    ``stage`` become tags of everything. ``secret_environment`` names variables whose values are never shown. ``aws``
    and ``on_progress`` are for programs that deploy several functions, and for tests.

    What is ``None`` is not managed. What is empty (``schedule=""``, ``alarms=()``, ``environment={}``) is removed.

    Raises ScheduleError, TriggerError, LimitError and PackageError for what could never be deployed, and a PlanError of
    all of them where there are several. Nothing is read from AWS yet.
    """

    def __init__(
        self,
        lambda_function_path: str | Path,
        zip_file_name: str | Path = "lambda_function.zip",
        function_name_template: str | None = None,
        schedule: str | None = None,
        *,
        application: str | None = None,
        stage: str = "dev",
        handler: str | None = None,
        runtime: str | None = None,
        architecture: str = "x86_64",
        memory: int = 128,
        timeout: int = 60,
        environment: Mapping[str, str] | None = None,
        secret_environment: Sequence[str] = (),
        include: Sequence[str | Path] = (),
        extra_files: Mapping[str, bytes | Path] | None = None,
        requirements: Sequence[str] | str | Path = (),
        requirements_exclude: Sequence[str] = (),
        platform: str | None = None,
        s3_trigger: S3Trigger | Mapping[str, Any] | Sequence[S3Trigger | Mapping[str, Any]] | None = None,
        alarms: Sequence[Alarm | Mapping[str, Any]] | None = None,
        permissions: Sequence[Mapping[str, Any]] | None = None,
        log_retention_days: int | None = 30,
        tags: Mapping[str, str] | None = None,
        region: str | None = None,
        description: str | None = None,
        artifact_bucket: str | None = None,
        health_event: Mapping[str, Any] | None = None,
        canary: Canary | Mapping[str, Any] | None = None,
        adopt: bool = False,
        aws: Aws | None = None,
    ) -> None:
        self.spec = function_spec(
            Arguments(
                lambda_function_path=lambda_function_path,
                zip_file_name=zip_file_name,
                function_name_template=function_name_template,
                schedule=schedule,
                application=application,
                stage=stage,
                handler=handler,
                runtime=runtime,
                architecture=architecture,
                memory=memory,
                timeout=timeout,
                environment=environment,
                secret_environment=secret_environment,
                include=include,
                extra_files=extra_files,
                requirements=requirements,
                requirements_exclude=requirements_exclude,
                platform=platform,
                s3_trigger=s3_trigger,
                alarms=alarms,
                permissions=permissions,
                log_retention_days=log_retention_days,
                tags=tags,
                region=region,
                description=description,
                artifact_bucket=artifact_bucket,
                health_event=health_event,
                canary=canary,
                adopt=adopt,
            )
        )
        self.region = region
        self.stage = stage
        self.application = application or self.spec.name
        self._aws = aws

    def __repr__(self) -> str:
        """Which function, and from where."""
        return f"Lambda_script({self.spec.name!r} from {str(self.spec.source)!r})"

    def plan(self) -> Plan:
        """What :meth:`deploy` would change. Writes nothing to AWS. Raises ToolkitError."""
        return make_plan(self._client(), self._deployment())

    def deploy(self, on_progress: Callable[[Progress], None] | None = None) -> Report:
        """Bring AWS to what is declared and report what was changed: nothing, where nothing differs.

        Raises DeployError where a change failed (the others were made), and other ToolkitErrors before anything was
        written.
        """
        return self._carry_out(self.plan(), on_progress)

    def destroy(self, on_progress: Callable[[Progress], None] | None = None) -> Report:
        """Remove everything that :meth:`deploy` made. Raises DeployError where something could not be removed."""
        return self._carry_out(make_destroy_plan(self._client(), self._deployment()), on_progress)

    def rollback(self, to: str | int | None = None) -> Rollback:
        """Make version ``to`` live again; by default the newest one older than what is live. One call moves the alias.

        The next plan shows it as a difference, and the next deploy undoes it. Raises ToolkitError where there is no
        such version.
        """
        return rollback(self._client(), self.spec.name, to)

    def _carry_out(self, plan: Plan, on_progress: Callable[[Progress], None] | None) -> Report:
        report = execute(self._client(), plan, on_progress)
        if not report.ok:
            raise DeployError(report)
        return report

    def _deployment(self) -> Deployment:
        return Deployment((self.spec,), application=self.application, stage=self.stage)

    def _client(self) -> Aws:
        """The client of this object, created on first use. Connections are reused between calls; reads are not."""
        if self._aws is None:
            self._aws = Aws(region=self.region)
        return self._aws


def deploy_all(scripts: Sequence[Lambda_script], on_progress: Callable[[Progress], None] | None = None) -> Report:
    """Deploy several functions together, side by side; where one fails, the others go on.

    Given one ``application``, what AWS lists by it is read once for all. All go to the AWS of the first. Raises as
    :meth:`Lambda_script.deploy` does.
    """
    if not isinstance(scripts, Sequence) or not all(isinstance(script, Lambda_script) for script in scripts):
        raise ToolkitError("deploy_all takes a list of Lambda_scripts: deploy_all([one, two]).")
    if not scripts:
        return Report()
    labelled = tuple(spec for script in scripts for spec in script._deployment().labelled().functions)
    owners = {(script.application, script.stage) for script in scripts}
    application, stage = owners.pop() if len(owners) == 1 else ("", "")
    regions = sorted({script.region for script in scripts if script.region})
    if len(regions) > 1:
        raise ToolkitError(f"Deployed together, all go to one region, and not to {' and '.join(regions)}.")
    aws = scripts[0]._client()
    report = execute(aws, make_plan(aws, Deployment(labelled, application=application, stage=stage)), on_progress)
    if not report.ok:
        raise DeployError(report)
    return report
