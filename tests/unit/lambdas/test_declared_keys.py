"""Every key that a declaration may have, by what it makes; each part of it that is another asks for a full read."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import DeclarationError
from lambda_toolkit.pipeline.lambdas.shared.model.calendar import Calendar
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import Declarations, load, parse
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import Expression
from lambda_toolkit.pipeline.lambdas.shared.model.history import VersionReference
from lambda_toolkit.pipeline.lambdas.shared.model.joins import Join
from lambda_toolkit.pipeline.lambdas.shared.model.schema_declarations import ColumnType, Reference
from lambda_toolkit.pipeline.lambdas.shared.model.source_table import SourceTable
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression

FULL: dict[str, Any] = {
    "fresh_within": "1 day",
    "part_rows": 70,
    "source": {
        "shop": {"key": ["country", "number"], "deletes": "2 days", "compare": "content", "fresh_within": "3 hours"},
        "sale": {"key": "id", "schema": "till", "table": "sales", "compare": "transactions"},
        "note": {"key": "id"},
    },
    "warehouse": {
        "fact_sale": {
            "kind": "fact",
            "from": "sale",
            "key": "sale",
            "record": "sale_record",
            "join": {"shop": {"on": ["country", "shop"]}},
            "columns": {"sale": "id", "country": "country", "shop": "shop", "day": "date(at)", "town": "shop.town"},
            "where": "price > 1",
            "types": {"sale": {"type": "bigint", "required": True}, "town": {"type": "text", "required": False}},
            "references": [{"columns": ["day"], "table": "dim_day", "keys": ["day"]}],
            "versions": {"shop_record": {"of": "dim_shop", "by": ["country", "shop"]}},
            "fresh_within": "30 minutes",
        },
        "dim_shop": {
            "kind": "dimension",
            "from": "shop",
            "key": ["country", "number"],
            "columns": {"country": "country", "number": "number", "town": "town"},
            "history": True,
            "record": "shop_record",
        },
        "dim_day": {
            "kind": "calendar",
            "key": "day",
            "columns": {"day": "date", "weekday": "day_name"},
            "fiscal_year_start": 4,
            "first_day": "2020-02-29",
            "days_ahead": 30,
            "types": {"day": {"type": "date", "required": True}},
            "references": [],
        },
    },
}


def read(change: Callable[[dict[str, Any]], object] = lambda document: None) -> Declarations:
    document = copy.deepcopy(FULL)
    change(document)
    return parse(document, parse_expression)


def test_each_key_is_at_its_place():
    found = read()
    assert (found.fresh_within, found.part_rows) == (timedelta(days=1), 70)
    assert dict(found.source) == {
        "shop": SourceTable("shop", ("country", "number"), timedelta(days=2), True, fresh_within=timedelta(hours=3)),
        "sale": SourceTable("sale", ("id",), schema="till", table="sales"),
        "note": SourceTable("note", ("id",)),
    }
    assert (str(found.source["sale"].sql_name), str(found.source["note"].sql_name)) == (
        *('"till"."sales"', '"public"."note"'),
    )
    sale, shop, day = (found.warehouse[name] for name in ("fact_sale", "dim_shop", "dim_day"))
    assert (sale.kind, sale.keys, sale.source, sale.record) == ("fact", ("sale",), "sale", "sale_record")
    assert sale.joins == {"shop": Join("shop", ("country", "shop"))}
    assert sale.columns["day"] == Expression("at", function="date")
    assert (sale.column_names, sale.required) == (("sale", "country", "shop", "day", "town"), ("sale",))
    assert sale.types == {"sale": ColumnType("bigint", required=True), "town": ColumnType("text", required=False)}
    assert sale.references == (Reference(("day",), "dim_day", ("day",)),)
    version = VersionReference("shop_record", ("country", "shop"), "dim_shop", ("country", "number"), str(shop.record))
    assert sale.versions == (version,)
    assert (str(sale.where), sale.fresh_within) == ("price > 1", timedelta(minutes=30))
    assert (sale.validity, sale.filled_by_load) == ((), ("sale_record", "shop_record"))
    assert shop.validity == ("valid_from", "valid_to", "is_current")
    assert shop.filled_by_load == ("shop_record", *shop.validity)
    assert [table.name for table in shop.referring] == ["fact_sale"]
    assert day.calendar == Calendar({"day": "date", "weekday": "day_name"}, 4, date(2020, 2, 29), 30)
    assert (day.column_names, day.required, day.source_tables[1:]) == (("day", "weekday"), ("day",), ())
    assert [table.name for table in found.loading_order()] == ["dim_day", "dim_shop", "fact_sale"]
    needed = {name: set(columns) for name, columns in found.needed_columns().items()}
    assert needed == {
        "sale": {"id", "country", "shop", "at", "price"},
        "shop": {"country", "number", "town"},
        "note": {"id"},
    }


def test_changes_are_due_with_the_soonest_table_made_of_them():
    """What the source table itself says comes first; then the shortest of those; then what is said of all."""
    half, day = timedelta(minutes=30), timedelta(days=1)
    assert dict(read().promises()) == {"shop": timedelta(hours=3), "sale": half, "note": day}
    assert dict(read(lambda document: document["source"]["shop"].pop("fresh_within")).promises())["shop"] == half
    assert dict(read(lambda document: document.pop("fresh_within")).promises())["note"] is None


CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], set[str]]] = {
    "another column": (lambda of: of["warehouse"]["fact_sale"]["columns"].update(town="at"), {"sale", "shop"}),
    "another condition": (lambda of: of["warehouse"]["fact_sale"].update(where="price > 2"), {"sale", "shop"}),
    "no condition": (lambda of: of["warehouse"]["fact_sale"].pop("where"), {"sale", "shop"}),
    "another join": (
        lambda of: of["warehouse"]["fact_sale"]["join"].update(shop={"on": ["country", "branch"]}),
        {"sale", "shop"},
    ),
    "another schema": (lambda of: of["source"]["sale"].pop("schema"), {"sale"}),
    "another table": (lambda of: of["source"]["sale"].pop("table"), {"sale"}),
    "another way to compare": (lambda of: of["source"]["shop"].pop("compare"), {"shop"}),
    "another source": (lambda of: of["source"]["note"].update(key="number"), {"note"}),
    "another promise": (lambda of: of["source"]["note"].update(fresh_within="1 hour", deletes="never"), set()),
    "another type": (lambda of: of["warehouse"]["fact_sale"]["types"].pop("town"), set()),
}


@pytest.mark.parametrize(("change", "others"), CHANGES.values(), ids=CHANGES)
def test_a_table_is_another_where_what_is_made_of_it_is(change, others):
    before, after = read(), read(change)
    found = {name for name in before.source if before.fingerprint(name) != after.fingerprint(name)}
    assert found == others


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("part_rows", 0, "`part_rows` must be 1 or more, not 0"),
        ("part_rows", True, "`part_rows` must be 1 or more, not True"),
        ("fresh_within", "soon", "[pipeline] `fresh_within` must be a time"),
        ("source.note.fresh_within", "0 hours", "[source.note] `fresh_within` must be a time"),
        ("source.note.fresh_within", 5, "[source.note] `fresh_within` must be a time"),
        ("source.note.schema", "", "[source.note] `schema` must be a text"),
        ("source.note.table", "x" * 64, "[source.note] cannot be the name of a table"),
        ("source.note.key", ["a", "a"], "`key` names a column twice: a, a"),
        ("source.note.key", [], "`key` must be a text or a list of texts, not []"),
        ("source.note.key", ["a", 1], "`key` must be a text or a list of texts"),
        ("source.note.key", ["a", ""], "`key` must be a text or a list of texts"),
        ("warehouse.fact_sale.versions.shop_record.of", ["dim_shop"], "`of` must be a dimension with `history"),
        ("warehouse.fact_sale.versions.shop_record.of", "dim_none", "`of` must be a dimension with `history"),
        ("warehouse.fact_sale.key", ["sale", "shop"], "`key` must name a column for each of the key of [source.sale]"),
        ("warehouse.fact_sale.record", None, "[warehouse.fact_sale] `record` must be a text"),
        ("warehouse.fact_sale.columns", ["id"], "`columns` must be a table of texts"),
        *(
            (f"warehouse.fact_sale.columns.{name}", "id", f"`{name}` has a name that load uses itself")
            for name in ("_batch", "_deleted", "_present", "_record", "_version", "_was", "_was_deleted")
        ),
        ("warehouse.fact_sale.where", "till.price > 1", "`where` names `till`, which `join` does not"),
        ("warehouse.fact_sale.where", 1, "`where` must be a text, not 1"),
        ("warehouse.fact_sale.types", {"sale": "bigint"}, "`types` must name the type of each column"),
        ("warehouse.fact_sale.references", [{"columns": ["day"]}], "`references` must be a list of columns"),
        ("warehouse.fact_sale.versions", ["shop"], "`versions` must be a table of tables"),
        ("warehouse.fact_sale.versions.shop_record", {"of": "dim_shop"}, "must have the keys `of`"),
        ("warehouse.fact_sale.versions.shop_record.of", "dim_day", "`of` must be a dimension with `history = true`"),
        ("warehouse.fact_sale.versions.shop_record.by", "shop", "`by` must be the columns of fact_sale with the key"),
        ("warehouse.fact_sale.versions.shop_record.by", ["country", "x"], "`by` must be the columns of fact_sale"),
        ("warehouse.fact_sale.versions.town", {"of": "dim_shop", "by": ["country", "shop"]}, "give it another name"),
        ("warehouse.fact_sale.versions.sale_record", {"of": "dim_shop", "by": ["country", "shop"]}, "another name"),
        ("warehouse.dim_shop.columns.is_current", "town", "`is_current` is one that load fills"),
        ("warehouse.dim_shop.columns.shop_record", "town", "`shop_record` is one that load fills"),
        ("warehouse.dim_shop.record", "", "lacks the key `record`"),
        ("warehouse.dim_day.days", 1, "unknown key `days`. Known here: columns, days_ahead, first_day"),
    ],
)
def test_a_wrong_value_is_refused_by_name(path, value, words):
    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        section = document
        for parent in parents:
            section = section[parent]
        section[last] = value

    with pytest.raises(DeclarationError) as error:
        read(change)
    assert words in str(error.value)


SALE_MADE = (
    '["fact_sale", "fact", "sale", "sale", [["shop", ["shop", ["country", "shop"], null]]],'
    ' ["country", "country"], ["day", "date(at)"], ["sale", "id"], ["shop", "shop"], ["town", "shop.town"],'
    ' ["where", "price > 1"]]'
)
SHOP_MADE = (
    '["dim_shop", "dimension", ["country", "number"], "shop", [],'
    ' ["country", "country"], ["number", "number"], ["town", "town"]]'
)
FINGERPRINTS = {
    "sale": f'["id", [{SALE_MADE}], "till", "sales"]',
    "shop": f'[["country", "number"], [{SHOP_MADE}, {SALE_MADE}], "content"]',
    "note": '["id", []]',
}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_fingerprint_is_that_of_every_release(name):
    """It is stored with each batch: another would let the next run read the whole table again."""
    assert read().fingerprint(name) == hashlib.sha256(FINGERPRINTS[name].encode()).hexdigest()[:16]


def test_column_of_sql_needs_no_function_of_its_columns():
    def change(document: dict[str, Any]) -> None:
        document["warehouse"]["fact_sale"]["columns"] |= {"total": "price * 2", "paid": "date(price)"}

    needed = read(change).needed_columns()["sale"]
    assert (needed["price"], needed["id"]) == ((Expression("price", function="date"),), (Expression("id"),))
    assert needed["at"] == (Expression("at", function="date"),)
    assert read().needed_columns()["sale"]["price"] == (), "which only the condition reads"


def errors(change: Callable[[dict[str, Any]], object]) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        read(change)
    return str(caught.value).splitlines()


def test_each_error_is_a_line_and_none_is_its_consequence():
    """What reads a table whose declaration is wrong is not reported, too: by its rows, or by a join."""

    def wrong(*names: str) -> list[str]:
        def change(document: dict[str, Any]) -> None:
            for name in names:
                document["source"][name]["more"] = 1
            document["warehouse"]["dim_day"]["key"] = ""

        return [line.partition(" ")[0] for line in errors(change)]

    assert wrong() == ["[warehouse.dim_day]"]
    assert wrong("note") == ["[source.note]", "[warehouse.dim_day]"]
    assert wrong("shop") == ["[source.shop]", "[warehouse.dim_day]"]
    assert wrong("sale", "note") == ["[source.sale]", "[source.note]", "[warehouse.dim_day]"]

    def aliased(document: dict[str, Any]) -> None:
        document["source"]["note"]["more"] = 1
        columns = {"id": "id", "text": "said.text"}
        sale = {"kind": "dimension", "from": "sale", "key": "id", "columns": columns}
        document["warehouse"]["dim_sale"] = {**sale, "join": {"said": {"table": "note", "on": "shop"}}}

    assert [line.partition(" ")[0] for line in errors(aliased)] == ["[source.note]"]

    def columns(document: dict[str, Any]) -> None:
        document["warehouse"]["dim_shop"]["columns"] |= {"town": "a.b", "day": "date(a, 1)", "_was": "c.d"}
        document["warehouse"]["dim_shop"]["where"] = "e.f > 1 AND d.f > 1"

    assert errors(columns) == [
        "[warehouse.dim_shop] column `town` names `a`, which `join` does not.",
        "[warehouse.dim_shop] column `day` = 'date(a, 1)': `date` takes a column.",
        "[warehouse.dim_shop] column `_was` names `c`, which `join` does not.",
        "[warehouse.dim_shop] column `_was` has a name that load uses itself: give it another.",
        "[warehouse.dim_shop] `where` names `d`, which `join` does not.",
    ]


@pytest.mark.parametrize("section", ["source", "warehouse"])
@pytest.mark.parametrize("name", ["", "x" * 64, "é" * 32, "a\0b"])
def test_name_that_no_table_can_have_is_refused(section, name):
    def change(document: dict[str, Any]) -> None:
        document[section][name] = {"key": "id"} if section == "source" else document["warehouse"]["dim_day"]

    assert errors(change)[0] == (f"[{section}.{name}] cannot be the name of a table: PostgreSQL's have 1 to 63 bytes.")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda of: of.pop("warehouse"), "The declaration has no [warehouse.<table>] section."),
        (lambda of: of.update(source=[]), "The declaration has no [source.<table>] section."),
        (lambda of: of["warehouse"].update(dim_day=5), "[warehouse.dim_day] must be a table of keys, not 5."),
        (lambda of: of["source"].update(note="id"), "[source.note] must be a table of keys, not 'id'."),
    ],
)
def test_section_that_is_none_is_refused(change, says):
    assert errors(change) == [says]


def test_declarations_are_looked_for_beside_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder that has the code's folder, as in a package that Lambda unpacks."""
    for value in (None, ""):
        monkeypatch.setenv("LAMBDA_TASK_ROOT", "") if value == "" else monkeypatch.delenv("LAMBDA_TASK_ROOT", False)
        with pytest.raises(DeclarationError) as caught:
            load()
        place = Path(str(caught.value).partition(" is missing")[0])
        assert place.name == "tables.json" and (place.parent / "lambdas" / "shared" / "model").is_dir()


@pytest.mark.parametrize(
    ("declared", "needs"),
    [
        ({"kind": "fact"}, ["columns", "from", "key", "record"]),
        ({"kind": "dimension"}, ["columns", "from", "key"]),
        ({"kind": "calendar"}, ["key"]),
    ],
)
def test_kind_of_a_table_needs_its_keys(declared, needs):
    given = {"columns": {"id": "id"}, "from": "note", "key": "id", "record": "r"}
    for name in needs:
        entry = {**declared, **{key: value for key, value in given.items() if key in needs and key != name}}
        says = errors(lambda document, entry=entry: document["warehouse"].update(new=entry))
        assert says == [f"[warehouse.new] lacks the key `{name}`."]


OF = "must have the keys `of`, a dimension with history, and `by`, the columns with its key"
BY = "`by` must be the columns of fact_sale with the key of dim_shop (country, number)"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (5, f"{OF}, not 5"),
        ({"of": "dim_shop", "by": ["country", "shop"], "more": 1}, OF),
        ({"of": None, "by": "shop"}, "`of` must be a dimension with `history = true`, not None"),
        ({"of": "dim_day", "by": "day"}, "`of` must be a dimension with `history = true`, not 'dim_day'"),
        ({"of": "fact_sale", "by": "sale"}, "`of` must be a dimension with `history = true`, not 'fact_sale'"),
        ({"of": "dim_shop", "by": "shop"}, BY),
        ({"of": "dim_shop", "by": ["country", "shop", "day"]}, BY),
        ({"of": "dim_shop", "by": ["country", "other"]}, BY),
        ({"of": "dim_shop", "by": {"country": 1, "shop": 2}}, BY),
        ({"of": "dim_shop", "by": 5}, BY),
    ],
)
def test_wrong_reference_to_a_version_says_what_it_needs(entry, says):
    def change(document: dict[str, Any]) -> None:
        document["warehouse"]["fact_sale"]["versions"]["shop_record"] = entry

    [line] = errors(change)
    assert line.startswith(f"[warehouse.fact_sale.versions.shop_record] {says}") and line.endswith(".")


def test_dimension_has_history_or_none():
    def of_shop(**more: Any) -> Callable[[dict[str, Any]], object]:
        return lambda document: document["warehouse"]["dim_shop"].update(more)

    def without(document: dict[str, Any]) -> None:
        del document["warehouse"]["fact_sale"]["versions"]
        for name in ("history", "record"):
            del document["warehouse"]["dim_shop"][name]

    plain = read(without).warehouse
    assert (plain["dim_shop"].record, plain["dim_shop"].validity, plain["dim_shop"].referring) == (None, (), ())
    assert (plain["fact_sale"].versions, plain["fact_sale"].filled_by_load) == ((), ("sale_record",))
    assert plain["dim_shop"].filled_by_load == ()
    for record in ("", 5, None):
        says = "[warehouse.dim_shop] lacks the key `record`: with `history`, the column of its surrogate key."
        assert errors(of_shop(record=record)) == [says]
    assert errors(of_shop(history=1)) == ["[warehouse.dim_shop] `history` must be true or false, not 1."]
    taken = "is one that load fills, as it keeps its history: give it another name."
    for name in ("valid_from", "valid_to", "is_current", "shop_record"):
        columns = {**FULL["warehouse"]["dim_shop"]["columns"], name: "town"}
        assert errors(of_shop(columns=columns)) == [f"[warehouse.dim_shop] column `{name}` {taken}"]


def test_parts_have_at_least_a_row():
    assert read(lambda document: document.update(part_rows=1)).part_rows == 1
    assert read(lambda document: document.pop("part_rows")).part_rows == 1_000_000, "as documented"


def test_calendar_is_made_of_no_table_whatever_its_name():
    """Nor of one that is called as Python writes nothing."""

    def change(document: dict[str, Any]) -> None:
        document["source"]["None"] = {"key": "id"}
        columns = {"id": "id"}
        none = {"kind": "dimension", "from": "None", "key": "id", "columns": columns, "fresh_within": "2 days"}
        document["warehouse"]["dim_none"] = none

    found = read(change)
    assert found.promises()["None"] == timedelta(days=2), "the calendar shall be fresh sooner"
    made = '["id", [["dim_none", "dimension", "id", "None", [], ["id", "id"]]]]'
    assert found.fingerprint("None") == hashlib.sha256(made.encode()).hexdigest()[:16]


def test_reference_behind_a_reported_dimension_is_reported():
    def change(document: dict[str, Any]) -> None:
        document["warehouse"]["dim_shop"]["columns"]["_was"] = "town"
        document["warehouse"]["fact_sale"]["versions"]["other"] = {"of": "dim_day", "by": "day"}

    assert [line.partition(" ")[0] for line in errors(change)] == [
        *("[warehouse.dim_shop]", "[warehouse.fact_sale.versions.other]"),
    ]
