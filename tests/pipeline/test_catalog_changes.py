"""Changes of the catalog alone: rows show other values, and no transaction has written them."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Connection
from tests.support.lake_contents import manifest

ITEM = {
    "source": {"item": {"key": "id"}},
    "warehouse": {
        "dim_item": {"kind": "dimension", "from": "item", "key": "id", "columns": {"id": "id", "a": "a", "b": "b"}}
    },
}
TABLE = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE listed AS ENUM ('sad', 'glad');
CREATE TYPE paired AS ENUM ('sad', 'glad');
CREATE TYPE ranged AS ENUM ('sad', 'glad');
CREATE DOMAIN moods AS listed[];
CREATE TYPE pair AS (mood paired, n int);
CREATE TYPE span AS RANGE (subtype = ranged, multirange_type_name = spans);
CREATE TABLE item (id int PRIMARY KEY, a text, b text, c oid, d mood, e moods, f pair, h spans, i varchar(9),
    v text GENERATED ALWAYS AS (a || 'x') VIRTUAL, s text GENERATED ALWAYS AS (a || 'x') STORED, j text);
INSERT INTO item SELECT n, 'a', 'b', 4000000000, 'sad', '{sad}', '(sad,1)', '{[sad,glad)}', 'i'
    FROM generate_series(1, 3) AS n;
GRANT SELECT ON item TO reader;
"""
READ_AGAIN = {  # one after the other
    "two columns that swap names": "ALTER TABLE item RENAME a TO t; ALTER TABLE item RENAME b TO a;"
    " ALTER TABLE item RENAME t TO b",
    "a column renamed to the name of a dropped one": "ALTER TABLE item DROP i; ALTER TABLE item RENAME j TO i",
    "the type of a column that keeps its bytes": "ALTER TABLE item ALTER c TYPE int",
    "a label of an enum": "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
    "labels that change places": "ALTER TYPE mood RENAME VALUE 'blue' TO 't';"
    " ALTER TYPE mood RENAME VALUE 'glad' TO 'blue'; ALTER TYPE mood RENAME VALUE 't' TO 'glad'",
    "a label in an array of a domain": "ALTER TYPE listed RENAME VALUE 'sad' TO 'blue'",
    "a label in a composite type": "ALTER TYPE paired RENAME VALUE 'sad' TO 'blue'",
    "a label in a range": "ALTER TYPE ranged RENAME VALUE 'sad' TO 'blue'",
    "an attribute of a composite type": "ALTER TYPE pair ADD ATTRIBUTE more int",
    "the expression of a virtual column": "ALTER TABLE item ALTER v SET EXPRESSION AS (b || 'y')",
    "the expression of a stored column": "ALTER TABLE item ALTER s SET EXPRESSION AS (b || 'y')",
    "values that are computed again": "ALTER TABLE item ALTER i TYPE varchar USING 'i'",
    "a table that is emptied and filled": "BEGIN; CREATE TEMP TABLE kept AS SELECT id, a, b FROM item; TRUNCATE item;"
    " INSERT INTO item (id, a, b) SELECT * FROM kept; COMMIT",
    "a column dropped and added with a default": "ALTER TABLE item DROP a; ALTER TABLE item ADD a text DEFAULT 'z'",
}
NOT_READ_AGAIN = {
    "a column that is new": "ALTER TABLE item ADD k text DEFAULT 'k'",
    "a column that is dropped": "ALTER TABLE item DROP j",
    "a label that is new": "ALTER TYPE mood ADD VALUE 'merry' BEFORE 'glad'",
    "a text that may be longer": "ALTER TABLE item ALTER i TYPE varchar(99); ALTER TABLE item ALTER i TYPE text",
    "a default, a comment, a constraint": "ALTER TABLE item ALTER a SET DEFAULT 'q', ALTER a SET NOT NULL;"
    " COMMENT ON COLUMN item.a IS 'x'; CREATE INDEX ON item (a)",
    "other files with the same rows": "VACUUM (FULL, FREEZE) item",
    "a name of a type of a column that nothing needs": "ALTER TYPE mood RENAME TO feeling",
}


def shown(connection: Connection, columns: list[str]) -> list[dict[str, str | None]]:
    texts = ", ".join(f'"{column}"::text' for column in columns)
    return [dict(zip(columns, row, strict=True)) for row in connection.rows(f"SELECT {texts} FROM item ORDER BY id")]


@pytest.fixture
def item(pipeline):
    """A source with one table, and what a reader of every batch knows of its rows."""
    pipeline.declarations = parse(ITEM)
    pipeline.admin.run(TABLE)
    return pipeline


def test_catalog_changes_that_change_values_read_the_table(item):
    """After each change, the next batch has the rows as the table shows them now."""
    item.extract()
    for what, statements in READ_AGAIN.items():
        for statement in statements.split("; "):
            item.admin.run(statement)
        batch = item.extract().batch
        assert batch is not None, what
        files = manifest(item.ingestion, batch).tables["item"]
        assert files.changes and files.changes.rows == 3, what
        rows = item.ingestion.table(files.changes.key).sort_by("id")
        texts = [column for column in files.columns if files.columns[column] not in ("oid", "integer")]
        assert rows.select(texts).to_pylist() == shown(item.admin, texts), what
    assert item.extract().batch is None


def test_catalog_changes_that_change_no_value_read_nothing(item):
    """What costs nothing in the source costs nothing here: no batch, and the next has the changed rows alone."""
    item.extract()
    for what, statements in NOT_READ_AGAIN.items():
        for statement in statements.split("; "):
            item.admin.run(statement)
        assert item.extract().batch is None, what
    item.admin.run("UPDATE item SET a = 'new' WHERE id = 2")
    assert item.extract().rows == {"item": 1}


def test_frozen_copy_into_an_emptied_table_is_captured(item, tmp_path):
    """COPY with FREEZE marks rows as visible to all; the transaction that wrote them stays recorded."""
    item.extract()
    item.admin.run("BEGIN; CREATE TEMP TABLE kept AS SELECT id, a, b FROM item; TRUNCATE item")
    item.admin.run(
        "COPY item (id, a, b) FROM PROGRAM 'printf \"1\\tnew\\tb\\n2\\ta\\tb\\n4\\ta\\tb\\n\"' (FREEZE); COMMIT"
    )
    done = item.extract()
    assert (done.rows, done.deleted) == ({"item": 3}, {"item": 1})
    assert item.extract().batch is None


def test_partition_whose_columns_swapped_while_detached_is_read(item):
    item.admin.run(
        "DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY, a text, b text) PARTITION BY RANGE (id);"
        "CREATE TABLE part PARTITION OF item FOR VALUES FROM (0) TO (9); INSERT INTO item VALUES (1, 'a', 'b');"
        "GRANT SELECT ON item TO reader"
    )
    assert item.extract().rows == {"item": 1}
    for statement in (
        "ALTER TABLE item DETACH PARTITION part",
        "ALTER TABLE part RENAME a TO t",
        "ALTER TABLE part RENAME b TO a",
        "ALTER TABLE part RENAME t TO b",
        "ALTER TABLE item ATTACH PARTITION part FOR VALUES FROM (0) TO (9)",
    ):
        item.admin.run(statement)
    done = item.extract()
    assert done.rows == {"item": 1}
    rows = item.ingestion.table(manifest(item.ingestion, done.batch).tables["item"].changes.key)
    assert rows.select(["a", "b"]).to_pylist() == [{"a": "b", "b": "a"}]


def test_view_whose_columns_swap_names_is_read(item):
    """The text of a row does not show the names of its columns."""
    document = {**ITEM, "source": {"item": {"key": "id", "compare": "content"}}}
    item.declarations = parse(document)
    item.admin.run("ALTER TABLE item RENAME TO base; CREATE VIEW item AS SELECT id, a, b FROM base")
    item.admin.run("GRANT SELECT ON item TO reader")
    assert item.extract().rows == {"item": 3}
    for old, new in (("a", "t"), ("b", "a"), ("t", "b")):
        item.admin.run(f"ALTER VIEW item RENAME {old} TO {new}")
    assert item.extract().rows == {"item": 3}
    assert item.extract().batch is None
