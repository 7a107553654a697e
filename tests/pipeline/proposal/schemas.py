"""Schemas of any shape, as hypothesis draws them: the statements that create one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import strategies as st

from lambda_toolkit.pipeline.lambdas.shared.model.declarations import RESERVED_COLUMNS
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql

BEFORE = """
    CREATE EXTENSION citext; CREATE EXTENSION hstore;
    CREATE TYPE mood AS ENUM ('sad', 'a "happy" one', 'it''s');
    CREATE TYPE pair AS (a int, b text);
    CREATE DOMAIN d_amount AS numeric(12,4); CREATE DOMAIN d_price AS d_amount CHECK (VALUE >= 0);
    CREATE DOMAIN d_document AS jsonb; CREATE DOMAIN d_moody AS mood; CREATE DOMAIN d_year AS smallint;
    CREATE DOMAIN d_born AS date; CREATE DOMAIN "Odd (domain)[]" AS text;
"""
TYPES = (
    *("smallint", "integer", "bigint", "numeric", "numeric(10,2)", "numeric(40,3)", "numeric(5,-2)", "real"),
    *("double precision", "money", "boolean", "text", "varchar", "varchar(20)", "char", "char(3)", "name", '"char"'),
    *("date", "timestamp", "timestamp(3)", "timestamptz", "time", "time(2)", "timetz", "interval", "interval(3)"),
    *("interval year to month", "interval day to second(2)", "uuid", "bytea", "json", "jsonb", "xml", "inet", "cidr"),
    *("macaddr", "macaddr8", "bit", "bit(8)", "varbit(9)", "tsvector", "tsquery", "point", "box", "polygon", "circle"),
    *("int4range", "tstzrange", "nummultirange", "oid", "xid", "regclass", "pg_lsn", "jsonpath", "pg_snapshot"),
    *("integer[]", "numeric(6,2)[]", "text[][]", "mood[]", "d_price[]", "timestamptz[]", "money[]", "json[]"),
    *(
        "citext",
        "hstore",
        "citext[]",
        "mood",
        "pair",
        "d_amount",
        "d_price",
        "d_document",
        "d_moody",
        "d_year",
        "d_born",
        '"Odd (domain)[]"',
    ),
)
KEY_TYPES = (
    "integer",
    "bigint",
    "smallint",
    "uuid",
    "text",
    "varchar(40)",
    "mood",
    "d_year",
    "numeric",
    "timestamptz",
    "citext",
)
_PLAIN = ("id", "name", "code", "order", "select", "user", "created_at", "last_update", "amount", "valid_from", "Name")
_ODD = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs", "Co", "Cn")),
    min_size=1,
    max_size=12,
).filter(lambda name: len(name.encode()) <= 63)
_LONG = st.sampled_from(("x" * 63, "é" * 31, "Long Name With Blanks " + "y" * 41))
_TRAPS = ('a"b', "a.b", "a b", "$name", "$$", "a'b", "a\\b", "a\nb", "#", "]", "dim_date", "history_x", "current_x")
NAMES = st.one_of(
    st.sampled_from(_PLAIN), st.sampled_from(_TRAPS), st.sampled_from(RESERVED_COLUMNS), _ODD, _LONG
).filter(lambda name: name not in ("ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"))


@dataclass
class DrawnTable:
    """A table: its columns with their types, its key, and what else CREATE TABLE says of it."""

    name: str
    columns: dict[str, str]
    key: tuple[str, ...]
    constraints: list[str] = field(default_factory=list)
    comment: str | None = None

    def statements(self) -> str:
        """The statements that create it."""
        quoted = str(sql.identifier(self.name))
        lines = [f"{sql.identifier(name)} {kind}" for name, kind in self.columns.items()] + self.constraints
        comment = f"COMMENT ON TABLE {quoted} IS {sql.constant(self.comment)};" if self.comment else ""
        return f"CREATE TABLE {quoted} ({', '.join(lines)});{comment}"


@st.composite
def schemas(draw: Callable, most: int = 7) -> str:
    """The statements that create a schema of up to ``most`` tables, after BEFORE."""
    names = draw(st.lists(NAMES, min_size=3, max_size=most, unique=True))
    tables: list[DrawnTable] = []
    for name in names:
        columns = {
            column: draw(st.sampled_from(TYPES))
            for column in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
        }
        keyed = draw(st.sampled_from((0, 1, 1, 1, 1, 1, 2, 2)))
        key = tuple(draw(st.permutations(list(columns)))[:keyed])
        columns |= {column: draw(st.sampled_from(KEY_TYPES)) for column in key}
        table = DrawnTable(name, columns, key, comment=draw(st.none() | _ODD))
        if key:
            kind = draw(st.sampled_from(("PRIMARY KEY", "PRIMARY KEY", "UNIQUE")))
            table.constraints.append(f"{kind} ({sql.columns(key)})")
        for column in draw(st.lists(st.sampled_from(list(columns)), unique=True, max_size=3)):
            table.constraints.append(f"CHECK ({sql.identifier(column)} IS NOT NULL)")
            table.columns[column] += " NOT NULL"
        targets = [other for other in (*tables, table) if other.key]
        for number in range(draw(st.integers(0, 4)) if targets else 0):
            other = draw(st.sampled_from(targets))
            columns = [
                f"ref {number} {part}. {key[:9]}" if draw(st.booleans()) else f"ref_{number}_{part}_id"
                for part, key in enumerate(other.key)
            ]
            for column, key in zip(columns, other.key, strict=True):
                kind = other.columns[key].removesuffix(" NOT NULL")
                table.columns[column] = kind + draw(st.sampled_from(("", " NOT NULL")))
            table.constraints.append(
                f"FOREIGN KEY ({sql.columns(columns)}) REFERENCES {sql.identifier(other.name)}"
                f" ({sql.columns(other.key)})"
            )
        tables.append(table)
    return "".join(table.statements() for table in tables)
