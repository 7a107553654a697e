"""The warehouse of a pipeline, from outside: its credentials, and its preparation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.database_url import connection_json, secret_value, with_authorities
from lambda_toolkit.pipeline.config.deployment import schema_sql
from lambda_toolkit.pipeline.config.model import Pipeline, SecretDeclaration
from lambda_toolkit.pipeline.config.role_policy import secret_id
from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames
    from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials


def prepare(
    target: Target, warehouse: SchemaNames | None = None, *, alter: bool = False, source: Target | None = None
) -> dict[str, Any]:
    """Create what the warehouse of ``target`` lacks, or another one in the same database.

    With ``alter``, tables are altered where that loses nothing. ``source``: ``target`` with the mirror that
    the source would have. Returns ``{"created": names, "replaced": names of views, "altered": statements,
    "alterations": statements that were not run, those that ``source`` takes included, "differences": sentences}``.
    Raises CommandError and PipelineError.
    """
    from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
    from lambda_toolkit.pipeline.lambdas.shared import declarations
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
    from lambda_toolkit.pipeline.warehouse.alteration import alterations
    from lambda_toolkit.pipeline.warehouse.ddl import statements
    from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
    from lambda_toolkit.pipeline.warehouse.preparation import prepare as create
    from lambda_toolkit.pipeline.warehouse.verification import differences

    pipeline = target.pipeline
    schema = schema_sql(pipeline)
    tables = declarations.parse(pipeline.tables, parse_expression)
    with postgres.connected(warehouse_credentials(target)) as connection:
        done = create(connection, schema, tables, warehouse or LIVE, alter=alter)
        found = differences(connection, schema, tables, warehouse or LIVE)
        wanted = statements(schema_sql(source.pipeline)) if source and not alter else ()
        later = [each.shown for each in alterations(connection, wanted, warehouse or LIVE)]
    explained = [*done.refused, *(text for text in found if not any(text in refused for refused in done.refused))]
    return {
        "created": done.created,
        "replaced": done.replaced,
        "altered": done.altered,
        "alterations": list(dict.fromkeys((*done.alterations, *later))),
        "differences": explained,
    }


def warehouse_credentials(target: Target) -> Credentials:
    """The credentials of the warehouse: the URL in the environment, or else the secret in Secrets Manager.

    The latter alone where others manage the secret.

    Raises CommandError where there is neither.
    """
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres

    secret = _warehouse_secret(target.pipeline)
    if not secret.read and target.environ.get(secret.environment):
        where = f"the environment variable {secret.environment}"
        text = secret_value(secret, target.environ).text or ""
        return postgres.Credentials.from_json(with_authorities(secret, text), where, "the warehouse")
    aws = target.aws()
    name = secret_id(target.pipeline, secret, aws.account_id)
    stored = aws.find("secretsmanager", "get_secret_value", SecretId=name)
    if stored is None and secret.read:
        raise CommandError(f"There is no secret {name}, which `arn` in [secrets.{secret.name}] names.")
    if stored is None:
        raise CommandError(
            f"The warehouse's credentials are unknown: {secret.environment} is not set, and there is no secret {name}. "
            f"Set {secret.environment} to postgresql://user:password@host:port/database and try again."
        )
    text = with_authorities(secret, stored.get("SecretString", ""))
    connection = with_authorities(secret, connection_json(secret))
    return postgres.Credentials.from_json(text, f"the secret {name}", "the warehouse", connection)


def _warehouse_secret(pipeline: Pipeline) -> SecretDeclaration:
    if "warehouse" not in pipeline.secrets:
        raise CommandError(f"{pipeline.path} declares no [secrets.warehouse], which names the warehouse's credentials.")
    return pipeline.secrets["warehouse"]
