"""The credentials of the warehouse of a pipeline, for a machine that reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.aws.role_policy import secret_id
from lambda_toolkit.pipeline.config.database_url import connection_json, secret_value, with_authorities
from lambda_toolkit.pipeline.config.model import Pipeline, SecretDeclaration
from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials


def warehouse_credentials(target: Target) -> Credentials:
    """The credentials of the warehouse: the URL in the environment, or else the secret in Secrets Manager.

    The latter alone where others manage the secret.

    Raises CommandError where there is neither.
    """
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres

    secret = _warehouse_secret(target.pipeline)
    if secret.iam:
        connection = with_authorities(secret, connection_json(secret))
        sign = target.aws().client("rds").generate_db_auth_token
        return postgres.Credentials.by_iam(
            connection, sign, f"IAM authentication, [secrets.{secret.name}]", "the warehouse"
        )
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
