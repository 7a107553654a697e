"""``prepare``: creates what the warehouse lacks, and names every difference from what the configuration expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lambda_toolkit.pipeline.commands.shared.options import DONE, FAILED, Request, with_request
from lambda_toolkit.pipeline.commands.shared.target import Target
from lambda_toolkit.pipeline.config.deployment import schema_sql, secret_value
from lambda_toolkit.pipeline.config.model import Pipeline, SecretDeclaration
from lambda_toolkit.pipeline.errors import CommandError

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import Warehouse
    from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials


@click.command("prepare")
@with_request
def command(request: Request) -> int:
    """Create what the warehouse lacks: the tables of config/warehouse.sql, the ledger, the views.

    A warehouse that someone else prepared is left as it is: every difference is named, and the exit code is 1.
    """
    target = request.target()
    document = prepare(target)
    for name in document["created"]:
        request.screen.say(f"+ {name}", color="green")
    for difference in document["differences"]:
        request.screen.say(f"! {difference}", color="red", bold=True)
    if document["differences"]:
        request.screen.say("The warehouse differs from config/warehouse.sql; nothing of it was changed.")
    elif not document["created"]:
        request.screen.say("The warehouse has everything.")
    request.screen.document(document)
    return FAILED if document["differences"] else DONE


def prepare(target: Target, warehouse: Warehouse | None = None) -> dict[str, Any]:
    """Prepares the warehouse of ``target``, or another in the same database.

    Returns what was created and what differs, by name.
    """
    from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE
    from lambda_toolkit.pipeline.lambdas.shared import declarations
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
    from lambda_toolkit.pipeline.warehouse.preparation import prepare as create
    from lambda_toolkit.pipeline.warehouse.verification import differences

    pipeline = target.pipeline
    schema = schema_sql(pipeline)
    tables = declarations.parse(pipeline.tables)
    with postgres.connected(warehouse_credentials(target)) as connection:
        created = create(connection, schema, tables, warehouse or LIVE)
        return {"created": created, "differences": list(differences(connection, schema, tables, warehouse or LIVE))}


def warehouse_credentials(target: Target) -> Credentials:
    """How to reach the warehouse: the URL in the environment, or else what Secrets Manager holds.

    Raises CommandError where there is neither.
    """
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres

    secret = _warehouse_secret(target.pipeline)
    if target.environ.get(secret.environment):
        where = f"the environment variable {secret.environment}"
        return postgres.Credentials.from_json(secret_value(secret, target.environ) or "", where)
    aws = target.aws()
    name = target.pipeline.expand(secret.template, aws.account_id)
    stored = aws.find("secretsmanager", "get_secret_value", SecretId=name)
    if stored is None:
        raise CommandError(
            f"How to reach the warehouse is not known: {secret.environment} is not set, and the secret {name} "
            f"is not there. Set {secret.environment} to postgresql://user:password@host:port/database and try again."
        )
    return postgres.Credentials.from_json(stored["SecretString"], f"the secret {name}")


def _warehouse_secret(pipeline: Pipeline) -> SecretDeclaration:
    if "warehouse" not in pipeline.secrets:
        raise CommandError(f"{pipeline.path} declares no [secrets.warehouse]: prepare does not know the warehouse.")
    return pipeline.secrets["warehouse"]
