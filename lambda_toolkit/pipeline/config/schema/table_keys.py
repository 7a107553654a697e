"""The keys of ``pipeline.toml`` about the tables of the source and of the warehouse.

See :mod:`.keys` for what is made of them.
"""

from __future__ import annotations

from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type
from lambda_toolkit.pipeline.lambdas.shared.model.calendar import ATTRIBUTES, Calendar
from lambda_toolkit.pipeline.lambdas.shared.postgres.credentials import DUCKDB
from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA

POSTGRESQL = "postgresql"

SOURCE = Table(
    "source.<table>",
    "A table of the source database. All its columns are ingested.",
    (
        Key(
            "key",
            Type.STRING_OR_STRINGS,
            "The column that is its key, or a list of the columns that together are.",
            '["order_id", "line_no"]',
            required=True,
        ),
        Key(
            "deletes",
            Type.STRING,
            "How often keys are compared to find deleted rows: `every run`, `never`, or an interval such as `1 hour`.",
            '"30 minutes"',
            absent="as often as the table's size permits",
        ),
        Key(
            "compare",
            Type.STRING,
            "How changed rows are found: by the transaction that wrote them, or by comparing their content, for "
            "tables whose rows carry no transaction.",
            '"content"',
            default="transactions",
            choices=("transactions", "content"),
        ),
        Key(
            "fresh_within",
            Type.STRING,
            "How soon the warehouse shall have each change of this table ([freshness](freshness.md)).",
            '"1 day"',
            absent="the shortest of the warehouse tables made of it",
        ),
        Key("schema", Type.STRING, "The schema that it is in.", '"sales"', default=SCHEMA),
        Key(
            "table",
            Type.STRING,
            "Its name in the database, where that is not `<table>`: so two schemas may have a table of the same name.",
            '"Order Details"',
            absent="`<table>`",
        ),
    ),
)
MIRROR = Table(
    "warehouse",
    "The warehouse. Beside its tables, which tables of the source it has as they are ([mirror](mirror.md)).",
    (
        Key(
            "mirror",
            Type.STRINGS,
            "The tables of the source that become warehouse tables as they are, with every version: names with `*` and "
            "`?`; one that begins with `!` excludes. The last that fits a table counts.",
            '["*", "!audit_*"]',
            default=(),
        ),
        Key(
            "engine",
            Type.STRING,
            "What the warehouse is: a database of a PostgreSQL server, or a DuckDB file on the machine of the embedded "
            "stack ([DuckDB](duckdb.md)).",
            '"duckdb"',
            default=POSTGRESQL,
            choices=(POSTGRESQL, DUCKDB),
        ),
        Key(
            "path",
            Type.STRING,
            'With `engine = "duckdb"`: the file, relative to the folder of the project.',
            '"warehouse.duckdb"',
            default=".local/warehouse.duckdb",
        ),
    ),
)
VERSION = Table(
    "warehouse.<table>.versions.<column>",
    "Of a fact: a column that load fills with the surrogate key of a dimension's version, the one that was valid at "
    "the batch of the fact's own version.",
    (
        Key("of", Type.STRING, "The dimension, which has `history = true`.", '"dim_customer"', required=True),
        Key(
            "by",
            Type.STRING_OR_STRINGS,
            "The columns of the fact that have the dimension's `key`, in its order.",
            '"customer_id"',
            required=True,
        ),
    ),
)
WAREHOUSE = Table(
    "warehouse.<table>",
    "A table of the warehouse. The types of its columns are in `config/warehouse.sql`.",
    (
        Key(
            "kind",
            Type.STRING,
            "`dimension`: the latest row only, unless `history` is true. `fact`: every version of a row, numbered by "
            "`record`. `calendar`: every date that a fact names.",
            '"fact"',
            required=True,
            choices=("calendar", "dimension", "fact"),
        ),
        Key(
            "key",
            Type.STRING_OR_STRINGS,
            "The column that identifies a row of the source, or a list of them in the order of the source's `key`.",
            '"sales_order_id"',
            required=True,
        ),
        Key("from", Type.STRING, "The source table. Required, except of a calendar.", '"sales_order"'),
        Key(
            "record",
            Type.STRING,
            "The surrogate key: the column that numbers the versions. A fact requires it, and a dimension with "
            "`history`.",
            '"record_id"',
        ),
        Key(
            "versions",
            Type.NAMED_TABLES,
            "Of a fact: columns with the version of a dimension that was valid at the batch of the fact's own version.",
            '{ customer_key = { of = "dim_customer", by = "customer_id" } }',
            default={},
            table=VERSION,
        ),
        Key(
            "history",
            Type.BOOLEAN,
            "Whether a dimension keeps every version of a row, with the columns `record`, `valid_from`, `valid_to` and "
            "`is_current`, which load fills.",
            "true",
            default=False,
        ),
        Key(
            "join",
            Type.JOINS,
            "Further source tables, each with the column of `from` that contains its key. With `table`, `on` (a list "
            "for a key of several columns) and `from` (another alias) instead, a table is joined under an "
            "[alias](extending.md#joins): more than once, along a path, or to itself. Where no row is found, its "
            "columns are NULL.",
            '{ department = "department_id" }',
            default={},
        ),
        Key(
            "where",
            Type.STRING,
            "The rows that it has: a condition of SQL ([filters](expressions.md#filters)). A row that stops matching "
            "is deleted from the present, and stays in the history.",
            "\"status <> 'draft'\"",
            absent="every row",
        ),
        Key(
            "columns",
            Type.STRING_TABLE,
            "Its columns: `column`, `alias.column` of a join, `date(c)`, `time(c)`, `decimal(c, p, s)`, "
            "`currency_name(c)`, or any [expression](expressions.md) of SQL. Required, except of a calendar, whose "
            "columns may be any of " + ", ".join(f"`{name}`" for name in ATTRIBUTES) + ".",
            '{ staff_id = "staff_id", location = "department.location" }',
            default={},
        ),
        Key(
            "fresh_within",
            Type.STRING,
            "How soon it shall have each change of the tables that it is made of ([freshness](freshness.md)).",
            '"5 minutes"',
            absent="that of `[pipeline]`",
        ),
        Key(
            "fiscal_year_start",
            Type.INTEGER,
            "Of a calendar: the month that begins a fiscal year, which has the number of the year that it ends in.",
            "4",
            default=Calendar.fiscal_year_start,
        ),
        Key(
            "first_day",
            Type.STRING,
            "Of a calendar: it has every day from this one to that of the last batch, whether or not rows name them.",
            '"2020-01-01"',
            absent="only days that rows name, or that `days_ahead` adds",
        ),
        Key(
            "days_ahead",
            Type.INTEGER,
            "Of a calendar: how many days after the day of a batch (UTC) it has.",
            "730",
            absent="only days that rows name, or that `first_day` adds",
        ),
    ),
)
