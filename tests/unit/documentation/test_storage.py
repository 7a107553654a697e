"""`docs/storage.md`, the contract of what is stored, is compared with the code that stores it."""

from __future__ import annotations

import dataclasses
import re

import pytest

from lambda_toolkit.pipeline.access import messages as access
from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import CONTROL_TABLES, FORMAT_TABLE
from lambda_toolkit.pipeline.lambdas.shared.lake import manifest
from lambda_toolkit.pipeline.lambdas.shared.messages import events, freshness_events, part_events, read_events
from lambda_toolkit.pipeline.lambdas.shared.messages.events import Request
from lambda_toolkit.pipeline.lambdas.shared.messages.message import Message
from tests.support.repository import REPOSITORY

TEXT = (REPOSITORY / "docs" / "storage.md").read_text(encoding="utf-8")
EXCHANGES: tuple[tuple[str, type[Request], type[Message]], ...] = (
    ("all", events.CheckRequest, events.CheckResult),
    ("extract", events.ExtractRequest, events.ExtractResult),
    ("extract", read_events.ReadRequest, read_events.ReadResult),
    ("transform", events.TransformRequest, events.TransformResult),
    ("transform", events.TransformReplayRequest, events.TransformReplayResult),
    ("transform", events.SweepRequest, events.SweepResult),
    ("transform", part_events.PartRequest, part_events.PartResult),
    ("load", events.LoadRequest, events.LoadResult),
    ("load", events.ReportRequest, events.LoadResult),
    ("load", events.RejectedRequest, events.RejectedResult),
    ("load", events.LoadReplayRequest, events.LoadReplayResult),
    ("load", events.RebuildRequest, events.RebuildResult),
    ("load", events.CompareRequest, events.CompareResult),
    ("freshness", freshness_events.FreshnessRequest, freshness_events.FreshnessResult),
    ("access", access.TableRequest, access.Answer),
    ("access", access.CsvRequest, access.Answer),
    ("access", access.RowsRequest, access.Answer),
    ("access", access.PrepareRequest, access.Answer),
    ("access", access.CatalogRequest, access.Answer),
    ("access", access.DiscardRequest, access.Discarded),
)
"""Each request of a function, and the result."""
AS_ANOTHER = {events.SweepResult: events.TransformResult}
"""Results that the document states by what they have more than another."""
SAID_ONCE = {access.CsvRequest, access.RowsRequest, access.PrepareRequest, access.CatalogRequest}
"""Requests whose result is that of the row above."""
OF_LAMBDA = ("AWS_", "LAMBDA_")


def section(title: str) -> str:
    found = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    assert found, title
    return found


def first_columns(table: str) -> set[str]:
    """The names in the first column of a table, several to a row where they are."""
    cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def field_names(stored: type) -> set[str]:
    return {each.name for each in dataclasses.fields(stored)}


def named(text: str) -> set[str]:
    """What a text has between backticks or quotes."""
    return set(re.findall(r"[`\"](\w+)[`\"]", text))


def test_manifests_have_the_documented_fields() -> None:
    whole, source, table = re.split(r"^`source`:$|^A table:$", section("Ingestion manifest"), flags=re.MULTILINE)
    assert first_columns(whole) == field_names(manifest.IngestionManifest)
    assert first_columns(source) == field_names(manifest.SourceIdentity)
    assert first_columns(table) == field_names(manifest.TableFiles)
    assert named(whole) >= field_names(manifest.Commits)
    assert named(table) >= field_names(manifest.BackfillCursor) | field_names(manifest.KeyFile)
    processed = section("Processed manifest")
    assert first_columns(processed) == field_names(manifest.ProcessedManifest)
    rows = {row.split("`")[1]: named(row) for row in processed.splitlines() if row.startswith("| `")}
    assert rows["tables"] >= field_names(manifest.ProcessedTable)
    assert rows["rejected"] >= field_names(manifest.RejectedFile) - field_names(manifest.DataFile)


@pytest.mark.parametrize("title", ["Ingestion manifest", "Processed manifest"])
def test_format_of_manifests_is_the_documented_one(title: str) -> None:
    assert f"| `format` | integer | {manifest.FORMAT} |" in section(title)


def test_control_tables_have_the_documented_columns() -> None:
    rows = {row.split("`")[1]: row for row in section("Control tables").splitlines() if row.startswith("| `")}
    assert set(rows) == {*CONTROL_TABLES, FORMAT_TABLE}
    for name, statement in CONTROL_TABLES.items():
        columns = re.findall(r"^ +(\w+) +(?:text|bigint|integer|jsonb|timestamptz)\b", statement, re.MULTILINE)
        assert len(columns) > 3
        assert set(columns) - named(rows[name]) == set(), name


def test_every_request_of_a_function_is_listed() -> None:
    modules = (events, part_events, read_events, freshness_events, access)
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    requests = {kind for kind in kinds if issubclass(kind, Request) and kind is not Request}
    assert requests == {request for _, request, _ in EXCHANGES}


@pytest.mark.parametrize(
    ("function", "request_type", "result"), EXCHANGES, ids=lambda each: getattr(each, "__name__", each)
)
def test_exchange_is_documented(function: str, request_type: type[Request], result: type[Message]) -> None:
    rows = [row.split("|")[1:4] for row in section("Events and results").splitlines() if row.startswith("| ")]
    found = [row for row in rows if row[0].strip() == function and f'"{request_type.action}"' in row[1]]
    assert len(found) == 1
    assert field_names(request_type) - named(found[0][1]) == set()
    if request_type not in SAID_ONCE:
        as_another = AS_ANOTHER.get(result)
        own = field_names(result) - (field_names(as_another) if as_another else set())
        assert own - named(found[0][2]) == set()


def test_environment_variables_of_functions_are_documented() -> None:
    pattern = re.compile(r"(?:environ\.get|environ|setting)[(\[]\s*\"([A-Z_]+)\"")
    folders = (REPOSITORY / "lambdas", REPOSITORY / "lambda_toolkit" / "pipeline" / "access")
    read = {
        name
        for folder in folders
        for file in folder.rglob("*.py")
        for name in pattern.findall(file.read_text(encoding="utf-8"))
    }
    assert len(read) > 10
    documented = first_columns(section("Environment variables of the functions"))
    assert sorted(name for name in read - documented if not name.startswith(OF_LAMBDA)) == []
