"""The reference of ``pipeline.toml``, made of the declaration of its keys: a JSON Schema, and a page of documentation.

``python -m lambda_toolkit.pipeline.config.schema.reference`` writes both into a checkout; a test compares them.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type
from lambda_toolkit.pipeline.config.schema.keys import FILE

SCHEMA_FILE = "pipeline.schema.json"  # beside pipeline.toml, whose first line names it
SCHEMA_PATH, PAGE_PATH = Path("config") / SCHEMA_FILE, Path("docs/configuration.md")
_JSON: Mapping[Type, Mapping[str, Any]] = {
    Type.STRING: {"type": "string"},
    Type.INTEGER: {"type": "integer"},
    Type.INTEGER_OR_STRING: {},
    Type.NUMBER: {"type": "number"},
    Type.BOOLEAN: {"type": "boolean"},
    Type.STRINGS: {"type": "array", "items": {"type": "string"}},
    Type.STRING_OR_STRINGS: {
        "oneOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        ]
    },
    Type.STRING_TABLE: {"type": "object", "additionalProperties": {"type": "string"}},
    Type.JOINS: {
        "type": "object",
        "additionalProperties": {
            "oneOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "table": {"type": "string", "description": "The source table; by default it is the alias."},
                        "on": {
                            "description": "The column, or columns, that contain its key.",
                            "oneOf": [
                                {"type": "string"},
                                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                            ],
                        },
                        "from": {"type": "string", "description": "The alias that has these columns."},
                    },
                    "required": ["on"],
                    "additionalProperties": False,
                },
            ]
        },
    },
    Type.OBJECT: {"type": "object"},
    Type.OBJECTS: {"type": "array", "items": {"type": "object"}},
}
_HEAD = """# Configuration: every key of `pipeline.toml`

`config/pipeline.toml` declares a pipeline: what is deployed to AWS, which tables are ingested, and how the warehouse is
made of them. Paths in it are relative to the folder that contains `config/`. All errors in it are reported together,
each with its table and key, before anything is called on AWS.

Editors that know JSON Schema complete and check it: its first line, `#:schema ./pipeline.schema.json`, is for the
extension *Even Better TOML* (Taplo). `init` writes the schema beside the file.

- **Absent and empty differ.** Where "not managed" is the default, an absent key leaves alone what is on AWS, and an
  empty value (`""`, `[]`) removes what an earlier deploy made.
- **Placeholders.** Names of buckets, the topic and secrets, and the namespace of an alarm, may contain `{name}`,
  `{stage}`, `{region}` and `{account}`.
- **Stages.** `[stages.<stage>]` contains any of the tables below; for that stage its values replace those of the file,
  key by key: `[stages.local.functions]` with `extract.schedule = "rate(1 minute)"`.
- **Names and defaults** are those of the parameters of `Lambda_script`; only `source` is `lambda_function_path` there.
"""


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 7) of the file."""
    schema = _schema(FILE)
    stage = {key: value for key, value in schema.items() if key != "required"}  # what it leaves out, the file has
    properties = {**schema["properties"], "stages": {"type": "object", "additionalProperties": _optional(stage)}}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "pipeline.toml"}
    return {**head, **schema, "properties": properties}


def schema_text() -> str:
    """The schema as a file."""
    return json.dumps(json_schema(), indent=1) + "\n"


def page() -> str:
    """The page of documentation, as Markdown."""
    return "\n".join([_HEAD, *(line for table in tables() for line in _section(table))])


def tables(table: Table = FILE) -> Iterator[Table]:
    """The tables of the file, each before those that it contains. The file itself is not among them."""
    if table.path:
        yield table
    for key in table.keys:
        if key.beside:
            yield key.beside
        if key.table:
            yield from tables(key.table)


def _schema(table: Table) -> dict[str, Any]:
    required = [key.name for key in table.keys if key.required]
    return {
        "type": "object",
        "description": table.meaning,
        "properties": {key.name: _property(key) for key in table.keys},
        "additionalProperties": False,
        **({"required": required} if required else {}),
        **({"anyOf": [{"required": list(keys)} for keys in table.alternatives]} if table.alternatives else {}),
    }


def _property(key: Key) -> dict[str, Any]:
    if key.table is None:
        found = {**_JSON[key.type], "description": key.meaning}
        if key.type is Type.INTEGER_OR_STRING:
            found = {"anyOf": [{"type": "integer"}, {"enum": list(key.choices)}], "description": key.meaning}
        elif key.choices:
            found["enum"] = list(key.choices)
        if key.default is not None:
            found["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
        if key.example:
            found["examples"] = [tomllib.loads(f"value = {key.example}")["value"]]
        return found
    item = _schema(key.table)
    if key.type is Type.TABLE:
        return {**item, "description": key.meaning}
    if key.type in (Type.TABLES, Type.STRING_OR_TABLES):
        text = [{"type": "string"}] if key.type is Type.STRING_OR_TABLES else []
        return {"description": key.meaning, "anyOf": [*text, item, {"type": "array", "items": item}]}
    named = {"anyOf": [{"type": "string"}, item]} if key.shorthand else item
    beside = (
        {each.name: {"anyOf": [_property(each), {"type": "object"}]} for each in key.beside.keys} if key.beside else {}
    )
    own = {"properties": beside} if beside else {}
    return {"type": "object", "description": key.meaning, **own, "additionalProperties": named}


def _optional(schema: Any) -> Any:
    """``schema`` with no key required, at any depth."""
    if isinstance(schema, dict):
        return {key: _optional(value) for key, value in schema.items() if key != "required" or isinstance(value, dict)}
    return [_optional(item) for item in schema] if isinstance(schema, list) else schema


def _section(table: Table) -> Iterator[str]:
    yield f"## `[{table.path}]`"
    yield ""
    yield table.meaning
    yield ""
    yield "| Key | Type | Default | Meaning | Example |"
    yield "|---|---|---|---|---|"
    for key in table.keys:
        cells = (f"`{key.name}`", _type(key), _default(key), key.meaning, f"`{key.example}`")
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""


def _type(key: Key) -> str:
    integer = "integer, or " if key.type is Type.INTEGER_OR_STRING else ""
    choices = ", ".join(f"`{choice}`" for choice in key.choices)
    return f"{integer}{choices}" or key.type.value.removeprefix("an ").removeprefix("a ")


def _default(key: Key) -> str:
    if key.required:
        return "**required**"
    if key.default is None:
        return key.absent or "none"
    if key.default in ((), {}, ""):
        return "empty"
    return f"`{json.dumps(key.default)}`"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
    PAGE_PATH.write_text(page(), encoding="utf-8")
