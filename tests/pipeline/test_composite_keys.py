"""Tables whose key has several columns: ranges, deletes, rows in flight, comparison by content, related rows."""

from __future__ import annotations

import dataclasses
import json
import random
import uuid
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.extract.capture import backfill, by_content, key_files
from lambda_toolkit.pipeline.lambdas.extract.extraction import Extracted, Request, extract
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import key_of_text
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import EVERY_RUN, Declarations, SourceTable
from tests.support.lake_contents import manifest

KEYS = ("number", "label", "day")  # the order of the primary key is another, and that of the table
TABLE = """
CREATE TABLE line (body int, number int, day date, label text, PRIMARY KEY (label, number, day));
GRANT SELECT ON line TO reader
"""
LABELS = ("1", "11", "", "é", "👜", "\ufffd", "1, 1", '"', "\\", "שלום", "a\nb", "B", "b")
DAYS = ("2024-01-01", "0001-02-03")
LINE = SourceTable("line", KEYS, deletes=EVERY_RUN)
Rows = dict[tuple[Any, ...], Any]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Chunks and key files of a few rows."""
    monkeypatch.setattr(backfill, "FIRST_CHUNK", 3)
    monkeypatch.setattr(key_files, "KEY_FILE_ROWS", 4)
    monkeypatch.setattr(by_content, "NAMED_KEYS", 2)


@pytest.fixture
def lines(pipeline):
    """A pipeline that extracts the table ``line`` alone."""
    pipeline.admin.run(TABLE)
    pipeline.declarations = Declarations({"line": LINE}, {})
    return pipeline


def step(lines, rows: int = 1000, **request) -> Extracted:
    source = PostgresSource(lines.reader)
    return extract(
        source, lines.ingestion, lines.declarations, uuid.uuid4().hex, Request(**request), limits=Limits(rows)
    )


def finish(lines) -> None:
    for _ in range(60):
        done = step(lines, rows=5)
        if not done.incomplete and done.batch is None:
            return
    raise AssertionError(f"never complete: {done}")


def applied(lines, begun: int = 1) -> Rows:
    """What the batches, one applied after the other, give: key -> body. No batch has a key twice."""
    state: Rows = {}
    for batch in range(begun, (lines.ingestion.last_batch() or 0) + 1):
        files = manifest(lines.ingestion, batch).tables["line"]
        changes = lines.ingestion.table(files.changes.key).to_pylist() if files.changes else []
        read = [(row["number"], row["label"], str(row["day"])) for row in changes]  # a date is text where it is a key
        assert len(read) == len(set(read))
        state.update(zip(read, (row["body"] for row in changes), strict=True))
        if files.deleted:
            deleted = lines.ingestion.table(files.deleted.key)
            assert deleted.column_names == list(KEYS)
            for row in deleted.to_pylist():
                del state[tuple(row.values())]
    return state


def present(lines) -> Rows:
    return {tuple(key): body for *key, body in lines.admin.rows("SELECT number, label, day::text, body FROM line")}


def stored_keys(lines) -> list[tuple[Any, ...]]:
    files = manifest(lines.ingestion, lines.ingestion.last_batch()).tables["line"].keys
    assert {file.generation for file in files} <= {0}
    tables = [lines.ingestion.table(file.key) for file in files]
    for file, keys in zip(files, tables, strict=True):
        assert key_of_text(file.last_key, 3) == tuple(
            str(value) for value in keys.select(KEYS).to_pylist()[-1].values()
        )
    return [tuple(row[name] for name in KEYS) for keys in tables for row in keys.to_pylist()]


@pytest.mark.parametrize("compare_by_content", [False, True])
def test_random_histories_of_composite_keys_end_in_the_same_rows(lines, compare_by_content):
    """Rows that differ in one column of the key alone, keys that change, in batches of a few rows."""
    line = dataclasses.replace(LINE, by_content=compare_by_content)
    lines.declarations = Declarations({"line": line}, {})
    chance = random.Random(3)  # noqa: S311
    older = lines.new_session()
    older.run("BEGIN; SELECT pg_current_xact_id()")  # what is written from now on is reread by every run

    def key() -> dict[str, Any]:
        return {"l": chance.choice(LABELS), "n": chance.choice([1, 2, 11]), "d": chance.choice(DAYS)}

    one = "label = :l AND number = :n AND day = CAST(:d AS date)"
    for number in range(90):
        match chance.randint(0, 6):
            case 0:
                lines.admin.run(f"DELETE FROM line WHERE {one}", **key())
            case 1:
                lines.admin.run("UPDATE line SET body = body + 1 WHERE label > :l", l=chance.choice(LABELS))
            case 2:
                column, value = chance.choice(
                    [("number", "number + 100"), ("label", "label || '1'"), ("day", "day + 1")]
                )
                lines.admin.run(f"UPDATE line SET {column} = {value} WHERE {one}", **key())
            case 3:
                step(lines, chance.choice([2, 5, 1000]), full=frozenset(["line"] if chance.random() < 0.3 else []))
            case _:
                for _ in range(3):
                    lines.admin.run(
                        "INSERT INTO line VALUES (0, :n, CAST(:d AS date), :l) ON CONFLICT DO NOTHING", **key()
                    )
        if number == 60:
            older.run("COMMIT")
    finish(lines)
    assert len(present(lines)) > 20
    assert applied(lines) == present(lines)
    assert stored_keys(lines) == sorted(present(lines))


def test_deleted_rows_are_those_whose_whole_key_is_missing(lines):
    """Of rows that have columns of the key in common one goes while another comes; a text joined with the next."""
    lines.admin.run(
        "INSERT INTO line SELECT 1, n, '2024-01-01', l FROM unnest(ARRAY[1, 11]) AS n, unnest(ARRAY['1', '']) AS l"
    )
    assert step(lines).rows == {"line": 4}
    lines.admin.run("UPDATE line SET number = 111 WHERE number = 11 AND label = '1'")
    lines.admin.run("UPDATE line SET day = '2024-01-02' WHERE number = 1 AND label = ''")
    done = step(lines)
    assert (done.rows, done.deleted) == ({"line": 2}, {"line": 2})
    assert applied(lines) == present(lines)


def test_backfill_of_composite_keys_is_reported_by_its_last_key(lines):
    lines.admin.run("INSERT INTO line SELECT 1, n, '2024-01-01', 'x \"y\"' FROM generate_series(1, 9) AS n")
    done = step(lines, rows=4)
    assert done.incomplete == {"line": r'read up to number, label, day ["4", "x \"y\"", "2024-01-01"]'}
    cursor = manifest(lines.ingestion, 1).tables["line"].backfill
    texts = "SELECT jsonb_build_array(number::text, label, day::text)::text FROM line WHERE number = 4"
    assert [[cursor.last_key]] == lines.admin.rows(texts)
    finish(lines)
    assert applied(lines) == present(lines)


def test_rows_that_no_transaction_wrote_are_named_by_their_key(lines):
    lines.admin.run("INSERT INTO line VALUES (1, 1, '2024-01-01', 'x')")
    step(lines)
    stored = manifest(lines.ingestion, 1)
    lines.admin.run("INSERT INTO line VALUES (1, 2, '2024-01-01', 'x')")
    state = json.loads(lines.ingestion.get("manifests/batch-000000000001.json"))
    assert state["tables"]["line"]["key_columns"] == list(KEYS) == list(stored.tables["line"].key_columns)
    state |= {"batch": 2, "previous": 1, "run": "x"}
    state["source"]["snapshot_xmin"] = int(
        lines.admin.rows("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")[0][0]
    )
    lines.ingestion.put_if_absent("manifests/batch-000000000002.json", json.dumps(state).encode())
    with pytest.raises(SourceError, match="shows 1 rows that it did not show before"):
        step(lines)


def test_key_that_is_not_unique_is_refused_by_content(lines):
    """Of a view, which may show a row twice."""
    lines.admin.run("CREATE VIEW shown AS SELECT label, number, day FROM line UNION ALL SELECT label, 1, day FROM line")
    lines.admin.run("GRANT SELECT ON shown TO reader; INSERT INTO line VALUES (1, 2, '2024-01-01', 'x')")
    lines.declarations = Declarations({"shown": SourceTable("shown", KEYS, by_content=True)}, {})
    assert step(lines).rows == {"shown": 2}
    lines.admin.run("INSERT INTO line VALUES (1, 1, '2024-01-01', 'y')")
    with pytest.raises(SourceError, match="The key number, label, day of shown is not unique"):
        step(lines)
    lines.admin.run("DELETE FROM line; ALTER TABLE line DROP CONSTRAINT line_pkey, ALTER label DROP NOT NULL")
    lines.admin.run("ALTER TABLE line ALTER number DROP NOT NULL; INSERT INTO line VALUES (1, NULL, '2024-01-01', 'y')")
    with pytest.raises(SourceError, match="is NULL, or NaN, in some rows"):
        step(lines)


def test_another_key_reads_the_table_again(lines):
    """What was stored of the former key is not read: its columns are others."""
    lines.admin.run("INSERT INTO line SELECT n, n, '2024-01-01', 'x' FROM generate_series(1, 9) AS n")
    lines.admin.run("ALTER TABLE line ADD UNIQUE (number), ADD UNIQUE (label, number)")
    for keys in (KEYS, ("number",), ("label", "number")):
        lines.declarations = Declarations({"line": dataclasses.replace(LINE, keys=keys)}, {})
        begun = (lines.ingestion.last_batch() or 0) + 1
        step(lines, rows=4)
        finish(lines)
        lines.admin.run("UPDATE line SET body = body + 1 WHERE number < 3")
        step(lines)
        assert applied(lines, begun) == present(lines)
