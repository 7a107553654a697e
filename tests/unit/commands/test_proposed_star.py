"""The star for a catalog, without a database: columns with their comments, dates, references, and the reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.model.expressions import Expression
from lambda_toolkit.pipeline.lambdas.shared.model.schema_declarations import Reference
from lambda_toolkit.pipeline.proposal import types
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, ForeignKey, Table
from lambda_toolkit.pipeline.proposal.names import Names, one_line, snake, toml_key, toml_text, toml_texts
from lambda_toolkit.pipeline.proposal.roles import Role, classify, is_audit, is_date, measures, usable_references
from lambda_toolkit.pipeline.proposal.star import StarColumn, StarTable, star
from lambda_toolkit.pipeline.proposal.types import WarehouseType, reads_as_itself, warehouse_type


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


def test_calendar_is_there_for_dates_of_facts_alone() -> None:
    """And a table of the source that is called like it gets another name."""
    dated = table("date", DAY), table("Date")
    assert [each.name for each in star(Catalog(dated, {}))] == ["dim_date_2", "dim_date_3"]
    days = table("t", NUMBER, DAY, column("day_date_key", "date"))
    calendar, fact = star(Catalog((days,), {}))
    assert calendar.name == "dim_date" and [each.columns for each in fact.references] == [("day",), ("day_date_key",)]


@pytest.mark.parametrize(("count", "joined"), [(10, True), (11, False)])
def test_joined_columns_end_where_a_table_is_full(count: int, joined: bool) -> None:
    """A table has no more than 1000 columns with what is joined in; a header of a fact counts as well."""
    many = [column(f"n{number}", "text") for number in range(988)]
    other = table("b", *(column(f"label{number}", "text") for number in range(count)))
    wide = table("a", *many, column("b_id", "integer"), refers={"b_id": "b"})
    [dimension] = [each for each in star(Catalog((wide, other), {})) if each.source == "a"]
    assert (list(dimension.joins), len(dimension.columns)) == ((["b"], 1000) if joined else ([], 990))
    header = table("b", NUMBER, *(column(f"d{number}", "date") for number in range(count)))
    at = column("at", "date")
    [fact] = [
        each
        for each in star(Catalog((table("a", *many[1:], at, wide.columns[-1], refers={"b_id": "b"}), header), {}))
        if each.source == "a"
    ]
    assert (list(fact.joins), len(fact.columns)) == ((["b"], 1000) if joined else ([], 990))


T, N = column("k", "text"), column("n", "character(3)")
OTHER = Table("other", "r", (T, N), ("k", "n"), (("k", "n"),))
KEY = ForeignKey(("b", "a"), "other", ("n", "k"), True)
MINE = Table("mine", "r", (column("a", "text"), column("b", "character(3)")), (), (("a",),), foreign_keys=(KEY,))


def inexact(of: Table, name: str, **more: Any) -> Table:
    return replace(of, columns=tuple(replace(each, **more) if each.name == name else each for each in of.columns))


@pytest.mark.parametrize(
    ("mine", "others", "found"),
    [
        (MINE, (OTHER,), [(("a", "b"), ("k", "n"))]),
        (MINE, (), []),
        (MINE, (replace(OTHER, unique_keys=()),), []),
        (MINE, (replace(OTHER, row_security=True),), []),
        (MINE, (replace(OTHER, unique_keys=(("k",),)),), []),
        (replace(MINE, foreign_keys=(replace(KEY, proven=False), KEY)), (OTHER,), [(("a", "b"), ("k", "n"))]),
        (inexact(MINE, "a", exact=False), (OTHER,), []),
        (MINE, (inexact(OTHER, "k", exact=False),), []),
        (inexact(MINE, "b", base_type="character(2)"), (OTHER,), []),
        (inexact(MINE, "a", base_type="character varying(2)"), (OTHER,), [(("a", "b"), ("k", "n"))]),
        (inexact(MINE, "b", type="code"), (OTHER,), [(("a", "b"), ("k", "n"))]),
    ],
)
def test_reference_is_usable_where_each_row_finds_its_own(mine: Table, others: tuple[Table, ...], found: Any) -> None:
    """In the order of the other table's key: it is validated, no row is hidden, and equal values are the same text."""
    usable = usable_references(mine, Catalog((mine, *others), {}))
    assert [(key.columns, key.references) for key in usable] == found and all(key.proven for key in usable)


@pytest.mark.parametrize(
    ("name", "kind", "base", "date", "audit"),
    [
        *(("due", "date", "date", True, False), ("due", "timestamp(3) without time zone", "", True, False)),
        *(
            ("due", "integer", "", False, False),
            ("due", "day", "date", False, False),
            ("updater", "date", "", True, False),
        ),
        *(("row_last_update", "date", "", False, True), ("created_at", "date", "", True, True)),
        *(("creation", "day", "date", False, True), ("was_inserted", "date", "", True, True)),
        *(("LastModifiedOn", "date", "", False, True), ("deleted", "integer", "", False, False)),
    ],
)
def test_date_says_when_something_happened(name: str, kind: str, base: str, date: bool, audit: bool) -> None:
    """Not when the row was changed; when it was created is a date of a fact, and no attribute of a dimension."""
    assert (is_date(column(name, kind, base)), is_audit(column(name, kind, base))) == (date, audit)


def test_label_makes_a_dimension_of_what_has_measures() -> None:
    for name in ("name", "Title", "label", "first_name", "company_name", "t_name", "t_title"):
        assert classify(Catalog((table("t", NUMBER, DAY, column(name, "text")),), {}))["t"].role is Role.DIMENSION, name
    for name in ("names", "other_title", "nickname", "t_label"):
        assert classify(Catalog((table("t", NUMBER, DAY, column(name, "text")),), {}))["t"].role is Role.FACT, name


@pytest.mark.parametrize(
    ("given", "kind", "reason"),
    [
        (column("c", "integer"), "integer", None),
        (column("c", "text[]"), "text[]", None),
        (
            column("c", "short", "character varying(3)"),
            "character varying(3)",
            "the domain short, of character varying(3)",
        ),
        (column("c", "mood", enum_labels=("a",)), "text", "the enum mood"),
        (column("c", "mood[]", enum_labels=("a",)), "text", "an array of the enum mood"),
        (column("c", "feeling", "mood", enum_labels=("a",)), "text", "the domain feeling, of mood"),
        (column("c", "money"), "text", "money, as PostgreSQL writes it with lc_monetary = C"),
        (column("c", "money[]"), "text", "money, as PostgreSQL writes it with lc_monetary = C"),
        (column("c", "geometry(Point,4326)"), "text", "geometry(Point,4326) is stored as PostgreSQL writes it"),
        (column("c", "other.citext"), "text", "other.citext is stored as PostgreSQL writes it"),
    ],
)
def test_type_in_the_warehouse_is_its_own_or_text(given: Column, kind: str, reason: str | None) -> None:
    assert warehouse_type(given) == WarehouseType(kind, reason)


def test_type_is_read_whole_or_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [reads_as_itself(kind) for kind in ("integer", "numeric(5,2)", "int", "integer x", "wibble", "'x", "")] == [
        *(True, True, False, False, False, False, False),
    ]
    monkeypatch.setattr(types, "read_type", lambda reader: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reads_as_itself("text")


def test_fact_without_a_header_is_not_joined() -> None:
    """What the other fact refers to, this one refers to itself."""
    keys = {"x_id": "x", "y_id": "y", "z_id": "z"}
    columns = [column(name, "integer") for name in keys]
    one = table("a", *columns, refers=keys)
    other = table("b", NUMBER, column("a_id", "integer"), *columns, refers={"a_id": "a", **keys})
    found = {each.source: each for each in star(Catalog((*map(table, "xyz"), one, other), {}))}
    assert found["a"].kind == found["b"].kind == "fact" and (found["b"].joins, len(found["b"].comments)) == ({}, 1)


def test_names_of_the_source_become_those_of_the_warehouse() -> None:
    given = {"OrderDetails": "order_details", "Order - Details": "order_details", "HTTPServer": "http_server"}
    given |= {"_a1B_": "a1_b", "--": "unnamed", "é€": "é", "ABC": "abc"}
    assert {name: snake(name) for name in given} == given
    names = Names(["a", "a_2", "ctid"])
    assert [names.make(name) for name in ("a", "a", "b", "ctid")] == ["a_3", "a_4", "b", "ctid_2"]
    long = [names.make("x" * 63) for _ in range(3)]
    assert len(set(long)) == 3 and long[0] == "x" * 63 and all(len(name) == 63 for name in long)
    assert ("b" in names, "c" in names) == (True, False)
    assert [toml_key(name) for name in ("aB_1-", "a b", "é", "")] == ["aB_1-", '"a b"', '"é"', '""']
    assert [toml_texts(["a"]), toml_texts(["a", 'b"']), toml_texts([])] == ['"a"', '["a", "b\\""]', "[]"]
    assert toml_text("é\x7f\n\\") == '"é\\u007F\\n\\\\"'
    assert one_line(" a\n\t\x00b\u2028 c\xa0") == "a b c"
    assert one_line("x" * 160) == "x" * 160 and one_line("x" * 161) == "x" * 160 + " ..."
    assert one_line("x" * 159 + " y") == "x" * 159 + " ..." and one_line("x" * 500, longest=None) == "x" * 500
