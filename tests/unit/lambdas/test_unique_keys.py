"""What the catalog's unique indexes prove of a key, what is said where they do not, and names of shadow warehouses."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.extract.source.unique_key import KeyedTable, UniqueIndex
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import LIVE, SchemaNames

NAMES = ("a", "b", "c")


def index(*columns: str | None, valid: bool = True, partial: bool = False, name: str = "i") -> UniqueIndex:
    return UniqueIndex(name, columns, valid, partial)


def keyed(
    *indexes: UniqueIndex, keys: tuple[str, ...] = ("a",), required: str = "abc", inheriting: tuple[str, ...] = ()
) -> KeyedTable:
    return KeyedTable("line", keys, frozenset(NAMES), frozenset(required), indexes, inheriting)


@pytest.mark.parametrize(
    ("table", "proven"),
    [
        (keyed(index("a")), (("a",),)),
        (keyed(index("a", "b"), index("c")), (("c",), ("a", "b"))),
        (keyed(index("a", "b"), index("b", "a"), index("a", "b", name="j")), (("a", "b"), ("b", "a"))),
        (keyed(index("a"), required="bc"), ()),
        (keyed(index("a", "b"), required="bc"), ()),
        (keyed(index("a", valid=False)), ()),
        (keyed(index("a", partial=True)), ()),
        (keyed(index(None)), ()),
        (keyed(index("a", None)), ()),
        (keyed(index("a"), inheriting=("child",)), ()),
        (keyed(), ()),
    ],
)
def test_columns_that_an_index_proves(table: KeyedTable, proven: tuple[tuple[str, ...], ...]) -> None:
    assert table.unique_keys == proven


@pytest.mark.parametrize(
    "table",
    [
        keyed(index("a")),
        keyed(index("b", "a"), keys=("a", "b")),
        keyed(keys=("missing",)),
        keyed(keys=("a", "missing")),
    ],
)
def test_key_that_is_proven_or_not_there_is_no_problem(table: KeyedTable) -> None:
    assert table.problem is None


BUILD = (
    "Declare a NOT NULL column that has a unique index; or create that index on a; or, where its values are unique all "
    'the same, write compare = "content" in [source.line]: then every run reads all rows and checks that.'
)
BUILD_TWO = (
    "Declare NOT NULL columns that have a unique index; or create that index on (a, b); or, where their values are "
    'unique all the same, write compare = "content" in [source.line]: then every run reads all rows and checks that.'
)


@pytest.mark.parametrize(
    ("table", "reason", "advice"),
    [
        (keyed(), "no unique index covers this column alone", BUILD),
        (keyed(index("a"), keys=("a", "b")), "no unique index covers exactly these columns",
         'Write key = "a" in [source.line].'),
        (keyed(index("a", "b"), index("c")), "no unique index covers this column alone",
         'Write key = "c" or ["a", "b"] in [source.line].'),
        (keyed(index("a"), required="bc"),
         "it is unique, but a row may have NULL there, as no valid NOT NULL constraint forbids it", BUILD),
        (keyed(index("a", "b"), keys=("a", "b"), required="ac"),
         "it is unique, but a row may have NULL in b, as no valid NOT NULL constraint forbids it", BUILD_TWO),
        (keyed(index("a", "b"), keys=("a", "b"), required=""),
         "it is unique, but a row may have NULL in (a, b), as no valid NOT NULL constraint forbids it", BUILD_TWO),
        (keyed(index("a", partial=True), required="bc"),
         "the unique index i covers only the rows that satisfy its condition", BUILD),
        (keyed(index("a", valid=False)),
         "the unique index i is not valid: its creation has failed or not ended, or a partition lacks it", BUILD),
        (keyed(index("a", valid=False, partial=True)),
         "the unique index i is not valid: its creation has failed or not ended, or a partition lacks it", BUILD),
        (keyed(index("b", valid=False), index("a", partial=True, name="j")),
         "the unique index j covers only the rows that satisfy its condition", BUILD),
        (keyed(index("a"), inheriting=("one", "two")),
         "it also shows the rows of one, two by inheritance, and a unique index covers those of one table alone",
         BUILD),
    ],
)  # fmt: skip
def test_problem_names_table_key_reason_and_what_serves(table: KeyedTable, reason: str, advice: str) -> None:
    shown = "a" if len(table.keys) == 1 else "(a, b)"
    assert table.problem == f"The key {shown} does not identify the rows of the source table line: {reason}. {advice}"


@pytest.mark.parametrize("name", ["a", "check", "a_1", "a" * 54, "pipelines", "pg", "_pipeline_"[1:]])
def test_schema_of_a_shadow_warehouse(name: str) -> None:
    assert SchemaNames.name_problem(name) is None
    assert SchemaNames.shadow(name) == SchemaNames(name, f"{name}_pipeline")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (LIVE.published, "the live warehouse's own"),
        (LIVE.control, "the live warehouse's own"),
        *(
            (name, "small letters, digits and underscores")
            for name in ("", "A", "1a", "_a", "a-b", "a b", "a" * 55, "é")
        ),
        ("pg_x", "PostgreSQL reserves"),
        ("information_schema", "PostgreSQL reserves"),
        ("a_pipeline", "for control tables"),
    ],
)
def test_schema_that_no_shadow_warehouse_can_have(name: str, problem: str) -> None:
    assert problem in str(SchemaNames.name_problem(name))


def test_warehouses_of_one_database_have_locks_of_their_own() -> None:
    locks = {SchemaNames.shadow(name).lock for name in ("a", "b", "check")} | {LIVE.lock, SchemaNames().lock}
    assert len(locks) == 4
    assert all(0 <= lock < 2**63 for lock in locks), "pg_advisory_lock takes a bigint"


def test_names_of_a_shadow_warehouse_have_its_schema() -> None:
    shadow = SchemaNames.shadow("check")
    assert (LIVE.display_name("t"), shadow.display_name("t")) == ("t", "check.t")
    assert shadow.table("t") == '"check"."t"'
    assert shadow.control_tables() == {name: f'"check_pipeline"."{name}"' for name in LIVE.control_tables()}
