"""Which AWS a command talks to: the one that the environment points at, or the local stack on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import WEBHOOK, FunctionDeclaration, Pipeline, SecretDeclaration
from lambda_toolkit.pipeline.config.schema.trigger_keys import without_triggers
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.pipeline.local_stack.description import Stack

LOCAL_STAGE = "local"
# The file that exists while the local stack is started. Repeated here, because local_stack.description, which reads it,
# imports a database driver that a command about AWS need not wait for.
DRIVER_VARIABLE = "DUCKDB_PACKAGES"  # as lambdas/shared/duckdb has it, which needs a database driver
DIRECTORY, STACK_FILE = ".local", "stack.json"
SHELL_VARIABLE = "LAMBDA_SCRIPT_STACK"  # `local env` exports it: the folder of the stack that the others point at
_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


@dataclass(frozen=True)
class Target:
    """The pipeline for one stage, and the environment that deploying it reads."""

    pipeline: Pipeline
    environ: Mapping[str, str]
    is_local: bool

    def aws(self) -> Aws:
        """The client of this target's AWS.

        For the local stack it uses the stack's endpoint and keys, whatever the process's environment says; for AWS,
        what boto3 finds.
        """
        from lambda_toolkit.aws import Aws

        if not self.is_local:
            return Aws(region=self.pipeline.region)
        import botocore.session

        # Without a variable for the profile: one of the real AWS must not be mixed with the stack's keys.
        session = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        session.set_credentials(self.environ["AWS_ACCESS_KEY_ID"], self.environ["AWS_SECRET_ACCESS_KEY"])
        return Aws(self.pipeline.region, session=session, endpoint_url=self.environ["AWS_ENDPOINT_URL"])


def choose(config: Path, stage: str | None, environ: Mapping[str, str]) -> Target:
    """The target for ``--stage`` and the environment.

    It is the local stack with ``--stage local``, with an ``AWS_ENDPOINT_URL`` of that stack, and, as a convenience,
    when the stack was started and the environment names neither an endpoint nor credentials. Otherwise it is AWS, or
    what ``AWS_ENDPOINT_URL`` names. Raises CommandError for an invalid configuration, and where the environment has the
    exports of a stack that is not up any more, and LocalError for a stack that is not up.
    """
    root = config.resolve().parent.parent
    if stage != LOCAL_STAGE:
        _check_exports(environ)
    if not means_local(root, stage, environ):
        return Target(load(config, stage, environ), environ, is_local=False)
    from lambda_toolkit.pipeline.local_stack.running import load_stack

    return local_target(config, load_stack(root), environ, stage)


def local_target(config: Path, stack: Stack, environ: Mapping[str, str], stage: str | None = None) -> Target:
    """The target of the local ``stack``. Its values replace those of ``environ``."""
    from lambda_toolkit.pipeline.local_stack.description import environment

    merged = {**environ, **environment(stack)}
    declared = load(config, stage or LOCAL_STAGE, merged)
    urls = {"source": stack.source_url, "warehouse": warehouse_url(declared, stack)}
    secrets = {name: _own(secret, urls[name]) if name in urls else secret for name, secret in declared.secrets.items()}
    # Whatever the variables are called: what the shell exports under those names may be production.
    merged |= {secret.environment: urls[name] for name, secret in secrets.items() if name in urls}
    merged |= {secret.environment: stack.slack_url for secret in secrets.values() if secret.kind == WEBHOOK}
    found = with_driver(declared) if declared.warehouse_file else declared
    return Target(replace(without_network(found), secrets=secrets), merged, is_local=True)


def warehouse_url(declared: Pipeline, stack: Stack) -> str:
    """The URL of the warehouse of the local ``stack``: a database, or the file that the configuration declares."""
    file = declared.warehouse_file
    return f"duckdb://{quote(str(file))}" if file else stack.warehouse.url


def with_driver(declared: Pipeline) -> Pipeline:
    """The functions that reach the warehouse with the folder of the package duckdb, which their packages do not have.

    They are processes on this machine, of the same Python. Raises CommandError where it is not installed.
    """
    found = importlib.util.find_spec("duckdb")
    if found is None or found.origin is None:
        raise CommandError(
            f"{declared.path} declares a warehouse in a DuckDB file, and the package duckdb is not installed. Install "
            'it: pip install "lambda-script[duckdb]"'
        )
    driver = {DRIVER_VARIABLE: str(Path(found.origin).parent.parent)}
    functions = {
        name: _with_variables(function, driver) if "warehouse" in function.secrets else function
        for name, function in declared.functions.items()
    }
    return replace(declared, functions=functions)


def _with_variables(function: FunctionDeclaration, variables: Mapping[str, str]) -> FunctionDeclaration:
    environment = {**(function.spec.environment or {}), **variables}
    return replace(function, spec=replace(function.spec, environment=environment))


def refuse_file(target: Target) -> None:
    """Raises CommandError where a function on AWS would have to write into a file of this machine."""
    secret = target.pipeline.secrets.get("warehouse")
    url = target.environ.get(secret.environment, "") if secret is not None else ""
    if target.is_local or not (target.pipeline.warehouse_file or url.startswith("duckdb://")):
        return
    where = f"{secret.environment} names" if secret and not target.pipeline.warehouse_file else "[warehouse] declares"
    raise CommandError(
        f"{target.pipeline.path}: {where} a DuckDB file, and a Lambda function cannot write to a file of this machine. "
        "On AWS the warehouse is a PostgreSQL database. To have the file in the embedded stack alone, declare `engine` "
        "in [stages.local.warehouse]."
    )


def without_network(declared: Pipeline) -> Pipeline:
    """The stack is on this machine: it has no subnets, and no queues and streams of others."""
    functions = {
        name: replace(function, spec=replace(without_triggers(function.spec), vpc=None))
        for name, function in declared.functions.items()
    }
    return replace(declared, functions=functions, common=replace(declared.common, vpc=None))


def _own(secret: SecretDeclaration, url: str) -> SecretDeclaration:
    """The secret as the stack has it: its own, whoever manages AWS's; authorities are for another server alone."""
    from lambda_toolkit.pipeline.config.database_url import credentials
    from lambda_toolkit.pipeline.lambdas.shared.postgres.tls import is_loopback

    values = credentials(url, secret.environment)
    if values["engine"] == "duckdb":
        values["host"] = "localhost"  # a file has no authorities, as a server on this machine has none
    knows = "sslrootcert" in values or is_loopback(str(values["host"])) or str(values["host"]).startswith("/")
    return replace(
        secret,
        template=secret.template or f"{{name}}/{{stage}}/{secret.name}",
        environment=secret.environment or f"{secret.name.upper()}_DATABASE_URL",
        ca=None if knows else secret.ca,
        read=None,
        iam=None,
    )


def _check_exports(environ: Mapping[str, str]) -> None:
    root, endpoint = environ.get(SHELL_VARIABLE), environ.get("AWS_ENDPOINT_URL")
    if not root or not endpoint:
        return
    from lambda_toolkit.pipeline.local_stack.description import read_stack

    stack = Path(root) / DIRECTORY / STACK_FILE
    if stack.is_file() and read_stack(stack).aws_endpoint_url == endpoint:
        return
    again = f'eval "$({suggested("local env")})"' if stack.is_file() else suggested("local up")
    raise CommandError(
        f"This shell has the exports of `local env`, and the local stack at {endpoint} is not up any more. "
        f"For the local stack: {again}. For AWS: open a new shell."
    )


def means_local(root: Path, stage: str | None, environ: Mapping[str, str]) -> bool:
    """Whether the local stack below ``root`` is the target: it was started, even if a part of it has ended since."""
    if stage is not None:
        return stage == LOCAL_STAGE
    started = root / DIRECTORY / STACK_FILE
    if not started.is_file():
        return False
    endpoint = environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        from lambda_toolkit.pipeline.local_stack.description import read_stack

        return endpoint == read_stack(started).aws_endpoint_url
    return not any(environ.get(name) for name in _CREDENTIALS)
