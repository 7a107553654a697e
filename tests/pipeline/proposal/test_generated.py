"""Whatever schema a database has, what is proposed for it is read, fits, and is created by a real server."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.mirror import MIRROR_FILE, read_mirror, to_json, with_mirror
from lambda_toolkit.pipeline.config.schema.table_keys import SOURCE, WAREHOUSE
from lambda_toolkit.pipeline.config.schema.toml_reader import Problems, read_table
from lambda_toolkit.pipeline.lambdas.extract.source.unique_key import column_types, key_problems
from lambda_toolkit.pipeline.lambdas.shared.conversions import refused_columns
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Table
from lambda_toolkit.pipeline.proposal.mirror import mirrored
from lambda_toolkit.pipeline.proposal.propose import Proposal, proposal_of
from lambda_toolkit.pipeline.proposal.read_catalog import read_catalog
from lambda_toolkit.pipeline.warehouse.column_types import with_types
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from lambda_toolkit.pipeline.warehouse.verification import differences
from tests.pipeline.proposal.schemas import BEFORE, schemas
from tests.support.repository import CONFIG

CLEAN = "DROP SCHEMA IF EXISTS public, pipeline CASCADE; CREATE SCHEMA public"
EMPTY = replace(
    load(CONFIG / "pipeline.toml"), declared={"source": {}, "warehouse": {}}, mirrored=("*",)
)  # a pipeline that declares a mirror and nothing else


@pytest.fixture(scope="module")
def databases(module_database: Any) -> tuple[Connection, Connection]:
    return module_database(BEFORE), module_database("")


def declared(proposal: Proposal) -> Declarations:
    """As the functions get it; every key is one that pipeline.toml may have."""
    document = tomllib.loads(proposal.pipeline_toml)
    problems = Problems(__file__)
    for section, table in (("source", SOURCE), ("warehouse", WAREHOUSE)):
        for name, entry in document[section].items():
            read_table(problems, f"{section}.{name}", entry, table)
    problems.raise_all()
    return parse(with_types(document, proposal.warehouse_sql, "warehouse.sql"))


def check(source: Connection, warehouse: Connection, catalog: Catalog) -> None:
    proposal = proposal_of(catalog)
    declarations = declared(proposal)
    assert set(declarations.source) == {table.name for table in catalog.readable}
    assert {table.source for table in declarations.warehouse.values()} - {None} == set(declarations.source)
    tables = declarations.source.values()
    assert key_problems(source, tables) == (), "extract takes every key"
    assert list(refused_columns(declarations, column_types(source, tables))) == [], "and every type"
    prepare(warehouse, proposal.warehouse_sql, declarations)
    assert differences(warehouse, proposal.warehouse_sql, declarations) == ()


def check_mirror(warehouse: Connection, catalog: Catalog) -> None:
    """The mirror is created as well, and follows the source from a day on which each table lacked a column."""
    before = replace(catalog, tables=tuple(map(without_last_column, catalog.tables)))
    first = mirrored(before, ["*"], {}, (), None).mirror
    later = mirrored(catalog, ["*"], {}, (), first).mirror
    assert later == mirrored(catalog, ["*"], {}, (), later).mirror, "what is up to date stays as it is"
    for mirror in (first, later):
        with TemporaryDirectory() as folder:
            (Path(folder) / "config").mkdir()
            (Path(folder) / MIRROR_FILE).write_text(to_json(mirror), encoding="utf-8")
            assert read_mirror(Path(folder)) == mirror
        pipeline = with_mirror(EMPTY, mirror)
        declarations = parse(with_types(pipeline.tables, str(pipeline.mirror), "mirror"), parse_expression)
        prepare(warehouse, str(pipeline.mirror), declarations, alter=True)
        assert differences(warehouse, str(pipeline.mirror), declarations) == ()
        for table in mirror.tables:
            assert declarations.warehouse[table.name].source == table.source
            read = [each.column for each in declarations.warehouse[table.name].columns.values()]
            assert sorted(read) == sorted(column.source for column in table.columns)


def without_last_column(table: Table) -> Table:
    """``table`` without the last of its columns that is in no unique index; itself where all do."""
    keyed = {name for index in table.indexes for name in index.columns}
    last = next((column.name for column in reversed(table.columns) if column.name not in keyed), None)
    return replace(table, columns=tuple(column for column in table.columns if column.name != last))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(statements=schemas())
def test_what_is_proposed_fits_and_can_be_created(databases, statements):
    source, warehouse = databases
    source.run("BEGIN")
    try:
        try:
            source.run(statements)
        except DatabaseError:
            return  # two tables whose keys would have the same name, and the like
        source.run("COMMIT")
        catalog = read_catalog(source)
        assert read_catalog(source) == catalog
        assert proposal_of(catalog) == proposal_of(catalog)
        if catalog.readable:
            check(source, warehouse, catalog)
            warehouse.run(CLEAN)
            check_mirror(warehouse, catalog)
    finally:
        source.run("ROLLBACK")
        source.run(
            "DO $$ DECLARE t text; BEGIN FOR t IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname = 'public' LOOP EXECUTE 'DROP TABLE IF EXISTS ' || t || ' CASCADE'; END LOOP; END $$"
        )
        warehouse.run(CLEAN)
