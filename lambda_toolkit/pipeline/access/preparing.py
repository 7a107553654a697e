"""What `prepare`, or the function ``access`` for it, does with a connection to the warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambda_toolkit.pipeline.access.messages import Prepared
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames
from lambda_toolkit.pipeline.lambdas.shared.duckdb.connection import DuckdbConnection
from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.warehouse import duckdb_preparation
from lambda_toolkit.pipeline.warehouse.alteration import alterations
from lambda_toolkit.pipeline.warehouse.ddl import statements
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from lambda_toolkit.pipeline.warehouse.verification import differences


def prepared(
    connection: Connection,
    schema: str,
    tables: Mapping[str, Any],
    warehouse: SchemaNames,
    *,
    alter: bool,
    later: str = "",
) -> Prepared:
    """Creates what ``warehouse`` lacks of ``schema``, its CREATE TABLE statements, and of the declared ``tables``.

    With ``alter``, tables are altered where that loses nothing. ``later``: a schema of which the alterations are named
    and not run. Raises DeclarationError and WarehouseError, and then nothing is changed.
    """
    declared = declarations.parse(tables, parse_expression)
    wanted = statements(later) if later and not alter else ()
    if isinstance(connection, DuckdbConnection):
        done = duckdb_preparation.prepare(connection, schema, declared, warehouse, alter=alter)
        found = duckdb_preparation.differences(connection, schema, declared, warehouse)
        more = [each.shown for each in duckdb_preparation.alterations(connection, wanted, warehouse)]
    else:
        done = prepare(connection, schema, declared, warehouse, alter=alter)
        found = differences(connection, schema, declared, warehouse)
        more = [each.shown for each in alterations(connection, wanted, warehouse)]
    explained = [*done.refused, *(text for text in found if not any(text in refused for refused in done.refused))]
    return Prepared(
        created=tuple(done.created),
        replaced=tuple(done.replaced),
        altered=tuple(done.altered),
        alterations=tuple(dict.fromkeys((*done.alterations, *more))),
        differences=tuple(explained),
    )
