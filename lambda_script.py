"""Keep one Python function deployed on AWS Lambda.

    from lambda_script import Lambda_script

    deployer = Lambda_script(lambda_function_path="path/to/lambda_function.py", zip_file_name="lambda_function.zip",
                             function_name_template="my_lambda_function", schedule="0 0 * * *")
    deployer.deploy()

Importing this module does nothing. Credentials, region and endpoint are found as boto3 finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_toolkit import lazy_names
from lambda_toolkit.calls import apply, apply_all, deploy, new_client, plan, plan_destroy, rollback, together
from lambda_toolkit.changes import Change, DeployError, Difference, Failure, Plan, Progress, Report
from lambda_toolkit.console import names_checked, shown_as_init, shown_on_terminal
from lambda_toolkit.errors import (
    Advice,
    AwsError,
    CheckError,
    Hint,
    LimitError,
    OwnershipError,
    PackageError,
    PlanError,
    ScheduleError,
    ToolkitError,
    TriggerError,
    Wording,
)
from lambda_toolkit.scripts import declare, end_script, only_declares
from lambda_toolkit.spec.bucket import BucketSpec, LifecycleRule
from lambda_toolkit.spec.catalog import CatalogColumn, CatalogSpec, CatalogTable, check_catalog
from lambda_toolkit.spec.dashboard import check_dashboard
from lambda_toolkit.spec.declaration.requirements_file import read_requirements
from lambda_toolkit.spec.function_url import Cors, FunctionUrl, Url
from lambda_toolkit.spec.limits.quotas import check_bucket, function_problems
from lambda_toolkit.spec.model import (
    UNRESERVED,
    Alarm,
    Canary,
    DashboardSpec,
    Deployment,
    FunctionSpec,
    SecretSpec,
    TopicSpec,
)
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.ownership import bounded, short_hash
from lambda_toolkit.spec.schedules.schedule import Schedule, Schedules
from lambda_toolkit.spec.triggers.event import EventTrigger, EventTriggers
from lambda_toolkit.spec.triggers.queue import QueueTrigger, QueueTriggers
from lambda_toolkit.spec.triggers.s3 import S3Trigger, S3Triggers
from lambda_toolkit.spec.triggers.stream import StreamTrigger, StreamTriggers
from lambda_toolkit.spec.triggers.topic import TopicTrigger, TopicTriggers

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.deploy import deployer_policy
    from lambda_toolkit.deploy.rollback import Rollback
    from lambda_toolkit.packaging.uv import lock_requirements
    from lambda_toolkit.resources.networks.network import network_charges
    from lambda_toolkit.resources.planning.alias import LIVE
    from lambda_toolkit.resources.triggers.s3_notification import check_declared
    from lambda_toolkit.running.invocation import Invocation
    from lambda_toolkit.running.log_events import LogEvent
    from lambda_toolkit.spec.prices import HOURS_A_MONTH, PriceList, price_list

__all__ = [
    "HOURS_A_MONTH",
    "LIVE",
    "UNRESERVED",
    "Advice",
    "Alarm",
    "AwsError",
    "BucketSpec",
    "Canary",
    "CatalogColumn",
    "CatalogSpec",
    "CatalogTable",
    "Change",
    "CheckError",
    "Cors",
    "DashboardSpec",
    "DeployError",
    "Deployment",
    "Difference",
    "EventTrigger",
    "Failure",
    "FunctionSpec",
    "FunctionUrl",
    "Hint",
    "Invocation",
    "Lambda_script",
    "LifecycleRule",
    "LimitError",
    "LogEvent",
    "OwnershipError",
    "PackageError",
    "Plan",
    "PlanError",
    "PriceList",
    "Progress",
    "QueueTrigger",
    "Report",
    "Rollback",
    "S3Trigger",
    "Schedule",
    "ScheduleError",
    "SecretSpec",
    "StreamTrigger",
    "ToolkitError",
    "TopicSpec",
    "TopicTrigger",
    "TriggerError",
    "Vpc",
    "Wording",
    "apply",
    "bounded",
    "check_bucket",
    "check_catalog",
    "check_dashboard",
    "check_declared",
    "deploy",
    "deploy_all",
    "deployer_policy",
    "deployment_of",
    "function_problems",
    "lock_requirements",
    "network_charges",
    "plan",
    "plan_destroy",
    "price_list",
    "read_requirements",
    "rollback",
    "short_hash",
]


def __getattr__(name: str) -> Any:
    """A public name from a module that takes long to import, on first use (PEP 562)."""
    return lazy_names.imported(__name__, name)


@shown_as_init
class Lambda_script:
    """One Lambda function and its own resources: role, log group, layer, schedule, triggers, alarms.

    An argument that is ``None`` is not managed: what is on AWS stays. An empty one (``schedule=""``, ``alarms=()``,
    ``environment={}``) removes what is on AWS.

    - ``lambda_function_path``: the file or folder with the function's code.
    - ``zip_file_name``: where a copy of the package is written. ``function_name_template``: its name on
      AWS; ``{stage}`` is replaced. By default the name of the file or folder.
    - ``schedule``: unix cron, ``rate(5 minutes)``, EventBridge's ``cron(...)``, or :class:`Schedule`; its ``timezone``.
    - ``application``, ``stage``: tags of all its resources. The application is the function's name by default.
    - ``handler``: ``module.function``; by default found in the source. ``runtime``: by default that of this Python.
    - ``architecture``: ``x86_64`` or ``arm64``. ``memory``: in MB. ``timeout``: in seconds.
    - ``environment``: environment variables. ``secret_environment``: names of those whose values are masked.
    - ``include``: more files and folders for the package. ``extra_files``: names in the package and their content.
    - ``requirements``: a list in pip's syntax, or the path of a requirements file. They become a layer.
    - ``requirements_exclude``: globs of files that the layer excludes. ``layers``: ARNs of layer versions that exist.
    - ``platform``: uv's. ``provided_modules``: those that the check of imports misses; ``["*"]``: no check.
    - ``s3_trigger``: one or more :class:`S3Trigger`. ``topic_trigger``: SNS topics, by name or :class:`TopicTrigger`.
    - ``queue_trigger``: SQS queues, by name or :class:`QueueTrigger`. ``stream_trigger``: streams of Kinesis and of
      DynamoDB tables, a :class:`StreamTrigger` each. ``event_trigger``: events of EventBridge, :class:`EventTrigger`.
    - ``url``: an HTTPS endpoint: ``AWS_IAM``, ``NONE`` (everyone may call it), or a :class:`FunctionUrl`.
    - ``alarms``: a list of :class:`Alarm`. Mappings are accepted for each of these.
    - ``on_failure``, ``retries``, ``max_event_age``: events that fail. ``concurrency``: how many run, or UNRESERVED.
    - ``provisioned_concurrency``: how many are ready before. ``recursive_loop``: ``Allow`` or ``Terminate``.
    - ``permissions``: IAM statements. ``permissions_boundary``, ``role``, ``schedule_role``: ARNs of what exists.
    - ``vpc``: ``subnets``, ``security_groups`` and ``ipv6``, or a :class:`Vpc`. ``ephemeral_storage``: MB of ``/tmp``.
    - ``tracing``: ``Active`` for X-Ray. ``kms_key``: ARN, for the environment. ``snapstart``: start from a snapshot.
    - ``log_format``: ``Text``, ``JSON``. ``log_level``, ``system_log_level``: with JSON, the least level that is kept
      of the function's own lines and of Lambda's. ``log_group``: an existing one. ``log_retention_days``.
    - ``tags``: of all its resources; an empty value removes one. ``region``: by default as with boto3.
    - ``description``: on AWS. ``artifact_bucket``: for packages too large for a direct upload; by default its own.
    - ``health_event``: the event of a check of new versions. ``canary``: how they are tried, a :class:`Canary`.
    - ``adopt``: manage existing resources that the toolkit did not create. ``aws``: a client to share, or for tests.

    Raises ScheduleError, TriggerError, LimitError or PackageError for what AWS would reject, PlanError for several.
    """

    @names_checked(beside=("application", "aws"))
    def __init__(
        self,
        lambda_function_path: str | Path,
        zip_file_name: str | Path = "lambda_function.zip",
        function_name_template: str | None = None,
        schedule: Schedules | None = None,
        *,
        timezone: str | None = None,
        schedule_role: str | None = None,
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
        layers: Sequence[str] = (),
        platform: str | None = None,
        provided_modules: Sequence[str] = (),
        s3_trigger: S3Triggers | None = None,
        topic_trigger: TopicTriggers | None = None,
        queue_trigger: QueueTriggers | None = None,
        stream_trigger: StreamTriggers | None = None,
        event_trigger: EventTriggers | None = None,
        url: Url | None = None,
        alarms: Sequence[Alarm | Mapping[str, Any]] | None = None,
        permissions: Sequence[Mapping[str, Any]] | None = None,
        on_failure: str | None = None,
        retries: int | None = None,
        max_event_age: int | None = None,
        concurrency: int | str | None = None,
        provisioned_concurrency: int | None = None,
        recursive_loop: str | None = None,
        role: str | None = None,
        permissions_boundary: str | None = None,
        vpc: Vpc | Mapping[str, Any] | None = None,
        log_retention_days: int | None = 30,
        ephemeral_storage: int | None = None,
        tracing: str | None = None,
        kms_key: str | None = None,
        snapstart: bool | None = None,
        log_format: str | None = None,
        log_level: str | None = None,
        system_log_level: str | None = None,
        log_group: str | None = None,
        tags: Mapping[str, str] | None = None,
        region: str | None = None,
        description: str | None = None,
        artifact_bucket: str | None = None,
        health_event: Mapping[str, Any] | None = None,
        canary: Canary | Mapping[str, Any] | None = None,
        adopt: bool = False,
        aws: Aws | None = None,
    ) -> None:
        from lambda_toolkit.spec.declaration import argument_types, arguments  # the command line has no use for them

        self.spec = arguments.function_spec(
            argument_types.Arguments(
                lambda_function_path=lambda_function_path,
                zip_file_name=zip_file_name,
                function_name_template=function_name_template,
                schedule=schedule,
                timezone=timezone,
                schedule_role=schedule_role,
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
                layers=layers,
                provided_modules=provided_modules,
                s3_trigger=s3_trigger,
                topic_trigger=topic_trigger,
                queue_trigger=queue_trigger,
                stream_trigger=stream_trigger,
                event_trigger=event_trigger,
                url=url,
                alarms=alarms,
                permissions=permissions,
                on_failure=on_failure,
                retries=retries,
                max_event_age=max_event_age,
                concurrency=concurrency,
                provisioned_concurrency=provisioned_concurrency,
                recursive_loop=recursive_loop,
                role=role,
                permissions_boundary=permissions_boundary,
                vpc=vpc,
                log_retention_days=log_retention_days,
                ephemeral_storage=ephemeral_storage,
                tracing=tracing,
                kms_key=kms_key,
                snapstart=snapstart,
                log_format=log_format,
                log_level=log_level,
                system_log_level=system_log_level,
                log_group=log_group,
                tags=tags,
                region=region,
                description=description,
                artifact_bucket=artifact_bucket,
                health_event=health_event,
                canary=canary,
                adopt=adopt,
            )
        )
        self.region, self.stage = region, stage
        self.application, self._aws = application or self.spec.name, aws
        declare(self)

    def __repr__(self) -> str:
        """Which function, and from where."""
        return f"Lambda_script({self.spec.name!r} from {str(self.spec.source)!r})"

    def plan(self) -> Plan:
        """What :meth:`deploy` would change. Writes nothing to AWS. Raises ToolkitError."""
        return Plan() if only_declares() else plan(self._deployment(), self._client())

    def deploy(self, on_progress: Callable[[Progress], None] | None = None) -> Report:
        """Change AWS to match the declaration, and report the changes: none where nothing differs.

        Without ``on_progress``, a terminal shows notes and progress. Raises DeployError where a change failed (the
        others were made), and other ToolkitErrors before anything was written.
        """
        return deploy_all([self], on_progress)

    def destroy(self, on_progress: Callable[[Progress], None] | None = None, *, delete_data: bool = False) -> Report:
        """Remove what :meth:`deploy` created; the log group with its events only with ``delete_data``.

        Raises DeployError where something could not be removed.
        """
        end_script()
        found = plan_destroy(self._deployment(), self._client(), delete_data=delete_data)
        return apply_all(found, self._client(), on_progress or shown_on_terminal(found))

    def invoke(self, event: Any = None, *, local: bool = False) -> Invocation:
        """Call the live version with ``event``, and wait for its result; an error of the function is returned.

        With ``local``, nothing is deployed: a process on this machine runs the package that :meth:`deploy` would
        upload, with the declared variables and limits and the credentials of this process. Raises ToolkitError.
        """
        from lambda_toolkit.running.calls import invoke

        end_script()
        return invoke(self.spec, event, None if local else self._client(), self.region)

    def logs(self, minutes: float = 10, *, follow: bool = False) -> Iterator[LogEvent]:
        """What the function logged in the last ``minutes``, in order; with ``follow``, also what it logs from now on.

        Raises ToolkitError where it has no log group yet.
        """
        from lambda_toolkit.running.calls import logs

        end_script()
        return logs(self.spec, self._client(), minutes, follow=follow)

    def rollback(self, to: str | int | None = None) -> Rollback:
        """Make version ``to`` live again; by default the newest one older than the live one. Moves the alias, no more.

        The next plan shows it as a difference, and the next deploy undoes it. Raises ToolkitError for no such version.
        """
        end_script()
        return rollback(self.spec.name, to, aws=self._client())

    def url(self) -> str:
        """The URL of the function's alias ``live``; empty where it has none. Raises ToolkitError."""
        from lambda_toolkit.resources.triggers import function_url

        return function_url.address(self._client(), self.spec.name)

    def _deployment(self) -> Deployment:
        return Deployment((self.spec,), application=self.application, stage=self.stage)

    def _client(self) -> Aws:
        """The client of this object, created on first use. Connections are reused between calls; reads are not."""
        if self._aws is None:
            self._aws = new_client(self.region)
        return self._aws


def deploy_all(scripts: Sequence[Lambda_script], on_progress: Callable[[Progress], None] | None = None) -> Report:
    """Deploy several functions together, in parallel; where one fails, the others continue.

    With the client of the first one. Raises as its :meth:`deploy` does, and ToolkitError for different regions.
    """
    if not scripts or only_declares():
        return Report()
    found = plan(deployment_of(scripts), scripts[0]._client())
    return apply_all(found, scripts[0]._client(), on_progress or shown_on_terminal(found))


def deployment_of(scripts: Sequence[Lambda_script]) -> Deployment:
    """What :func:`deploy_all` deploys. Raises ToolkitError for different regions."""
    if not isinstance(scripts, Sequence) or not all(isinstance(script, Lambda_script) for script in scripts):
        raise ToolkitError("deploy_all takes a list of Lambda_scripts: deploy_all([one, two]).")
    return together([(script._deployment(), script.region) for script in scripts])
