"""The stored form of the manifests: what each release reads that another wrote, and which files a manifest has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import LakeError
from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import (
    BackfillCursor,
    Commits,
    DataFile,
    IngestionManifest,
    KeyFile,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    SourceIdentity,
    TableFiles,
    files_of,
    ingestion_manifest,
    key_of_text,
    key_text,
    processed_manifest,
    to_json,
)


def file(key: str, rows: int = 1) -> dict[str, Any]:
    return {"key": key, "rows": rows}


TABLE: dict[str, Any] = {
    "columns": {"id": "bigint", "größe": "text"},
    "key_columns": ["id"],
    "changes": file("a", 5),
    "context": file("b"),
    "deleted": file("c"),
    "keys": [{"key": "d", "rows": 3, "last_key": "9", "generation": 2}],
    "in_flight": file("e"),
    "relation_oids": [7, 8],
    "column_identities": {"id": "1f"},
    "enum_labels": {"77": "sad"},
    "declaration_fingerprint": "2e",
    "keys_since_compare": [file("f")],
    "compared_at": "2024-01-01T00:00:00+00:00",
    "backfill": {"last_key": "5", "since_xmin": 6, "unchanged_xmin": 7, "again": True},
    "by_content": True,
    "lookups": file("g"),
    "rows": 12,
    "content": "3d",
    "more_changes": [file("h", 2), file("i", 4)],
}
INGESTED: dict[str, Any] = {
    "format": 1,
    "batch": 2,
    "previous": 1,
    "run": "abc",
    "mode": "changes",
    "extracted_at": "2024-01-01T00:00:00+00:00",
    "source": {
        "system_identifier": "71",
        "timeline": 1,
        "database": "shop",
        "database_oid": 5,
        "snapshot_xmin": 700,
        "started": 10,
        "statistics_reset": 20,
        "wal_position": 30,
        "snapshot_xmax": 701,
    },
    "tables": {"staff": TABLE},
    "commits": {"transactions": 2, "times": ["2024-01-01T00:00:00Z"]},
}
READ = IngestionManifest(
    *(2, 1, "abc", "changes", "2024-01-01T00:00:00+00:00"),
    SourceIdentity("71", 1, "shop", 5, 700, 10, 20, 30, 701),
    {
        "staff": TableFiles(
            {"id": "bigint", "größe": "text"},
            ("id",),
            *(DataFile("a", 5), DataFile("b", 1), DataFile("c", 1)),
            (KeyFile("d", 3, "9", 2),),
            DataFile("e", 1),
            (7, 8),
            *({"id": "1f"}, {"77": "sad"}, "2e"),
            (DataFile("f", 1),),
            "2024-01-01T00:00:00+00:00",
            BackfillCursor("5", 6, 7, again=True),
            by_content=True,
            lookups=DataFile("g", 1),
            rows=12,
            content="3d",
            more_changes=(DataFile("h", 2), DataFile("i", 4)),
        )
    },
    Commits(2, ("2024-01-01T00:00:00Z",)),
)
PROCESSED: dict[str, Any] = {
    "format": 1,
    "batch": 2,
    "source_manifest": "manifests/batch-000000000002.json",
    "extracted_at": "2024-01-01T00:00:00+00:00",
    "tables": {
        "dim": {
            "rows": 9,
            "key": "a",
            "deleted": file("b"),
            "unfit": file("c"),
            "more": [file("d", 2), file("e", 3)],
            "more_deleted": [file("f")],
            "more_unfit": [file("g")],
        }
    },
    "rejected": {"dim": {"key": "h", "rows": 4, "source_rows": 3, "more": [file("i")]}},
    "revision": 2,
}
MADE = ProcessedManifest(
    *(2, "manifests/batch-000000000002.json", "2024-01-01T00:00:00+00:00"),
    {
        "dim": ProcessedTable(
            *(9, "a", DataFile("b", 1), DataFile("c", 1)),
            *((DataFile("d", 2), DataFile("e", 3)), (DataFile("f", 1),), (DataFile("g", 1),)),
        )
    },
    {"dim": RejectedFile("h", 4, 3, (DataFile("i", 1),))},
    2,
)


def test_manifest_of_extract_is_written_and_read_whole() -> None:
    assert json.loads(to_json(READ)) == INGESTED
    assert ingestion_manifest(json.dumps(INGESTED).encode(), "m") == READ


def test_manifest_of_transform_is_written_and_read_whole() -> None:
    assert json.loads(to_json(MADE)) == PROCESSED
    assert processed_manifest(json.dumps(PROCESSED).encode(), "m") == MADE


def test_manifest_of_before_lacks_what_came_later() -> None:
    table = {name: value for name, value in TABLE.items() if name != "more_changes"}
    document = {name: value for name, value in INGESTED.items() if name != "commits"}
    older = ingestion_manifest(json.dumps({**document, "tables": {"staff": table}}).encode(), "m")
    assert (older.commits, older.tables["staff"].more_changes) == (None, ())
    entry = {name: value for name, value in PROCESSED["tables"]["dim"].items() if not name.startswith("more")}
    rejects = {"dim": {"key": "h", "rows": 4, "source_rows": 3}}
    before = json.dumps({**PROCESSED, "tables": {"dim": entry}, "rejected": rejects}).encode()
    found = processed_manifest(before, "m")
    assert found.tables["dim"] == ProcessedTable(9, "a", DataFile("b", 1), DataFile("c", 1))
    assert found.rejected["dim"].files == (found.rejected["dim"],)


NOTHING: dict[str, Any] = {
    **{name: None for name, value in TABLE.items() if isinstance(value, dict)},
    **{name: [] for name, value in TABLE.items() if isinstance(value, list)},
    "columns": {},
    "column_identities": {},
    "enum_labels": {},
    "declaration_fingerprint": "",
    "compared_at": None,
    "by_content": False,
    "rows": None,
    "content": None,
}


def test_table_of_a_batch_may_have_no_files() -> None:
    document = json.dumps({**INGESTED, "tables": {"staff": NOTHING}}).encode()
    [table] = ingestion_manifest(document, "m").tables.values()
    assert table == TableFiles({})
    assert (table.change_files, table.changed_rows) == ((), 0)
    empty = ProcessedTable()
    assert (empty.data_files, empty.deleted_files, empty.unfit_files) == ((), (), ())
    bare = ProcessedManifest(2, "m", "2024", {"dim": empty})
    assert processed_manifest(to_json(bare), "m") == bare
    assert json.loads(to_json(bare)) == {
        "format": 1,
        "batch": 2,
        "source_manifest": "m",
        "extracted_at": "2024",
        "rejected": {},
        "revision": 1,
        "tables": {
            "dim": {
                "rows": 0,
                "key": None,
                "deleted": None,
                "unfit": None,
                "more": [],
                "more_deleted": [],
                "more_unfit": [],
            }
        },
    }


def test_files_of_a_table_are_those_of_all_parts() -> None:
    table, made = READ.tables["staff"], MADE.tables["dim"]
    assert table.change_files == (DataFile("a", 5), DataFile("h", 2), DataFile("i", 4))
    assert table.changed_rows == 11
    assert made.data_files == (DataFile("a", 4), DataFile("d", 2), DataFile("e", 3)), "nine rows in all"
    assert [file.key for file in (*made.deleted_files, *made.unfit_files)] == ["b", "f", "c", "g"]
    rejected = MADE.rejected["dim"]
    assert rejected.files == (rejected, DataFile("i", 1))
    assert files_of(READ) == files_of(MADE) == frozenset("abcdefghi"), "at any depth"


def test_same_manifest_has_the_same_bytes() -> None:
    reordered = dict(reversed(INGESTED.items()))
    content = to_json(ingestion_manifest(json.dumps(reordered).encode(), "m"))
    assert content == to_json(READ)
    assert content.startswith(b'{\n "batch": 2,\n') and content.endswith(b"}\n")
    assert "größe".encode() in content


def test_key_is_a_text_or_a_json_array() -> None:
    assert (key_text(["ö 1"]), key_of_text("ö 1", 1)) == ("ö 1", ("ö 1",))
    assert (key_text(["ö", '"2"']), key_of_text('["ö", "\\"2\\""]', 2)) == ('["ö", "\\"2\\""]', ("ö", '"2"'))


@pytest.mark.parametrize("read", [ingestion_manifest, processed_manifest])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "manifests/x is not valid JSON"),
        (b"[]", "manifests/x is a manifest of format None; this code reads format 1"),
        (b"{}", "manifests/x is a manifest of format None; this code reads format 1"),
        (b'{"format": 2}', "manifests/x is a manifest of format 2; this code reads format 1"),
        (b'{"format": 1}', "manifests/x is not a manifest that "),
        (b'{"format": 1, "source": {}, "tables": {}, "rejected": {}}', "manifests/x is not a manifest that "),
        (b'{"format": 1, "source": [], "tables": [], "rejected": {}}', "manifests/x is not a manifest that "),
    ],
)
def test_other_content_is_refused_with_its_key(read: Any, content: bytes, says: str) -> None:
    with pytest.raises(LakeError) as caught:
        read(content, "manifests/x")
    assert says in str(caught.value)
