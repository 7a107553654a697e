"""What a declaration may contain, and how an invalid one is reported."""

from __future__ import annotations

import copy
import json
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import DeclarationError
from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import Expression, parse_expression
from lambda_toolkit.pipeline.lambdas.shared.model.joins import Join, joined_tables, parse_joins

CONFIG = tomllib.loads((Path(__file__).parents[3] / "config" / "pipeline.toml").read_text(encoding="utf-8"))

SMALL = {
    "source": {"staff": {"key": "staff_id"}, "department": {"key": "department_id"}},
    "warehouse": {
        "dim_date": {"kind": "calendar", "key": "date_id"},
        "dim_staff": {
            "kind": "dimension",
            "from": "staff",
            "key": "id",
            "join": {"department": "department_id"},
            "columns": {"id": "staff_id", "place": "department.location", "since": "date(created_at)"},
        },
        "fact_hour": {
            "kind": "fact",
            "from": "staff",
            "key": "id",
            "record": "record",
            "columns": {"id": "staff_id", "pay": "decimal(pay, 10, 2)"},
        },
    },
}


def test_the_shipped_configuration_declares_every_table():
    declared = parse(CONFIG)
    assert len(declared.source) == 11
    assert len(declared.warehouse) == 11
    kinds = [table.kind for table in declared.loading_order()]
    assert kinds == sorted(kinds, key=["calendar", "dimension", "fact"].index)


def test_what_is_read_of_the_source_is_known():
    needed = parse(SMALL).needed_columns()
    assert set(needed["staff"]) == {"staff_id", "department_id", "created_at", "pay"}
    assert needed["staff"]["created_at"] == (Expression("created_at", function="date"),)
    assert set(needed["department"]) == {"department_id", "location"}
    assert parse(SMALL).warehouse["dim_staff"].column_names == ("id", "place", "since")
    assert parse(SMALL).warehouse["dim_date"].column_names[0] == "date_id"


def test_joins_along_a_path_are_read_after_what_they_start_from():
    document = copy.deepcopy(SMALL)
    document["warehouse"]["dim_staff"] |= {
        "join": {
            "place": {"table": "department", "on": "department_id", "from": "boss"},
            "boss": {"table": "staff", "on": ["boss_id"]},
        },
        "columns": {"id": "staff_id", "place": "place.location", "boss": "boss.name"},
    }
    declared = parse(document)
    table = declared.warehouse["dim_staff"]
    assert list(table.joins.items()) == [
        ("boss", Join("staff", ("boss_id",))),
        ("place", Join("department", ("department_id",), "boss")),
    ]
    assert (table.table_of("place"), table.table_of(None)) == ("department", "staff")
    needed = declared.needed_columns()
    assert set(needed["staff"]) == {"staff_id", "boss_id", "department_id", "name", "pay"}
    assert set(needed["department"]) == {"department_id", "location"}
    before = declared.fingerprint("department")
    document["warehouse"]["dim_staff"]["join"]["place"]["from"] = "boss"
    assert parse(document).fingerprint("department") == before
    del document["warehouse"]["dim_staff"]["join"]["place"]["from"]
    assert parse(document).fingerprint("department") != before
    assert parse(document).fingerprint("staff") != declared.fingerprint("staff")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("source", {}, "[source.<table>]"),
        ("source.staff", "staff_id", "[source.staff]"),
        ("source.staff", {}, "[source.staff] lacks the key `key`"),
        ("source.staff.extra", 1, "[source.staff] holds the unknown key `extra`"),
        ("source.staff.key", 3, "[source.staff] `key` must be a text"),
        ("warehouse.dim_staff.kind", "snowflake", "[warehouse.dim_staff] `kind`"),
        ("warehouse.dim_staff.kind", None, "[warehouse.dim_staff] `kind`"),
        ("warehouse.dim_staff.from", "people", "reads the table `people`"),
        ("warehouse.dim_staff.join", {"people": "x"}, "reads the table `people`"),
        ("warehouse.dim_staff.join", {}, "names `department`, which `join` does not"),
        ("warehouse.dim_staff.join", [1], "`join` must be a table, not [1]"),
        ("warehouse.dim_staff.join", {"boss": "x"}, "If `boss` is an alias, name its table"),
        ("warehouse.dim_staff.join", {"boss": {"table": "staff"}}, "`join.boss` must be a column, or a table of `on`"),
        ("warehouse.dim_staff.join", {"boss": {"on": "x", "by": "y"}}, "`join.boss` must be a column, or a table of"),
        ("warehouse.dim_staff.join", {"boss": {"on": []}}, "`on` must be a text or a list of texts, not []"),
        ("warehouse.dim_staff.join", {"boss": {"on": "x", "table": 1}}, "`table` must be a text, not 1"),
        (
            "warehouse.dim_staff.join",
            {"department": "x", "boss": {"table": "staff", "on": "x", "from": "chief"}},
            "`join.boss` is from `chief`, which is no alias of `join`; others are `department`",
        ),
        (
            "warehouse.dim_staff.join",
            {"one": {"table": "staff", "on": "x", "from": "two"}, "two": {"table": "staff", "on": "x", "from": "one"}},
            "`join` is a circle: one, two start from one another",
        ),
        (
            "warehouse.dim_staff.join",
            {"department": {"on": ["a", "b"]}},
            "joins `department` by a, b, and the key of department is department_id",
        ),
        ("warehouse.dim_staff.key", "place", "`key` must be the column that holds staff.staff_id"),
        ("warehouse.dim_staff.record", "r", "`record` numbers versions, which a dimension has with `history = true`"),
        ("warehouse.dim_staff.history", "yes", "`history` must be true or false, not 'yes'"),
        ("warehouse.dim_staff.history", True, "lacks the key `record`"),
        ("warehouse.dim_staff.columns.place", "upper(location)", "column `place` = 'upper(location)'"),
        ("warehouse.dim_date.key", ["day", "hour"], "[warehouse.dim_date] `key` of a calendar is one column"),
        ("warehouse.dim_date.from", "staff", "unknown key `from`"),
    ],
)
def test_a_wrong_declaration_names_table_and_key(path, value, words):
    document = copy.deepcopy(SMALL)
    *parents, last = path.split(".")
    section = document
    for parent in parents:
        section = section[parent]
    section[last] = value
    with pytest.raises(DeclarationError) as error:
        parse(document)
    assert words in str(error.value)


def test_a_missing_key_is_named():
    document = copy.deepcopy(SMALL)
    del document["warehouse"]["fact_hour"]["record"]
    with pytest.raises(DeclarationError, match=r"\[warehouse\.fact_hour\] lacks the key `record`"):
        parse(document)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("staff_id", Expression("staff_id")),
        (" department.location ", Expression("location", "department")),
        ("date(created_at)", Expression("created_at", function="date")),
        ("decimal( a.b , 38, 0 )", Expression("b", "a", "decimal", (38, 0))),
        ("currency_name(currency_code)", Expression("currency_code", function="currency_name")),
    ],
)
def test_expressions_are_read_and_written(text, expected):
    assert parse_expression(text) == expected
    assert parse_expression(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["", "a.b.c", "a b", "date()", "date(a, 1)", "decimal(a)", "decimal(a, 2, 3)", "decimal(a, 39, 0)", "f(a)",
             "date(date(a))", "a; DROP TABLE b", "decimal(a, x, y)", 'a"b']
)  # fmt: skip
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_expression(text)


def test_the_packaged_file_is_found_read_and_missed(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
    with pytest.raises(DeclarationError, match="packaged without its tables"):
        declarations.load()
    (tmp_path / "tables.json").write_text("{", encoding="utf-8")
    with pytest.raises(DeclarationError, match="not valid JSON"):
        declarations.load()
    for other in ({**SMALL, "format": 2}, SMALL, [1]):
        (tmp_path / "tables.json").write_text(json.dumps(other), encoding="utf-8")
        with pytest.raises(DeclarationError, match="this code reads format 1.*Deploy it again"):
            declarations.load()
    (tmp_path / "tables.json").write_text(json.dumps({"format": 1, **SMALL}), encoding="utf-8")
    assert declarations.load() == parse(SMALL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("every run", timedelta(0)),
        ("1 hour", timedelta(hours=1)),
        ("30 minutes", timedelta(minutes=30)),
        ("2 days", timedelta(days=2)),
        ("never", timedelta.max),
    ],
)
def test_how_often_deletes_are_looked_for(text, expected):
    document = copy.deepcopy(SMALL)
    document["source"]["staff"]["deletes"] = text
    assert parse(document).source["staff"].deletes == expected
    assert parse(document).source["department"].deletes is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("deletes", "sometimes"), ("deletes", "0 hours"), ("deletes", "1 week"), ("compare", "md5"), ("deletes", 1)],
)
def test_what_is_no_interval_and_no_way_to_compare_is_refused(key, value):
    document = copy.deepcopy(SMALL)
    document["source"]["staff"][key] = value
    with pytest.raises(DeclarationError, match=rf"\[source\.staff\] `{key}` must be"):
        parse(document)


def test_what_dimensions_are_made_of_is_captured_first():
    document = copy.deepcopy(SMALL)
    document["source"] = {"hour": {"key": "hour_id"}, **document["source"]}
    assert [table.name for table in parse(document).capture_order()] == ["staff", "department", "hour"]
    assert len(parse(CONFIG).capture_order()) == 11
    assert [table.name for table in parse(CONFIG).capture_order()][-3:] == ["sales_order", "purchase_order", "payment"]


def test_join_is_stored_as_short_as_it_may_be_written():
    """It is a part of the fingerprint: another form would let the next run read whole tables again."""
    assert Join("shop", ("a",)).stored("shop") == "a"
    assert Join("shop", ("a",)).stored("other") == ["shop", ["a"], None]
    assert Join("shop", ("a",), "boss").stored("shop") == ["shop", ["a"], "boss"]
    assert Join("shop", ("a", "b")).stored("shop") == ["shop", ["a", "b"], None]


def test_tables_of_joins_are_known_of_wrong_joins():
    assert joined_tables({"a": "x", "b": {"table": "t", "on": "y"}, "c": {"on": 1}, "d": 5}) == ("a", "t", "c", "d")
    assert joined_tables(None) == joined_tables([1]) == ()


FORM = "must be a column, or a table of `on` and, if needed, `table` and `from`."
KEYS = {"shop": ("id",), "town": ("land", "name")}


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"shop": 5, "town": {}}, [f"Here `join.shop` {FORM}", f"Here `join.town` {FORM}"]),
        ({"shop": {"on": "a", "more": 1}}, [f"Here `join.shop` {FORM}"]),
        *(
            ({"shop": {"on": on}}, [f"Here `join.shop` `on` must be a text or a list of texts, not {on!r}."])
            for on in (5, [], ["a", 1], [1, "a"], ["a", ""], "", None)
        ),
        ({"shop": {"on": "a", "table": ""}}, ["Here `join.shop` `table` must be a text, not ''."]),
        ({"shop": {"on": "a", "from": 1}}, ["Here `join.shop` `from` must be a text, not 1."]),
        ({"shop": {"on": "a", "from": ""}}, ["Here `join.shop` `from` must be a text, not ''."]),
        (
            {"x": {"table": "mall", "on": "a"}, "mall": "a", "shop": {"on": "a", "from": "y"}},
            [
                "Here reads the table `mall`, which no [source.mall] declares.",
                "Here reads the table `mall`, which no [source.mall] declares. If `mall` is an alias, name its table: "
                "[...join.mall] `table`.",
                "Here `join.shop` is from `y`, which is no alias of `join`; others are `x`, `mall`.",
            ],
        ),
        (
            {"shop": {"on": "a", "from": "y"}},
            ["Here `join.shop` is from `y`, which is no alias of `join`; others are none."],
        ),
        (
            {"town": "land"},
            [
                "Here joins `town` by land, and the key of town is land, name: write [...join.town] with a list in "
                "`on`, a column for each, in that order."
            ],
        ),
        (
            {"shop": "a", "x": {"table": "shop", "on": "a", "from": "x"}},
            ["Here `join` is a circle: x start from one another."],
        ),
    ],
)
def test_wrong_joins_are_reported_a_line_each(declared, says):
    with pytest.raises(DeclarationError) as caught:
        parse_joins("Here", declared, KEYS)
    assert str(caught.value).splitlines() == says


def test_joins_are_in_the_order_in_which_they_are_looked_up():
    declared = {
        "c": {"table": "shop", "on": "a", "from": "b"},
        "a": {"table": "shop", "on": ["a"]},
        "b": {"table": "town", "on": ("x", "y"), "from": "a"},
        "shop": "z",
    }
    assert list(parse_joins("Here", declared, KEYS).items()) == [
        ("a", Join("shop", ("a",))),
        ("shop", Join("shop", ("z",))),
        ("b", Join("town", ("x", "y"), "a")),
        ("c", Join("shop", ("a",), "b")),
    ]
    assert parse_joins("Here", {}, KEYS) == {}
