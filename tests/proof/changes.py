"""What people do to a source: changes of single rows, as data, and the values that they may bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.proof import composite, specimens

_COMPOSITE = {  # as one text
    table: f"jsonb_build_array({', '.join(f'{name}::text' for name in columns)})::text"
    for table, columns in composite.COLUMNS.items()
}
KEYS: Mapping[str, str] = {  # source table -> its key, in the order in which rows can be made
    "address": "address_id",
    "counterparty": "counterparty_id",
    "currency": "currency_id",
    "department": "department_id",
    "design": "design_id",
    "staff": "staff_id",
    "payment_type": "payment_type_id",
    "sales_order": "sales_order_id",
    "purchase_order": "purchase_order_id",
    "transaction": "transaction_id",
    "payment": "payment_id",
    specimens.TABLE: specimens.KEY,
    **_COMPOSITE,
}
TEXTS = (
    "plain",
    "",
    "NULL",
    "NA",
    r"\N",
    r"\.",
    "a,b;c",
    'say "so"',
    "O'Keefe",
    "two\nlines\r\n",
    "tab\tand\\",
    " space ",
    "👜🏽",
    "שלום",
    "08841",
)
DATES = ("2024-02-29", "2024-12-31", "2031-01-01")
NO_DATES = ("2022-13-45", "2023-02-30", "2023-2-3", "soon", "")
MOMENTS = ("2024-01-05 08:00:00", "2024-05-01 07:55:11.885", "2024-06-30 23:59:59.999", "1999-12-31 00:00:00.001")
NUMBERS = ("1", "2", "100000", "-1")
PRICES = ("2.00", "2.5", "3.999999e2", "99999999.99")
NO_PRICES = ("2.005", "100000000", "NaN")
AMOUNTS = ("0", "1234567890.12", "-0.01", "9999999999999999.99")
NO_AMOUNTS = ("0.001", "1e17", "Infinity")
CODES = ("GBP", "USD", "JPY", "CHF")
NO_CODES = ("ZZZ", "gbp", "")
HERE = ("1", "2", "3", "4")  # keys that a row may name

Values = tuple[str | None, ...]
_STAMPS: Mapping[str, Values] = {"last_updated": (*MOMENTS, "infinity"), "created_at": MOMENTS}
_ORDER: Mapping[str, Values] = {
    **_STAMPS,
    "staff_id": HERE,
    "counterparty_id": HERE,
    "currency_id": HERE,
    "agreed_delivery_date": (*DATES, *NO_DATES),
    "agreed_payment_date": (*DATES, *NO_DATES[:1]),
    "agreed_delivery_location_id": HERE,
}
VALUES: Mapping[str, Mapping[str, Values]] = {  # table -> column -> what an update may set it to
    "address": {
        "address_line_1": TEXTS,
        "address_line_2": (*TEXTS, None),
        "district": (*TEXTS, None),
        "phone": (*TEXTS, None),
    },
    "counterparty": {
        "counterparty_legal_name": TEXTS,
        "legal_address_id": HERE,
        "commercial_contact": (*TEXTS, None),
    },
    "currency": {"currency_code": (*CODES, *CODES, *NO_CODES)},
    "department": {"department_name": (*TEXTS, None), "location": (*TEXTS, None), "manager": (*TEXTS, None)},
    "design": {"file_location": TEXTS, "file_name": TEXTS, "last_updated": MOMENTS},
    "staff": {
        "last_name": TEXTS,
        "department_id": (*HERE, None),
        "reports_to": (*HERE, None),
        "started_date": (*DATES, None),
    },
    "payment_type": {"payment_type_name": TEXTS},
    "sales_order": {
        **_ORDER,
        "design_id": (*HERE, None),
        "units_sold": NUMBERS,
        "unit_price": (*PRICES, *NO_PRICES),
    },
    "purchase_order": {
        **_ORDER,
        "item_code": (*TEXTS, "9002744"),
        "item_quantity": NUMBERS,
        "item_unit_price": (*PRICES, *NO_PRICES),
    },
    "transaction": {
        "transaction_type": ("SALE", "PURCHASE"),
        "sales_order_id": (*HERE, None),
        "purchase_order_id": (*HERE, None),
    },
    "payment": {
        **_STAMPS,
        "paid": ("true", "false"),
        "payment_amount": (*AMOUNTS, *NO_AMOUNTS),
        "payment_date": (*DATES, *NO_DATES[:2]),
        "currency_id": HERE,
        "transaction_id": HERE,
    },
    specimens.TABLE: specimens.VALUES,
    **composite.VALUES,
}
_WHEN = {"created_at": "2024-01-05 08:00:00", "last_updated": "2024-01-05 08:00:00.96"}
_AGREED = {
    "staff_id": "1",
    "counterparty_id": "1",
    "currency_id": "1",
    "agreed_delivery_date": "2024-02-29",
    "agreed_payment_date": "2024-03-01",
    "agreed_delivery_location_id": "1",
}
ROWS: Mapping[str, Mapping[str, str | None]] = {  # table -> a row that the warehouse would take, but for its key
    "address": {
        "address_line_1": "1 Road",
        "city": "Leeds",
        "postal_code": "08841",
        "country": "Democratic People's Republic of Korea",
        "phone": "1",
        **_WHEN,
    },
    "counterparty": {"counterparty_legal_name": "Leannon, Predovic and Morar", "legal_address_id": "1", **_WHEN},
    "currency": {"currency_code": "GBP", **_WHEN},
    "department": {"department_name": "Facilities", "location": "Leds", **_WHEN},
    "design": {"design_name": "Wooden", "file_location": "/lib", "file_name": "w.json", **_WHEN},
    "staff": {
        "first_name": "Ann",
        "last_name": "O'Keefe",
        "department_id": "1",
        "email_address": "a@t.com",
        "reports_to": "2",
        "started_date": "2023-02-28",
        **_WHEN,
    },
    "payment_type": {"payment_type_name": "SALES_RECEIPT", **_WHEN},
    "sales_order": {"design_id": "1", "units_sold": "1000", "unit_price": "2.5", **_AGREED, **_WHEN},
    "purchase_order": {"item_code": "9002744", "item_quantity": "7", "item_unit_price": "99.99", **_AGREED, **_WHEN},
    "transaction": {"transaction_type": "SALE", "sales_order_id": "1", **_WHEN},
    "payment": {
        "transaction_id": "1",
        "counterparty_id": "1",
        "payment_amount": "1234567890.12",
        "currency_id": "1",
        "payment_type_id": "1",
        "paid": "false",
        "payment_date": "2024-01-07",
        "company_ac_number": "1",
        "counterparty_ac_number": "2",
        **_WHEN,
    },
    specimens.TABLE: specimens.ROW,
    **composite.ROWS,
}
BAD: Mapping[str, tuple[tuple[str, str | None], ...]] = {  # table -> columns with values that the star refuses
    "address": (("phone", None),),
    "currency": tuple(("currency_code", code) for code in NO_CODES),
    "department": (("department_name", None),),
    "staff": (("department_id", None),),
    "sales_order": (
        ("agreed_delivery_date", NO_DATES[0]),
        ("agreed_delivery_date", NO_DATES[1]),
        ("agreed_payment_date", NO_DATES[0]),
        ("design_id", None),
        ("last_updated", "infinity"),
        *(("unit_price", price) for price in NO_PRICES),
    ),
    "purchase_order": (
        ("agreed_delivery_date", NO_DATES[2]),
        *(("item_unit_price", price) for price in NO_PRICES),
    ),
    "payment": (
        ("payment_date", NO_DATES[0]),
        *(("payment_amount", amount) for amount in NO_AMOUNTS),
    ),
    specimens.TABLE: specimens.REFUSED,
    **composite.BAD,
}
REPAIRS: Mapping[str, tuple[str, str]] = {  # column -> the condition under which it is bad, and a value that is not
    "currency_code": ("currency_code NOT IN ('GBP', 'USD', 'JPY', 'CHF')", "CHF"),
    "agreed_delivery_date": ("agreed_delivery_date NOT IN ('2024-02-29', '2024-12-31', '2031-01-01')", "2024-02-29"),
    "agreed_payment_date": ("agreed_payment_date = '2022-13-45'", "2024-03-01"),
    "payment_date": ("payment_date IN ('2022-13-45', '2023-02-30')", "2024-01-08"),
    "unit_price": ("unit_price IN (2.005, 100000000, 'NaN')", "2.75"),
    "item_unit_price": ("item_unit_price IN (2.005, 100000000, 'NaN')", "2.75"),
    "payment_amount": ("payment_amount IN (0.001, 1e17, 'Infinity')", "5"),
    "last_updated": ("last_updated = 'infinity'", "2024-07-01 07:55:00"),
    "phone": ("phone IS NULL", "2"),
    "department_name": ("department_name IS NULL", "Tech"),
    "department_id": ("department_id IS NULL", "1"),
    "design_id": ("design_id IS NULL", "1"),
    **composite.REPAIRS,
}


def literal(value: str | None) -> str:
    """``value`` as SQL writes it."""
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def identified(table: str, key: int) -> dict[str, str]:
    """The columns of a row's key, and their values."""
    if table in composite.COLUMNS:
        return dict(zip(composite.COLUMNS[table], composite.PARTS[table][key], strict=True))
    return {KEYS[table]: str(key)}


def _is(table: str, key: int) -> str:
    """The condition that a row has this key."""
    return " AND ".join(f"{column} = {literal(value)}" for column, value in identified(table, key).items())


@dataclass(frozen=True)
class Insert:
    """A row that is new, or back; ``bad``: the star refuses it, where it refuses anything of its table."""

    table: str
    key: int
    bad: bool = False

    def sql(self) -> str:
        """The statement."""
        row = {**ROWS[self.table], **identified(self.table, self.key)}
        if self.bad:
            row.update(BAD.get(self.table, ())[:1])
        return f"INSERT INTO {self.table} ({', '.join(row)}) VALUES ({', '.join(map(literal, row.values()))})"


@dataclass(frozen=True)
class Update:
    """One column of one row; of every row where ``key`` is None. ``last_updated`` moves only when it is the column."""

    table: str
    key: int | None
    column: str
    value: str | None

    def sql(self) -> str:
        """The statement."""
        where = "" if self.key is None else f" WHERE {_is(self.table, self.key)}"
        return f"UPDATE {self.table} SET {self.column} = {literal(self.value)}{where}"


@dataclass(frozen=True)
class Touch:
    """An update that changes nothing."""

    table: str
    key: int

    def sql(self) -> str:
        """The statement."""
        column = next(iter(identified(self.table, self.key)))
        return f"UPDATE {self.table} SET {column} = {column} WHERE {_is(self.table, self.key)}"


@dataclass(frozen=True)
class Delete:
    """A row that goes."""

    table: str
    key: int

    def sql(self) -> str:
        """The statement."""
        return f"DELETE FROM {self.table} WHERE {_is(self.table, self.key)}"


Change = Insert | Update | Touch | Delete


def seed() -> str:
    """Two rows of every table, and a third of those that others name."""
    statements = [Insert(table, key).sql() for table in KEYS for key in (1, 2)]
    statements += [Insert(table, 3).sql() for table in ("address", "currency", "department", "design")]
    return "; ".join(statements)
