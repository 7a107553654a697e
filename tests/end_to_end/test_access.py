"""Each command that reaches a database: by the function ``access``, with IAM enforced, and over a connection.

While the function is used, this process may not connect to PostgreSQL: as in a private network.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import Result

from lambda_toolkit.pipeline.lambdas.shared.postgres import connection
from tests.support.command_line import CommandLine

FUNCTION = "totes-local-access"
LARGE = """
    SELECT g AS n, (SELECT string_agg(md5((g * 20 + i)::text), '') FROM generate_series(1, 20) AS i) AS digests
    FROM generate_series(1, 15000) AS g
"""
QUERY = "SELECT *, 'x''y' AS t, NULL AS n, 0.10 AS d FROM current_fact_sales_order ORDER BY sales_order_id LIMIT 30"


@pytest.fixture(scope="module")
def inside(filled: CommandLine) -> Iterator[CommandLine]:
    """The same pipeline, with ``access`` deployed beside its functions."""
    text = (filled.root / "config" / "pipeline.toml").read_text(encoding="utf-8")
    (filled.root / "config" / "inside.toml").write_text(f"{text}\n[functions.access]\n", encoding="utf-8")
    line = dataclasses.replace(filled, file="inside.toml")
    result = line("deploy")
    assert result.exit_code == 0, result.output
    yield line
    (filled.root / "config" / "inside.toml").unlink()
    result = filled("deploy", "--delete-data")  # its log, too
    assert result.exit_code == 0 and FUNCTION in result.output, result.output


@pytest.fixture
def same(filled, inside, monkeypatch) -> Callable[..., Result]:
    """Runs a command over a connection, and by the function; returns its result, the same of both."""

    def run(*arguments: str, code: int = 0) -> Result:
        direct = filled(*arguments)
        with monkeypatch.context() as patch:
            patch.setattr(connection, "_open", lambda *_: pytest.fail("this process connected to PostgreSQL"))
            found = inside(*arguments)
        assert found.stdout == direct.stdout
        assert _errors(found) == _errors(direct)
        assert (found.exit_code, direct.exit_code) == (code, code), found.output
        return found

    return run


@pytest.fixture
def alone(inside, monkeypatch) -> Callable[..., Any]:
    """Runs a command by the function; returns its document."""

    def run(*arguments: str) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(connection, "_open", lambda *_: pytest.fail("this process connected to PostgreSQL"))
            return inside.document(*arguments)

    return run


def _errors(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("Error: ")]


def test_query_shows_and_writes_the_same(same, inside, filled, tmp_path):
    assert len(json.loads(same("query", QUERY, "--json").stdout)["rows"]) == 30
    same("query", QUERY, "--csv")
    files = [tmp_path / "function.parquet", tmp_path / "connection.parquet"]
    for line, file in zip((inside, filled), files, strict=True):
        assert line("query", QUERY, "--output", str(file)).exit_code == 0
    assert pq.read_table(files[0]).equals(pq.read_table(files[1]))
    for refused in ("SELECT 'zebra'::integer", "DELETE FROM dim_staff"):
        assert _errors(same("query", refused, code=1))


def test_large_answers_leave_nothing_in_the_bucket(inside, aws):
    """More than Lambda's 6 MB: as an object, which the command reads and has removed."""
    text = inside("query", LARGE, "--csv").stdout
    assert text.count("\n") == 15_001 and len(text.splitlines()[-1]) == len("15000,") + 20 * 32
    bucket = f"totes-local-processed-{inside.stack.account_id}"
    assert "Contents" not in aws(inside, "s3").list_objects_v2(Bucket=bucket, Prefix="answers/")


def test_other_commands_do_the_same(same, alone, inside, filled, sql):
    """`prepare` creates, `replay --into` creates a whole warehouse, `status` and `batches` read the control tables."""
    warehouse = filled.stack.warehouse
    sql(warehouse, "DROP VIEW current_fact_sales_order CASCADE")
    assert alone("prepare", "--json")["created"] == ["view current_fact_sales_order"]
    sql(filled.stack.source_admin, "ALTER TABLE design ADD COLUMN extra text")
    try:
        notes = alone("plan")["notes"]
        assert any("design" in note and "extra" in note for note in notes)
        assert notes == filled.document("plan", "--no-prune")["notes"]
        assert alone("replay", "--all", "--into", "again", "--no-compare")["last_batch"] >= 1
        sql(warehouse, "DROP SCHEMA again_pipeline CASCADE")
        refused = same("replay", "--all", "--into", "again", code=1)
        assert "exists, and no rebuild created it" in refused.output
        assert same("rejected").stdout and alone("replay", "1")["batches"][0]["batch"] == 1
        assert "The warehouse is complete." in same("prepare").output
    finally:
        sql(filled.stack.source_admin, "ALTER TABLE design DROP COLUMN extra")
        sql(warehouse, "DROP SCHEMA again CASCADE")
    found, direct = inside.state(), filled.state()
    for document in (found, direct):
        for table in document["freshness"]["promise"]["tables"]:
            del table["seconds_behind"]
    for part in ("open", "batches", "differences"):
        assert found[part] == direct[part]
    assert found["freshness"]["promise"]["tables"] == direct["freshness"]["promise"]["tables"] != []
    documents = [alone("batches", "1"), filled.document("batches", "1")]
    assert [document.pop("at") for document in documents] and documents[0] == documents[1]


def test_log_has_no_query_and_no_value(inside, aws):
    """After the tests above: the actions, and what was refused, without what anyone asked or got."""
    pages = aws(inside, "logs").get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{FUNCTION}")
    text = "\n".join(event["message"] for page in pages for event in page["events"])
    assert '"action": "table"' in text
    for secret in ("zebra", "current_fact_sales_order", "generate_series", inside.stack.warehouse.password):
        assert secret not in text
