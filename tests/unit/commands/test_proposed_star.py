"""The star for a catalog, without a database: columns with their comments, dates, references, and the reasons."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.model.expressions import Expression
from lambda_toolkit.pipeline.lambdas.shared.model.schema_declarations import Reference
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, ForeignKey, Table
from lambda_toolkit.pipeline.proposal.roles import Role, classify, measures
from lambda_toolkit.pipeline.proposal.star import StarColumn, StarTable, star


def column(name: str, kind: str, base: str = "", *, required: bool = False, **more: Any) -> Column:
    return Column(name, kind, base or kind, required, **more)


ID = column("id", "integer", required=True)


def table(name: str, *columns: Column, refers: dict[str, str] | None = None, **more: Any) -> Table:
    """A table with the key ``id``; ``refers``: columns, and the tables that they refer to."""
    keys = tuple(ForeignKey((mine,), other, ("id",), True) for mine, other in (refers or {}).items())
    return Table(name, "r", (ID, *columns), ("id",), (("id",),), foreign_keys=keys, **more)


CUSTOMER = table(
    "customer",
    column("name", "text", comment="of the person"),
    column("mood", "mood", enum_labels=("a", "b")),
)
ORDER = table(
    "order",
    column("customer_id", "integer", required=True),
    column("ordered_at", "timestamp with time zone", required=True),
    column("due", "date"),
    column("day", "birthday", "date"),
    column("total", "numeric(8,2)", generated="stored", comment="with tax"),
    column("updated_at", "timestamp without time zone"),
    refers={"customer_id": "customer"},
    estimated_rows=1234,
)


def plain(name: str, kind: str, *, required: bool = False, comment: str | None = None) -> StarColumn:
    return StarColumn(name, Expression(name), kind, required, comment)


def test_star_has_every_column_with_what_is_known_of_it() -> None:
    assert star(Catalog((CUSTOMER, ORDER), {})) == (
        StarTable(
            *("dim_date", "calendar", ("date_id",)),
            comments=("A date dimension: every date that a fact refers to.",),
        ),
        StarTable(
            *("dim_customer", "dimension", ("id",)),
            (
                plain("id", "integer", required=True),
                plain("name", "text", comment="of the person"),
                plain("mood", "text", comment="the enum mood"),
            ),
            "customer",
            comments=("A dimension: order refers to it.",),
        ),
        StarTable(
            *("fact_order", "fact", ("id",)),
            (
                plain("id", "integer", required=True),
                plain("customer_id", "integer", required=True),
                plain("ordered_at", "timestamp with time zone", required=True),
                StarColumn(
                    *("ordered_date_key", Expression("ordered_at", None, "date"), "date", True, "its date in UTC"),
                ),
                plain("due", "date"),
                plain("day", "date", comment="the domain birthday, of date"),
                plain("total", "numeric(8,2)", comment="generated, stored; with tax"),
                plain("updated_at", "timestamp without time zone"),
            ),
            *("order", "order_record_id"),
            references=(
                Reference(("ordered_date_key",), "dim_date", ("date_id",)),
                Reference(("due",), "dim_date", ("date_id",)),
                Reference(("customer_id",), "dim_customer", ("id",)),
            ),
            comments=(
                "A fact: it refers to customer, has measures (total), and no table refers to it. About 1,234 rows.",
            ),
        ),
    )


NUMBER, DAY, NAME = column("amount", "integer"), column("day", "date"), column("name", "text")


@pytest.mark.parametrize(
    ("tables", "role", "reason"),
    [
        ((table("t"),), Role.DIMENSION, "no table refers to it, and it has no dates with measures"),
        ((table("t", NUMBER, DAY),), Role.FACT, "it says when (day) and has measures (amount)"),
        ((table("t", NUMBER, DAY, NAME),), Role.DIMENSION, "no table refers to it, and it has no dates with measures"),
        ((table("t", NUMBER),), Role.DIMENSION, "no table refers to it, and it has no dates with measures"),
        (
            (table("a"), table("t", DAY, column("a_id", "integer"), refers={"a_id": "a"})),
            *(Role.FACT, "it refers to a, says when (day), and no table refers to it"),
        ),
        (
            (table("a"), table("t", NUMBER, column("a_id", "integer"), refers={"a_id": "a"})),
            *(Role.FACT, "it refers to a, has measures (amount), and no table refers to it"),
        ),
        (
            (table("t"), table("b", refers={"id": "t"}), table("c", refers={"id": "t"})),
            *(Role.DIMENSION, "b and c refer to it"),
        ),
        ((table("t"), table("b", refers={"id": "t"})), Role.DIMENSION, "b refers to it"),
        (
            (
                *(table(name) for name in "abc"),
                table("t", *(column(f"{n}_id", "integer") for n in "abc"), NAME, refers={f"{n}_id": n for n in "abc"}),
            ),
            *(Role.FACT, "it refers to 3 tables: a, b and c"),
        ),
        (
            (
                *(table(name) for name in "ab"),
                table("t", *(column(f"{n}_id", "integer") for n in "ab"), refers={f"{n}_id": n for n in "ab"}),
            ),
            *(Role.BRIDGE, "it does nothing but connect a and b"),
        ),
    ],
)
def test_role_of_a_table_has_its_reason(tables: tuple[Table, ...], role: Role, reason: str) -> None:
    found = classify(Catalog(tables, {}))["t"]
    assert (found.role, found.reason) == (role, reason)


def test_measures_are_numbers_that_identify_nothing() -> None:
    columns = (
        *(column("price", "numeric(8,2)"), column("fee", "money"), column("weight", "kilos", "real")),
        *(column("zip", "integer"), column("order_no", "integer"), column("birth_year", "smallint")),
        *(column("a_id", "integer"), column("note", "text"), column("row", "bigint", identity="always")),
    )
    assert measures(table("t", *columns, refers={"a_id": "a"})) == ("price", "fee", "weight")
