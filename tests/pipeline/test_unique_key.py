"""Which keys extract accepts: those of which the catalog says that they identify every row."""

from __future__ import annotations

import contextlib

import pytest
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.extract.source.unique_key import key_problems, keyed_tables
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from tests.support.lake_contents import objects

LINE = SourceTable("line", ("k",))
ACCEPTED = {
    "primary key": "CREATE TABLE line (k int PRIMARY KEY, n int)",
    "unique constraint": "CREATE TABLE line (k int NOT NULL UNIQUE, n int)",
    "unique index": "CREATE TABLE line (k int NOT NULL, n int); CREATE UNIQUE INDEX ON line (k DESC) INCLUDE (n)",
    "deferred": "CREATE TABLE line (k int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED, n int)",
    "key of all partitions": "CREATE TABLE line (k int PRIMARY KEY, n int) PARTITION BY HASH (k);"
    " CREATE TABLE l1 PARTITION OF line FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
    "child of another table": "CREATE TABLE base (k int, n int); CREATE TABLE line (PRIMARY KEY (k)) INHERITS (base)",
    "constraints that are not valid, of others": "CREATE TABLE line (k int PRIMARY KEY, n int);"
    " ALTER TABLE line ADD CHECK (k > 0) NOT VALID; ALTER TABLE line ADD NOT NULL n NOT VALID;"
    " CREATE TABLE other (k int); ALTER TABLE other ADD NOT NULL k NOT VALID",
}
REFUSED = {
    "CREATE TABLE line (k int, n int)": "no unique index covers this column alone",
    "CREATE TABLE line (k int NOT NULL, n int); CREATE INDEX ON line (k)": "no unique index covers",
    "CREATE TABLE line (k int, n int, PRIMARY KEY (k, n))": 'Write key = ["k", "n"] in [source.line]',
    "CREATE TABLE line (k int NOT NULL, n int NOT NULL UNIQUE)": 'Write key = "n" in [source.line]',
    "CREATE TABLE line (k int UNIQUE, n int)": "may have NULL",
    "CREATE TABLE line (k int UNIQUE NULLS NOT DISTINCT, n int)": "may have NULL",
    "CREATE TABLE line (k int UNIQUE, n int); ALTER TABLE line ADD NOT NULL k NOT VALID": "may have NULL",
    "CREATE TABLE line (k int NOT NULL, n int); CREATE UNIQUE INDEX part ON line (k) WHERE n > 0": "part covers only",
    "CREATE TABLE line (k int NOT NULL, n int); CREATE UNIQUE INDEX ON line (abs(k))": "no unique index covers",
    "CREATE TABLE line (k int NOT NULL, n int); CREATE UNIQUE INDEX ON line (k, abs(n))": "no unique index covers",
    "CREATE TABLE line (k int NOT NULL, n int, EXCLUDE USING btree (k WITH =))": "no unique index covers",
    "CREATE TABLE line (k int PRIMARY KEY, n int); CREATE TABLE more () INHERITS (line)": "rows of more by inheritance",
    "CREATE TABLE line (k int, n int, PRIMARY KEY (k, n)) PARTITION BY LIST (n);"
    " CREATE TABLE l1 PARTITION OF line FOR VALUES IN (1); CREATE UNIQUE INDEX ON l1 (k)": 'Write key = ["k", "n"]',
    "CREATE TABLE line (k int NOT NULL, n int) PARTITION BY HASH (k);"
    " CREATE TABLE l1 PARTITION OF line FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
    " CREATE UNIQUE INDEX half ON ONLY line (k)": "half is not valid",
}

PAIR = SourceTable("line", ("k", "n"))
ACCEPTED_PAIRS = (
    "CREATE TABLE line (k int, n text, PRIMARY KEY (k, n))",
    "CREATE TABLE line (k int, n text, PRIMARY KEY (n, k))",  # in any order
    "CREATE TABLE line (k int, n text, m int, PRIMARY KEY (k, n)) PARTITION BY LIST (n);"
    " CREATE TABLE l1 PARTITION OF line FOR VALUES IN ('1'); CREATE TABLE l2 PARTITION OF line DEFAULT",
)
REFUSED_PAIRS = {
    "CREATE TABLE line (k int PRIMARY KEY, n int NOT NULL)": 'covers exactly these columns. Write key = "k"',
    "CREATE TABLE line (k int, n int, m int, PRIMARY KEY (n, m, k))": 'Write key = ["n", "m", "k"] in [source.line]',
    "CREATE TABLE line (k int NOT NULL, n int, UNIQUE (k, n))": "a row may have NULL in n",
    "CREATE TABLE line (k int, n int, UNIQUE (k, n))": "a row may have NULL in (k, n)",
    "CREATE TABLE line (k int NOT NULL, n int NOT NULL)": "create that index on (k, n)",
    "CREATE TABLE line (k int NOT NULL, n int NOT NULL);"
    " CREATE UNIQUE INDEX part ON line (n, k) WHERE n > 0": "part covers",
}


@contextlib.contextmanager
def created(connection, statements: str, declared: SourceTable = LINE):
    """The table ``line``, undone afterwards."""
    connection.run("BEGIN")
    try:
        connection.run(statements)
        yield keyed_tables(connection, [declared])[0]
    finally:
        connection.run("ROLLBACK")


def test_keys_are_accepted_only_where_an_index_proves_them(pipeline):
    for name, statements in ACCEPTED.items():
        with created(pipeline.admin, statements) as table:
            assert table.problem is None, name
            assert table.unique_keys == (("k",),), name
    for statements, reason in REFUSED.items():
        with created(pipeline.admin, statements) as table:
            assert reason in str(table.problem), statements
            assert "The key k does not identify the rows of the source table line" in str(table.problem)


def test_keys_of_several_columns_are_accepted_in_any_order(pipeline):
    for statements in ACCEPTED_PAIRS:
        with created(pipeline.admin, statements, PAIR) as table:
            assert table.problem is None, statements
    for statements, reason in REFUSED_PAIRS.items():
        with created(pipeline.admin, statements, PAIR) as table:
            assert reason in str(table.problem), statements
            assert "The key (k, n) does not identify the rows of the source table line" in str(table.problem)


def test_index_that_failed_to_be_built_proves_no_key(pipeline):
    pipeline.admin.run("CREATE TABLE line (k int NOT NULL, n int); INSERT INTO line VALUES (1, 1), (1, 2)")
    with pytest.raises(DatabaseError):
        pipeline.admin.run("CREATE UNIQUE INDEX CONCURRENTLY failed ON line (k)")
    (problem,) = key_problems(pipeline.admin, [LINE])
    assert "failed is not valid" in problem
    assert 'compare = "content" in [source.line]' in problem
    assert key_problems(pipeline.admin, [SourceTable("line", ("k",), by_content=True)]) == ()


def test_extract_refuses_a_key_that_is_not_unique_any_more(pipeline):
    pipeline.extract()
    before = objects(pipeline.ingestion)
    pipeline.admin.run("ALTER TABLE payment DROP CONSTRAINT payment_pkey, ADD PRIMARY KEY (payment_id, currency_id)")
    pipeline.admin.run("UPDATE payment SET paid = NOT paid")
    with pytest.raises(SourceError, match=r'payment_id .* payment: .*key = \["payment_id", "currency_id"\]'):
        pipeline.extract()
    assert objects(pipeline.ingestion) == before
