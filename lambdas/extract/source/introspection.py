"""Reads PostgreSQL's catalog: what the source's tables are made of. Any user may do that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ...shared.conversions import DATES
from ...shared.model.declarations import SourceTable
from ...shared.postgres import sql
from ...shared.postgres.connection import Connection
from .catalog import Column, Relation, TableInfo
from .unique_key import BASE_TYPE, DECLARED, by_table, places

_TREE = sql.compose(  # name and root: of the table; oid: of itself, and of each table that is a part of it
    "$declared, tree AS (SELECT name, oid AS root, oid FROM declared"
    " UNION SELECT tree.name, tree.root, i.inhrelid FROM tree"
    " JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.oid)",
    declared=DECLARED,
)
# of_type: a column's type; part: itself, and each type that its values are made of. Most are base types, which are made
# of no other; those of the system's columns are, too, and a dropped column has none.
_TYPES = sql.Fragment(
    "types AS (SELECT a.atttypid AS of_type, a.atttypid AS part FROM tree"
    " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = tree.oid"
    " JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid AND (t.typtype <> 'b' OR t.typelem <> 0)"
    " UNION SELECT types.of_type, inner_type.oid FROM types JOIN pg_catalog.pg_type AS t ON t.oid = types.part"
    " CROSS JOIN LATERAL (SELECT t.typelem UNION ALL SELECT t.typbasetype"
    # A multirange's column came with PostgreSQL 14.
    " UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range AS r"
    " WHERE t.oid IN (r.rngtypid, CAST(to_jsonb(r) ->> 'rngmultitypid' AS oid))"
    " UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a"
    " WHERE a.attrelid = t.typrelid) AS inner_type(oid)"
    " WHERE inner_type.oid <> 0)"
)
_PARTITIONS = sql.compose(
    "WITH RECURSIVE $tree SELECT tree.name, c.relname, c.relkind FROM tree"
    " JOIN pg_catalog.pg_class AS c ON c.oid = tree.oid ORDER BY c.oid <> tree.root, c.oid",
    tree=_TREE,
)
_RELATIONS = sql.compose(
    "WITH RECURSIVE $tree SELECT tree.name, array_agg(tree.oid::bigint ORDER BY tree.oid),"
    " coalesce(sum(pg_table_size(tree.oid)), 0)::bigint,"
    " row_security_active(root) FROM tree GROUP BY tree.name, root",
    tree=_TREE,
)
# What makes a column the one that it is, in the table and in each of its parts: its number, which DROP, ADD and RENAME
# change; its type, and those of a composite type's attributes; the expression that generates it. A length, precision
# or scale does not matter: where another one changes values, PostgreSQL writes the rows again. varchar is text.
_COLUMNS = sql.compose(
    "WITH RECURSIVE $tree, $types, composites AS (SELECT of_type, string_agg("
    "concat_ws('.', a.attrelid, a.attnum, a.atttypid), ' ' ORDER BY a.attrelid, a.attnum) AS attributes"
    " FROM types JOIN pg_catalog.pg_type AS t ON t.oid = types.part JOIN pg_catalog.pg_attribute AS a"
    " ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped GROUP BY of_type)"
    " SELECT tree.name, a.attname,"
    " max($base_type) FILTER (WHERE tree.oid = root),"
    " left(encode(sha256(convert_to(string_agg(jsonb_build_array(tree.oid::bigint, a.attnum,"
    " CASE a.atttypid WHEN 'varchar'::regtype THEN 'text'::regtype ELSE a.atttypid END::oid::bigint,"
    " composites.attributes, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))::text, '\n' ORDER BY tree.oid),"
    " 'UTF8')), 'hex'), 32)"
    " FROM tree JOIN pg_catalog.pg_attribute AS a ON a.attrelid = tree.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " LEFT JOIN composites ON composites.of_type = a.atttypid"
    " LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated <> ''"
    " GROUP BY tree.name, a.attname HAVING bool_or(tree.oid = root)"
    " ORDER BY max(a.attnum) FILTER (WHERE tree.oid = root)",
    tree=_TREE,
    types=_TYPES,
    base_type=BASE_TYPE,
)
_ENUM_LABELS = sql.compose(
    "WITH RECURSIVE $tree, $types SELECT DISTINCT tree.name, e.oid::text, e.enumlabel FROM tree"
    " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = tree.oid"
    " JOIN types ON types.of_type = a.atttypid JOIN pg_catalog.pg_enum AS e ON e.enumtypid = types.part",
    tree=_TREE,
    types=_TYPES,
)
# Years before 1 and after 9999, which an index on the column finds.
_FAR_DATES = (
    "SELECT EXISTS (SELECT FROM $table AS t WHERE (t.$key > '-infinity' AND t.$key < '0001-01-01')"
    " OR (t.$key >= '10000-01-01' AND t.$key < 'infinity'))"
)


def partitions(connection: Connection, tables: Collection[SourceTable]) -> dict[str, tuple[Relation, ...]]:
    """Each of ``tables`` with its partitions, the table first; empty for a table that does not exist."""
    found = by_table(connection.rows(_PARTITIONS, **places(tables)))
    return {table.name: tuple(Relation(name, kind) for name, kind in found[table.name]) for table in tables}


def introspect(connection: Connection, tables: Collection[SourceTable]) -> dict[str, TableInfo]:
    """Name -> what the catalog says of each of ``tables``."""
    named = places(tables)
    columns = by_table(connection.rows(_COLUMNS, **named))
    labels = by_table(connection.rows(_ENUM_LABELS, **named))
    relations = {name: rest for name, *rest in connection.rows(_RELATIONS, **named)}
    found = {}
    for table in tables:
        oids, size, row_security = relations.get(table.name, ((), 0, False))
        found[table.name] = TableInfo(
            table.name,
            table.keys,
            tuple(Column(name, kind, identity, name in table.keys) for name, kind, identity in columns[table.name]),
            relation_oids=tuple(oids),
            bytes=int(size),
            enum_labels=dict(labels[table.name]),
            row_security=row_security,
            location=table.sql_name,
        )
    return {name: _with_order(connection, info) for name, info in found.items()}


def _with_order(connection: Connection, info: TableInfo) -> TableInfo:
    """``info``, with ``sorts_as_text`` of the dates and timestamps in the key."""
    columns = [
        replace(column, sorts_as_text=_has_far_dates(connection, info.sql_name, column.name))
        if column.is_key and column.base_type in DATES
        else column
        for column in info.columns
    ]
    return replace(info, columns=tuple(columns))


def _has_far_dates(connection: Connection, table: sql.Fragment, column: str) -> bool:
    query = sql.compose(_FAR_DATES, key=sql.identifier(column), table=table)
    return bool(connection.rows(query)[0][0])
