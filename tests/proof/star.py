"""The star, said a second time and naively: one row of text at a time, by plain Python, from the state of a source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pycountry

from tests.proof import filtered, paths, specimens
from tests.proof.assignments import assignment
from tests.proof.composite import fits, written

SourceRow = Mapping[str, str | None]  # column -> what PostgreSQL writes of it
Key = int | str  # a key of several columns is one text: tests.proof.composite
State = Mapping[str, Mapping[Key, SourceRow]]  # source table -> key -> row
StarRow = tuple[str | None, ...]


class UnfitError(Exception):
    """The star has no place for the value of a source column."""

    def __init__(self, column: str, value: str | None) -> None:
        super().__init__(column, value)
        self.column, self.value = column, value


Cell = Callable[[SourceRow, State], str | None]


@dataclass(frozen=True)
class StarTable:
    """A warehouse table: the source table of its rows, how each column is made, and which other rows a row names."""

    source: str
    cells: Mapping[str, Cell]
    names: Mapping[str | tuple[str, ...], str]  # column, or several, -> the dimension whose row it names
    record: str | None = None  # the column that numbers a fact's versions
    fits: Callable[[Key], bool] = lambda _: True  # whether its columns can have a key
    matches: Callable[[SourceRow, State], bool] = lambda _, __: True  # whether it has the row at all
    dated: bool = False  # whether it has the times of its versions itself

    def named(self, row: StarRow) -> Iterator[tuple[str, Key | None]]:
        """The dimensions that a row names, and the keys there; None where it names no row of it."""
        values = dict(zip(self.cells, row, strict=True))
        for columns, dimension in self.names.items():
            if isinstance(columns, str):
                yield dimension, None if values[columns] is None else int(values[columns] or 0)
                continue
            parts = tuple(values[column] for column in columns)
            yield dimension, None if None in parts else written(parts) if len(parts) > 1 else int(parts[0] or 0)

    def derive(self, row: SourceRow, state: State) -> StarRow | list[UnfitError] | None:
        """The row of the star, or everything that keeps it out; None where the table's filter leaves it out."""
        if not self.matches(row, state):
            return None
        values, unfit = [], []
        for cell in self.cells.values():
            try:
                values.append(cell(row, state))
            except UnfitError as error:
                unfit.append(error)
        return unfit or tuple(values)


def _column(name: str, needed: bool = True) -> Cell:
    def cell(row: SourceRow, _: State) -> str | None:
        if needed and row[name] is None:
            raise UnfitError(name, None)
        return row[name]

    return cell


def _joined(table: str, by: str, name: str, needed: bool = True) -> Cell:
    def cell(row: SourceRow, state: State) -> str | None:
        named = row[by]
        value = None if named is None else state[table][int(named)][name]
        if needed and value is None:
            raise UnfitError(f"{table}.{name}", None)
        return value

    return cell


def _followed(table: str) -> dict[str, Cell]:
    """The cells of a table whose joins have paths."""
    found = paths.PATHS[table].items()
    return {name: lambda row, state, path=path: paths.followed(row, state, *path) for name, path in found}  # type: ignore[misc]


def _moment(name: str, part: int) -> Cell:
    def cell(row: SourceRow, _: State) -> str | None:
        value = row[name]
        if value is None or "infinity" in value:
            raise UnfitError(name, value)
        return value.split(" ")[part]

    return cell


def _day(name: str) -> Cell:
    def cell(row: SourceRow, _: State) -> str | None:
        value = row[name]
        if value is None or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            raise UnfitError(name, value)
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise UnfitError(name, value) from None

    return cell


def _decimal(name: str, digits: int) -> Cell:
    """Two places, and so many digits in all."""

    def cell(row: SourceRow, _: State) -> str | None:
        value = row[name]
        number = Decimal(value or "NaN")
        if not number.is_finite() or abs(number) >= Decimal(10) ** (digits - 2) or number != round(number, 2):
            raise UnfitError(name, value)
        return f"{number:.2f}"

    return cell


def _short(name: str, length: int) -> Cell:
    """A text of at most so many characters."""

    def cell(row: SourceRow, _: State) -> str | None:
        value = row[name]
        if value is None or len(value) > length:
            raise UnfitError(name, value)
        return value

    return cell


def _currency(row: SourceRow, _: State) -> str | None:
    code = row["currency_code"]
    found = pycountry.currencies.get(alpha_3=code) if code and code.isupper() else None
    if found is None:
        raise UnfitError("currency_code", code)
    return str(found.name)


def _same(*names: str, optional: tuple[str, ...] = ()) -> dict[str, Cell]:
    return {name: _column(name, name not in optional) for name in names}


def _assigned(name: str, wanted: str) -> Cell:
    """What PostgreSQL stores of the column in one of the type ``wanted``, which may end in NOT NULL."""
    kind = wanted.removesuffix(" NOT NULL")

    def cell(row: SourceRow, _: State) -> str | None:
        if (row[name] is None and kind != wanted) or assignment(name, kind) not in row:
            raise UnfitError(name, row[name])
        return row[assignment(name, kind)]

    return cell


def _specimen(table: str) -> dict[str, Cell]:
    cells = {name: _assigned(name, wanted) for name, wanted in specimens.wanted(table)}
    return {**_same(specimens.KEY), **cells}


def _full_name(row: SourceRow, _: State) -> str | None:
    return f"{row['first_name']} {str(row['last_name']).upper()}"


def _share(row: SourceRow, _: State) -> str | None:
    found = filtered.share(str(row["payment_amount"]))
    if found is None:
        raise UnfitError(filtered.SHARE, f"payment_amount = {row['payment_amount']}")
    return found


def _department(row: SourceRow, state: State) -> SourceRow | None:
    named = row["department_id"]
    return None if named is None else state["department"][int(named)]


_STAMPS: Mapping[str, Cell] = {
    "created_date": _moment("created_at", 0),
    "created_time": _moment("created_at", 1),
    "last_updated_date": _moment("last_updated", 0),
    "last_updated_time": _moment("last_updated", 1),
}
_ADDRESS = {  # column -> whether the star demands it
    "address_line_1": True,
    "address_line_2": False,
    "district": False,
    "city": True,
    "postal_code": True,
    "country": True,
    "phone": True,
}

STAR: Mapping[str, StarTable] = {
    "dim_staff": StarTable(
        "staff",
        {
            **_same("staff_id", "first_name", "last_name"),
            "department_name": _joined("department", "department_id", "department_name"),
            "location": _joined("department", "department_id", "location", needed=False),
            **_same("email_address"),
        },
        {},
    ),
    "dim_department": StarTable("department", _same("department_id", "department_name"), {}),
    "dim_person": StarTable(
        "staff",
        {
            "person_id": _column("staff_id"),
            **_same("reports_to", "department_id", "started_date", optional=("reports_to", "started_date")),
        },
        {"reports_to": "dim_person", "department_id": "dim_department"},
    ),
    "dim_location": StarTable(
        "address",
        {
            "location_id": _column("address_id"),
            **{name: _column(name, needed) for name, needed in _ADDRESS.items()},
        },
        {},
    ),
    "dim_counterparty": StarTable(
        "counterparty",
        {
            **_same("counterparty_id", "counterparty_legal_name"),
            **{
                f"counterparty_legal_{'phone_number' if name == 'phone' else name.removeprefix('legal_')}": _joined(
                    "address", "legal_address_id", name, needed
                )
                for name, needed in _ADDRESS.items()
            },
        },
        {},
    ),
    "dim_currency": StarTable("currency", {**_same("currency_id", "currency_code"), "currency_name": _currency}, {}),
    "dim_design": StarTable("design", _same("design_id", "design_name", "file_location", "file_name"), {}),
    "dim_payment_type": StarTable("payment_type", _same("payment_type_id", "payment_type_name"), {}),
    "dim_transaction": StarTable(
        "transaction",
        _same(
            "transaction_id",
            "transaction_type",
            "sales_order_id",
            "purchase_order_id",
            optional=("sales_order_id", "purchase_order_id"),
        ),
        {},
    ),
    "fact_sales_order": StarTable(
        "sales_order",
        {
            **_same("sales_order_id"),
            **_STAMPS,
            "sales_staff_id": _column("staff_id"),
            **_same("counterparty_id", "units_sold"),
            "unit_price": _decimal("unit_price", 10),
            **_same("currency_id", "design_id"),
            "agreed_payment_date": _day("agreed_payment_date"),
            "agreed_delivery_date": _day("agreed_delivery_date"),
            **_same("agreed_delivery_location_id"),
        },
        {
            "sales_staff_id": "dim_staff",
            "counterparty_id": "dim_counterparty",
            "currency_id": "dim_currency",
            "design_id": "dim_design",
            "agreed_delivery_location_id": "dim_location",
        },
        "sales_record_id",
    ),
    "fact_purchase_orders": StarTable(
        "purchase_order",
        {
            **_same("purchase_order_id"),
            **_STAMPS,
            **_same("staff_id", "counterparty_id", "item_code", "item_quantity"),
            "item_unit_price": _decimal("item_unit_price", 10),
            **_same("currency_id"),
            "agreed_delivery_date": _day("agreed_delivery_date"),
            "agreed_payment_date": _day("agreed_payment_date"),
            **_same("agreed_delivery_location_id"),
        },
        {
            "staff_id": "dim_staff",
            "counterparty_id": "dim_counterparty",
            "currency_id": "dim_currency",
            "agreed_delivery_location_id": "dim_location",
        },
        "purchase_record_id",
    ),
    "fact_payment": StarTable(
        "payment",
        {
            **_same("payment_id"),
            **_STAMPS,
            **_same("transaction_id", "counterparty_id"),
            "payment_amount": _decimal("payment_amount", 18),
            **_same("currency_id", "payment_type_id", "paid"),
            "payment_date": _day("payment_date"),
        },
        {
            "transaction_id": "dim_transaction",
            "counterparty_id": "dim_counterparty",
            "currency_id": "dim_currency",
            "payment_type_id": "dim_payment_type",
        },
        "payment_record_id",
    ),
    "dim_local_staff": StarTable(
        "staff",
        {
            "staff_id": _column("staff_id"),
            "full_name": _full_name,
            "location": _joined("department", "department_id", "location"),
        },
        {},
        matches=lambda row, state: filtered.is_local(row, _department(row, state)),
    ),
    "fact_open_payment": StarTable(
        "payment",
        {**_same("payment_id", "currency_id"), "share": _share},
        {"currency_id": "dim_currency"},
        "open_record_id",
        matches=lambda row, _: filtered.is_open(row),
    ),
    specimens.DIMENSION: StarTable(specimens.TABLE, _specimen(specimens.DIMENSION), {}),
    specimens.FACT: StarTable(
        specimens.TABLE, _specimen(specimens.FACT), {specimens.KEY: specimens.DIMENSION}, specimens.RECORD
    ),
    "dim_staff_history": StarTable(
        "staff",
        {
            **_same("staff_id", "last_name", "department_id", optional=("department_id",)),
            "location": _joined("department", "department_id", "location", needed=False),
        },
        {("department_id",): "dim_department"},
        "staff_key",
        dated=True,
    ),
    "dim_section_history": StarTable(
        "section", _same("hall", "number", "title", optional=("title",)), {}, "section_key", dated=True
    ),
    paths.MANAGER: StarTable("staff", _followed(paths.MANAGER), {}),
    paths.DELIVERY: StarTable("sales_order", _followed(paths.DELIVERY), {}, "delivery_record"),
    paths.PLACE: StarTable("item", _followed(paths.PLACE), {}),
    "dim_section": StarTable("section", _same("hall", "number", "title"), {}),
    "bridge_item": StarTable(
        "item",
        {
            "order_ref": _column("order_ref"),
            "line": _short("line", 3),
            **_same("hall", "section_number", optional=("hall", "section_number")),
        },
        {("hall", "section_number"): "dim_section"},
        fits=fits,
    ),
    "fact_item": StarTable(
        "item",
        {
            "order_ref": _column("order_ref"),
            "line": _short("line", 3),
            "quantity": _decimal("quantity", 6),
            **_same("hall", "section_number", optional=("hall", "section_number")),
        },
        {("hall", "section_number"): "dim_section"},
        "item_record_id",
        fits,
    ),
}
FACTS = {name: table for name, table in STAR.items() if table.record}
DIMENSIONS = {name: table for name, table in STAR.items() if not table.record}
REFERRING = {name for name, table in DIMENSIONS.items() if table.names}
