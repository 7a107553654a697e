"""The generated source has the schema, the proportions and the irregular values of the real one."""

import hashlib
from datetime import date, time
from decimal import ROUND_HALF_UP, Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.pipeline.commands.local import bring_up
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.totesys.generator import MOST_ORDERS, generate
from lambda_toolkit.pipeline.local_stack.totesys.schema import SCHEMAS, TABLES
from lambda_toolkit.pipeline.local_stack.totesys.statement import compose


@pytest.fixture(scope="module")
def tables() -> dict[str, pa.Table]:
    return generate(orders=3000)


def column(table: pa.Table, name: str) -> list[object]:
    return list(table.column(name).to_pylist())


def test_a_seed_is_the_same_data_everywhere() -> None:
    """The digest is of the values, so it holds on every machine and with every version of Arrow and numpy."""
    digest = hashlib.sha256()
    for name, table in generate(orders=100).items():
        digest.update(name.encode())
        for row in table.to_pylist():
            digest.update(repr(list(row.items())).encode())

    assert digest.hexdigest() == "1599d47694a5e368b019295694d24a5e58abbfdf7f0f17372a0908a0ff4b056f"


def test_another_seed_is_other_data() -> None:
    assert generate(orders=5, seed=1)["payment"] != generate(orders=5, seed=2)["payment"]


def test_every_table_has_its_schema_and_the_real_sizes(tables: dict[str, pa.Table]) -> None:
    assert tuple(tables) == TABLES
    assert all(table.schema.equals(SCHEMAS[name]) for name, table in tables.items())
    sizes = {name: table.num_rows for name, table in tables.items()}
    assert (sizes["address"], sizes["counterparty"], sizes["staff"]) == (30, 20, 20)
    assert (sizes["currency"], sizes["department"], sizes["payment_type"]) == (3, 8, 4)
    assert sizes["transaction"] == sizes["payment"] == 3000
    assert 0.68 < sizes["sales_order"] / 3000 < 0.73
    assert sizes["sales_order"] + sizes["purchase_order"] == 3000


@pytest.mark.parametrize("orders", [0, 1, 7])
def test_small_sources_too(orders: int) -> None:
    assert generate(orders=orders)["payment"].num_rows == orders


@pytest.mark.parametrize("orders", [-1, MOST_ORDERS + 1])
def test_number_of_orders_out_of_range_is_refused(orders: int) -> None:
    with pytest.raises(LocalError, match=f"{orders:,} orders"):
        generate(orders=orders)


@pytest.mark.parametrize("given", ["0", "-1", "many", "1e6", "", str(MOST_ORDERS + 1)])
def test_orders_that_are_no_usable_number_are_named(given: str) -> None:
    result = CliRunner().invoke(deploy.main, ["local", "up", "--orders", given])
    assert result.exit_code == 2
    assert "Invalid value for '--orders'" in result.stderr
    assert f"{bring_up.MOST_ORDERS}" in result.stderr or "valid integer" in result.stderr


def test_text_that_breaks_naive_code_is_there(tables: dict[str, pa.Table]) -> None:
    assert "O'Keefe" in column(tables["staff"], "last_name")
    assert "quinn.o'keefe@terrifictotes.com" in column(tables["staff"], "email_address")
    assert "Democratic People's Republic of Korea" in column(tables["address"], "country")
    assert "08841" in column(tables["address"], "postal_code")
    assert "9002744" in column(tables["purchase_order"], "item_code")
    assert "Leds" in column(tables["department"], "location")
    assert any("," in str(name) for name in column(tables["counterparty"], "counterparty_legal_name"))
    for name in ("address_line_2", "district"):
        nulls = tables["address"].column(name).null_count
        assert 0 < nulls < 30
        assert "" not in column(tables["address"], name)


def test_a_transaction_has_exactly_one_order(tables: dict[str, pa.Table]) -> None:
    for row in tables["transaction"].to_pylist():
        assert (row["sales_order_id"] is None) == (row["transaction_type"] == "PURCHASE")
        assert (row["purchase_order_id"] is None) == (row["transaction_type"] == "SALE")


def test_order_transaction_and_payment_reference_each_other(tables: dict[str, pa.Table]) -> None:
    """An order its transaction and its payment belong together."""
    sales = {row["sales_order_id"]: row for row in tables["sales_order"].to_pylist()}
    transactions = {row["transaction_id"]: row for row in tables["transaction"].to_pylist()}
    for payment in tables["payment"].to_pylist():
        transaction = transactions[payment["transaction_id"]]
        assert payment["created_at"] == transaction["created_at"]
        if transaction["sales_order_id"] is None:
            continue
        sale = sales[transaction["sales_order_id"]]
        assert sale["created_at"] == transaction["created_at"]
        assert sale["counterparty_id"] == payment["counterparty_id"]
        assert sale["currency_id"] == payment["currency_id"]
        assert sale["agreed_payment_date"] == payment["payment_date"]
        amount = (sale["units_sold"] * sale["unit_price"]).quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert amount == payment["payment_amount"]


def test_payments_are_paid_in_batches_at_five_to_eight(tables: dict[str, pa.Table]) -> None:
    payments = tables["payment"].to_pylist()
    paid = [row for row in payments if row["paid"]]
    assert 0.5 < len(paid) / len(payments) < 0.65
    assert {row["last_updated"].time().replace(second=0, microsecond=0) for row in paid} == {time(7, 55)}
    assert all(row["last_updated"] == row["created_at"] for row in payments if not row["paid"])
    counts = pc.value_counts(pa.array([row["last_updated"] for row in paid])).field("counts").to_pylist()
    assert max(counts) > 10


def test_orders_are_on_weekdays_in_opening_hours(tables: dict[str, pa.Table]) -> None:
    """Orders come on weekdays in opening hours to the millisecond."""
    moments = column(tables["sales_order"], "created_at")
    assert all(moment.isoweekday() <= 5 and 8 <= moment.hour < 19 for moment in moments)  # type: ignore[attr-defined]
    assert any(moment.microsecond == 0 for moment in moments)  # type: ignore[attr-defined]
    assert moments != sorted(moments, key=str)  # keys and timestamps run against each other here and there
    assert moments[0].date() == date(2022, 11, 3)  # type: ignore[attr-defined]


def test_heap_order_is_not_key_order(tables: dict[str, pa.Table]) -> None:
    keys = column(tables["payment"], "payment_id")
    assert keys != sorted(keys, key=int)  # type: ignore[call-overload]


def test_names_in_statements_are_quoted() -> None:
    statement = compose("SELECT {columns} FROM {table}", table='a"b', columns=["select", "plain"])
    assert statement == 'SELECT "select", "plain" FROM "a""b"'
