"""How large the declared tables of a source are, by PostgreSQL's statistics: no table is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lambda_toolkit.pipeline.client.sources.catalogs import CONNECT_TIMEOUT, SOURCE, may_be_read, read_catalogs
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.aws.deployment import tables_json
from lambda_toolkit.pipeline.config.database_url import secret_value, with_authorities
from lambda_toolkit.pipeline.cost.backfill import TableSize
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
from lambda_toolkit.pipeline.lambdas.shared.postgres.free_connections import free_connections
from lambda_toolkit.pipeline.proposal.catalog import Table, listed

_ASSUMED_WIDTH = 16  # bytes of a column whose width is not known
_WIDTHS = {"boolean": 1, "smallint": 2, "integer": 4, "real": 4, "date": 4, "bigint": 8, "double precision": 8}
_ROW_HEADER = 28  # bytes of a row on its page beside its columns: 23, aligned, and the pointer of 4
# Of a table, and of the partitions that it has. reltuples is -1 where the table was never analyzed.
_SIZES = """
SELECT q.number, CASE WHEN min(c.reltuples) >= 0 THEN sum(c.reltuples)::bigint END,
  sum(pg_relation_size(c.oid))::bigint, sum(c.relpages)::bigint,
  (SELECT sum(s.avg_width * (1 - s.null_frac)) FROM pg_catalog.pg_stats AS s
   WHERE s.schemaname = q.schema AND s.tablename = q.name AND s.inherited = (r.relkind = 'p'))
FROM unnest(CAST(:schemas AS text[]), CAST(:names AS text[])) WITH ORDINALITY AS q(schema, name, number)
JOIN pg_catalog.pg_class AS r ON r.oid = to_regclass(quote_ident(q.schema) || '.' || quote_ident(q.name))
JOIN LATERAL (SELECT r.oid AS relid WHERE r.relkind <> 'p'
  UNION ALL SELECT t.relid FROM pg_partition_tree(r.oid) AS t WHERE t.isleaf AND r.relkind = 'p') AS p ON true
JOIN pg_catalog.pg_class AS c ON c.oid = p.relid
GROUP BY q.number, q.schema, q.name, r.relkind
"""
_SERVER = "SELECT pg_is_in_recovery(), current_setting('server_version_num')::int"


@dataclass(frozen=True)
class SourceSizes:
    """What is known of the source."""

    tables: tuple[TableSize, ...] = ()
    free_connections: int | None = None
    """None: not known."""
    notes: tuple[str, ...] = ()
    """What is assumed, and what is not known: sentences without their periods."""


def source_sizes(target: Target, given: Mapping[str, int]) -> SourceSizes:
    """The sizes of the declared tables, over a connection, or as the function ``access`` sees them.

    ``given``: rows of tables that take the place of the source's. Where no source is known, these are all, with the
    widths of their columns assumed. Raises CommandError where there is neither, and for a table that is not declared;
    ConfigurationError for a URL that is not one; ConnectionFailedError.
    """
    declared = declarations.parse(json.loads(tables_json(target.pipeline))).source
    for name in given:
        if name not in declared:
            raise CommandError(f"--rows names {name}, and {target.pipeline.path} declares no [source.{name}].")
    found = _found(target, declared)
    if found is None and not given:
        raise CommandError(
            "Nothing says how large the source is. Set the variable that has its URL, "
            f"{_environment(target)}, or name the rows: --rows sales_order=1000000000."
        )
    if found is not None and not found.tables and not given:
        raise CommandError(f"Nothing says how large the source is: {'; '.join(found.notes)}. Or use --rows TABLE=ROWS.")
    known = found or SourceSizes(notes=("the source was not asked: rows as given, columns of 16 bytes",))
    tables = {table.name: table for table in known.tables}
    for name, rows in given.items():
        before = tables.get(name)
        width = before.row_bytes if before and before.row_bytes else _ASSUMED_WIDTH * _COLUMNS
        size = int(rows * (width + _ROW_HEADER))
        tables[name] = TableSize(name, rows, width, size, size // 8192)
    return replace(known, tables=tuple(tables.values()))


_COLUMNS = 5  # assumed of a table that is not known: 80 bytes, somewhat more than the rows that were measured


def _environment(target: Target) -> str:
    secret = target.pipeline.secrets.get(SOURCE)
    return secret.environment if secret and secret.environment else "of [secrets.source]"


def _found(target: Target, declared: Mapping[str, SourceTable]) -> SourceSizes | None:
    if not may_be_read(target):
        return None
    secret = target.pipeline.secrets[SOURCE]
    text = secret_value(secret, target.environ).text
    if text:
        where = f"the environment variable {secret.environment}"
        credentials = postgres.Credentials.from_json(with_authorities(secret, text), where, "the source")
        with postgres.connected(credentials, connect_timeout=CONNECT_TIMEOUT) as connection:
            return read_sizes(connection, declared)
    schemas = tuple(dict.fromkeys(table.schema for table in declared.values()))
    found = read_catalogs(target, schemas)
    if found is None or isinstance(found, str):
        raise CommandError(f"The source could not be read: {found}")
    tables, notes = [], ["the function `access` saw the source: widths of columns are those of their types"]
    unknown = []
    for name, source in declared.items():
        table = found.catalogs[source.schema].by_name.get(source.relation)
        if table is None or table.estimated_rows is None:
            unknown.append(name)
        else:
            tables.append(_by_types(name, table, table.estimated_rows))
    if unknown:
        notes.append(_without_statistics(unknown))
    return SourceSizes(tuple(tables), None, tuple(notes))


def _without_statistics(names: list[str]) -> str:
    return f"not in it, as the source has no statistics of them, which ANALYZE there makes: {listed(names)}"


def read_sizes(connection: postgres.Connection, declared: Mapping[str, SourceTable]) -> SourceSizes:
    """What the server of ``connection`` says of the ``declared`` tables. Raises DatabaseError."""
    names = list(declared)
    rows = connection.rows(
        _SIZES,
        schemas=[declared[name].schema for name in names],
        names=[declared[name].relation for name in names],
    )
    is_standby, version = connection.rows(_SERVER)[0]
    free = free_connections(connection)
    notes, tables, unknown = [], [], []
    sizes = {names[number - 1]: rest for number, *rest in rows}
    for name in names:
        count, size, pages, width = sizes.get(name, (None, 0, 0, None))
        if count is None:
            unknown.append(name)
            continue
        on_page = max(size / count - _ROW_HEADER, 1.0) if count else 0.0
        tables.append(TableSize(name, count, float(width) if width else on_page, size, pages))
    if unknown:
        notes.append(_without_statistics(unknown))
    if is_standby:
        notes.append("the source is a standby: it may cancel a long read, unless hot_standby_feedback is on")
    if version < 140_000:
        notes.append("the source is older than PostgreSQL 14: readers cannot divide a table there")
        free = 0
    return SourceSizes(tuple(tables), free, tuple(notes))


def _by_types(name: str, table: Table, rows: int) -> TableSize:
    width = sum(_WIDTHS.get(column.base_type, _ASSUMED_WIDTH) for column in table.columns)
    size = rows * (width + _ROW_HEADER)
    return TableSize(name, rows, width, size, size // 8192)
