"""Whole databases of three shapes, from ``init --from`` to a warehouse that equals SQL on the source.

A rental shop, a music shop and a trading company, with generated data. Each file of ``shapes`` has the statements that
create one, and after each line ``-- day`` those of a day, which is one run of extract.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import CALENDAR, WarehouseTable
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import Expression
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from tests.pipeline.proposal.mirrored_project import Project, mirrored_project
from tests.pipeline.proposal.test_star import url

SHAPES = {path.stem: path.read_text(encoding="utf-8") for path in Path(__file__).with_name("shapes").glob("*.sql")}


@pytest.fixture
def sessions():
    with contextlib.ExitStack() as stack:
        yield lambda to: stack.enter_context(connect(to))


def expected_query(project: Project, table: WarehouseTable) -> str:
    """What a declaration means, in SQL on the source: no code of the pipeline is used for it."""
    source, joins = project.declarations().source, ""
    for alias, join in table.joins.items():
        mine, parent = sql.identifier(f"of {alias}"), sql.identifier(f"of {join.parent}" if join.parent else "t")
        pairs = zip(join.on, source[join.table].keys, strict=True)
        on = " AND ".join(f"{parent}.{sql.identifier(one)} = {mine}.{sql.identifier(two)}" for one, two in pairs)
        joins += f" LEFT JOIN {sql.identifier(join.table)} AS {mine} ON {on}"
    values = []
    for expression in table.columns.values():
        assert isinstance(expression, Expression)
        of = sql.identifier(f"of {expression.table}" if expression.table else "t")
        value = f"{of}.{sql.identifier(expression.column)}"
        # The time zone of the session is UTC.
        values.append({None: f"{value}::text", "date": f"{value}::date::text"}[expression.function])
    return f"SELECT {', '.join(values)} FROM {sql.identifier(str(table.source))} AS t{joins}"


def compare_star(project: Project) -> None:
    declared = project.declarations()
    for table in declared.warehouse.values():
        if table.kind == CALENDAR:
            continue
        columns = ", ".join(f"{sql.identifier(name)}::text" for name in table.columns)
        found = project.warehouse.rows(f"SELECT {columns} FROM {sql.table(sql.bounded(f'current_{table.name}'))}")
        wanted = project.source.rows(expected_query(project, table))
        assert sorted(found, key=str) == sorted(wanted, key=str), table.name
    assert project.warehouse.rows("SELECT * FROM pipeline.pending_row") == []
    rejected = project.warehouse.rows("SELECT * FROM pipeline.rejected_value")
    assert rejected == []


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_proposed_star_equals_the_source(shape, database, buckets, sessions, tmp_path):
    schema, *days = SHAPES[shape].split("-- day\n")
    source, warehouse = database(schema), database()
    environ = {"SOURCE_DATABASE_URL": url(source), "WAREHOUSE_DATABASE_URL": url(warehouse)}
    arguments = ["init", str(tmp_path / shape), "--from", "SOURCE_DATABASE_URL"]
    assert CliRunner().invoke(deploy.main, arguments, env=environ).exit_code == 0
    project = Project(tmp_path / shape, sessions(source), sessions(warehouse), environ, buckets)
    project.prepare()
    project.run(compare=compare_star)
    for day in days:
        project.source.run(day)
        project.run(compare=compare_star)


SCHEMAS = """
    CREATE SCHEMA sales; CREATE SCHEMA "Human Resources"; CREATE TABLE public.skipped (id int PRIMARY KEY);
    CREATE TABLE sales.customer (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE sales.orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES sales.customer, due date,
        total int);
    CREATE TABLE "Human Resources".customer (id int PRIMARY KEY, note text);
    INSERT INTO sales.customer VALUES (1, 'one'), (2, 'two'); INSERT INTO "Human Resources".customer VALUES (1, 'x');
    INSERT INTO sales.orders VALUES (1, 1, '2024-01-01', 5), (2, 2, NULL, 6);
"""


def test_schemas_that_are_asked_for_are_proposed(database, buckets, sessions, tmp_path):
    source, warehouse = database(SCHEMAS), database()
    environ = {"SOURCE_DATABASE_URL": url(source), "WAREHOUSE_DATABASE_URL": url(warehouse)}
    arguments = ["init", str(tmp_path / "several"), "--from", "SOURCE_DATABASE_URL"]
    nothing = CliRunner().invoke(deploy.main, [*arguments, "--schema", "no such"], env=environ)
    assert "The schema sales is not read (2 tables and views): init --schema sales reads it." in nothing.stderr
    both = [*arguments, "--schema", "sales", "--schema", "Human Resources"]
    assert CliRunner().invoke(deploy.main, [*both, "--mirror"], env=environ).exit_code == 2
    result = CliRunner().invoke(deploy.main, both, env=environ)
    assert result.exit_code == 0, result.output
    assert "The schema public is not read (1 tables and views)" in result.output
    project = Project(tmp_path / "several", sessions(source), sessions(warehouse), environ, buckets)
    project.prepare()
    declared = project.declarations()
    assert {name: (table.schema, table.relation) for name, table in declared.source.items()} == {
        "Human Resources_customer": ("Human Resources", "customer"),
        "orders": ("sales", "orders"),
        "sales_customer": ("sales", "customer"),
    }
    project.run(compare=lambda _: None)
    rows = project.warehouse.rows("SELECT id, customer_id, due::text, total FROM current_fact_orders ORDER BY 1")
    assert rows == [[1, 1, "2024-01-01", 5], [2, 2, None, 6]]
    assert project.warehouse.rows("SELECT name FROM current_dim_sales_customer ORDER BY 1") == [["one"], ["two"]]
    assert project.warehouse.rows("SELECT note FROM current_dim_human_resources_customer") == [["x"]]


@pytest.mark.parametrize("shape", ["music", "trading"])  # test_mirror.py has a rental shop
def test_a_mirror_equals_the_source(shape, database, buckets, sessions, tmp_path):
    schema, *days = SHAPES[shape].split("-- day\n")
    project = mirrored_project(tmp_path / shape, database(schema), database(), sessions, buckets)
    project.prepare()
    project.run()
    for day in days:
        project.source.run(day)
        project.run()
