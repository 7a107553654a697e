"""The first rows of a fact, copied straight into it: the same as by way of a staging table, and nothing is lost."""

from __future__ import annotations

import datetime

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.warehouse.binary import copying
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.load.warehouse.references import distinct_values, foreign_keys
from lambda_toolkit.pipeline.lambdas.load.warehouse.tables import facts, filling
from lambda_toolkit.pipeline.lambdas.shared.lake import parquet
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect, transaction
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from tests.support.sample_star import COMPOSITE, COMPOSITE_SCHEMA, DECLARED, REFERRING, SCHEMA
from tests.support.written_lake import WrittenLake

FOUND = """
    SELECT jsonb_build_object(
        'rows', (SELECT jsonb_agg(f ORDER BY f.order_record) FROM fact_order AS f),
        'ranges', (SELECT jsonb_agg(r) FROM pipeline.version_range AS r),
        'pending', (SELECT jsonb_agg(p ORDER BY p.key) FROM pipeline.pending_row AS p),
        'written', (SELECT jsonb_agg(l.rows_written ORDER BY l.batch) FROM pipeline.ledger AS l)
    )::text
"""
MADE = """
    SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'fact_order'::regclass
    UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'fact_order'::regclass ORDER BY 1
"""
FOREIGN_KEYS = "SELECT oid FROM pg_constraint WHERE conrelid = 'fact_order'::regclass AND contype = 'f'"


def orders(keys, products=None):
    count = len(keys)
    return pa.table(
        {
            "order_id": pa.array(keys, pa.int32()),
            "amount": pa.array(range(count)).cast(pa.decimal128(20, 0)).cast(pa.decimal128(22, 2)),
            "product_id": pa.array(products or [1] * count, pa.int32()),
        }
    )


def lake_of(*batches):
    """The first batch has a product, and each has orders."""
    lake = WrittenLake()
    for number, rows in enumerate(batches, 1):
        products = pa.table({"product_id": pa.array([number], pa.int32()), "name": ["a"]})
        lake.write(number, {"dim_product": products, "fact_order": rows})
    return lake


@pytest.fixture
def filled(monkeypatch):
    """How often a table was filled so, and how often it could not be."""
    monkeypatch.setattr(foreign_keys, "MANY", 3)
    monkeypatch.setattr(copying, "PIECE_ROWS", 2)
    found, original = [], filling._copy

    def noted(*arguments):
        found.append(None)
        found[-1] = original(*arguments)
        return found[-1]

    monkeypatch.setattr(filling, "_copy", noted)
    return found


def loaded(connection, lake, schema=SCHEMA, declared=DECLARED, before=""):
    """What a new warehouse has after it loaded all of ``lake``; ``before``: what is run when it is prepared."""
    connection.run("DROP SCHEMA IF EXISTS public, pipeline CASCADE; CREATE SCHEMA public")
    prepare(connection, schema, declared)
    for statement in filter(None, before.split(";")):
        connection.run(statement)
    load(PostgresWarehouse(connection), lake, declared)
    return connection.rows(FOUND)[0][0]


@pytest.mark.parametrize("keys", [[1, 2, 3, 4, 5], [5, -3, 9, 2**31 - 1, 0, 7], [3, 2, 1]])
def test_rows_and_record_numbers_are_those_of_a_staging_table(empty, filled, monkeypatch, keys):
    lake = lake_of(orders(keys), orders([key - 1 for key in keys]))
    ours = loaded(empty, lake)
    made = empty.rows(MADE)
    assert filled == [len(keys)]
    monkeypatch.setattr(foreign_keys, "MANY", 1000)
    assert loaded(empty, lake) == ours
    assert empty.rows(MADE) == made
    assert filled == [len(keys)]


def test_composite_keys_are_numbered_in_their_order(empty, filled, monkeypatch):
    """Of integers and dates. A text is in the order of the server's collation, so such a fact is staged."""
    schema = COMPOSITE_SCHEMA.replace("number text", "number date")
    lake, days = WrittenLake(), [datetime.date(2026, 1, day) for day in (3, 1, 2, 1)]
    lake.write(1, {"dim_product": pa.table({"shop": pa.array([1], pa.int32()), "code": ["a"], "name": ["b"]})})
    rows = {"year": pa.array([2, 2, 1, 1], pa.int16()), "number": pa.array(days), "amount": pa.array([1, 2, 3, 4])}
    rows["amount"] = rows["amount"].cast(pa.decimal128(20, 0))
    rows |= {"product_shop": pa.array([1] * 4, pa.int32()), "product_code": pa.array(["a"] * 4)}
    lake.write(2, {"fact_order": pa.table(rows)})
    ours = loaded(empty, lake, schema, COMPOSITE.declared)
    assert filled == [4]
    assert empty.rows("SELECT amount FROM fact_order ORDER BY order_record") == [[4], [3], [2], [1]]
    monkeypatch.setattr(foreign_keys, "MANY", 1000)
    assert loaded(empty, lake, schema, COMPOSITE.declared) == ours
    monkeypatch.setattr(foreign_keys, "MANY", 3)
    lake = WrittenLake()
    lake.write(1, {"dim_product": pa.table({"shop": pa.array([1], pa.int32()), "code": ["a"], "name": ["b"]})})
    lake.write(2, {"fact_order": pa.table({**rows, "number": pa.array(["a", "B", "b", "A"])})})
    loaded(empty, lake, COMPOSITE_SCHEMA, COMPOSITE.declared)
    assert filled == [4]
    assert empty.rows("SELECT count(*) FROM fact_order") == [[4]]


@pytest.mark.parametrize("enforced", [True, False])
def test_a_row_that_must_wait_sends_all_to_a_staging_table(empty, filled, enforced):
    """Also where the warehouse does not enforce the foreign key. What was copied leaves nothing in the table's file."""
    lake = lake_of(orders(list(range(1, 2000)), [1] * 1998 + [7]))
    drop = "" if enforced else "ALTER TABLE fact_order DROP CONSTRAINT fact_order_product_id_fkey"
    declared = DECLARED if enforced else REFERRING
    loaded(empty, lake, declared=declared, before=drop)
    assert filled == [None]
    assert empty.rows("SELECT count(*), max(order_record) FROM fact_order") == [[1998, 1998]]
    assert empty.rows("SELECT key FROM pipeline.pending_row") == [["1999"]]
    assert empty.rows("SELECT pg_relation_size('fact_order') < 1.5 * 1998 * 56") == [[True]]


@pytest.mark.parametrize("most", [0, 1, 100])
@pytest.mark.parametrize("products", [[7, 1, 1, 1, 1], [1, 1, 1, 1, 7], [1, 7, 7, 7, 7], [1, None, 1, None, 1]])
def test_many_values_are_looked_for_in_the_rows(empty, filled, monkeypatch, most, products):
    """Of a reference that the warehouse does not enforce, whatever part of the rows has the missing one."""
    monkeypatch.setattr(distinct_values, "MOST", most)
    drop = "ALTER TABLE fact_order DROP CONSTRAINT fact_order_product_id_fkey"
    rows = orders(list(range(1, 6)), products)
    monkeypatch.setattr(parquet, "READ_ROWS", 2)
    lake = WrittenLake()
    lake.write(1, {"dim_product": pa.table({"product_id": pa.array([1], pa.int32()), "name": ["a"]})})
    lake.write(2, {"fact_order": rows})
    loaded(empty, lake, declared=REFERRING, before=drop)
    waiting = 5 - products.count(1)
    assert filled == [None if waiting else 5]
    assert empty.rows("SELECT count(*) FROM fact_order") == [[5 - waiting]]


@pytest.mark.parametrize(
    ("before", "check"),
    [
        (
            "CREATE TABLE audit AS SELECT * FROM fact_order; CREATE RULE noted AS ON INSERT TO fact_order DO ALSO"
            " INSERT INTO audit VALUES (NEW.*)",
            "SELECT count(*) = 4 FROM audit",
        ),
        (
            "INSERT INTO fact_order (order_record, order_id, product_id) SELECT 70, 70, 0 WHERE false;"
            " ALTER TABLE fact_order DROP CONSTRAINT fact_order_product_id_fkey;"
            " INSERT INTO fact_order (order_record, order_id, product_id) VALUES (70, 70, 1)",
            "SELECT count(*) = 5 AND max(order_record) = 74 FROM fact_order",
        ),
        ("CREATE TABLE line (record bigint REFERENCES fact_order)", "SELECT count(*) = 4 FROM fact_order"),
        ("ALTER TABLE fact_order ENABLE ROW LEVEL SECURITY", "SELECT count(*) = 4 FROM fact_order"),
        (
            "COMMENT ON CONSTRAINT fact_order_product_id_fkey ON fact_order IS 'ours'",
            "SELECT obj_description(oid) = 'ours' FROM pg_constraint WHERE conname = 'fact_order_product_id_fkey'",
        ),
    ],
)
def test_a_table_that_is_not_new_or_plain_is_written_row_by_row(empty, filled, before, check):
    """Rules are run, rows that load did not write stay, and what refers to the fact stays."""
    loaded(empty, lake_of(orders([1, 2, 3, 4])), before=before)
    assert filled in ([], [None])
    assert empty.rows(check) == [[True]]


def test_a_trigger_of_others_fires_for_each_row(empty, filled):
    prepare_with_audit(empty)
    load(PostgresWarehouse(empty), lake_of(orders([1, 2, 3, 4])), DECLARED)
    assert filled == []
    assert empty.rows("SELECT count(*) FROM audit") == [[4]]


def prepare_with_audit(connection):
    prepare(connection, SCHEMA, DECLARED)
    connection.run("CREATE TABLE audit (id integer)")
    connection.run(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (NEW.order_id);"
        " RETURN NULL; END $$"
    )
    connection.run("CREATE TRIGGER noted AFTER INSERT ON fact_order FOR EACH ROW EXECUTE FUNCTION note()")


INDEXES = """
    CREATE INDEX plain ON fact_order (amount DESC) WHERE amount > 0;
    CREATE INDEX another ON fact_order USING hash (amount);
    CREATE INDEX described ON fact_order (amount); COMMENT ON INDEX described IS 'ours';
    CREATE UNIQUE INDEX alone ON fact_order (order_id);
    CREATE INDEX clustered ON fact_order (product_id); ALTER TABLE fact_order CLUSTER ON clustered;
    CREATE INDEX measured ON fact_order ((amount + 1)); ALTER INDEX measured ALTER COLUMN 1 SET STATISTICS 7;
    CREATE INDEX invalid ON fact_order (amount);
    UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'invalid'::regclass;
    ALTER TABLE fact_order ADD CONSTRAINT apart EXCLUDE USING btree (order_id WITH =);
    CREATE TABLE others (id integer); CREATE INDEX elsewhere ON others (id)
"""


def test_indexes_that_would_not_be_the_same_stay(empty, filled):
    """All others are made again when the rows are there: each is another then, with the same definition."""
    prepare(empty, SCHEMA, DECLARED)
    empty.run(INDEXES)
    query = (
        "SELECT relname, c.oid, pg_get_indexdef(c.oid) FROM pg_class AS c WHERE relkind = 'i'"
        " AND relnamespace = 'public'::regnamespace AND relname !~ '^fact_order_.*key|pkey'"
    )
    before = {name: (number, made) for name, number, made in empty.rows(query)}
    load(PostgresWarehouse(empty), lake_of(orders([4, 2, 3, 1])), DECLARED)
    assert filled == [4]
    after = {name: (number, made) for name, number, made in empty.rows(query)}
    assert {name: made for name, (_, made) in after.items()} == {name: made for name, (_, made) in before.items()}
    own = {name for name in before if name.startswith("fact_order")}
    assert {name for name in before if after[name] != before[name]} == {"plain", "another", "invalid", *own}
    assert empty.rows("SELECT obj_description('described'::regclass)") == [["ours"]]
    assert empty.rows("SELECT indisclustered FROM pg_index WHERE indexrelid = 'clustered'::regclass") == [[True]]


def test_a_reader_is_not_stopped_and_rows_are_staged(empty, filled, credentials):
    prepare(empty, SCHEMA, DECLARED)
    known = empty.rows(FOREIGN_KEYS)
    with connect(credentials[1]) as reader, transaction(reader):
        assert reader.rows("SELECT count(*) FROM fact_order") == [[0]]
        load(PostgresWarehouse(empty), lake_of(orders([1, 2, 3])), DECLARED)
    assert filled == [None]
    assert empty.rows("SELECT count(*) FROM fact_order") == [[3]]
    assert empty.rows(FOREIGN_KEYS) == known


def test_repeated_rows_touch_no_foreign_key(empty, filled):
    """As many as they are: they are compared before the foreign keys are dropped."""
    lake, rows = WrittenLake(), orders([1, 2, 3, 4])
    for number in (1, 2):
        lake.write(number, {"dim_product": pa.table({"product_id": pa.array([1], pa.int32()), "name": ["a"]})})
    lake.write(3, {"fact_order": rows})
    loaded(empty, lake)
    known = empty.rows(FOREIGN_KEYS)
    lake.write(4, {"fact_order": rows})
    assert load(PostgresWarehouse(empty), lake, DECLARED).appended == {"fact_order": 0}
    assert empty.rows(FOREIGN_KEYS) == known
    lake.write(5, {"fact_order": orders([1, 2, 3, 4, 5])})
    lake.write(6, {"fact_order": orders([4, 3, 2, 1])})
    assert load(PostgresWarehouse(empty), lake, DECLARED).appended == {"fact_order": 5}
    assert filled == [4]


def test_keys_beyond_all_others_are_new_without_comparison(empty, monkeypatch):
    """A batch whose smallest key is the largest before it is compared: one of its rows may be no new version."""
    compared, original = [], facts._new_versions
    monkeypatch.setattr(facts, "_new_versions", lambda *given, **how: compared.append(1) or original(*given, **how))
    first, second, third = orders([1, 2, 3]), orders([5, 4]), orders([5, 6])
    loaded(empty, lake_of(first, second))
    assert compared == []
    loaded(empty, lake_of(first, second, third))
    assert compared == [1]
    query = "SELECT order_record, order_id FROM fact_order ORDER BY 1"
    assert empty.rows(query) == [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [6, 6]]


@pytest.mark.parametrize("ratio", [0, 10**9], ids=["each alone", "all together"])
def test_each_row_is_compared_with_the_last_version_of_its_key(empty, monkeypatch, ratio):
    """A row that returns to its first version is a new one."""
    monkeypatch.setattr(facts, "PROBED_RATIO", ratio)
    loaded(empty, lake_of(orders([1, 2, 3]), orders([2, 1, 3]), orders([1, 2, 3]), orders([1, 2, 3])))
    assert empty.rows("SELECT order_id, amount FROM fact_order ORDER BY order_record") == [
        *([1, 0], [2, 1], [3, 2]),
        *([1, 1], [2, 0]),
        *([1, 0], [2, 1]),
    ]
