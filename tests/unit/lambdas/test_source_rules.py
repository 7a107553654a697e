"""Rules about a source that need no server: which values are read how, what is refused, when all is read again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.row_set import StoredBetween, WithoutKey
from lambda_toolkit.pipeline.lambdas.extract.source import dense_keys
from lambda_toolkit.pipeline.lambdas.extract.source.catalog import (
    Column,
    Relation,
    TableInfo,
    check_relkind,
    is_lockable,
)
from lambda_toolkit.pipeline.lambdas.extract.source.conditions import condition, ordering
from lambda_toolkit.pipeline.lambdas.extract.source.full_refresh import (
    can_be_continued,
    full_refresh_reason,
    shows_the_same,
)
from lambda_toolkit.pipeline.lambdas.extract.source.schema_drift import UnmetNeed, drift, unmet_needs
from lambda_toolkit.pipeline.lambdas.extract.source.snapshot import Snapshot
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import BackfillCursor, KeyFile, SourceIdentity, TableFiles
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import SourceTable
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import Expression

C, TEXT = '"t"."c"', '"t"."c"::text'
DAYS = f"({C} >= '0001-01-01' AND {C} < '10000-01-01')"


@pytest.mark.parametrize(
    ("kind", "key", "order", "represented"),
    [
        ("integer", C, C, None),
        ("boolean", C, C, None),
        ("numeric", f"trim_scale({C})", f"(format('%s', trim_scale({C})) COLLATE \"C\")", None),  # 1.0 and 1 are one
        ("numeric(40,2)", f"trim_scale({C})", f"(format('%s', trim_scale({C})) COLLATE \"C\")", None),
        ("numeric(10,2)", C, C, f"({C} <> 'NaN')"),
        ("real", f"({C} + CAST(0 AS real))", f"(format('%s', ({C} + CAST(0 AS real))) COLLATE \"C\")", None),
        ("character(4)", TEXT, f"(format('%s', {TEXT}) COLLATE \"C\")", None),
        ("text", C, f'({C} COLLATE "C")', None),
        ("character varying(9)", C, f'({C} COLLATE "C")', None),
        ("mood", C, f"(format('%s', {C}) COLLATE \"C\")", None),
        ("uuid", C, C, None),
        ("date", C, C, DAYS),
        ("timestamp(3) without time zone", C, C, DAYS),
        ("xml", TEXT, f"(format('%s', {TEXT}) COLLATE \"C\")", None),
    ],
)
def test_column_is_read_compared_and_sorted_by_its_type(kind: str, key: str, order: str, represented: Any) -> None:
    """As a key, what is equal to the server has one text; the order is that of Arrow."""
    column = Column("c", kind, is_key=True)
    assert (column.key_value(), ordering(column)) == (key, order)
    assert column.key_value("o") == key.replace('"t"', '"o"')
    assert column.value("o") == ('"o"."c"::text' if kind == "xml" else '"o"."c"')
    assert replace(column, is_key=False).representable_condition() == represented
    assert column.representable_condition() == (None if represented == DAYS else represented)


def test_far_days_are_sorted_by_their_texts() -> None:
    """Those of years with more than four digits; other columns are what they are."""
    for kind in ("date", "timestamp with time zone"):
        far = Column("c", kind, is_key=True, sorts_as_text=True)
        assert ordering(far) == f"(format('%s', {C}) COLLATE \"C\")"
    assert ordering(Column("c", "integer", is_key=True, sorts_as_text=True)) == C


@pytest.mark.parametrize(
    ("first", "end", "expected"),
    [
        ("(1,0)", "(2,0)", "(t.ctid >= CAST('(1,0)' AS tid) AND t.ctid < CAST('(2,0)' AS tid))"),
        (None, "(2,0)", "(t.ctid < CAST('(2,0)' AS tid))"),
        ("(1,0)", None, "(t.ctid >= CAST('(1,0)' AS tid))"),
        (None, None, "(TRUE)"),
    ],
)
def test_range_of_storage_includes_its_first_place(first: str | None, end: str | None, expected: str) -> None:
    table = TableInfo("t", ("c",), (Column("c", "integer"),))
    assert condition(StoredBetween(first, end), table, {}) == expected


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["integer", "text"], "NOT (TRUE)"),
        (["numeric(5,2)", "text"], 'NOT (("t"."c0" <> \'NaN\'))'),
        (["numeric(5,2)", "numeric(9,0)"], 'NOT (("t"."c0" <> \'NaN\') AND ("t"."c1" <> \'NaN\'))'),
    ],
)
def test_row_without_a_key_has_a_column_that_is_none(kinds: list[str], expected: str) -> None:
    columns = tuple(Column(f"c{number}", kind, is_key=True) for number, kind in enumerate(kinds))
    assert condition(WithoutKey(), TableInfo("t", tuple(column.name for column in columns), columns), {}) == expected


@pytest.mark.parametrize(
    ("kinds", "refused", "lockable"),
    [
        ("", None, True),
        ("r", None, True),
        ("pr", None, True),
        ("rr", None, True),
        ("v", "The source table t is a view:", True),
        ("m", "The source table t is a materialized view:", False),
        ("f", "The source table t is a foreign table:", False),
        ("prf", "t2, a partition of t, is a foreign table:", True),
        ("S", "The source table t is of the kind 'S':", True),
    ],
)
def test_relation_without_transactions_is_refused(kinds: str, refused: str | None, lockable: bool) -> None:
    relations = [Relation(f"t{number}", kind) for number, kind in enumerate(kinds)]
    assert is_lockable(relations) is lockable
    if refused is None:
        check_relkind("t", relations)
        return
    with pytest.raises(SourceError) as error:
        check_relkind("t", relations)
    assert str(error.value).startswith(refused)


NOW = SourceIdentity("7", 1, "db", 5, 3000, 100, 200, 300, 3000)
HORIZON = 2_147_483_648


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"system_identifier": "8"}, "another server"),
        ({"timeline": 2}, "restored"),
        ({"database": "other"}, "another database"),
        ({"database_oid": 6}, "replaced by another"),
        ({"snapshot_xmin": 3001}, "ids run backwards"),
        ({"snapshot_xmin": 2999}, None),
        ({"snapshot_xmin": 3000 - HORIZON + 1}, None),
        ({"snapshot_xmin": 3000 - HORIZON}, "2^31"),
        ({"started": 101}, "restarted"),
        ({"wal_position": 301}, "log runs backwards"),
        ({"wal_position": 299}, None),
        ({"statistics_reset": 201}, "recovered from a crash"),
        ({"snapshot_xmax": 2000}, None),
    ],
)
def test_every_row_is_read_again_where_another_server_answers(change: dict[str, Any], reason: str | None) -> None:
    found = full_refresh_reason(replace(NOW, **change), Snapshot(NOW, False))
    assert found is None if reason is None else reason in str(found)
    assert full_refresh_reason(None, Snapshot(NOW, False)) == "this is the first run"


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ((3000, 3000), (3000, 3000), True),
        ((3000, 3000), (3000, 3001), False),
        ((3000, 3001), (3000, 3001), False),  # one was unfinished before: it may have ended
        ((2999, 3000), (3000, 3000), False),
        ((3000, 3000), (3001, 3001), False),
    ],
)
def test_nothing_has_changed_where_no_transaction_ended(before: Any, now: Any, same: bool) -> None:
    earlier = replace(NOW, snapshot_xmin=before[0], snapshot_xmax=before[1])
    identity = replace(NOW, snapshot_xmin=now[0], snapshot_xmax=now[1])
    assert shows_the_same(earlier, Snapshot(identity, False)) is same
    assert not shows_the_same(earlier, Snapshot(identity, True)), "a standby lists no transaction"
    assert not shows_the_same(None, Snapshot(identity, False))
    assert not shows_the_same(replace(earlier, started=1), Snapshot(identity, False))


FILES = TableFiles(
    {"a": "text", "b": "text"},
    relation_oids=[1, 2],
    column_identities={"a": "x", "b": "y"},
    enum_labels={"9": "sad"},
    declaration_fingerprint="f",
)
INFO = TableInfo(
    "t",
    ("a",),
    (Column("a", "text", "x"), Column("b", "text", "y")),
    relation_oids=(1, 2),
    enum_labels={"9": "sad"},
)


@pytest.mark.parametrize(
    ("files", "info", "by_content", "needed", "continued"),
    [
        ({}, {}, False, ["a"], True),
        ({}, {}, False, ["a", "b"], True),
        ({}, {}, False, ["a", "c"], False),  # the lake does not have it
        ({"relation_oids": [1]}, {}, False, ["a"], False),
        ({"declaration_fingerprint": "g"}, {}, False, ["a"], False),
        ({"column_identities": {"a": "x", "b": "z"}}, {}, False, ["a"], False),
        ({"column_identities": {"a": "x"}}, {}, False, ["a"], True),  # b is new
        ({"column_identities": {"a": "x", "b": "y", "c": "z"}}, {}, False, ["a"], True),  # c was dropped
        ({"enum_labels": {"9": "glad"}}, {}, False, ["a"], False),
        ({"enum_labels": {}}, {}, False, ["a"], True),
        ({"enum_labels": {"9": "sad", "8": "glad"}}, {}, False, ["a"], True),
        ({}, {}, True, ["a"], False),
        ({"by_content": True}, {}, True, ["a"], True),
        ({}, {"row_security": True}, False, ["a"], False),
        ({"by_content": True}, {"row_security": True}, False, ["a"], True),
        ({"by_content": True}, {}, False, ["a"], False),
        ({"backfill": BackfillCursor("7", None)}, {}, False, ["a"], True),
        ({"backfill": BackfillCursor("7", 50)}, {}, False, ["a"], True),
        ({"backfill": BackfillCursor("7", 49)}, {}, False, ["a"], False),
        ({"backfill": BackfillCursor("7", None, 49)}, {}, False, ["a"], False),
        ({"backfill": BackfillCursor("7", 50, 49)}, {}, False, ["a"], False),
        ({"backfill": BackfillCursor("7", 49, 50)}, {}, False, ["a"], False),
    ],
)
def test_table_is_continued_where_it_is_the_one_it_was(
    files: Any, info: Any, by_content: bool, needed: list[str], continued: bool
) -> None:
    snapshot: Any = SimpleNamespace(is_within_horizon=lambda xmin: xmin >= 50)
    table = SourceTable("t", ("a",), by_content=by_content)
    found = can_be_continued(replace(FILES, **files), table, replace(INFO, **info), "f", needed, snapshot)
    assert found is continued
    assert not can_be_continued(None, table, INFO, "f", needed, snapshot)


def test_drift_is_of_columns_that_are_new_or_dropped() -> None:
    assert drift("t", {"a": "text", "c": "date"}, {"a": "int", "b": "uuid"}) == (
        "The source column t.c (date) is new. It is ingested; the warehouse is not affected.",
        "The source column t.b (uuid) was dropped. Nothing in the warehouse needs it.",
    )
    assert drift("t", {"a": "text"}, {}) == (), "of a first batch every column is new"


def needs(columns: Any, previous: Any, accepted: Any = (), function: str | None = None) -> list[UnmetNeed]:
    expression = Expression("a", function) if function else Expression("a")
    return list(unmet_needs("t", columns, {"a": [expression]}, previous, accepted))


@pytest.mark.parametrize(
    ("before", "now", "met"),
    [
        ("text", "text", True),
        ("numeric(5,2)", "numeric(9,3)", True),
        ("character varying(9)", "text", True),
        ("text", "character varying", True),
        ("character(9)", "text", False),
        ("text", "character(9)", False),
        ("integer", "bigint", False),
        (None, "bigint", True),
    ],
)
def test_needed_column_keeps_its_type(before: str | None, now: str, met: bool) -> None:
    previous = {} if before is None else {"a": before}
    found = needs({"a": now}, previous)
    assert [each.problem for each in found] == (
        [] if met else [f"The source column t.a was of type {before} and is now {now}."]
    )
    assert needs({"a": now}, previous, {"t.a"}) == []
    assert bool(needs({"a": now}, previous, {"t.b", "a"})) is not met


def test_each_need_that_is_not_met_is_named() -> None:
    missing, other = unmet_needs("t", {"b": "integer"}, {"a": [], "b": [Expression("b")]}, {"a": "text", "b": "text"})
    assert missing.problem == "The source table t lacks the column a, which the warehouse needs."
    assert other.problem == "The source column t.b was of type text and is now integer."


@pytest.mark.parametrize(
    ("buckets", "keys", "expected"),
    [
        ([(1, 2, 2), (257, 259, 2)], [257, 259], [1, 2, 257, 259]),  # half of the keys are read
        ([(1, 2, 2), (257, 260, 3)], [257, 258, 260], None),  # more than half of them are
        ([(1, 2, 2), (257, 259, 2)], [257], None),  # another snapshot
        ([(1, 3, 3), (4, 5, 2)], None, [1, 2, 3, 4, 5]),
        ([(-2, 0, 3), (3, 4, 2)], None, [-2, -1, 0, 3, 4]),
        ([(1, 1, 1), (3, 5, 2), (6, 9, 4)], [3, 5], [1, 3, 5, 6, 7, 8, 9]),
        ([], None, []),
    ],
)
def test_keys_of_dense_buckets_are_not_read(
    monkeypatch: pytest.MonkeyPatch, buckets: Any, keys: list[int] | None, expected: list[int] | None
) -> None:
    table = TableInfo("t", ("k",), (Column("k", "integer", is_key=True),))
    answers = [buckets, keys]

    def read(connection: Any, query: Any, schema: pa.Schema, consume: Any) -> None:
        rows = answers.pop(0)
        columns = (
            [list(each) for each in zip(*rows, strict=True)] if schema.names == ["first", "last", "keys"] else [rows]
        )
        if rows:
            consume(pa.table(columns, schema=schema))

    monkeypatch.setattr(dense_keys, "read", read)
    parts: list[pa.Table] = []
    connection: Any = None
    assert dense_keys.read_dense(connection, table, parts.append) is (expected is not None)
    assert [key for part in parts for key in part["k"].to_pylist()] == (expected or [])


@pytest.mark.parametrize(("rows", "last", "dense"), [(998, "1000", True), (997, "1000", False), (1, "1", True)])
def test_two_keys_of_a_thousand_may_be_missing(rows: int, last: str, dense: bool) -> None:
    schema = pa.schema([("k", pa.int32())])
    assert dense_keys.are_dense([KeyFile("a", rows, last)], schema) is dense
    assert not dense_keys.are_dense([KeyFile("a", rows, last)], pa.schema([("k", pa.int32()), ("n", pa.int32())]))
