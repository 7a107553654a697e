"""Published versions of a function: published, checked before they go live, and deleted when they are old."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.error_messages import function_failure
from lambda_toolkit.aws.retries import UPDATE_FACTOR
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.errors import AwsError, CheckError
from lambda_toolkit.spec.model import Kind

KIND = Kind.VERSIONS
KEPT = 5
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new resource is not known everywhere yet


def publish(aws: Aws, function: str, sha256: str, revision: str | None) -> Mapping[str, Any]:
    """Publish $LATEST and return the version's configuration.

    ``sha256`` is the hash of its code (base64, as Lambda's CodeSha256), ``revision`` its RevisionId once it was ready.
    Lambda publishes a new version only where $LATEST differs from the newest: publishing twice returns the same number.
    Raises AwsError where $LATEST is no longer that, because another deployment changed it.

    https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
    """
    guard: dict[str, Any] = {"RevisionId": revision} if revision else {}
    try:
        return aws.call("lambda", "publish_version", FunctionName=function, CodeSha256=sha256, **guard)
    except AwsError as error:
        if error.code == "PreconditionFailedException" or "CodeSHA256" in str(error):
            raise overtaken(function) from error
        raise


def delete_failed(aws: Aws, function: str) -> None:
    """Delete the newest version where Lambda could not set it up: publishing the same again would return it."""
    for number in published(aws, function)[-1:]:
        found = aws.find("lambda", "get_function", FunctionName=function, Qualifier=number) or {}
        if found.get("Configuration", {}).get("State") == "Failed" and number not in _named(aws, function):
            aws.find("lambda", "delete_function", FunctionName=function, Qualifier=number)


def overtaken(function: str) -> AwsError:
    """The error of a deployment that another one overtook."""
    return AwsError(
        f"{function} was changed while it was deployed, perhaps by another deployment. What is live was not changed "
        "by this one. Deploy again.",
        code="ResourceConflictException",
    )


def published(aws: Aws, function: str) -> list[str]:
    """The numbers of the published versions, ascending."""
    listed = aws.list_all("lambda", "list_versions_by_function", "Versions", FunctionName=function)
    return sorted((str(item["Version"]) for item in listed if item["Version"] != "$LATEST"), key=int)


def exists(aws: Aws, function: str, version: str) -> bool:
    """Whether ``function`` has that version."""
    return aws.find("lambda", "get_function_configuration", FunctionName=function, Qualifier=version) is not None


def wait_until_active(aws: Aws, function: str, version: str) -> None:
    """Wait until the version can be invoked. Raises AwsError with Lambda's reason where that failed."""

    def ended() -> dict[str, Any] | None:
        # Lambda allows 100 GetFunction calls a second, and 15 of all its other control-plane calls together
        answer = aws.call("lambda", "get_function", also_retry=_NEW, FunctionName=function, Qualifier=version)
        now: dict[str, Any] = answer["Configuration"]
        return None if now.get("State") == "Pending" else now

    state = aws.wait_until(ended, f"Version {version} of {function} is active", factor=UPDATE_FACTOR)
    if state.get("State") == "Failed":
        reason = state.get("StateReason") or "no reason given"
        raise AwsError(f"Lambda could not set up version {version} of {function}: {reason}.", code="Failed")


def check(aws: Aws, function: str, version: str, event: Mapping[str, Any], timeout: float = 0.0) -> None:
    """Invoke the version with ``event``. Raises CheckError with the function's own message where it fails.

    Retried for ``timeout`` seconds: the permissions of a new role take a while to be in effect.
    """
    started, pause = aws.clock.now(), 1.0
    while True:
        problem = _problem(aws, function, version, event)
        if problem is None:
            return
        if aws.clock.now() - started + pause > timeout:
            raise CheckError(f"Version {version} of {function} fails its check: {problem.rstrip('.')}.")
        aws.clock.sleep(pause)
        pause *= 2


def plan_pruning(aws: Aws, function: str, upcoming: str | None) -> list[Change]:
    """The change that deletes all versions but the last five and those that an alias points to.

    ``upcoming`` is the version that will be live; ``None`` where it is not published yet.
    """
    existing = published(aws, function)
    kept = KEPT if upcoming in existing else KEPT - 1
    old = existing[:-kept]
    if not old:
        return []
    named = _named(aws, function) | {upcoming}
    old = [version for version in old if version not in named]
    if not old:
        return []

    def delete(executor_aws: Aws) -> None:
        # Read again: where an earlier deploy published a version and was interrupted, there is one fewer to delete.
        named_now = _named(executor_aws, function)
        for version in published(executor_aws, function)[:-KEPT]:
            if version in old and version not in named_now:
                executor_aws.find("lambda", "delete_function", FunctionName=function, Qualifier=version)

    after: frozenset[Key] = frozenset({(Kind.FUNCTION, function)})
    return [Change(KIND, function, "delete", (f"{', '.join(old)}: the last {KEPT} are kept",), after, apply=delete)]


def _named(aws: Aws, function: str) -> set[str | None]:
    """The versions that any alias routes calls to."""
    aliases = aws.list_all("lambda", "list_aliases", "Aliases", FunctionName=function)
    return {
        str(version)
        for alias in aliases
        for version in (
            alias["FunctionVersion"],
            *((alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or ()),
        )
    }


def _problem(aws: Aws, function: str, version: str, event: Mapping[str, Any]) -> str | None:
    """The function's error in one line; ``None`` where it handled the event.

    Asked once more where no answer came: other than most invocations, a check may run twice.
    """
    try:
        answer = _invoke(aws, function, version, event)
    except AwsError as error:
        if not error.unanswered:
            raise
        aws.clock.sleep(1.0)
        answer = _invoke(aws, function, version, event)
    text = answer["Payload"].read().decode(errors="replace")
    return function_failure(text).text if answer.get("FunctionError") else None


def _invoke(aws: Aws, function: str, version: str, event: Mapping[str, Any]) -> dict[str, Any]:
    return aws.call(
        "lambda", "invoke", also_retry=_NEW, FunctionName=function, Qualifier=version, Payload=json.dumps(event)
    )
