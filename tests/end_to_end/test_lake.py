"""The contents of the two buckets: complete, typed, never written twice; pandas checks the values."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

INGESTION, PROCESSED = "totes-local-ingestion-000000000000", "totes-local-processed-000000000000"
FIRST = "manifests/batch-000000000001.json"


@pytest.fixture
def lake(filled, aws):
    """Reads the first batch: a manifest, or one of its tables."""
    client = aws(filled, "s3")

    def body(bucket: str, key: str) -> bytes:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()

    class Lake:
        ingestion = json.loads(body(INGESTION, FIRST))
        processed = json.loads(body(PROCESSED, FIRST))
        s3 = client

        def source(self, table: str) -> pa.Table:
            return pq.read_table(io.BytesIO(body(INGESTION, self.ingestion["tables"][table]["changes"]["key"])))

        def warehouse(self, table: str) -> pa.Table:
            return pq.read_table(io.BytesIO(body(PROCESSED, self.processed["tables"][table]["key"])))

    return Lake()


def frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    key = expected.columns[0]
    left = found[list(expected.columns)].sort_values(key).reset_index(drop=True).astype(object)
    right = expected.sort_values(key).reset_index(drop=True).astype(object)
    pd.testing.assert_frame_equal(left.where(left.notna(), None), right.where(right.notna(), None), check_dtype=False)


def test_prices_are_decimals_and_times_keep_their_milliseconds(lake):
    """In the warehouse's types; a numeric without precision is text as the source writes it."""
    assert pa.types.is_string(lake.source("sales_order").schema.field("unit_price").type)
    schema = lake.warehouse("fact_sales_order").schema
    assert schema.field("unit_price").type == pa.decimal128(10, 2)
    assert pa.types.is_date32(schema.field("agreed_delivery_date").type)
    times = lake.warehouse("fact_sales_order").column("created_time").to_pylist()
    assert any(time.microsecond for time in times)


def test_an_order_becomes_the_fact_that_pandas_makes_of_it(lake):
    orders = frame(lake.source("sales_order"))
    created, updated = pd.to_datetime(orders["created_at"]), pd.to_datetime(orders["last_updated"])
    expected = pd.DataFrame(
        {
            "sales_order_id": orders["sales_order_id"],
            "created_date": created.dt.date,
            "created_time": created.dt.time,
            "last_updated_date": updated.dt.date,
            "last_updated_time": updated.dt.time,
            "sales_staff_id": orders["staff_id"],
            "counterparty_id": orders["counterparty_id"],
            "units_sold": orders["units_sold"],
            "unit_price": [Decimal(value).quantize(Decimal("0.01")) for value in orders["unit_price"]],
            "currency_id": orders["currency_id"],
            "design_id": orders["design_id"],
            "agreed_payment_date": pd.to_datetime(orders["agreed_payment_date"]).dt.date,
            "agreed_delivery_date": pd.to_datetime(orders["agreed_delivery_date"]).dt.date,
            "agreed_delivery_location_id": orders["agreed_delivery_location_id"],
        }
    )
    same(frame(lake.warehouse("fact_sales_order")), expected)


def test_staff_and_counterparties_equal_the_joins_of_pandas(lake):
    """Staff and counterparties are the joins that pandas makes."""
    staff = frame(lake.source("staff")).merge(frame(lake.source("department")), on="department_id")
    columns = ["staff_id", "first_name", "last_name", "department_name", "location", "email_address"]
    same(frame(lake.warehouse("dim_staff")), staff[columns])

    addresses = frame(lake.source("address")).drop(columns=["created_at", "last_updated"])
    renamed = addresses.rename(columns=lambda name: f"counterparty_legal_{name}").rename(
        columns={"counterparty_legal_phone": "counterparty_legal_phone_number"}
    )
    joined = frame(lake.source("counterparty")).merge(
        renamed, left_on="legal_address_id", right_on="counterparty_legal_address_id"
    )
    found = frame(lake.warehouse("dim_counterparty"))
    same(found, joined[["counterparty_id", *(name for name in found.columns if name != "counterparty_id")]])


def test_a_transaction_without_a_purchase_has_none(lake):
    found = frame(lake.warehouse("dim_transaction"))
    assert (found["sales_order_id"].isna() ^ found["purchase_order_id"].isna()).all()


def test_objects_are_named_by_a_manifest_and_never_replaced(filled, lake, sql):
    """Objects of both buckets are the same after more runs: same keys, same ETags, and only new ones beside them."""

    def objects() -> dict[tuple[str, str], str]:
        pages = lake.s3.get_paginator("list_objects_v2")
        return {
            (bucket, entry["Key"]): entry["ETag"]
            for bucket in (INGESTION, PROCESSED)
            for page in pages.paginate(Bucket=bucket)
            for entry in page["Contents"]
        }

    before = objects()
    sql(filled.stack.source_admin, "UPDATE design SET file_location = '/tmp/new' WHERE design_id = 1")
    assert filled("run").exit_code == 0
    after = objects()
    assert before.items() < after.items()
    event = filled.root / "event.json"
    event.write_text('{"action": "transform", "batch": 1}')
    assert filled("invoke", "transform", "--event", str(event)).exit_code == 0
    assert objects() == after, "transforming a batch again gives the same bytes under the same names"
