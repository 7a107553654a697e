"""What the lake contains: a batch's manifest, the keys in its files, and the objects of a bucket."""

from __future__ import annotations

from lambda_toolkit.pipeline.lambdas.shared.lake.manifest import IngestionManifest, ingestion_manifest
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake


def manifest(lake: Lake, batch: int) -> IngestionManifest:
    return ingestion_manifest(lake.get(manifest_key(batch)), manifest_key(batch))


def keys(lake: Lake, batch: int, table: str, kind: str = "changes") -> list[int]:
    file = getattr(manifest(lake, batch).tables[table], kind)
    return sorted(lake.table(file.key).column(0).to_pylist()) if file else []


def objects(lake: Lake) -> set[str]:
    pages = lake._client.get_paginator("list_objects_v2").paginate(Bucket=lake.bucket)
    return {entry["Key"] for page in pages for entry in page.get("Contents", ())}
