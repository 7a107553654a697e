"""A function's URL: an HTTPS endpoint of the alias ``live``, and the permissions without which it answers 403.

Since October 2025 a caller needs two permissions, lambda:InvokeFunctionUrl and lambda:InvokeFunction; the second is
given for calls through the URL alone. A URL has no tags: the toolkit's is the one with its statements in the alias's
policy. For ``AWS_IAM`` they name the function's own account, which decides by its policies who may call.

https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Difference
from lambda_toolkit.errors import Advice, Hint, OwnershipError
from lambda_toolkit.resources.planning import alias, invoke_permission
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.function_url import BUFFERED, PUBLIC, STREAMED, Cors, FunctionUrl
from lambda_toolkit.spec.model import FunctionSpec, Kind

KIND = Kind.FUNCTION_URL
DEPLOYER_ACTIONS = DeployerActions(
    "FunctionUrls",
    "lambda",
    ("CreateFunctionUrlConfig", "DeleteFunctionUrlConfig", "GetFunctionUrlConfig", "UpdateFunctionUrlConfig"),
)
_STATEMENTS = f"{invoke_permission.PREFIX}url-"
_CORS = {  # by the field of a declaration
    "origins": "AllowOrigins",
    "methods": "AllowMethods",
    "headers": "AllowHeaders",
    "exposed_headers": "ExposeHeaders",
    "credentials": "AllowCredentials",
    "max_age": "MaxAge",
}
_EXISTS = ("ResourceConflictException",)
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new alias is not known everywhere yet
_EVERYONE = "everyone on the internet may call it"


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """The function and its alias, where a URL is declared."""
    return [] if spec.url is None else [arns.arn("lambda", f"function:{spec.name}"), alias.arn(arns, spec.name)]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """None: whoever calls the URL needs a permission, the function needs none."""
    return ()


def prefetch(context: Context) -> Prefetch:
    """The URL and the invoke permissions of a function that exists, where a URL is declared."""
    reads, name = context.reads, context.spec.name
    if context.spec.url is None or not reads.is_listed(name):
        return Prefetch({})
    return Prefetch({}, [lambda: reads.grants(name), lambda: _read(context)])


def plan(context: Context) -> list[Change]:
    """The change that brings the URL to ``context.spec``. Raises OwnershipError for a URL of others."""
    spec, wanted = context.spec, context.spec.url
    if wanted is None:
        return []
    exists = context.live() is not None
    live = _read(context) if exists else None
    grants = _grants(context) if exists else ()
    if isinstance(wanted, str):
        return [_removal(context, grants)] if grants else []
    if live is not None and not grants and not spec.adopt:
        raise OwnershipError(
            f"The alias `{alias.LIVE}` of `{spec.name}` has a URL already, {live['FunctionUrl']}, which this toolkit "
            "did not create, so it is left unchanged.",
            advice=Advice(Hint.ADOPT),
        )
    needed = _permissions(wanted, context.reads.account_id)
    missing = [key for key in needed if key not in grants]
    stale = [key for key in grants if key not in needed]
    settings = _compare(live, wanted) if live is not None else ()
    found = (
        *settings,
        *(Difference("permission", None, f"{needed[key]['Action']} for {needed[key]['Principal']}") for key in missing),
        *(Difference("permission", key.removeprefix(invoke_permission.PREFIX), None) for key in stale),
    )
    if live is not None and not found:
        return []

    def apply(executor_aws: Aws) -> str:
        if settings and not wanted.is_public:  # first it is closed
            _update(executor_aws, spec.name, wanted)
        for key in missing:
            invoke_permission.add(executor_aws, spec.name, key, **needed[key])
        if live is None:
            _create(executor_aws, spec.name, wanted)
        elif settings and wanted.is_public:
            _update(executor_aws, spec.name, wanted)
        # Last: by its statements a URL is known to be ours. Those for everyone hold for auth NONE alone.
        invoke_permission.revoke(executor_aws, spec.name, stale)
        return address(executor_aws, spec.name)

    after = frozenset({context.function_key})
    if live is None:
        return [Change(KIND, spec.name, "create", _shown(wanted), after, apply=apply)]
    opened = (_EVERYONE,) if wanted.is_public and settings else ()
    return [Change(KIND, spec.name, "update", opened, after, found, apply=apply)]


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """The removal of a URL that is no longer declared: it is found by the toolkit's statements."""
    if context.spec.url is not None or not tagged or not context.function_is_ours():
        return []
    grants = _grants(context)
    return [_removal(context, grants)] if grants else []


def plan_removal(context: Context) -> list[Change]:
    """None: it is deleted with the function."""
    return []


def notes(context: Context) -> list[str]:
    """That a URL is public, and what a streamed response needs."""
    url, name = context.spec.url, context.spec.name
    if url is None or isinstance(url, str):
        return []
    found = []
    if url.is_public:
        found.append(f"the url of {name} is public (auth {PUBLIC}): {_EVERYONE}, and each call is paid for")
    if url.invoke_mode == STREAMED:
        found.append(
            f"the url of {name} has invoke_mode {STREAMED}: a handler of Lambda's own Python runtime returns its "
            "response as a whole; to stream, the function needs a web server behind the Lambda Web Adapter"
        )
    return found


def address(aws: Aws, function: str) -> str:
    """The URL of the alias ``live``; empty where it has none. Raises AwsError."""
    live = aws.find("lambda", "get_function_url_config", FunctionName=function, Qualifier=alias.LIVE)
    return str(live["FunctionUrl"]) if live else ""


def _read(context: Context) -> Mapping[str, Any] | None:
    name = context.spec.name
    return context.reads.once(
        ("url", name),
        lambda: context.aws.find("lambda", "get_function_url_config", FunctionName=name, Qualifier=alias.LIVE),
    )


def _grants(context: Context) -> tuple[str, ...]:
    """The ids of our statements about the URL."""
    return tuple(key for key in context.reads.grants(context.spec.name) if key.startswith(_STATEMENTS))


def _permissions(url: FunctionUrl, account: str) -> dict[str, dict[str, Any]]:
    """The statements that a caller needs, by their ids."""
    who = "*" if url.is_public else account
    kind = url.auth.lower().replace("_", "-")
    return {
        f"{_STATEMENTS}{kind}": {
            "Action": "lambda:InvokeFunctionUrl",
            "Principal": who,
            "FunctionUrlAuthType": url.auth,
        },
        f"{_STATEMENTS}{kind}-invoke": {
            "Action": "lambda:InvokeFunction",
            "Principal": who,
            "InvokedViaFunctionUrl": True,  # and not by Invoke itself
        },
    }


def _as_declared(cors: Cors) -> dict[str, Any]:
    """In the form in which two are compared: HTTP knows no case of a header's name, and lists have no order."""
    return {
        "origins": sorted(cors.origins),
        "methods": sorted(cors.methods),
        "headers": sorted(header.lower() for header in cors.headers),
        "exposed_headers": sorted(header.lower() for header in cors.exposed_headers),
        "credentials": cors.credentials,
        "max_age": cors.max_age,
    }


def _live_cors(live: Mapping[str, Any]) -> Cors:
    found = {field: live[name] for field, name in _CORS.items() if live.get(name) is not None}
    return Cors.of(found)


def _compare(live: Mapping[str, Any], wanted: FunctionUrl) -> tuple[Difference, ...]:
    known = {"auth": live.get("AuthType"), "invoke_mode": live.get("InvokeMode") or BUFFERED}
    declared = {"auth": wanted.auth, "invoke_mode": wanted.invoke_mode}
    cors = differences(_as_declared(_live_cors(live.get("Cors") or {})), _as_declared(wanted.cors), within="cors")
    return (*differences(known, declared), *cors)


def _settings(function: str, url: FunctionUrl) -> dict[str, Any]:
    """The parameters of a URL. An empty CORS removes what was set."""
    values = {name: getattr(url.cors, field) for field, name in _CORS.items()}
    cors = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}
    return {
        "FunctionName": function,
        "Qualifier": alias.LIVE,
        "AuthType": url.auth,
        "InvokeMode": url.invoke_mode,
        "Cors": cors,
    }


def _create(aws: Aws, function: str, url: FunctionUrl) -> None:
    settings = _settings(function, url)
    if aws.create("lambda", "create_function_url_config", exists=_EXISTS, also_retry=_NEW, **settings) is None:
        _update(aws, function, url)  # an attempt that was not answered had created it


def _update(aws: Aws, function: str, url: FunctionUrl) -> None:
    aws.call("lambda", "update_function_url_config", **_settings(function, url))


def _removal(context: Context, grants: Sequence[str]) -> Change:
    name = context.spec.name

    def delete(executor_aws: Aws) -> None:
        executor_aws.find("lambda", "delete_function_url_config", FunctionName=name, Qualifier=alias.LIVE)
        invoke_permission.revoke(executor_aws, name, grants)  # last: by them, the rest can be found

    return Change(KIND, name, "delete", apply=delete)


def _shown(url: FunctionUrl) -> tuple[str, ...]:
    cors = {name: value for name, value in _as_declared(url.cors).items() if value}
    return (
        f"auth {url.auth}" + (f": {_EVERYONE}" if url.is_public else ""),
        *([f"invoke_mode {url.invoke_mode}"] if url.invoke_mode != BUFFERED else []),
        *(f"cors.{name} {value}" for name, value in cors.items()),
    )
