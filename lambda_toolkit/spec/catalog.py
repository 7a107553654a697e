"""A database of the Glue Data Catalog: its tables over files in S3, and its views, in Glue's form. Pure.

https://docs.aws.amazon.com/glue/latest/webapi/API_TableInput.html
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lambda_toolkit.errors import LimitError

FileFormat = Literal["parquet", "lines"]
"""How a table's files are read: as Parquet, or each line of a text as one value."""
VIEW, FILES = "VIRTUAL_VIEW", "EXTERNAL_TABLE"
_NAME = re.compile(
    r"[a-z0-9_]{1,255}"
)  # what Athena takes: https://docs.aws.amazon.com/athena/latest/ug/tables-databases-columns-names.html
_HADOOP = "org.apache.hadoop"
_FORMATS: Mapping[str, Mapping[str, str]] = {
    "parquet": {
        "InputFormat": f"{_HADOOP}.hive.ql.io.parquet.MapredParquetInputFormat",
        "OutputFormat": f"{_HADOOP}.hive.ql.io.parquet.MapredParquetOutputFormat",
        "SerializationLibrary": f"{_HADOOP}.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    },
    "lines": {
        "InputFormat": f"{_HADOOP}.mapred.TextInputFormat",
        "OutputFormat": f"{_HADOOP}.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "SerializationLibrary": f"{_HADOOP}.hive.serde2.lazy.LazySimpleSerDe",
    },
}
# Athena, as Presto, keeps a view as JSON in a comment.
_VIEW_START, _VIEW_END, _VIEW_MARK = "/* Presto View: ", " */", "/* Presto View */"


@dataclass(frozen=True)
class CatalogColumn:
    """A column of a table or a view."""

    name: str
    hive: str
    """Its type as the catalog has it, such as ``string``."""
    athena: str
    """Its type as Athena's SQL has it, such as ``varchar``: of a view."""


@dataclass(frozen=True)
class CatalogTable:
    """A table over all files below a place in S3, or a view."""

    name: str
    columns: tuple[CatalogColumn, ...]
    location: str = ""
    """Where a table's files are, with subfolders: ``s3://bucket/prefix/``. Empty for a view."""
    format: FileFormat = "parquet"
    query: str = ""
    """The SELECT of a view, as Athena runs it. Empty for a table."""


@dataclass(frozen=True)
class CatalogSpec:
    """A database of the Glue Data Catalog with all its tables and views. Tables of others in it are left alone."""

    name: str
    """The database's name, unique in the account and region."""
    tables: tuple[CatalogTable, ...] = field(default=(), repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    """A tag with an empty value is removed; undeclared tags stay. Tables have no tags on AWS."""
    adopt: bool = False
    """Manage an existing database of this name, and tables in it, that the toolkit did not create."""


def check_catalog(spec: CatalogSpec) -> None:
    """Raise LimitError for what Glue or Athena would refuse."""
    problems = list(_problems(spec))
    if problems:
        raise LimitError(f"Catalog `{spec.name}`: {' '.join(problems)}")


def _problems(spec: CatalogSpec) -> Iterator[str]:
    rule = "a name has small letters, digits and underscores, 255 at most"
    if not _NAME.fullmatch(spec.name):
        yield f"`{spec.name}` cannot be the database: {rule}."
    names = [table.name for table in spec.tables]
    for name in dict.fromkeys(names):
        if not _NAME.fullmatch(name):
            yield f"`{name}` cannot be a table: {rule}."
        if names.count(name) > 1:
            yield f"two tables would be called `{name}`."
    for table in spec.tables:
        columns = [column.name for column in table.columns]
        for name in dict.fromkeys(name for name in columns if columns.count(name) > 1):
            yield f"`{table.name}` would have two columns `{name}`."


def table_input(table: CatalogTable, database: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """What Glue is sent of ``table``, with more ``parameters``."""
    columns = [{"Name": column.name, "Type": column.hive} for column in table.columns]
    if table.query:
        return {
            "Name": table.name,
            "TableType": VIEW,
            "Parameters": {"presto_view": "true", "comment": "Presto View", **parameters},
            "StorageDescriptor": {"Columns": columns, "Location": "", "SerdeInfo": {}},
            "PartitionKeys": [],
            "ViewOriginalText": _VIEW_START + _encoded(table, database) + _VIEW_END,
            "ViewExpandedText": _VIEW_MARK,
        }
    form = dict(_FORMATS[table.format])
    serde = {"SerializationLibrary": form.pop("SerializationLibrary"), "Parameters": {"serialization.format": "1"}}
    kind = {"classification": "parquet"} if table.format == "parquet" else {}
    return {
        "Name": table.name,
        "TableType": FILES,
        "Parameters": {"EXTERNAL": "TRUE", **kind, **parameters},
        "StorageDescriptor": {"Columns": columns, "Location": table.location, **form, "SerdeInfo": serde},
        "PartitionKeys": [],
    }


def shape(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared of a table as Glue has it, or as :func:`table_input` makes it."""
    storage = found.get("StorageDescriptor") or {}
    serde = storage.get("SerdeInfo") or {}
    view = _decoded(str(found.get("ViewOriginalText") or ""))
    return {
        "type": found.get("TableType"),
        "columns": [f"{item.get('Name')} {item.get('Type')}" for item in storage.get("Columns") or ()],
        "location": storage.get("Location") or None,
        "format": serde.get("SerializationLibrary") or None,
        "input": storage.get("InputFormat") or None,
        "partitions": [str(item.get("Name")) for item in found.get("PartitionKeys") or ()],
        "query": view.get("originalSql"),
        "view columns": [f"{item.get('name')} {item.get('type')}" for item in view.get("columns") or ()],
        "view schema": view.get("schema"),
    }


def _encoded(table: CatalogTable, database: str) -> str:
    view = {
        "originalSql": table.query,
        "catalog": "awsdatacatalog",
        "schema": database,
        "columns": [{"name": column.name, "type": column.athena} for column in table.columns],
    }
    return base64.b64encode(json.dumps(view).encode()).decode()


def _decoded(text: str) -> Mapping[str, Any]:
    """The view in Glue's text; with the text itself as its query where Athena did not write it."""
    encoded = text.removeprefix(_VIEW_START).removesuffix(_VIEW_END)
    if not text.startswith(_VIEW_START):
        return {"originalSql": text or None}
    try:
        view = json.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        return {"originalSql": text}
    return view if isinstance(view, Mapping) else {"originalSql": text}
