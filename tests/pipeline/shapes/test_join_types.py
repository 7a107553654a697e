"""Joins between columns of different types: what PostgreSQL takes for equal is found, changes of it arrive."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from tests.pipeline.shapes.shape import TEXTS, Shape, SourceTable, Values, numbers
from tests.pipeline.shapes.world import World

TYPES: tuple[tuple[str, Values, str, Values, str], ...] = (
    # The key's type, its values; the same of the column that refers to it; how SQL compares them.
    ("numeric", ("1", "2.00", "1e2"), "numeric", ("1.0", "2", "100.0"), "key = ref"),
    ("numeric", ("1", "2.00", "100"), "int", ("1", "2", "100"), "key = ref"),
    ("int", ("1", "2", "100"), "numeric", ("1.0", "2", "1.5"), "key = ref"),
    ("float8", ("0", "1.5", "'NaN'", "1e20"), "float8", ("-0.0", "1.5", "'NaN'", "1e20"), "key = ref"),
    ("real", ("0.5", "1", "0.1"), "float8", ("0.5", "1", "0.1"), "key = ref"),
    ("char(4)", ("'a'", "'b'", "''"), "text", ("'a'", "'b '", "''"), "key = ref"),
    ("text", ("'a'", "'b'", "'b '"), "char(6)", ("'a'", "'b '", "''"), "key = ref"),
    ("date", ("'2024-01-01'", "'2024-01-02'"), "timestamp", ("'2024-01-01'", "'2024-01-02 0:01'"), "key = ref"),
    ("uuid", ("'00000000-0000-0000-0000-00000000000A'",), "text", TEXTS, "key::text = ref"),
    ("mood", ("'sad'", "'ok'"), "text", ("'sad'", "'ok'", "'x'"), "key::text = ref"),
    ("mood", ("'sad'", "'ok'"), "weather", ("'ok'", "'dry'"), "key::text = ref::text"),
    ("text", ("'sad'", "'ok'", "''"), "mood", ("'sad'", "'ok'"), "key = ref::text"),
    ("d_number", ("1", "2", "3"), "text", ("'1'", "'01'", "'2'"), "key::text = ref"),
    ("inet", ("'10.0.0.1'", "'10.0.0.1/32'", "'::1'"), "text", ("'10.0.0.1/32'", "'::1/128'"), "key::text = ref"),
    ("boolean", ("true", "false"), "text", ("'true'", "'f'"), "key::text = ref"),
    ("int[]", ("'{1}'", "'{1,2}'"), "text", ("'{1}'", "'{1, 2}'"), "key::text = ref"),
)
DDL = """
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE weather AS ENUM ('ok', 'dry'); CREATE DOMAIN d_number AS int;
"""


def shape_of_types() -> Shape:
    """A child table with a column for each pair of types, and a parent for each."""
    count = range(len(TYPES))
    parents = [SourceTable(f"parent_{n}", ("key",), {"key": TYPES[n][1], "name": TEXTS}, 5) for n in count]
    references = {f"ref_{n}": (*TYPES[n][3], "NULL") for n in count}
    child = SourceTable("child", ("id",), {"id": numbers(9), **references}, 12)
    columns = ", ".join(f"ref_{n} {TYPES[n][2]}" for n in count)
    return Shape(
        "types",
        DDL
        + "".join(f"CREATE TABLE parent_{n} (key {TYPES[n][0]} PRIMARY KEY, name text);" for n in count)
        + f"CREATE TABLE child (id int PRIMARY KEY, {columns});",
        (*parents, child, child, child, child),
        'source.child.key = "id"\n'
        + "".join(f'source.parent_{n}.key = "key"\n' for n in count)
        + '[warehouse.dim_child]\nkind = "dimension"\nfrom = "child"\nkey = "id"\ncolumns.id = "id"\n'
        + "".join(f'join.parent_{n} = "ref_{n}"\ncolumns.name_{n} = "parent_{n}.name"\n' for n in count),
        f"CREATE TABLE dim_child (id int PRIMARY KEY, {', '.join(f'name_{n} text' for n in count)});",
        {
            "dim_child": f"SELECT id, {', '.join(f'parent_{n}.name AS name_{n}' for n in count)} FROM child"
            + "".join(
                f" LEFT JOIN parent_{n} ON {TYPES[n][4].replace('key', f'parent_{n}.key').replace('ref', f'ref_{n}')}"
                for n in count
            )
        },
    )


@pytest.fixture
def source(credentials):
    with connect(credentials[0]) as connection:
        yield connection


def test_values_that_are_equal_join_whatever_their_types(source, empty):
    world = World(shape_of_types(), source, empty, 4)
    for _ in range(6):
        world.run()
        world.compare()
        world.days.change(40)


@pytest.mark.parametrize("kind", ["interval", "jsonb", "nummultirange", "numeric[]"])
def test_join_of_equal_values_with_other_texts_is_refused(source, empty, kind):
    """It would miss rows that PostgreSQL finds: 1 day and 24 hours."""
    shape = Shape(
        "unequal texts",
        f"CREATE TABLE parent (key {kind} PRIMARY KEY, name text); CREATE TABLE child (id int PRIMARY KEY, ref {kind})",
        (),
        'source = { child.key = "id", parent.key = "key" }\n[warehouse.dim_child]\nkind = "dimension"\n'
        'from = "child"\nkey = "id"\njoin.parent = "ref"\ncolumns = { id = "id", name = "parent.name" }',
        "CREATE TABLE dim_child (id int PRIMARY KEY, name text);",
        {},
    )
    with pytest.raises(SourceError, match="child.ref .* cannot join parent: values that PostgreSQL takes for equal"):
        World(shape, source, empty, 1).run()
