"""The Lambda function itself: code and configuration, each written only where it differs, and released as a version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.aws.client import ACCESS_DENIED, Aws
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.packaging.function_zip import Package
from lambda_toolkit.resources import alias, release, tags, version
from lambda_toolkit.resources.alias import LiveAlias, Release
from lambda_toolkit.resources.diff import differences, environment_differences
from lambda_toolkit.resources.layer import layer_name, required_arn, upload
from lambda_toolkit.resources.log_group import group_name
from lambda_toolkit.resources.role import role_arn, role_name
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.ownership import desired_tags, is_owned, require_owned
from lambda_toolkit.spec.quotas import DIRECT_UPLOAD

KIND = "function"
_NEW = ("ResourceNotFoundException",)  # what was made a moment ago is not known everywhere


@dataclass(frozen=True)
class LiveFunction:
    """A function as AWS has it."""

    configuration: dict[str, Any] = field(repr=False)
    tags: dict[str, str]

    @property
    def architecture(self) -> str:
        """``x86_64`` or ``arm64``."""
        return str((self.configuration.get("Architectures") or ["x86_64"])[0])

    @property
    def layers(self) -> list[str]:
        """The ARNs of the layer versions that it uses."""
        return [str(layer["Arn"]) for layer in self.configuration.get("Layers") or ()]


def read(aws: Aws, name: str) -> LiveFunction | None:
    """The function ``name``, or ``None`` where there is none. Raises AwsError."""
    answer = aws.find("lambda", "get_function", FunctionName=name)
    if answer is None:
        return None
    if answer.get("TagsError"):  # Lambda answers without them, as if there were none, to who may not see them
        reason = answer["TagsError"].get("Message") or answer["TagsError"].get("ErrorCode")
        raise AwsError(
            f"lambda:GetFunction {name}: its tags, which say whose it is, cannot be read: {reason}. "
            "The credentials in use need lambda:ListTags.",
            code="AccessDeniedException",
            operation="lambda:ListTags",
        )
    return LiveFunction(answer["Configuration"], dict(answer.get("Tags") or {}))


def read_listed(aws: Aws, spec: FunctionSpec) -> LiveFunction | None:
    """As :func:`read`, out of one list for all functions, and the one list of tags.

    What is not among the first fifty functions of the region, or was made too short a time ago, is asked itself.
    """
    known = next((item for item in aws.listed_functions() if item["FunctionName"] == spec.name), None)
    if known is None or "Error" in (known.get("Environment") or {}):
        return read(aws, spec.name)
    arn = aws.arn("lambda", f"function:{spec.name}")

    def ask() -> dict[str, str]:
        return dict(aws.call("lambda", "list_tags", Resource=arn)["Tags"])

    return LiveFunction(known, dict(tags.tags_of(aws, arn, spec.tags, spec.name, ask)))


def is_ours(live: LiveFunction | None, name: str) -> bool:
    """Whether the function is there and the toolkit made it."""
    return live is not None and is_owned(live.tags, name)


def plan(
    aws: Aws, spec: FunctionSpec, package: Package, live: LiveFunction | None, layer: str | None, layer_arn: str | None
) -> list[Change]:
    """The change that brings the function to ``spec``.

    ``layer`` is the name of the layer of its requirements, ``layer_arn`` its version, ``None`` while it is not
    published.
    """
    live_alias = alias.read(aws, spec.name) if live is not None else None
    if live is not None and live_alias is not None and live_alias.release is not None:
        package = _as_released(package, spec, live, live_alias.release)
    desired = _configuration(aws, spec, package)
    digest = release.digest(desired, package.sha256, layer or "", spec.architecture)
    after = _predecessors(spec, layer)
    if live is None:
        return [_creation(spec, package, desired, digest, layer, layer_arn, after)]
    require_owned(KIND, spec.name, live.tags, adopt=spec.adopt, function=spec.name, declared=spec.tags)
    configured, layered = _configured(live, desired, spec.secret_environment), _layered(live, layer, layer_arn)
    coded = differences(
        {"code": live.configuration.get("CodeSha256"), "architecture": live.architecture},
        {"code": package.sha256, "architecture": spec.architecture},
    )
    configuration_differs = bool(configured or layered)
    latest_differs = configuration_differs or bool(coded)
    released = live_alias is not None and live_alias.holds(digest)
    moved = None if released else release.difference(live_alias, digest, latest_differs=latest_differs)
    tag_change = tags.compare(live.tags, spec.tags, spec.name)
    found = (*coded, *layered, *configured, *tag_change.differences)
    if not found and moved is None:
        return []
    known = _known_version(aws, spec.name, live_alias, digest)

    def update(aws: Aws) -> None:
        published = known
        if configuration_differs:
            changed = {item.attribute.partition(".")[0] for item in configured}
            parameters = _as_parameters({key: desired[key] for key in desired if key in changed})
            if layered:
                parameters["Layers"] = _layers(aws, layer, layer_arn)
            aws.call("lambda", "update_function_configuration", FunctionName=spec.name, **parameters)
        if configuration_differs and (coded or not released):
            _wait_until_ready(aws, spec.name)
        if coded:
            answer = aws.call(
                "lambda",
                "update_function_code",
                FunctionName=spec.name,
                Architectures=[spec.architecture],
                Publish=known is None,
                **_code(aws, spec, package),
            )
            published = known or str(answer["Version"])
        tag_change.apply(aws, "lambda", aws.arn("lambda", f"function:{spec.name}"))
        if released:
            if latest_differs:
                _wait_until_ready(aws, spec.name)
            return
        published = published or version.publish(aws, spec.name, package.sha256)
        release.promote(aws, spec, live_alias, Release(published, digest, package.stamp))

    pruning: list[Change] = []
    if not released and live_alias is not None:
        pruning = version.plan_pruning(aws, spec.name, known)
    details = (moved,) if moved else ()
    return [Change(KIND, spec.name, "update", details, after, found, apply=update), *pruning]


def _as_released(package: Package, spec: FunctionSpec, live: LiveFunction, released: Release) -> Package:
    """``package``, known by what is live where that was made of the same sources with bytecode as good or better."""
    if live.architecture != spec.architecture:
        return package
    return package.as_deployed(str(live.configuration.get("CodeSha256")), released.code)


def _creation(
    spec: FunctionSpec,
    package: Package,
    desired: dict[str, Any],
    digest: str,
    layer: str | None,
    layer_arn: str | None,
    after: frozenset[Key],
) -> Change:
    def create(aws: Aws) -> None:
        made = aws.call(
            "lambda",
            "create_function",
            FunctionName=spec.name,
            Code=_code(aws, spec, package),
            Architectures=[spec.architecture],
            Layers=_layers(aws, layer, layer_arn),
            Tags=desired_tags(spec.tags, spec.name),
            Publish=True,
            **_as_parameters(desired),
        )
        release.promote(aws, spec, None, Release(str(made["Version"]), digest, package.stamp))

    details = (
        f"{spec.runtime}, {spec.memory} MB, {spec.timeout} s",
        f"{len(package.content) / 1000:.1f} kB of code",
    )
    return Change(KIND, spec.name, "create", details, after, apply=create)


def _known_version(aws: Aws, function: str, live: LiveAlias | None, digest: str) -> str | None:
    """The version that the declaration was released as, where it is still there: it need not be published again."""
    if live is None or live.release is None or live.release.digest != digest:
        return None
    known = live.release.version
    return known if known == live.version or version.exists(aws, function, known) else None


def plan_removal(name: str, after: frozenset[Key]) -> list[Change]:
    """The change that removes the function ``name``."""

    def delete(aws: Aws) -> None:
        aws.find("lambda", "delete_function", FunctionName=name)

    return [Change(KIND, name, "delete", after=after, apply=delete)]


def _predecessors(spec: FunctionSpec, layer: str | None) -> frozenset[Key]:
    keys: set[Key] = {("role", role_name(spec.name)), ("log group", group_name(spec.name))}
    if layer:
        keys.add(("layer", layer))
    if spec.artifact_bucket:
        keys.add(("bucket", spec.artifact_bucket))
    return frozenset(keys)


def _configuration(aws: Aws, spec: FunctionSpec, package: Package) -> dict[str, Any]:
    """What UpdateFunctionConfiguration takes, flattened: the one shape in which desired and live are compared."""
    return {
        "Role": role_arn(aws, spec.name),
        "Handler": package.handler,
        "Runtime": spec.runtime,
        "Timeout": spec.timeout,
        "MemorySize": spec.memory,
        **({} if spec.description is None else {"Description": spec.description}),
        **({} if spec.environment is None else {"Environment": dict(spec.environment)}),
    }


def _configured(live: LiveFunction, desired: dict[str, Any], secret: Collection[str]) -> tuple[Difference, ...]:
    """What differs in the configuration, each environment variable by itself."""
    known = live.configuration
    shape = {**known, "Description": known.get("Description") or ""}
    plain = {key: value for key, value in desired.items() if key != "Environment"}
    found = differences(shape, plain)
    if "Environment" in desired:
        environment = known.get("Environment") or {}
        _require_readable(environment, str(known.get("FunctionName")))
        variables = environment.get("Variables", {})
        found += environment_differences(variables, desired["Environment"], secret)
    return found


def _require_readable(environment: Mapping[str, Any], name: str) -> None:
    """Raise AwsError where Lambda did not show the variables, which would else all be taken for missing."""
    error = environment.get("Error") or {}
    if error.get("ErrorCode") in ACCESS_DENIED:
        raise AwsError(
            f"lambda:GetFunction {name}: its environment variables cannot be read: "
            f"{str(error.get('Message') or 'no reason given').rstrip('.')}. The credentials in use need kms:Decrypt on "
            "the key of the function.",
            code=str(error["ErrorCode"]),
            operation="kms:Decrypt",
        )


def _layered(live: LiveFunction, layer: str | None, layer_arn: str | None) -> tuple[Difference, ...]:
    """The layers, shown by their names: of one that is not published yet, the ARN is not known."""
    wanted = [layer_arn or layer] if layer else []
    if live.layers == wanted:
        return ()
    return (Difference("layers", [layer_name(arn) for arn in live.layers], [layer] if layer else []),)


def _as_parameters(configuration: dict[str, Any]) -> dict[str, Any]:
    if "Environment" not in configuration:
        return dict(configuration)
    return {**configuration, "Environment": {"Variables": configuration["Environment"]}}


def _layers(aws: Aws, layer: str | None, layer_arn: str | None) -> list[str]:
    if layer is None:
        return []
    return [layer_arn or required_arn(aws, layer)]


def _code(aws: Aws, spec: FunctionSpec, package: Package) -> dict[str, Any]:
    if len(package.content) <= DIRECT_UPLOAD:
        return {"ZipFile": package.content}
    key = f"{spec.name}-{package.sha256.translate(str.maketrans('+/=', '-__'))}.zip"
    return upload(aws, spec.artifact_bucket, key, package.content)


def _wait_until_ready(aws: Aws, name: str) -> None:
    """Wait until Lambda has made the change. Raises AwsError with Lambda's reason where it could not."""

    def ended() -> dict[str, Any] | None:
        now: dict[str, Any] = aws.call("lambda", "get_function", also_retry=_NEW, FunctionName=name)["Configuration"]
        pending = now.get("State") == "Pending" or now.get("LastUpdateStatus") == "InProgress"
        return None if pending else now

    state = aws.wait_until(ended, f"Function {name} is ready")
    for status, reason in (("State", "StateReason"), ("LastUpdateStatus", "LastUpdateStatusReason")):
        if state.get(status) == "Failed":
            raise AwsError(f"Lambda could not set up {name}: {state.get(reason) or 'no reason given'}.", code="Failed")
