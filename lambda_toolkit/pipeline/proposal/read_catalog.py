"""Reads the catalog of a database: pg_catalog alone, which any user may read.

information_schema would hide constraints, and tables, from a user who has SELECT alone.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lambda_toolkit.pipeline.lambdas.extract.source.unique_key import KeyedTable, by_table, keyed_tables
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, ForeignKey, Table

_GENERATED, _IDENTITY = {"s": "stored", "v": "virtual"}, {"a": "always", "d": "by default"}
_IN_SCHEMA = sql.Fragment(
    "c.relnamespace = to_regnamespace(quote_ident(:schema)) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    " AND NOT c.relispartition"
)
_TREE = sql.compose(  # each table, as root, with all that it is partitioned into
    "tree AS (SELECT c.oid AS root, c.oid, c.relkind FROM pg_catalog.pg_class AS c"
    " WHERE $in_schema UNION SELECT tree.root, c.oid, c.relkind FROM tree"
    " JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.oid"
    " JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relispartition)",
    in_schema=_IN_SCHEMA,
)
_RELATIONS = sql.compose(
    "SELECT c.oid::bigint, c.relname::text, c.relkind::text, obj_description(c.oid, 'pg_class'),"
    " row_security_active(c.oid),"
    # A member of an extension (deptype e) is one of a single extension, and a whole object.
    " (SELECT e.extname::text FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid"
    "  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'),"
    " ARRAY(SELECT a.attname::text FROM pg_catalog.pg_constraint AS k, unnest(k.conkey) WITH ORDINALITY AS u(n, o)"
    "  JOIN pg_catalog.pg_attribute AS a ON a.attnum = u.n WHERE k.conrelid = c.oid AND k.contype = 'p'"
    "  AND a.attrelid = c.oid ORDER BY u.o)"
    " FROM pg_catalog.pg_class AS c WHERE $in_schema ORDER BY c.relname",
    in_schema=_IN_SCHEMA,
)
# A partitioned table has no rows of its own. reltuples is -1 before the first ANALYZE or VACUUM (0 before PostgreSQL
# 14).
_PARTS = sql.compose(
    "WITH RECURSIVE $tree SELECT tree.root::bigint, count(*) FILTER (WHERE tree.oid <> root),"
    " ARRAY(SELECT c.relname::text FROM tree AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.oid"
    "  WHERE t.root = tree.root AND t.oid <> t.root AND t.relkind = 'f' ORDER BY c.relname),"
    " CASE WHEN bool_and(c.reltuples >= 0) THEN sum(c.reltuples)::bigint END"
    " FROM tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.oid WHERE tree.relkind <> 'p' GROUP BY tree.root",
    tree=_TREE,
)
_COLUMNS = sql.compose(
    "WITH RECURSIVE columns AS (SELECT c.oid AS relation, c.relname, a.attnum, a.attname, a.atttypid, a.atttypmod,"
    "  a.attcollation, a.attgenerated, a.attidentity, d.adbin, d.adrelid FROM pg_catalog.pg_class AS c"
    "  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "  LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum"
    "  WHERE $in_schema),"
    " bases AS (SELECT t.oid AS of_type, t.oid AS base, -1 AS modifier, 0 AS level FROM pg_catalog.pg_type AS t"
    "  WHERE t.oid IN (SELECT atttypid FROM columns)"
    "  UNION ALL SELECT b.of_type, t.typbasetype, t.typtypmod, b.level + 1 FROM bases AS b"
    "  JOIN pg_catalog.pg_type AS t ON t.oid = b.base AND t.typtype = 'd'),"
    " base AS (SELECT DISTINCT ON (of_type) of_type, base, modifier, level FROM bases ORDER BY of_type, level DESC)"
    " SELECT k.relname::text, k.attname::text, format_type(k.atttypid, k.atttypmod),"
    " format_type(b.base, CASE WHEN b.level = 0 THEN k.atttypmod ELSE b.modifier END),"
    " k.attgenerated::text, k.attidentity::text, pg_get_expr(k.adbin, k.adrelid),"
    " ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e JOIN pg_catalog.pg_type AS t ON t.oid = b.base"
    "  WHERE e.enumtypid IN (t.oid, t.typelem) ORDER BY e.enumsortorder),"
    " col_description(k.relation, k.attnum),"
    " has_schema_privilege(to_regnamespace(quote_ident(:schema))::oid, 'USAGE')"
    "  AND has_column_privilege(k.relation, k.attnum, 'SELECT'),"
    # A collation that is not deterministic takes different texts for equal; so may a type that an extension made.
    " coalesce((SELECT l.collisdeterministic FROM pg_catalog.pg_collation AS l WHERE l.oid = k.attcollation), true)"
    "  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS p WHERE p.classid = 'pg_type'::regclass"
    "  AND p.objid = b.base AND p.deptype = 'e')"
    " FROM columns AS k JOIN base AS b ON b.of_type = k.atttypid ORDER BY k.relname, k.attnum",
    in_schema=_IN_SCHEMA,
)
# Of a foreign key to a partitioned table, PostgreSQL has one more for each of its partitions: without those.
_FOREIGN_KEYS = sql.compose(
    "WITH RECURSIVE $tree SELECT tree.root::bigint, tree.oid::bigint,"
    " ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(n, o)"
    "  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.n ORDER BY u.o),"
    " f.relname::text, ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(n, o)"
    "  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.n ORDER BY u.o),"
    # NOT ENFORCED came with PostgreSQL 18.
    " k.convalidated AND coalesce(CAST(to_jsonb(k) ->> 'conenforced' AS boolean), true)"
    " FROM tree JOIN pg_catalog.pg_constraint AS k ON k.conrelid = tree.oid AND k.contype = 'f'"
    " JOIN pg_catalog.pg_class AS f ON f.oid = k.confrelid AND f.relnamespace = to_regnamespace(quote_ident(:schema))"
    " AND NOT f.relispartition WHERE tree.relkind <> 'p' OR tree.oid = tree.root",
    tree=_TREE,
)
_OTHER_SCHEMAS = (
    "SELECT n.nspname::text, count(*) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n"
    " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition"
    " AND n.nspname <> :schema AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
    " GROUP BY n.nspname ORDER BY n.nspname"
)


def read_catalog(connection: Connection, schema: str = sql.SCHEMA) -> Catalog:
    """The catalog of a schema of the connection's database, as of one snapshot.

    Reads no row of any table but pg_catalog's. Needs no right beside CONNECT; what the user may read of each table is a
    part of the result.
    """
    named = {"schema": schema}
    connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        relations = connection.rows(_RELATIONS, **named)
        parts = {root: rest for root, *rest in connection.rows(_PARTS, **named)}
        columns = by_table(connection.rows(_COLUMNS, **named))
        foreign_keys = by_table(connection.rows(_FOREIGN_KEYS, **named))
        others = connection.rows(_OTHER_SCHEMAS, **named)
        keyed = keyed_tables(connection, [SourceTable(name, ("",), schema=schema) for _, name, *_ in relations])
    finally:
        connection.run("ROLLBACK")
    keys = {table.name: table for table in keyed}
    tables = []
    for oid, name, kind, comment, row_security, extension, primary_key in relations:
        partitions, foreign_partitions, rows = parts.get(oid, (0, (), None))
        tables.append(
            Table(
                name,
                kind,
                tuple(_column(keys[name], *column) for column in columns[name]),
                tuple(primary_key),
                keys[name].unique_keys,
                keys[name].indexes,
                _foreign_keys(oid, foreign_keys[oid], partitions),
                partitions,
                tuple(foreign_partitions),
                keys[name].inheriting,
                comment,
                rows,
                row_security,
                extension,
                schema,
            )
        )
    return Catalog(tuple(tables), dict(others))


def read_schemas(connection: Connection, schemas: Sequence[str]) -> Catalog:
    """The catalog of several schemas. A table whose name is in two of them is called ``schema_table``.

    Foreign keys from one schema to another are not in it.
    """
    catalogs = {schema: read_catalog(connection, schema) for schema in dict.fromkeys(schemas)}
    count = Counter(table.name for catalog in catalogs.values() for table in catalog.tables)
    taken, tables = set(count), []
    for schema, catalog in catalogs.items():
        names = {name: name if count[name] == 1 else _made(f"{schema}_{name}", taken) for name in catalog.by_name}
        tables += [
            replace(
                table,
                name=names[table.name],
                relation="" if names[table.name] == table.name else table.name,
                foreign_keys=tuple(replace(key, table=names[key.table]) for key in table.foreign_keys),
            )
            for table in catalog.tables
        ]
    others: dict[str, int] = {}
    for catalog in catalogs.values():
        others |= {schema: number for schema, number in catalog.other_schemas.items() if schema not in catalogs}
    return Catalog(tuple(sorted(tables, key=lambda table: table.name)), dict(sorted(others.items())))


def _made(wanted: str, taken: set[str]) -> str:
    """``wanted``, or where that is taken with a number; it is taken then."""
    names = itertools.chain([wanted], (f"{wanted}_{number}" for number in itertools.count(2)))
    name = next(bounded for bounded in map(sql.bounded, names) if bounded not in taken)
    taken.add(name)
    return name


def _column(
    table: KeyedTable,
    name: str,
    kind: str,
    base: str,
    generated: str,
    identity: str,
    default: str | None,
    labels: list[str],
    comment: str | None,
    readable: bool,
    exact: bool,
) -> Column:
    return Column(
        name,
        kind,
        base,
        name in table.required,
        _GENERATED.get(generated, ""),
        _IDENTITY.get(identity, ""),
        default,
        tuple(labels),
        comment,
        readable,
        exact,
    )


def _foreign_keys(root: int, rows: Iterable[list[Any]], partitions: int) -> tuple[ForeignKey, ...]:
    """Those of the table itself, and those that each of its partitions has, in the order of their columns.

    Before PostgreSQL 11 a partitioned table had none: its partitions have them still.
    """
    having: dict[ForeignKey, set[int]] = defaultdict(set)  # proven or not -> the relations that have it
    for relation, columns, table, references, proven in rows:
        having[ForeignKey(tuple(columns), table, tuple(references), proven)].add(relation)
    found = {key for key, relations in having.items() if root in relations}
    found |= {key for key, relations in having.items() if key.proven and len(relations - {root}) == partitions > 0}
    return tuple(
        sorted(
            (key for key in found if key.proven or replace(key, proven=True) not in found),
            key=lambda key: (key.columns, key.table, key.references),
        )
    )
