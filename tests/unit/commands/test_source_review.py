"""What a catalog means for the declarations and the last batch: each sentence that ``plan`` says of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.client.sources.source_review import FirstLoad, first_load, notes, problems
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, Table

ID = Column("id", "key", "integer", True)
NAME = Column("name", "text", "text", False)
STAFF = Table("staff", "r", (ID, NAME), ("id",), (("id",),), estimated_rows=5)
CONTENT = ' Use the tables behind it; or declare its key and compare = "content": then every run reads all rows.'
VIEW = f"It is a view: PostgreSQL does not show which of its rows changed.{CONTENT}"


def declaring(*tables: SourceTable, needed: Mapping[str, Any] = {}) -> Any:
    """Declarations that need the column ``id`` of each table, and those in ``needed``."""
    columns = {table.name: {"id": (), **needed.get(table.name, {})} for table in tables}
    return SimpleNamespace(source={table.name: table for table in tables}, needed_columns=lambda: columns)


def of(name: str, **more: Any) -> SourceTable:
    return SourceTable(name, ("id",), **more)


def catalogs(*tables: Table, shop: tuple[Table, ...] = (), **others: int) -> dict[str, Catalog]:
    return {"public": Catalog(tables, others), "shop": Catalog(shop, {})}


@pytest.mark.parametrize(
    ("table", "found", "says"),
    [
        (of("staff"), catalogs(STAFF), []),
        (of("staff", schema="shop"), catalogs(STAFF), ["no table shop.staff, which [source.staff]"]),
        (of("staff", schema="shop"), catalogs(shop=(STAFF,)), []),
        (of("people", table="staff"), catalogs(STAFF), []),
        (
            of("a", table="stafff"),
            catalogs(STAFF, replace(STAFF, name="stafg")),
            ["stafff, which [source.a] declares."],
        ),
        (of("x"), catalogs(STAFF), ["declares. It is looked for in the schema public."]),
        (
            of("x"),
            catalogs(STAFF, shop=(), a=1, b=2),
            ["in the schema public, and the database also has a and b: name one as `schema`."],
        ),
        (
            of("staff"),
            catalogs(replace(STAFF, columns=(NAME,))),
            ["lacks the column id, which the warehouse needs. Rest"],
        ),
        (
            of("staff"),
            catalogs(replace(STAFF, columns=(replace(ID, readable=False), NAME))),
            ["The source table staff: this user may not read the columns id of it. GRANT SELECT ON it."],
        ),
        (
            of("staff"),
            catalogs(replace(STAFF, columns=(replace(ID, readable=False),))),
            ["The source table staff: this user may not read it. GRANT SELECT ON it."],
        ),
        (of("staff"), catalogs(replace(STAFF, kind="v")), [f"The source table staff: {VIEW}"]),
        (of("staff", by_content=True), catalogs(replace(STAFF, kind="v")), []),
    ],
)
def test_problem_of_a_table_is_what_extract_would_refuse(table: SourceTable, found: Any, says: list[str]) -> None:
    said = list(problems(declaring(table), found, {}))
    assert len(said) == len(says) and all(words in text for words, text in zip(says, said, strict=True)), said


def test_every_table_is_reviewed() -> None:
    """A table that is missing hides none of those after it; a near name is asked about."""
    declared = declaring(of("stafff"), of("staff"), of("other"), needed={"staff": {"more": ()}})
    said = list(problems(declared, catalogs(STAFF), {}))
    assert [text.partition(",")[0] for text in said] == [
        "The source has no table stafff",
        "The source table staff lacks the column more",
        "The source has no table other",
    ]
    assert said[0].endswith(" Is staff meant?")


def test_type_of_a_domain_is_the_one_that_it_is_of() -> None:
    before = {"staff": {"id": "integer", "name": "text", "old": "date"}}
    declared = declaring(of("staff"), of("missing"))
    assert list(problems(declaring(of("staff")), catalogs(STAFF), before)) == []
    changed = {"staff": {**before["staff"], "id": "bigint"}}
    [problem] = problems(declaring(of("staff")), catalogs(STAFF), changed)
    assert problem.startswith("The source column staff.id was of type bigint and is now integer. Change it back; or")
    assert list(notes(declared, catalogs(STAFF), {**before, "missing": {"a": "text"}})) == [
        "The source column staff.old (date) was dropped. Nothing in the warehouse needs it"
    ]


def test_tables_that_are_not_declared_are_named_by_schema() -> None:
    keyless = replace(STAFF, name="keyless", unique_keys=())
    found = catalogs(STAFF, keyless, replace(STAFF, name="a"), shop=(STAFF, replace(STAFF, name="b")))
    declared = declaring(of("people", table="staff"), of("b", schema="shop"))
    assert list(notes(declared, found, {})) == [
        "the source also has a, which no [source.<table>] declares",
        "the source also has staff in the schema shop, which no [source.<table>] declares",
    ]


def test_first_load_has_the_rows_of_declared_tables() -> None:
    tables = (STAFF, replace(STAFF, name="b", estimated_rows=7), replace(STAFF, name="c", estimated_rows=None))
    found = catalogs(*tables, replace(STAFF, name="d"))
    names = (of("staff"), of("b"), of("c"), of("missing"))
    assert first_load(declaring(*names), found) == FirstLoad(12, ("c",))


@pytest.mark.parametrize(
    ("rows", "batches", "minutes"),
    [(0, 1, 1), (1_000_000, 1, 1), (1_000_001, 2, 1), (3_600_000, 4, 1), (3_600_001, 4, 2), (36_000_001, 37, 11)],
)
def test_first_load_is_divided_and_takes_its_time(rows: int, batches: int, minutes: int) -> None:
    """Batches of a million rows, and sixty thousand rows in a second."""
    found = FirstLoad(rows, ())
    assert (found.batches, found.minutes) == (batches, minutes)
