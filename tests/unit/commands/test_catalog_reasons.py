"""Why extract cannot read a table as it is, and what would serve: sentences made of what the catalog says."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_toolkit.pipeline.proposal import read_catalog
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, ForeignKey, Table, UniqueIndex, listed

ID = Column("id", "text", "text", True)
NAME, CODE = (Column(name, "text", "text", False) for name in ("n", "c"))
KEYLESS = {"unique_keys": (), "primary_key": ()}
NO_KEY = "Add a primary key; or, where columns identify its rows all the same, declare them as its key with "
NO_KEY += 'compare = "content": then every run reads all rows, and checks that.'


def table(**changed: Any) -> Table:
    given: dict[str, Any] = {"primary_key": ("id",), "unique_keys": (("id",),), **changed}
    return Table(given.pop("name", "t"), given.pop("kind", "r"), given.pop("columns", (ID, NAME, CODE)), **given)


def index(name: str, *columns: str | None, valid: bool = True, partial: bool = False) -> UniqueIndex:
    return UniqueIndex(name, columns, valid=valid, partial=partial)


@pytest.mark.parametrize(
    ("indexes", "reason", "remedy"),
    [
        ((), "It has neither a primary key nor a unique index.", NO_KEY),
        (
            (index("i", "n"),),
            *("n may be NULL in the unique index i.", "Where they never are NULL: ALTER COLUMN ... SET NOT NULL on n."),
        ),
        (
            (index("i", "id", "n", "c"),),
            "n and c may be NULL in the unique index i.",
            "Where they never are NULL: ALTER COLUMN ... SET NOT NULL on n and c.",
        ),
        ((index("i", None, "n"),), "The unique index i is on an expression.", NO_KEY),
        (
            (index("i", "n", partial=True),),
            *("The unique index i covers only the rows that satisfy a condition.", NO_KEY),
        ),
        (
            (index("i", "n", valid=False),),
            "The unique index i is not valid: its creation has failed or not ended, or a partition lacks it.",
            NO_KEY,
        ),
        (
            (index("i", None), index("j", "n")),
            "n may be NULL in the unique index j.",
            "Where they never are NULL: ALTER COLUMN ... SET NOT NULL on n.",
        ),
        ((index("i", "id", partial=True), index("j", "n", valid=False)), "The unique index i covers only", NO_KEY),
    ],
)
def test_table_without_a_key_says_which_index_lacks_least(indexes, reason, remedy) -> None:
    found = table(**KEYLESS, indexes=indexes).obstacle
    assert found is not None and found.startswith(reason) and found.endswith(remedy)
    assert reason.endswith(".") is (found == f"{reason} {remedy}")


@pytest.mark.parametrize(
    ("changed", "obstacle"),
    [
        ({}, None),
        ({"kind": "p"}, None),
        ({"extension": "postgis"}, "It belongs to the extension postgis."),
        ({"kind": "S"}, "It is of the kind 'S'."),
        ({"foreign_partitions": ("p1", "p2")}, "Its partition p1 is a foreign table"),
        ({"columns": ()}, "It has no columns."),
        (
            {"columns": (Column("id", "text", "text", True, readable=False),)},
            "This user may not read it: GRANT SELECT on it.",
        ),
        (
            {"columns": (ID, Column("n", "text", "text", False, readable=False))},
            "This user may not read n: GRANT SELECT on the whole table.",
        ),
        ({**KEYLESS, "inheriting": ("a", "b")}, "It also shows the rows of a and b by inheritance"),
    ],
)
def test_obstacle_is_the_first_of_several(changed, obstacle) -> None:
    found = table(**changed).obstacle
    assert found == obstacle or (obstacle is not None and found is not None and found.startswith(obstacle))


def test_view_has_no_transactions_and_a_table_has() -> None:
    view, plain = table(kind="v").kind_obstacle, table().kind_obstacle
    assert view is not None and "PostgreSQL does not show which of its rows changed" in view and plain is None
    assert table(extension="x").kind_obstacle is None


def test_key_is_the_primary_key_where_it_serves() -> None:
    assert table(primary_key=("b", "a"), unique_keys=(("c",), ("a", "b"))).key == ("b", "a")
    assert table(primary_key=("a",), unique_keys=(("c",), ("d",))).key == ("c",)
    assert table(**KEYLESS).key == ()


def test_catalog_divides_its_tables() -> None:
    one, other = table(name="one"), table(name="other", **KEYLESS)
    catalog = Catalog((one, other), {})
    assert (catalog.readable, catalog.excluded) == ((one,), {"other": other.obstacle})
    assert catalog.by_name == {"one": one, "other": other}


@pytest.mark.parametrize(("count", "text"), [(0, ""), (1, "a"), (2, "a and b"), (3, "a, b and c")])
def test_names_are_listed_as_words(count: int, text: str) -> None:
    assert listed(list("abc")[:count]) == text
    assert listed(iter("abc"[:count])) == text


def test_many_names_are_counted() -> None:
    from lambda_toolkit.pipeline.proposal.catalog import _SHOWN

    names = [f"n{number}" for number in range(_SHOWN + 2)]
    assert listed(names) == f"{', '.join(names[:_SHOWN])} and 2 more"
    assert listed(names[:-1]) == f"{', '.join(names[:_SHOWN])} and {names[_SHOWN]}", "one more is named"


def test_tables_of_several_schemas_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their schema where two have one name; keys follow, and other schemas are those that are not read."""
    long = "x" * 63
    keys = tuple(ForeignKey(("c",), to, ("id",), True) for to in ("a", "b"))
    catalogs = {
        "one": Catalog((table(name="a"), table(name="b", foreign_keys=keys), table(name=long)), {"two": 5, "z": 3}),
        "two": Catalog((table(name="a"), table(name="c", foreign_keys=keys[:1]), table(name=long)), {"one": 9, "d": 4}),
        "six": Catalog((table(name="one_a"), table(name="two_a_2")), {}),
    }
    monkeypatch.setattr(read_catalog, "read_catalog", lambda _, schema: catalogs[schema])
    session: Any = None
    found = read_catalog.read_schemas(session, ["one", "two", "one", "six"])
    assert found.other_schemas == {"d": 4, "z": 3} and list(found.other_schemas) == ["d", "z"]
    names = {table.name: table.relation for table in found.tables}
    cut = {name: relation for name, relation in names.items() if relation == long}
    assert len(cut) == 2 and all(len(name) == 63 for name in cut)
    rest = {name: relation for name, relation in names.items() if name not in cut}
    assert rest == {"b": "", "c": "", "one_a": "", "one_a_2": "a", "two_a": "a", "two_a_2": ""}
    assert list(names) == sorted(names)
    assert [key.table for key in found.by_name["b"].foreign_keys] == ["one_a_2", "b"]
    assert [key.table for key in found.by_name["c"].foreign_keys] == ["two_a"]


def key(column: str, proven: bool = True) -> ForeignKey:
    return ForeignKey((column,), "t", ("id",), proven)


@pytest.mark.parametrize(
    ("partitions", "rows", "found"),
    [
        (0, [(1, key("a")), (1, key("b", False))], [key("a"), key("b", False)]),
        (0, [(1, key("b")), (1, key("a")), (1, key("a", False))], [key("a"), key("b")]),
        (2, [(2, key("a")), (3, key("a"))], [key("a")]),
        (2, [(1, key("a")), (2, key("a"))], [key("a")]),
        (2, [(1, key("a", False)), (2, key("a")), (3, key("a"))], [key("a")]),
        *((2, rows, []) for rows in ([(2, key("a"))], [(2, key("a", False)), (3, key("a", False))])),
        (2, [(2, key("a")), (3, key("b"))], []),
        (0, [(2, key("a"))], []),
        (3, [(1, key("a", False)), (2, key("a")), (3, key("a"))], [key("a", False)]),
    ],
)
def test_foreign_key_is_of_the_table_or_of_each_partition(partitions: int, rows: Any, found: list[ForeignKey]) -> None:
    """The table is 1, its partitions are 2, 3 ...; it is proven where the table says so, or all partitions do."""
    read = [[relation, list(of.columns), of.table, list(of.references), of.proven] for relation, of in rows]
    assert read_catalog._foreign_keys(1, read, partitions) == tuple(found)
