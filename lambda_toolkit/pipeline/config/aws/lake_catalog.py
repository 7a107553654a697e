"""What the Glue Data Catalog has of the lake: tables over the processed files, and Athena's views. Pure.

The tables have no partitions. A batch is a folder, and their number grows without end: partitions that are computed
(partition projection) need a bound, and one that is far off makes Athena list as many folders; partitions that are
registered would have to be by each run of transform. A table without lists its files by a thousand at a time, the
subfolders too, and its column ``$path`` has the batch. https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lambda_script import CatalogColumn, CatalogSpec, CatalogTable, LimitError, check_catalog
from lambda_toolkit.pipeline.config.model import PROCESSED, Pipeline
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.lake.columns import TEXT
from lambda_toolkit.pipeline.lake.views import (
    ATHENA,
    LINE,
    MANIFEST_LINES,
    REVISION_LINES,
    Column,
    LakeTable,
    folded,
    lake_table,
    views,
)
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import DATA, DELETED, MANIFESTS, REVISIONS, folder_name
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse


def catalog(pipeline: Pipeline, tables: Mapping[str, Any], account: str) -> CatalogSpec:
    """The catalog of a pipeline that ``has_catalog``. ``tables``: as ``tables.json`` has them.

    Raises ConfigurationError for names that the catalog cannot have.
    """
    root = f"s3://{pipeline.bucket_name(PROCESSED, account)}"
    declared = [lake_table(table, ATHENA) for table in parse(tables).warehouse.values()]
    spec = CatalogSpec(database_name(pipeline, account), tuple(_tables(declared, root)), tags=pipeline.common.tags)
    try:
        check_catalog(spec)
    except LimitError as error:
        raise ConfigurationError(
            f"{pipeline.path}: {error} Give the table another name, or write `catalog = false` in [lake]."
        ) from error
    return spec


def database_name(pipeline: Pipeline, account: str) -> str:
    """The name of the catalog's database, in characters that Athena takes; also where the catalog is declared off."""
    template = "{name}_{stage}" if pipeline.catalog is None else pipeline.catalog
    return re.sub(r"[^a-z0-9_]", "_", pipeline.expand(template, account).lower())


def _tables(tables: Sequence[LakeTable], root: str) -> Iterator[CatalogTable]:
    line = _columns([Column(LINE, TEXT)])
    yield CatalogTable(MANIFEST_LINES, line, f"{root}/{MANIFESTS}", "lines")
    yield CatalogTable(REVISION_LINES, line, f"{root}/{REVISIONS}", "lines")
    for table in tables:
        folder = folder_name(table.name)
        yield CatalogTable(table.files.lower(), _columns(table.columns), f"{root}/{DATA}{folder}/")
        if not table.is_calendar:
            yield CatalogTable(table.deleted.lower(), _columns(table.keys), f"{root}/{DELETED}{folder}/")
    for view in map(folded, views(tables, ATHENA)):
        yield CatalogTable(view.name, _columns(view.columns), query=view.query.strip())


def _columns(columns: Sequence[Column]) -> tuple[CatalogColumn, ...]:
    return tuple(CatalogColumn(column.name.lower(), str(column.kind.hive), column.kind.athena) for column in columns)
