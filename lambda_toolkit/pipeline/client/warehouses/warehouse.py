"""The warehouse of a pipeline, from outside: its preparation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.warehouses.reader import warehouse_of
from lambda_toolkit.pipeline.config.aws.deployment import schema_sql

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames


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

    later = schema_sql(source.pipeline) if source and not alter else ""
    schema = schema_sql(target.pipeline)
    done = warehouse_of(target).prepare(target.pipeline, schema, warehouse or LIVE, alter=alter, later=later)
    return done.to_json()
