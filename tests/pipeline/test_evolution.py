"""A warehouse that gets columns: prepare alters it where that loses nothing, and a replay fills them for the past."""

from __future__ import annotations

import dataclasses
import tomllib

import pytest

from lambda_toolkit.pipeline.lambdas.load.replay import replay
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError, WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.warehouse.column_types import with_types
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression
from lambda_toolkit.pipeline.warehouse.preparation import prepare
from lambda_toolkit.pipeline.warehouse.verification import differences
from tests.support.repository import CONFIG

WIDER = (CONFIG / "warehouse.sql").read_text(encoding="utf-8")
for old, new in (
    ("    paid                boolean NOT NULL,", "    account integer,\n    paid boolean NOT NULL,"),
    ("    phone           varchar NOT NULL\n", "    phone varchar,\n    since date REFERENCES dim_date\n"),
    ("numeric(10, 2) NOT NULL,\n    currency_id ", "numeric(12, 2) NOT NULL,\n    currency_id "),
):
    assert old in WIDER
    WIDER = WIDER.replace(old, new)


def declared():
    document = tomllib.loads((CONFIG / "pipeline.toml").read_text(encoding="utf-8"))
    document["warehouse"]["fact_payment"]["columns"]["account"] = "company_ac_number"
    document["warehouse"]["dim_location"]["columns"]["since"] = "date(created_at)"
    return parse(with_types({key: document[key] for key in ("source", "warehouse")}, WIDER, "warehouse.sql"))


@pytest.fixture
def grown(pipeline):
    """Three batches in a warehouse, whose declaration has more columns since then."""
    pipeline.run()
    pipeline.admin.run("UPDATE payment SET company_ac_number = 77, paid = NOT paid WHERE payment_id IN (1, 2)")
    pipeline.run()
    pipeline.admin.run("UPDATE address SET city = 'Hull' WHERE address_id = 1")
    pipeline.admin.run("DELETE FROM payment WHERE payment_id = 2")
    pipeline.run()
    return pipeline


def test_columns_are_added_and_filled_for_the_past(grown):
    """Each version gets the value that it had; none is added, then or by later runs."""
    versions = "SELECT payment_id, paid, valid_from, valid_to FROM history_fact_payment ORDER BY 1, 3"
    before = grown.rows(versions)
    shown = prepare(grown.warehouse, WIDER, declared())
    assert (shown.altered, len(shown.alterations)) == ([], 5)
    assert 'ALTER TABLE fact_payment ADD COLUMN "account" integer' in shown.alterations
    done = prepare(grown.warehouse, WIDER, declared(), alter=True)
    assert sorted(done.altered) == sorted(shown.alterations)
    assert prepare(grown.warehouse, WIDER, declared(), alter=True).altered == []
    # A foreign key is not added: rows of earlier versions need not have what it refers to.
    assert [text for text in differences(grown.warehouse, WIDER, declared()) if "since" not in text] == []
    grown.declarations = declared()
    for batch in (1, 2, 3):
        grown.replay(batch)
    replay(PostgresWarehouse(grown.warehouse), grown.processed, grown.declarations, [1, 2, 3])
    assert grown.rows(versions) == before
    accounts = "SELECT payment_id, account FROM history_fact_payment WHERE payment_id < 4 ORDER BY 1, valid_from"
    assert grown.rows(accounts) == [[1, 1], [1, 77], [2, 1], [2, 77], [3, 1]]
    created = grown.admin.rows("SELECT address_id, created_at::date FROM address ORDER BY 1")
    assert grown.rows("SELECT location_id, since FROM current_dim_location ORDER BY 1") == created
    grown.run()
    assert grown.rows(versions) == before


def test_view_that_others_made_stops_a_wider_type(grown):
    """It is named, and nothing is changed: neither that table nor another."""
    grown.warehouse.run("CREATE VIEW of_others AS SELECT unit_price FROM current_fact_sales_order")
    with pytest.raises(WarehouseError, match=r"of_others reads it\. Drop that, repeat this, .* Nothing was changed"):
        prepare(grown.warehouse, WIDER, declared(), alter=True)
    assert grown.rows("SELECT to_regclass('current_fact_sales_order') IS NOT NULL") == [[True]]
    added = "SELECT 1 FROM pg_attribute WHERE attrelid = 'fact_payment'::regclass AND attname = 'account'"
    assert grown.rows(added) == []


LATER = (CONFIG / "warehouse.sql").read_text(encoding="utf-8")
LATER = LATER.replace("    email_address    varchar NOT NULL\n", "    email_address varchar NOT NULL, floor smallint\n")
LATER = LATER.replace(
    "    paid                boolean NOT NULL,", "    paid boolean NOT NULL, sent uuid, note text NOT NULL,"
)
SENT = "00000000-0000-0000-0000-00000000000a"


def declared_later():
    document = tomllib.loads((CONFIG / "pipeline.toml").read_text(encoding="utf-8"))
    columns = {"sent": "sent", "note": "coalesce(note || '!', 'none ' || payment_id)"}
    document["warehouse"]["fact_payment"]["columns"] |= columns
    document["warehouse"]["dim_staff"]["columns"]["floor"] = "department.floor"
    tables = {key: document[key] for key in ("source", "warehouse")}
    return parse(with_types(tables, LATER, "warehouse.sql"), parse_expression)


def test_batches_of_before_a_source_column_have_null_in_it(pipeline):
    """Whatever its type, alone, of a joined row, and in SQL: an old batch can be transformed, then and again."""
    pipeline.run()
    pipeline.admin.run("UPDATE payment SET paid = NOT paid WHERE payment_id = 2")
    pipeline.extract()  # not transformed before the new declaration is deployed
    pipeline.admin.run(f"""ALTER TABLE payment ADD COLUMN sent uuid, ADD COLUMN note text;
        ALTER TABLE department ADD COLUMN floor smallint; UPDATE department SET floor = 3 WHERE department_id = 1;
        UPDATE payment SET sent = '{SENT}', note = 'ok' WHERE payment_id IN (1, 2)""")
    pipeline.declarations = declared_later()
    found = prepare(pipeline.warehouse, LATER, pipeline.declarations, alter=True)
    assert len(found.altered) == 2, "a column that is NOT NULL cannot be added to rows that are there"
    pipeline.warehouse.run("ALTER TABLE fact_payment ADD COLUMN note text")
    prepare(pipeline.warehouse, LATER, pipeline.declarations)
    pipeline.transform(2)
    pipeline.replay(1)
    pipeline.load()
    replay(PostgresWarehouse(pipeline.warehouse), pipeline.processed, pipeline.declarations, [1, 2])
    pipeline.run()
    query = "SELECT payment_id, sent::text, note FROM history_fact_payment WHERE payment_id < 4 ORDER BY 1, valid_from"
    assert [tuple(row) for row in pipeline.rows(query)] == [
        (1, None, "none 1"),
        (1, SENT, "ok!"),
        (2, None, "none 2"),
        (2, None, "none 2"),
        (2, SENT, "ok!"),
        (3, None, "none 3"),
    ]
    assert pipeline.rows("SELECT DISTINCT department_name, floor FROM dim_staff WHERE floor IS NOT NULL") == [
        ["Sales", 3]
    ]
    assert pipeline.rows("SELECT count(*) FROM pipeline.rejected_value") == [[0]]


def test_row_of_before_a_required_column_is_rejected_with_it(pipeline):
    pipeline.run()
    document = tomllib.loads((CONFIG / "pipeline.toml").read_text(encoding="utf-8"))
    document["warehouse"]["fact_payment"]["columns"]["sent"] = "sent"
    schema = LATER.replace("sent uuid, note text NOT NULL", "sent uuid NOT NULL").replace(", floor smallint", "")
    tables = {key: document[key] for key in ("source", "warehouse")}
    pipeline.declarations = parse(with_types(tables, schema, "warehouse.sql"))
    rejected = pipeline.replay(1).manifest.rejected["fact_payment"]
    assert rejected.source_rows == 9
    reports = pipeline.processed.table(rejected.key)["reason"].to_pylist()
    assert set(reports) == {"NULL, as the source had no such column then, and fact_payment.sent is NOT NULL"}


def test_batch_of_before_the_declaration_is_loaded_after_it(pipeline):
    """Extracted and transformed, and then the new release was deployed: NULL, or pending, until a replay."""
    pipeline.run()
    pipeline.admin.run("ALTER TABLE payment ADD COLUMN sent uuid, ADD COLUMN note text; UPDATE payment SET note = 'a'")
    pipeline.admin.run("ALTER TABLE department ADD COLUMN floor smallint; UPDATE payment SET paid = NOT paid")
    pipeline.admin.run(f"UPDATE payment SET sent = '{SENT}' WHERE payment_id = 1")
    pipeline.extract()
    pipeline.transform(2)
    pipeline.declarations = declared_later()
    prepare(pipeline.warehouse, LATER, pipeline.declarations, alter=True)
    pipeline.warehouse.run("ALTER TABLE fact_payment ADD COLUMN note text")
    prepare(pipeline.warehouse, LATER, pipeline.declarations)
    pipeline.load()
    waiting = "SELECT count(*) FROM pipeline.pending_row WHERE table_name = 'fact_payment' AND batch = 2"
    assert pipeline.rows(waiting) == [[9]], "note is NOT NULL: the rows wait, and the rest of the batch goes on"
    pipeline.replay(1)
    pipeline.replay(2)
    replay(PostgresWarehouse(pipeline.warehouse), pipeline.processed, pipeline.declarations, [1, 2])
    query = "SELECT payment_id, sent::text, note FROM history_fact_payment WHERE payment_id < 3 ORDER BY 1, valid_from"
    assert [tuple(row) for row in pipeline.rows(query)] == [
        (1, None, "none 1"),
        (1, SENT, "a!"),
        (2, None, "none 2"),
        (2, None, "a!"),
    ]
    assert pipeline.rows(waiting) == [[0]]


def test_batch_of_before_a_key_changed_is_refused_with_the_key(pipeline):
    """By transform, and by load where it was transformed before: neither takes a key for NULL."""
    pipeline.run()
    pipeline.admin.run("UPDATE design SET file_name = file_name || '.'")
    pipeline.extract()
    pipeline.transform(2)
    design = pipeline.declarations.source["design"]
    source = {**pipeline.declarations.source, "design": dataclasses.replace(design, keys=("code",))}
    pipeline.declarations = dataclasses.replace(pipeline.declarations, source=source)
    with pytest.raises(LakeError, match="Batch 2 has no column code of design, which is its key now"):
        pipeline.replay(2)
    table = pipeline.declarations.warehouse["dim_design"]
    keyed = dataclasses.replace(table, keys=("code",), columns={**table.columns, "code": table.columns["design_name"]})
    pipeline.declarations = dataclasses.replace(
        pipeline.declarations, warehouse={**pipeline.declarations.warehouse, "dim_design": keyed}
    )
    pipeline.warehouse.run("ALTER TABLE dim_design ADD COLUMN code text")
    with pytest.raises(WarehouseError, match="dim_design had no column code, which is of its key now"):
        pipeline.load()
