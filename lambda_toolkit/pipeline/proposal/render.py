"""A proposal as text: the sections [source] and [warehouse] of pipeline.toml, and warehouse.sql."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from lambda_toolkit.pipeline.lambdas.shared.model.declarations import CALENDAR
from lambda_toolkit.pipeline.lambdas.shared.model.joins import Join
from lambda_toolkit.pipeline.lambdas.shared.postgres.sql import SCHEMA
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Table
from lambda_toolkit.pipeline.proposal.names import one_line, toml_key, toml_text, toml_texts
from lambda_toolkit.pipeline.proposal.star import StarTable
from lambda_toolkit.pipeline.warehouse.written import column_sql, create_table_sql, record_sql, sql_name, sql_names

_WIDTH = 120
_CALENDAR = """\
    date_id      date PRIMARY KEY,
    year         integer NOT NULL,
    month        integer NOT NULL,
    day          integer NOT NULL,
    day_of_week  integer NOT NULL,     -- ISO 8601: Monday 1 to Sunday 7
    day_name     text NOT NULL,
    month_name   text NOT NULL,
    quarter      integer NOT NULL"""


def rule(title: str) -> str:
    """The line of a comment that begins a section."""
    return f"# {'-' * (_WIDTH - 4 - len(title))} {title}"


def comment(*texts: str, mark: str = "#") -> str:
    """The texts as lines of a comment, each text beginning a line."""
    return "".join(
        f"{line}\n"
        for text in texts
        for line in textwrap.wrap(
            one_line(text, longest=None),
            _WIDTH,
            initial_indent=f"{mark} ",
            subsequent_indent=f"{mark} ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def source_toml(catalog: Catalog) -> str:
    """The section ``[source]``: each table that extract can read with its key, and of the others why it cannot."""
    parts = [f"{rule('source')}\n", comment("Every column of these tables is ingested.")]
    parts += [_source_table(table) for table in catalog.readable]
    return "".join((*parts, excluded_toml(catalog)))


def excluded_toml(catalog: Catalog) -> str:
    """What of the database is not among the tables, and why, as comments."""
    texts = [f"Without {name}. {reason}" for name, reason in catalog.excluded.items()]
    texts += [
        f"Without the {count} {'table' if count == 1 else 'tables'} or views of the schema {name}: see init --schema."
        for name, count in catalog.other_schemas.items()
    ]
    return comment(*texts)


def _source_table(table: Table) -> str:
    texts = [table.comment] if table.comment else []
    if table.partitions:
        texts.append(f"It has {table.partitions} partitions, which are read as one table, as are later ones.")
    if not table.primary_key:
        texts.append("It has no primary key: this is the key of a unique index.")
    if table.row_security:
        texts.append(f"Row-level security decides which rows of {table.name} are ingested.")
    lines = [f"[source.{toml_key(table.name)}]", f"key = {toml_texts(table.key)}"]
    lines += [f"schema = {toml_text(table.schema)}"] if table.schema != SCHEMA else []
    lines += [f"table = {toml_text(table.relation)}"] if table.relation else []
    return comment(*texts) + "".join(f"{line}\n" for line in lines)


def mirror_toml(catalog: Catalog, patterns: Sequence[str]) -> str:
    """The section ``[warehouse]`` of a mirror."""
    head = comment(
        "Every table of the source that these patterns mean becomes a warehouse table as it is, with every version of "
        "each row: current_<table> shows the present, history_<table> all versions with their times. mirror.json has "
        "their columns, and follows the source by prepare --alter. Tables of another shape are declared beside it.",
    )
    texts = ", ".join(map(toml_text, patterns))
    return f"{rule('warehouse')}\n{head}\n[warehouse]\nmirror = [{texts}]\n{excluded_toml(catalog)}"


def star_toml(tables: Iterable[StarTable]) -> str:
    """The section ``[warehouse]`` of these tables, each with the reasons for it."""
    head = comment(
        "A proposal: rename, remove and regroup as you like, here and in warehouse.sql. A column is one of the source "
        "table, joined_table.column, or a function of one: date(c), time(c), decimal(c, p, s), currency_name(c).",
        'kind: "dimension" has the latest row only, "fact" every version, numbered by `record`, "calendar" every date '
        "named by a fact. The view current_<table> shows the present, history_<table> every version of a fact.",
    )
    return "\n".join((f"{rule('warehouse')}\n{head}", *map(_warehouse_table, tables)))


def _warehouse_table(table: StarTable) -> str:
    lines = [f"[warehouse.{toml_key(table.name)}]", f"kind = {toml_text(table.kind)}"]
    if table.source is not None:
        lines.append(f"from = {toml_text(table.source)}")
    lines.append(f"key = {toml_texts(table.keys)}")
    if table.record is not None:
        lines.append(f"record = {toml_text(table.record)}")
    lines += _join_lines(table)
    if table.columns:
        lines.append(f"[warehouse.{toml_key(table.name)}.columns]")
        lines += [f"{toml_key(column.name)} = {toml_text(str(column.expression))}" for column in table.columns]
    return comment(*table.comments) + "".join(f"{line}\n" for line in lines)


def _join_lines(table: StarTable) -> list[str]:
    pairs = [f"{toml_key(alias)} = {_join(alias, join)}" for alias, join in table.joins.items()]
    if all(isinstance(join.stored(alias), str) for alias, join in table.joins.items()):
        return [f"join = {{ {', '.join(pairs)} }}"] if pairs else []
    return [f"[warehouse.{toml_key(table.name)}.join]", *pairs]


def _join(alias: str, join: Join) -> str:
    if isinstance(join.stored(alias), str):
        return toml_text(join.on[0])
    parts = [] if alias == join.table else [f"table = {toml_text(join.table)}"]
    parts.append(f"on = {toml_texts(join.on)}")
    parts += [f"from = {toml_text(join.parent)}"] if join.parent is not None else []
    return f"{{ {', '.join(parts)} }}"


def star_sql(tables: Iterable[StarTable]) -> str:
    """The file ``warehouse.sql`` of these tables."""
    head = comment(
        "The tables of the warehouse. Types, NOT NULL and REFERENCES have an effect: rows are checked by them, and a "
        "row waits until the row that it refers to is there.",
        mark="--",
    )
    return "\n".join((head, *map(_create_table, tables)))


def _create_table(table: StarTable) -> str:
    if table.kind == CALENDAR:
        return f"CREATE TABLE {sql_name(table.name)} (\n{_CALENDAR}\n);\n"
    lines = [(record_sql(table.record), "")] if table.record else []
    for column in table.columns:
        text = column_sql(column.name, column.type, required=column.required)
        for reference in table.references:
            if reference.columns == (column.name,):
                text += f" REFERENCES {sql_name(reference.table)}"
        lines.append((text, one_line(column.comment or "")))
    if not table.record:
        lines.append((f"PRIMARY KEY ({sql_names(table.keys)})", ""))
    lines += [
        (
            f"FOREIGN KEY ({sql_names(reference.columns)}) REFERENCES {sql_name(reference.table)} "
            f"({sql_names(reference.keys)})",
            "",
        )
        for reference in table.references
        if len(reference.columns) > 1
    ]
    return create_table_sql(table.name, lines)
