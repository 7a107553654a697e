"""The Lambda function itself: code and configuration, each written only where it differs, and released as a version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.aws import Aws
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.errors import AwsError
from lambda_toolkit.limits import DIRECT_UPLOAD
from lambda_toolkit.model import FunctionSpec
from lambda_toolkit.ownership import desired_tags, is_owned, missing_tags, require_owned
from lambda_toolkit.package import Package
from lambda_toolkit.resources import alias, permission, release, version
from lambda_toolkit.resources.alias import LiveAlias, Release
from lambda_toolkit.resources.difference import described, differing
from lambda_toolkit.resources.layer import layer_name, required_arn, upload
from lambda_toolkit.resources.log_group import group_name
from lambda_toolkit.resources.role import role_arn, role_name

KIND = "function"
_UNSHOWN = ("Environment",)  # its values may be nobody's business
_NEW = ("ResourceNotFoundException",)  # what was made a moment ago is not known everywhere


@dataclass(frozen=True)
class LiveFunction:
    """A function as AWS has it."""

    configuration: dict[str, Any] = field(repr=False)
    tags: dict[str, str]

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
    require_owned(KIND, spec.name, live.tags, adopt=spec.adopt, function=spec.name)
    shape = _live_configuration(live)
    changed = differing(shape, desired)
    layers_differ = live.layers != ([layer_arn] if layer_arn else [layer] if layer else [])
    code_differs = live.configuration.get("CodeSha256") != package.sha256
    architecture_differs = (live.configuration.get("Architectures") or ["x86_64"]) != [spec.architecture]
    configuration_differs = bool(changed) or layers_differ
    upload_differs = code_differs or architecture_differs
    latest_differs = configuration_differs or upload_differs
    released = live_alias is not None and live_alias.holds(digest)
    alias_detail = None if released else release.difference(live_alias, digest, latest_differs=latest_differs)
    tags = desired_tags(spec.tags, spec.name)
    new_tags = missing_tags(live.tags, tags)
    details = (
        *(["code changes"] if code_differs else []),
        *([f"architecture: {spec.architecture}"] if architecture_differs else []),
        *(
            [f"layers: {', '.join(map(layer_name, live.layers)) or 'none'} -> {layer or 'none'}"]
            if layers_differ
            else []
        ),
        *described(shape, desired, changed, _UNSHOWN),
        *([alias_detail] if alias_detail else []),
        *([f"tags: {', '.join(sorted(new_tags))}"] if new_tags else []),
    )
    if not details:
        return []
    known = _known_version(aws, spec.name, live_alias, digest)
    unaliased = not released and bool(permission.read_unaliased(aws, spec.name))

    def update(aws: Aws) -> None:
        published = known
        if configuration_differs:
            parameters = _as_parameters({key: desired[key] for key in changed})
            if layers_differ:
                parameters["Layers"] = _layers(aws, layer, layer_arn)
            aws.call("lambda", "update_function_configuration", FunctionName=spec.name, **parameters)
        if configuration_differs and (upload_differs or not released):
            _wait_until_ready(aws, spec.name)
        if upload_differs:
            answer = aws.call(
                "lambda",
                "update_function_code",
                FunctionName=spec.name,
                Architectures=[spec.architecture],
                Publish=known is None,
                **_code(aws, spec, package),
            )
            published = known or str(answer["Version"])
        if new_tags:
            aws.call("lambda", "tag_resource", Resource=aws.arn("lambda", f"function:{spec.name}"), Tags=new_tags)
        if released:
            if latest_differs:
                _wait_until_ready(aws, spec.name)
            return
        published = published or version.publish(aws, spec.name, package.sha256)
        release.take_over(aws, spec, live_alias, Release(published, digest, unaliased, package.stamp))

    pruning: list[Change] = []
    if not released and live_alias is not None:
        pruning = version.plan_pruning(aws, spec.name, known)
    return [Change(KIND, spec.name, "update", details, after, apply=update), *pruning]


def _as_released(package: Package, spec: FunctionSpec, live: LiveFunction, released: Release) -> Package:
    """``package``, known by what is live where that was made of the same sources with bytecode as good or better."""
    same_architecture = (live.configuration.get("Architectures") or ["x86_64"]) == [spec.architecture]
    return (
        package.as_deployed(str(live.configuration.get("CodeSha256")), released.code) if same_architecture else package
    )


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
        release.take_over(aws, spec, None, Release(str(made["Version"]), digest, code=package.stamp))

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
        "Description": spec.description,
        "Timeout": spec.timeout,
        "MemorySize": spec.memory,
        "Environment": dict(spec.environment),
    }


def _live_configuration(live: LiveFunction) -> dict[str, Any]:
    known = live.configuration
    return {
        **known,
        "Description": known.get("Description") or "",
        "Environment": (known.get("Environment") or {}).get("Variables", {}),
    }


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
        now = aws.call("lambda", "get_function_configuration", also_wait_for=_NEW, FunctionName=name)
        pending = now.get("State") == "Pending" or now.get("LastUpdateStatus") == "InProgress"
        return None if pending else now

    state = aws.settle(ended, f"Function {name} is ready")
    for status, reason in (("State", "StateReason"), ("LastUpdateStatus", "LastUpdateStatusReason")):
        if state.get(status) == "Failed":
            raise AwsError(f"Lambda could not set up {name}: {state.get(reason) or 'no reason given'}.", code="Failed")
