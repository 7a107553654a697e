"""The source of a pipeline, from outside: what extract would refuse, and what changed there since the last batch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.client.lake import last_manifest
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.database_url import secret_value, with_authorities
from lambda_toolkit.pipeline.config.deployment import tables_json

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.pipeline.client import source_review

SOURCE = "source"  # the name of its secret
INGESTION = "ingestion"  # the name of the bucket that its batches are in
CONNECT_TIMEOUT = 5.0  # seconds: the machine that plans need not reach the source


@dataclass(frozen=True)
class SourceCheck:
    """What a look at the source found."""

    problems: tuple[str, ...] = ()
    """What the next extract would refuse: tables, columns, rights, keys that do not identify rows, and columns whose
    values no column of the warehouse can have."""
    notes: tuple[str, ...] = ()
    """What changed since the last batch, what is not declared, how large the first load is; or why the source could not
    be read. Sentences without their periods."""


def check_source(target: Target, aws: Aws) -> SourceCheck:
    """Looks at the source whose URL is in the environment, as ``deploy`` takes it from there. Reads its catalog only.

    Compares it with the last batch, which it reads from the bucket. Finds nothing where the environment has no URL.
    Raises ConfigurationError for a URL that is not one, DeclarationError, and AwsError.
    """
    secret = target.pipeline.secrets.get(SOURCE)
    text = secret_value(secret, target.environ).text if secret else None
    if not secret or not text:
        return SourceCheck()
    from pg8000.exceptions import DatabaseError, InterfaceError

    from lambda_toolkit.pipeline.client import source_review
    from lambda_toolkit.pipeline.lambdas.extract.source.unique_key import column_types, key_problems
    from lambda_toolkit.pipeline.lambdas.shared import declarations
    from lambda_toolkit.pipeline.lambdas.shared.conversions import refused_columns
    from lambda_toolkit.pipeline.lambdas.shared.errors import ConnectionFailedError
    from lambda_toolkit.pipeline.lambdas.shared.expression.check import refused_expressions
    from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
    from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message
    from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA
    from lambda_toolkit.pipeline.proposal.read_catalog import read_catalog

    declared = declarations.parse(json.loads(tables_json(target.pipeline)))
    tables = declared.source.values()
    where = f"the environment variable {secret.environment}"
    credentials = postgres.Credentials.from_json(with_authorities(secret, text), where)
    try:
        with postgres.connected(credentials, connect_timeout=CONNECT_TIMEOUT) as connection:
            schemas = dict.fromkeys((SCHEMA, *(table.schema for table in tables)))
            catalogs = {schema: read_catalog(connection, schema) for schema in schemas}
            types = column_types(connection, tables)
            keys = key_problems(connection, tables)
    except (ConnectionFailedError, DatabaseError, InterfaceError, OSError) as error:
        reason = message(error) if isinstance(error, DatabaseError) else str(error)
        return SourceCheck(notes=(f"the source was not checked: {reason.rstrip('.')}",))
    before, unread = _last_columns(target, aws)
    load = (str(source_review.first_load(declared, catalogs)),) if before is None and not unread else ()
    refused = (*refused_columns(declared, types), *refused_expressions(declared, types))
    return SourceCheck(
        (*source_review.problems(declared, catalogs, before or {}), *keys, *refused),
        (*source_review.notes(declared, catalogs, before or {}), *load, *unread),
    )


def _last_columns(target: Target, aws: Aws) -> tuple[source_review.Columns | None, tuple[str, ...]]:
    """The columns of each table at the last batch, None where there is none; and why the batch could not be read."""
    from lambda_script import AwsError
    from lambda_toolkit.aws.account import ACCESS_DENIED

    if INGESTION not in target.pipeline.buckets:
        return None, ()
    bucket = target.pipeline.bucket_name(INGESTION, aws.account_id)
    try:
        last = last_manifest(aws, bucket)
    except AwsError as error:
        if error.code in ACCESS_DENIED:  # the printed policies for a deploy, or a plan, do not allow to read data
            return None, (f"the source was not compared with the last batch: s3://{bucket} may not be read",)
        raise
    return ({name: table["columns"] for name, table in last["tables"].items()} if last else None), ()
