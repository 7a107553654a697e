# ruff: noqa: N801, N803  # boto3's names
"""A processed bucket in memory, written by hand: any batch, any revision, with the rows that a test wants."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from botocore.exceptions import ClientError

from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import (
    DataFile,
    ProcessedManifest,
    ProcessedTable,
    RejectedFile,
    to_json,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import (
    DELETED,
    REJECTED,
    batch_folder,
    manifest_key,
    revision_key,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import ParquetPart
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
REJECTS_SCHEMA = pa.schema([(name, pa.string()) for name in ("table", "key", "column", "value", "reason")])


class Objects:
    """The calls of an S3 client that a lake makes."""

    class exceptions:
        ClientError = ClientError

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": _Body(self.objects[Key])}

    def put_object(self, *, Bucket: str, Key: str, Body: Any, IfNoneMatch: str) -> None:
        self.objects.setdefault(Key, Body.read())

    def list_objects_v2(
        self,
        *,
        Bucket: str,
        Prefix: str,
        StartAfter: str = "",
        MaxKeys: int = 1000,
    ) -> dict[str, Any]:
        keys = [key for key in sorted(self.objects) if key.startswith(Prefix) and key > StartAfter]
        entries = [{"Key": key, "LastModified": BEGINNING} for key in keys[:MaxKeys]]
        return {"Contents": entries, "IsTruncated": len(keys) > MaxKeys}


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Any:
        yield self.read()


class WrittenLake(Lake):
    """A lake that a test fills."""

    def __init__(self) -> None:
        super().__init__(Objects(), "processed")

    def write(
        self,
        batch: int,
        rows: Mapping[str, pa.Table],
        deleted: Mapping[str, pa.Table] | None = None,
        rejected: Mapping[str, Sequence[tuple[str, str, str, str | None, str]]] | None = None,
        revision: int = 1,
    ) -> None:
        """Writes a revision of a batch: rows and deleted keys by table, and data errors by table."""
        tables = {}
        for name in sorted({*rows, *(deleted or {})}):
            key = self._store(batch_folder(name, batch), rows[name]) if name in rows else None
            removed = (deleted or {}).get(name)
            file = (
                DataFile(self._store(batch_folder(name, batch, DELETED), removed), len(removed))
                if removed is not None
                else None
            )
            tables[name] = ProcessedTable(len(rows[name]) if name in rows else 0, key, file)
        faults = {}
        for name, entries in (rejected or {}).items():
            table = pa.table([list(column) for column in zip(*entries, strict=True)], schema=REJECTS_SCHEMA)
            key = self._store(batch_folder(name, batch, REJECTED), table)
            faults[name] = RejectedFile(key, len(table), len({entry[1] for entry in entries}))
        at = (BEGINNING + timedelta(minutes=batch)).isoformat()
        manifest = ProcessedManifest(batch, manifest_key(batch), at, tables, faults, revision)
        assert self.put_if_absent(revision_key(batch, revision), to_json(manifest))

    def _store(self, folder: str, rows: pa.Table) -> str:
        with ParquetPart(rows.schema) as part:
            part.write(rows)
            return self.put_table(folder, part)
