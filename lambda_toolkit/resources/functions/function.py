"""The Lambda function itself: code and configuration, each written only where it differs, and released as a version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.retries import UPDATE_FACTOR
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.packaging.function_zip import Package
from lambda_toolkit.resources.account.role import own_role_arn, role_arn, role_name
from lambda_toolkit.resources.functions import canary, declared_settings, release, settings, used_layers, version
from lambda_toolkit.resources.functions.layer import upload
from lambda_toolkit.resources.functions.used_layers import RequiredLayer
from lambda_toolkit.resources.monitoring.log_group import group_name
from lambda_toolkit.resources.planning import tags
from lambda_toolkit.resources.planning.alias import LiveAlias, Release
from lambda_toolkit.resources.planning.attachment import Context
from lambda_toolkit.resources.planning.diff import differences, environment_differences
from lambda_toolkit.resources.planning.live import LiveFunction
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.resources.planning.tags import TagChange
from lambda_toolkit.spec.limits.quotas import DIRECT_UPLOAD
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.network import endpoint_variables
from lambda_toolkit.spec.ownership import desired_tags, require_owned

KIND = Kind.FUNCTION
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new resource is not known everywhere yet


@dataclass(frozen=True)
class _Desired:
    """What the function is to be."""

    package: Package
    """Its code."""
    layer: RequiredLayer | None
    """Its layer."""
    configuration: Mapping[str, Any] = field(repr=False)
    """What UpdateFunctionConfiguration takes, with the environment variables directly under ``Environment``."""
    digest: str
    """Which is recorded with the release: see :func:`release.digest`."""


@dataclass(frozen=True)
class _Comparison:
    """How $LATEST differs from the declaration."""

    coded: tuple[Difference, ...]
    """The differences of code and architecture."""
    layered: tuple[Difference, ...]
    """The difference of the layers."""
    configured: tuple[Difference, ...]
    """The differences of the rest of the configuration."""
    tag_change: TagChange
    """The tags to set and to remove."""

    @property
    def configuration_differs(self) -> bool:
        """Whether UpdateFunctionConfiguration must be called."""
        return bool(self.configured or self.layered)

    @property
    def latest_differs(self) -> bool:
        """Whether $LATEST must be written."""
        return bool(self.coded or self.configuration_differs)

    @property
    def found(self) -> tuple[Difference, ...]:
        """All differences."""
        return (*self.coded, *self.layered, *self.configured, *self.tag_change.differences)


def prefetch(context: Context) -> Prefetch:
    """The lists of functions and of tags; the alias of a function that exists."""
    reads, name = context.reads, context.spec.name

    def read_alias() -> None:
        if reads.is_listed(name):
            reads.alias(name)

    return Prefetch(reads.prefetch_functions(context.spec), [read_alias])


def plan(context: Context, package: Package, layer: RequiredLayer | None) -> list[Change]:
    """The change that brings the function to ``context.spec`` and releases it, and the deletion of old versions.

    Raises OwnershipError.
    """
    spec, live = context.spec, context.live()
    if live is None:
        return [_creation(spec, _desired(context, package, layer))]
    live_alias = context.reads.alias(spec.name)
    if live_alias is not None and live_alias.release is not None:
        package = _as_released(package, spec, live, live_alias.release)
    desired = _desired(context, package, layer)
    require_owned(KIND, spec.name, live.tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
    compared = _compare(live, desired, spec)
    by_hand = _settings(live, live_alias, spec)
    is_released = live_alias is not None and live_alias.holds(desired.digest, by_hand)
    moved = None
    if not is_released:
        moved = release.difference(live_alias, desired.digest, by_hand, latest_differs=compared.latest_differs)
    if not compared.found and moved is None:
        return []
    known = _known_version(context.aws, spec.name, live_alias, desired.digest, by_hand)

    def update(executor_aws: Aws) -> None:
        published = _write(executor_aws, spec, live, desired, compared, known, is_released=is_released)
        if not is_released:
            if published is None:
                ready = _wait_until_ready(executor_aws, spec.name)
                made = version.publish(executor_aws, spec.name, package.sha256, ready.get("RevisionId"))
                published = _as_desired(made, spec, desired)
            release.promote(executor_aws, spec, live_alias, published)

    details: tuple[str, ...] = (moved,) if moved else ()
    if spec.role and live.configuration.get("Role") == own_role_arn(context.reads, spec.name):
        details += (f"role {role_name(spec.name)} stays, as earlier versions have it; destroy removes it",)
    if not is_released and live_alias is not None and spec.canary is not None:
        details += (canary.expectation(context.aws, spec, spec.canary),)
    found = (*compared.found, *_changed_by_hand(context.aws, live, live_alias, spec, by_hand))
    needed = _dependencies(spec, layer)
    change = Change(KIND, spec.name, "update", details, needed, found, package.content, apply=update)
    if is_released or live_alias is None:
        return [change]
    return [change, *version.plan_pruning(context.aws, spec.name, known.version if known else None)]


def plan_removal(name: str, after: frozenset[Key]) -> list[Change]:
    """The change that deletes the function ``name``, with its versions and aliases, after ``after``."""

    def delete(executor_aws: Aws) -> None:
        executor_aws.find("lambda", "delete_function", FunctionName=name)

    return [Change(KIND, name, "delete", after=after, apply=delete)]


def _creation(spec: FunctionSpec, desired: _Desired) -> Change:
    package = desired.package

    def create(executor_aws: Aws) -> None:
        created = executor_aws.create(
            "lambda",
            "create_function",
            exists=("ResourceConflictException",),
            FunctionName=spec.name,
            Code=_code(executor_aws, spec, package),
            Architectures=[spec.architecture],
            Layers=used_layers.arns(executor_aws, spec, desired.layer),
            Tags=desired_tags(spec.tags, spec.name),
            Publish=True,
            **_as_parameters(desired.configuration, {}),
        )
        if created is None:
            _wait_until_ready(executor_aws, spec.name)
            created = dict(version.publish(executor_aws, spec.name, package.sha256, None))
        release.promote(executor_aws, spec, None, _as_desired(created, spec, desired))

    details = (
        f"{spec.runtime}, {spec.memory} MB, {spec.timeout} s",
        f"{len(package.content) / 1000:.1f} kB of code",
    )
    return Change(KIND, spec.name, "create", details, _dependencies(spec, desired.layer), apply=create)


def _write(
    aws: Aws,
    spec: FunctionSpec,
    live: LiveFunction,
    desired: _Desired,
    compared: _Comparison,
    known: Release | None,
    *,
    is_released: bool,
) -> Release | None:
    """Write what differs. Returns what to release; ``None`` where it is still to be published from $LATEST."""
    published = known
    guard: dict[str, Any] = {}
    if compared.configuration_differs:
        changed = {item.attribute.partition(".")[0] for item in compared.configured}
        parts = {key: value for key, value in desired.configuration.items() if key in changed}
        parameters = _as_parameters(parts, live.configuration)
        if compared.layered:
            parameters["Layers"] = used_layers.arns(aws, spec, desired.layer)
        aws.call("lambda", "update_function_configuration", FunctionName=spec.name, **parameters)
        if compared.coded:
            revision = _wait_until_ready(aws, spec.name).get("RevisionId")
            guard = {"RevisionId": revision} if revision else {}
    elif spec.vpc is not None and not is_released:
        _attach_again(aws, spec, desired)
    if compared.coded:
        answer = aws.call(
            "lambda",
            "update_function_code",
            FunctionName=spec.name,
            Architectures=[spec.architecture],
            Publish=known is None,
            **_code(aws, spec, desired.package),
            **guard,
        )
        published = known or _as_desired(answer, spec, desired)
    compared.tag_change.apply(aws, "lambda", aws.arn("lambda", f"function:{spec.name}"))
    if is_released and compared.latest_differs:
        _wait_until_ready(aws, spec.name)
    return published


def _attach_again(aws: Aws, spec: FunctionSpec, desired: _Desired) -> None:
    """Attach the function to its network once more where Lambda could not: what was wrong may be repaired.

    Without a change of its configuration, a failed function stays failed.
    """
    now = aws.call("lambda", "get_function", FunctionName=spec.name)["Configuration"]
    if "Failed" in (now.get("State"), now.get("LastUpdateStatus")):
        network = {declared_settings.VPC: desired.configuration[declared_settings.VPC]}
        aws.call("lambda", "update_function_configuration", FunctionName=spec.name, **network)
        _wait_until_ready(aws, spec.name)
        version.delete_failed(aws, spec.name)


def _as_desired(published: Mapping[str, Any], spec: FunctionSpec, desired: _Desired) -> Release:
    """The release of the version ``published``. Raises AwsError where it is not what is declared.

    Another deployment may write $LATEST between two of our calls: its half and ours must never go live together.
    """
    live = LiveFunction(dict(published), {})
    if (
        published.get("CodeSha256") != desired.package.sha256
        or live.architecture != spec.architecture
        or used_layers.shown(live.layers) != used_layers.names(spec, desired.layer)
        or _configured(live, desired.configuration, spec.secret_environment)
    ):
        raise version.overtaken(spec.name)
    by_hand = settings.digest(settings.unmanaged(published, spec))
    return Release(str(published["Version"]), desired.digest, desired.package.fingerprint, by_hand)


def _settings(live: LiveFunction, live_alias: LiveAlias | None, spec: FunctionSpec) -> str:
    """The digest of the settings of $LATEST that are not declared: the released one where they cannot be read."""
    released = live_alias.release if live_alias else None
    if released is not None and spec.environment is None and not settings.is_readable(live.configuration):
        return released.settings
    return settings.digest(settings.unmanaged(live.configuration, spec))


def _changed_by_hand(
    aws: Aws, live: LiveFunction, live_alias: LiveAlias | None, spec: FunctionSpec, by_hand: str
) -> tuple[Difference, ...]:
    """How the settings of $LATEST that are not declared differ from those of the live version."""
    if live_alias is None or live_alias.release is None or live_alias.release.settings == by_hand:
        return ()
    live_version = aws.find(
        "lambda", "get_function_configuration", FunctionName=spec.name, Qualifier=live_alias.version
    )
    released = settings.unmanaged(live_version or {}, spec)
    return settings.compare(released, settings.unmanaged(live.configuration, spec), spec)


def _as_released(package: Package, spec: FunctionSpec, live: LiveFunction, released: Release) -> Package:
    """``package``, or the deployed one where that has the same sources and bytecode that is as good or better."""
    if live.architecture != spec.architecture:
        return package
    return package.as_deployed(str(live.configuration.get("CodeSha256")), released.code)


def _known_version(aws: Aws, function: str, live: LiveAlias | None, digest: str, by_hand: str) -> Release | None:
    """What the declaration was released as, if its version still exists: it need not be published again."""
    if live is None or live.release is None or (live.release.digest, live.release.settings) != (digest, by_hand):
        return None
    known = live.release
    return known if known.version == live.version or version.exists(aws, function, known.version) else None


def _dependencies(spec: FunctionSpec, layer: RequiredLayer | None) -> frozenset[Key]:
    keys: set[Key] = {(Kind.LOG_GROUP, group_name(spec.name))}
    if not spec.role:
        keys.add((Kind.ROLE, role_name(spec.name)))
    if layer:
        keys.add((Kind.LAYER, layer.name))
    if spec.artifact_bucket:
        keys.add((Kind.BUCKET, spec.artifact_bucket))
    return frozenset(keys)


def _desired(context: Context, package: Package, layer: RequiredLayer | None) -> _Desired:
    spec = context.spec
    configuration = {
        "Role": role_arn(context.reads, spec),
        "Handler": package.handler,
        "Runtime": spec.runtime,
        "Timeout": spec.timeout,
        "MemorySize": spec.memory,
        **({} if spec.description is None else {"Description": spec.description}),
        **({} if spec.environment is None else {"Environment": endpoint_variables(spec.vpc) | dict(spec.environment)}),
        **declared_settings.declared(spec),
    }
    digest = release.digest(configuration, package.sha256, " ".join(used_layers.names(spec, layer)), spec.architecture)
    return _Desired(package, layer, configuration, digest)


def _compare(live: LiveFunction, desired: _Desired, spec: FunctionSpec) -> _Comparison:
    return _Comparison(
        coded=differences(
            {"code": live.configuration.get("CodeSha256"), "architecture": live.architecture},
            {"code": desired.package.sha256, "architecture": spec.architecture},
        ),
        layered=used_layers.difference(live.layers, spec, desired.layer),
        configured=_configured(live, desired.configuration, spec.secret_environment),
        tag_change=tags.compare(live.tags, spec.tags, spec.name),
    )


def _configured(live: LiveFunction, desired: Mapping[str, Any], secret: Collection[str]) -> tuple[Difference, ...]:
    """The differences of the configuration, each environment variable as one of its own."""
    known = live.configuration
    shape = {**known, "Description": known.get("Description") or "", **declared_settings.live(known, desired)}
    plain = {key: value for key, value in desired.items() if key != "Environment"}
    found = differences(shape, plain)
    if "Environment" in desired:
        environment = known.get("Environment") or {}
        _require_readable(environment, str(known.get("FunctionName")))
        variables = environment.get("Variables", {})
        found += environment_differences(variables, desired["Environment"], secret)
    return found


def _require_readable(environment: Mapping[str, Any], name: str) -> None:
    """Raise AwsError where Lambda did not return the variables, which would otherwise all count as missing."""
    error = environment.get("Error") or {}
    if error.get("ErrorCode") in ACCESS_DENIED:
        raise AwsError(
            f"lambda:GetFunction {name}: its environment variables cannot be read: "
            f"{str(error.get('Message') or 'no reason given').rstrip('.')}. The credentials in use need kms:Decrypt on "
            "the key of the function.",
            code=str(error["ErrorCode"]),
            operation="kms:Decrypt",
        )


def _as_parameters(configuration: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    parameters = dict(configuration)
    if "Environment" in parameters:
        parameters["Environment"] = {"Variables": parameters["Environment"]}
    return declared_settings.complete(parameters, live)


def _code(aws: Aws, spec: FunctionSpec, package: Package) -> dict[str, Any]:
    if len(package.content) <= DIRECT_UPLOAD:
        return {"ZipFile": package.content}
    key = f"{spec.name}-{package.sha256.translate(str.maketrans('+/=', '-__'))}.zip"
    return upload(aws, spec.artifact_bucket, key, package.content)


def _wait_until_ready(aws: Aws, name: str) -> Mapping[str, Any]:
    """Wait until Lambda has applied the change, and return the configuration of $LATEST.

    Its RevisionId counts only now: it changes once more when an update ends. Raises AwsError with Lambda's reason where
    the change could not be applied.
    """

    def ended() -> dict[str, Any] | None:
        now: dict[str, Any] = aws.call("lambda", "get_function", also_retry=_NEW, FunctionName=name)["Configuration"]
        pending = now.get("State") == "Pending" or now.get("LastUpdateStatus") == "InProgress"
        return None if pending else now

    state = aws.wait_until(ended, f"Function {name} is ready", factor=UPDATE_FACTOR)
    for status, reason in (("State", "StateReason"), ("LastUpdateStatus", "LastUpdateStatusReason")):
        if state.get(status) == "Failed":
            raise AwsError(f"Lambda could not set up {name}: {state.get(reason) or 'no reason given'}.", code="Failed")
    return state
