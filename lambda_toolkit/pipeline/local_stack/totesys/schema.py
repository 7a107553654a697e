"""The eleven source tables: in an order that foreign keys allow, with the Arrow types of a Parquet dump of them."""

from __future__ import annotations

import pyarrow as pa

PRICE = pa.decimal128(12, 2)
MOMENT = pa.timestamp("ms")
_STAMPS = [("created_at", MOMENT), ("last_updated", MOMENT)]
_ORDER_END = [
    ("currency_id", pa.int32()),
    ("agreed_delivery_date", pa.string()),
    ("agreed_payment_date", pa.string()),
    ("agreed_delivery_location_id", pa.int32()),
]

SCHEMAS: dict[str, pa.Schema] = {
    "address": pa.schema(
        [
            ("address_id", pa.int32()),
            ("address_line_1", pa.string()),
            ("address_line_2", pa.string()),
            ("district", pa.string()),
            ("city", pa.string()),
            ("postal_code", pa.string()),
            ("country", pa.string()),
            ("phone", pa.string()),
            *_STAMPS,
        ]
    ),
    "counterparty": pa.schema(
        [
            ("counterparty_id", pa.int32()),
            ("counterparty_legal_name", pa.string()),
            ("legal_address_id", pa.int32()),
            ("commercial_contact", pa.string()),
            ("delivery_contact", pa.string()),
            *_STAMPS,
        ]
    ),
    "currency": pa.schema([("currency_id", pa.int32()), ("currency_code", pa.string()), *_STAMPS]),
    "department": pa.schema(
        [
            ("department_id", pa.int32()),
            ("department_name", pa.string()),
            ("location", pa.string()),
            ("manager", pa.string()),
            *_STAMPS,
        ]
    ),
    "design": pa.schema(
        [
            ("design_id", pa.int32()),
            ("created_at", MOMENT),
            ("design_name", pa.string()),
            ("file_location", pa.string()),
            ("file_name", pa.string()),
            ("last_updated", MOMENT),
        ]
    ),
    "staff": pa.schema(
        [
            ("staff_id", pa.int32()),
            ("first_name", pa.string()),
            ("last_name", pa.string()),
            ("department_id", pa.int32()),
            ("email_address", pa.string()),
            *_STAMPS,
        ]
    ),
    "payment_type": pa.schema([("payment_type_id", pa.int32()), ("payment_type_name", pa.string()), *_STAMPS]),
    "sales_order": pa.schema(
        [
            ("sales_order_id", pa.int32()),
            *_STAMPS,
            ("design_id", pa.int32()),
            ("staff_id", pa.int32()),
            ("counterparty_id", pa.int32()),
            ("units_sold", pa.int32()),
            ("unit_price", PRICE),
            *_ORDER_END,
        ]
    ),
    "purchase_order": pa.schema(
        [
            ("purchase_order_id", pa.int32()),
            *_STAMPS,
            ("staff_id", pa.int32()),
            ("counterparty_id", pa.int32()),
            ("item_code", pa.string()),
            ("item_quantity", pa.int32()),
            ("item_unit_price", PRICE),
            *_ORDER_END,
        ]
    ),
    "transaction": pa.schema(
        [
            ("transaction_id", pa.int32()),
            ("transaction_type", pa.string()),
            ("sales_order_id", pa.int32()),
            ("purchase_order_id", pa.int32()),
            *_STAMPS,
        ]
    ),
    "payment": pa.schema(
        [
            ("payment_id", pa.int32()),
            *_STAMPS,
            ("transaction_id", pa.int32()),
            ("counterparty_id", pa.int32()),
            ("payment_amount", PRICE),
            ("currency_id", pa.int32()),
            ("payment_type_id", pa.int32()),
            ("paid", pa.bool_()),
            ("payment_date", pa.string()),
            ("company_ac_number", pa.int32()),
            ("counterparty_ac_number", pa.int32()),
        ]
    ),
}
TABLES = tuple(SCHEMAS)
