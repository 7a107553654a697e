"""The source of a pipeline, from outside: what extract would refuse, and what changed there since the last batch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.client.lake import last_manifest
from lambda_toolkit.pipeline.client.sources.catalogs import may_be_read, read_catalogs
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.aws.deployment import tables_json

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.pipeline.client.sources import source_review

INGESTION = "ingestion"  # the name of the bucket that its batches are in


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
    """Looks at the source, as ``client.catalogs`` reads it. Reads its catalog only.

    Compares it with the last batch, which it reads from the bucket. Finds nothing where the environment has no URL, and
    no function reaches the source. Raises ConfigurationError for a URL that is not one, DeclarationError, and AwsError.
    """
    from lambda_toolkit.pipeline.client.sources import source_review
    from lambda_toolkit.pipeline.lambdas.shared.conversions import refused_columns
    from lambda_toolkit.pipeline.lambdas.shared.expression.check import refused_expressions
    from lambda_toolkit.pipeline.lambdas.shared.model import declarations
    from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA

    if not may_be_read(target):
        return SourceCheck()
    declared = declarations.parse(json.loads(tables_json(target.pipeline)))
    schemas = tuple(dict.fromkeys((SCHEMA, *(table.schema for table in declared.source.values()))))
    found = read_catalogs(target, schemas, target.pipeline.tables)
    if found is None:
        return SourceCheck()
    if isinstance(found, str):
        return SourceCheck(notes=(f"the source was not checked: {found.rstrip('.')}",))
    catalogs, types = found.catalogs, found.types
    before, unread = _last_columns(target, aws)
    load = (str(source_review.first_load(declared, catalogs)),) if before is None and not unread else ()
    refused = (*refused_columns(declared, types), *refused_expressions(declared, types))
    return SourceCheck(
        (*source_review.problems(declared, catalogs, before or {}), *found.keys, *refused),
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
