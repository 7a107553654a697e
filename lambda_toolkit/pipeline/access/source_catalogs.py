"""What a command, or the function ``access`` for it, reads of the source's catalog. `plan` waits for it: no Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lambda_toolkit.pipeline.access.messages import Catalogs
from lambda_toolkit.pipeline.lambdas.extract.source.unique_key import column_types, key_problems
from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.proposal.read_catalog import read_catalog
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression


def catalogs(connection: Connection, schemas: Sequence[str], tables: Mapping[str, Any] | None) -> Catalogs:
    """The catalogs of ``schemas`` of the source; the types and keys of the declared ``tables``, where given.

    Reads pg_catalog alone. Raises DeclarationError.
    """
    found = {schema: read_catalog(connection, schema) for schema in dict.fromkeys(schemas)}
    if tables is None:
        return Catalogs(found)
    declared = declarations.parse(tables, parse_expression).source.values()
    return Catalogs(found, column_types(connection, declared), key_problems(connection, declared))
