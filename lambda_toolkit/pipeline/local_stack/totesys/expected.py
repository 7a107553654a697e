"""What the warehouse must hold now, said in plain SQL over the source: one query for each warehouse table.

Written by hand from the published schemas, and knowing nothing of the pipeline that fills the warehouse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.totesys.statement import compose

Row = tuple[str | None, ...]  # as PostgreSQL writes values in text

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip

_PRESENT_DIMENSION = """
    SELECT {columns} FROM {table} WHERE NOT EXISTS (
        SELECT FROM pipeline.deletion AS d WHERE d.table_name = '$name'
        AND d.key = {table}.{key}::text AND d.undeleted_batch IS NULL)
"""
_PRESENT_FACT = """
    SELECT {columns}, trim_scale({amount}) FROM {table}
    WHERE {record} IN (SELECT max({record}) FROM {table} GROUP BY {key}) AND NOT EXISTS (
        SELECT FROM pipeline.deletion AS d WHERE d.table_name = '$name'
        AND d.key = {table}.{key}::text AND d.undeleted_batch IS NULL)
"""


@dataclass(frozen=True)
class Expectation:
    """One warehouse table: what must be in it, and how to read what is.

    ``expected`` runs on the source and ``present`` on the warehouse; both give the rows of the present state with these
    columns, the key first. ``finish`` makes an expected row of what the source gives, where SQL over the source alone
    cannot. ``may_have_more``: rows that no present row of the source calls for are right if they are what ``finish``
    makes of their key.
    """

    table: str
    columns: tuple[str, ...]
    expected: str
    present: str
    finish: Callable[[Row], Row] = lambda row: row
    may_have_more: bool = False
    record: str = ""

    @property
    def is_fact(self) -> bool:
        """Whether the table holds every version of a row, each with its number in the column ``record``."""
        return bool(self.record)


def _of(template: str, table: str) -> str:
    """The template with the name of a table here, as the control tables have it, for ``$name``."""
    return template.replace("$name", table)


def _dimension(table: str, columns: str, expected: str, finish: Callable[[Row], Row] = lambda row: row) -> Expectation:
    names = columns.split()
    present = compose(_of(_PRESENT_DIMENSION, table), table=table, columns=names, key=names[0])
    return Expectation(table, tuple(names), expected, present, finish)


def _fact(table: str, record: str, columns: str, amount: str, expected: str) -> Expectation:
    """The latest version (highest record number) of each key. ``amount`` is its numeric column, without idle zeros."""
    names = columns.split()
    present = compose(_of(_PRESENT_FACT, table), table=table, columns=names, amount=amount, record=record, key=names[0])
    return Expectation(table, (*names, amount), expected, present, record=record)


def _calendar(row: Row) -> Row:
    """A row of dim_date from its date: day_of_week is ISO 8601's, Monday 1."""
    day = date.fromisoformat(row[0] or "")
    weekday = day.isoweekday()
    numbers = (day.year, day.month, day.day, weekday)
    return (row[0], *map(str, numbers), _DAYS[weekday - 1], _MONTHS[day.month - 1], str((day.month + 2) // 3))


def _currency(row: Row) -> Row:
    """A row of dim_currency from its key and code: the name is ISO 4217's, here from pycountry."""
    import pycountry

    key, code = row
    found = pycountry.currencies.get(alpha_3=code)
    if found is None:
        raise LocalError(f"The source has a currency code that is not in ISO 4217: {code!r}")
    return (key, code, str(found.name))


EXPECTATIONS: tuple[Expectation, ...] = (
    Expectation(
        table="dim_date",  # also holds the dates of earlier versions and of deleted rows
        columns=("date_id", "year", "month", "day", "day_of_week", "day_name", "month_name", "quarter"),
        expected="""
            SELECT created_at::date FROM sales_order UNION SELECT last_updated::date FROM sales_order
            UNION SELECT agreed_delivery_date::date FROM sales_order
            UNION SELECT agreed_payment_date::date FROM sales_order
            UNION SELECT created_at::date FROM purchase_order UNION SELECT last_updated::date FROM purchase_order
            UNION SELECT agreed_delivery_date::date FROM purchase_order
            UNION SELECT agreed_payment_date::date FROM purchase_order
            UNION SELECT created_at::date FROM payment UNION SELECT last_updated::date FROM payment
            UNION SELECT payment_date::date FROM payment
        """,
        present="SELECT date_id, year, month, day, day_of_week, day_name, month_name, quarter FROM dim_date",
        finish=_calendar,
        may_have_more=True,
    ),
    _dimension(
        "dim_staff",
        "staff_id first_name last_name department_name location email_address",
        """
            SELECT staff_id, first_name, last_name, department_name, location, email_address
            FROM staff JOIN department USING (department_id)
        """,
    ),
    _dimension(
        "dim_location",
        "location_id address_line_1 address_line_2 district city postal_code country phone",
        """
            SELECT address_id, address_line_1, address_line_2, district, city, postal_code, country, phone
            FROM address
        """,
    ),
    _dimension(
        "dim_counterparty",
        "counterparty_id counterparty_legal_name counterparty_legal_address_line_1 counterparty_legal_address_line_2 "
        "counterparty_legal_district counterparty_legal_city counterparty_legal_postal_code "
        "counterparty_legal_country counterparty_legal_phone_number",
        """
            SELECT counterparty_id, counterparty_legal_name,
                   address_line_1, address_line_2, district, city, postal_code, country, phone
            FROM counterparty JOIN address ON address_id = legal_address_id
        """,
    ),
    _dimension(
        "dim_currency",
        "currency_id currency_code currency_name",
        "SELECT currency_id, currency_code FROM currency",
        _currency,
    ),
    _dimension(
        "dim_design",
        "design_id design_name file_location file_name",
        "SELECT design_id, design_name, file_location, file_name FROM design",
    ),
    _dimension(
        "dim_payment_type",
        "payment_type_id payment_type_name",
        "SELECT payment_type_id, payment_type_name FROM payment_type",
    ),
    _dimension(
        "dim_transaction",
        "transaction_id transaction_type sales_order_id purchase_order_id",
        "SELECT transaction_id, transaction_type, sales_order_id, purchase_order_id FROM transaction",
    ),
    _fact(
        "fact_sales_order",
        "sales_record_id",
        "sales_order_id created_date created_time last_updated_date last_updated_time sales_staff_id counterparty_id "
        "units_sold currency_id design_id agreed_payment_date agreed_delivery_date agreed_delivery_location_id",
        "unit_price",
        """
            SELECT sales_order_id, created_at::date, created_at::time, last_updated::date, last_updated::time,
                   staff_id, counterparty_id, units_sold, currency_id, design_id, agreed_payment_date::date,
                   agreed_delivery_date::date, agreed_delivery_location_id, trim_scale(unit_price)
            FROM sales_order
        """,
    ),
    _fact(
        "fact_purchase_orders",
        "purchase_record_id",
        "purchase_order_id created_date created_time last_updated_date last_updated_time staff_id counterparty_id "
        "item_code item_quantity currency_id agreed_delivery_date agreed_payment_date agreed_delivery_location_id",
        "item_unit_price",
        """
            SELECT purchase_order_id, created_at::date, created_at::time, last_updated::date, last_updated::time,
                   staff_id, counterparty_id, item_code, item_quantity, currency_id, agreed_delivery_date::date,
                   agreed_payment_date::date, agreed_delivery_location_id, trim_scale(item_unit_price)
            FROM purchase_order
        """,
    ),
    _fact(
        "fact_payment",
        "payment_record_id",
        "payment_id created_date created_time last_updated_date last_updated_time transaction_id counterparty_id "
        "currency_id payment_type_id paid payment_date",
        "payment_amount",
        """
            SELECT payment_id, created_at::date, created_at::time, last_updated::date, last_updated::time,
                   transaction_id, counterparty_id, currency_id, payment_type_id, paid, payment_date::date,
                   trim_scale(payment_amount)
            FROM payment
        """,
    ),
)

# The views of each fact: its present state, and all its versions with the times between which they were valid.
VIEWS: Mapping[str, tuple[str, str]] = {
    fact: (f"current_{fact}", f"history_{fact}")
    for fact in ("fact_sales_order", "fact_purchase_orders", "fact_payment")
}

_PRESENT_RECORDS = """
    SELECT {record} FROM {table} WHERE {record} IN (SELECT max({record}) FROM {table} GROUP BY {key}) AND NOT EXISTS (
        SELECT FROM pipeline.deletion AS d WHERE d.table_name = '$name'
        AND d.key = {table}.{key}::text AND d.undeleted_batch IS NULL)
"""


def view_queries(expectation: Expectation) -> Iterator[tuple[str, str, str]]:
    """What to tell of a record number that only one of two queries gives, and the two, which must give the same."""
    current, history = VIEWS[expectation.table]
    names = {"record": expectation.record, "table": expectation.table, "key": expectation.columns[0]}
    present = compose(_of(_PRESENT_RECORDS, expectation.table), **names)
    shown = compose("SELECT {record} FROM {view}", record=expectation.record, view=current)
    every = compose("SELECT {record} FROM {table}", record=expectation.record, table=expectation.table)
    found = compose("SELECT {record} FROM {view}", record=expectation.record, view=history)
    still = compose("SELECT {record} FROM {view} WHERE valid_to IS NULL", record=expectation.record, view=history)
    yield f"{current} is wrong about {expectation.record}", present, shown
    yield f"{history} is wrong about {expectation.record}", every, found
    yield f"{history} is wrong about the end of {expectation.record}", present, still


# Which dimension each column of a fact must be a foreign key to.
FOREIGN_KEYS: tuple[tuple[str, str, str], ...] = (
    ("fact_sales_order", "created_date", "dim_date"),
    ("fact_sales_order", "last_updated_date", "dim_date"),
    ("fact_sales_order", "sales_staff_id", "dim_staff"),
    ("fact_sales_order", "counterparty_id", "dim_counterparty"),
    ("fact_sales_order", "currency_id", "dim_currency"),
    ("fact_sales_order", "design_id", "dim_design"),
    ("fact_sales_order", "agreed_payment_date", "dim_date"),
    ("fact_sales_order", "agreed_delivery_date", "dim_date"),
    ("fact_sales_order", "agreed_delivery_location_id", "dim_location"),
    ("fact_purchase_orders", "created_date", "dim_date"),
    ("fact_purchase_orders", "last_updated_date", "dim_date"),
    ("fact_purchase_orders", "staff_id", "dim_staff"),
    ("fact_purchase_orders", "counterparty_id", "dim_counterparty"),
    ("fact_purchase_orders", "currency_id", "dim_currency"),
    ("fact_purchase_orders", "agreed_delivery_date", "dim_date"),
    ("fact_purchase_orders", "agreed_payment_date", "dim_date"),
    ("fact_purchase_orders", "agreed_delivery_location_id", "dim_location"),
    ("fact_payment", "created_date", "dim_date"),
    ("fact_payment", "last_updated_date", "dim_date"),
    ("fact_payment", "transaction_id", "dim_transaction"),
    ("fact_payment", "counterparty_id", "dim_counterparty"),
    ("fact_payment", "currency_id", "dim_currency"),
    ("fact_payment", "payment_type_id", "dim_payment_type"),
    ("fact_payment", "payment_date", "dim_date"),
)
