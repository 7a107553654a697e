"""The statements of load in DuckDB's SQL: what PostgreSQL alone has is written as DuckDB has it, the rest is the same.

The forms are those that the statements of ``load`` and of the views use, no others: this is no translator of SQL. Each
statement is composed once, for PostgreSQL, so that the two warehouses cannot disagree about what a version is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

MAIN = "main"  # the schema of the published tables in a file: DuckDB finds them there by their names alone
JSON_TEXT = '"pipeline".json_text'
# A string of JSON as PostgreSQL writes it: quotes, backslashes and control characters are escaped, nothing else is.
# DuckDB's own to_json() writes \u001F where PostgreSQL writes \u001f.
_SHORT = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_COLUMN = r'"(?:[^"]|"")+"'
_TEXTS = r"[^()]*"  # of the arguments of jsonb_build_array: columns cast to text

Columns = Callable[[str], Mapping[str, str]]
"""From a table, quoted, with its schema, to the DuckDB types of its columns."""


def create_json_text() -> str:
    """The statement that creates the macro which :func:`translated` calls for a key of several columns."""
    escaped = "t"
    controls = {chr(code): f"\\u{code:04x}" for code in range(1, 32) if chr(code) not in _SHORT}
    for character, written in {**_SHORT, **controls}.items():
        of = f"chr({ord(character)})"
        escaped = f"replace({escaped}, {of}, '{written}')"
    plain = "regexp_matches(t, '[\\x01-\\x1f\"\\\\]')"
    quoted = f"CASE WHEN {plain} THEN '\"' || {escaped} || '\"' ELSE '\"' || t || '\"' END"
    return f"CREATE MACRO {JSON_TEXT}(t) AS coalesce({quoted}, 'null')"


def translated(statement: str, columns: Columns) -> str:
    """``statement``, composed for PostgreSQL, for DuckDB. ``columns``: looks a table up, where it must be known."""
    text = _RECORD.sub(lambda found: _record(found, columns), statement)
    for pattern, replacement in _FORMS:
        text = pattern.sub(replacement, text)
    return text


def _key_text(found: re.Match[str]) -> str:
    members = [f"{JSON_TEXT}({text.strip()})" for text in found["texts"].split(", ")]
    return "('[' || " + " || ', ' || ".join(members) + " || ']')"


def _namespace(found: re.Match[str]) -> str:
    """The schema of the file; every attached database has one called main."""
    return found.expand(r"(SELECT oid FROM duckdb_schemas() WHERE database_name = current_database()") + (
        found.expand(r" AND schema_name = \1)")
    )


def _moment(found: re.Match[str]) -> str:
    return f"strftime({found['column']} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"


def _record(found: re.Match[str], columns: Columns) -> str:
    """The columns of a row that a control table keeps as JSON, each as a text there."""
    values = ", ".join(
        f"CAST(json_extract_string({found['content']}, '$.{_path(name)}') AS {kind}) AS {_quoted(name)}"
        for name, kind in columns(found["table"]).items()
    )
    return f"LATERAL (SELECT {values}) AS {found['alias']}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _path(name: str) -> str:
    return '"' + name.replace("'", "''") + '"'


_RECORD = re.compile(
    rf"jsonb_populate_record\(NULL::(?P<table>{_COLUMN}\.{_COLUMN}), (?P<content>\w+\.content)\) AS (?P<alias>\w+)"
)
_FORMS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # A temporary table lasts as long as the connection: the end of a batch drops those that are left.
    (re.compile(r" ON COMMIT DROP\b"), ""),
    (re.compile(r'"pg_temp"\.'), "temp."),
    (re.compile(r'(?:"public"|\bpublic)\.'), f"{MAIN}."),
    (re.compile(r"\bSELECT FROM\b"), "SELECT 1 FROM"),
    # A row of NULLs is no NULL in DuckDB; the columns of a key are NULL together.
    (re.compile(rf"\(({_COLUMN}\.{_COLUMN})(?:, {_COLUMN}\.{_COLUMN})+\) IS NULL\b"), r"(\1) IS NULL"),
    (re.compile(rf"jsonb_build_array\((?P<texts>{_TEXTS})\)::text"), _key_text),
    (re.compile(r"to_char\((?P<column>\w+) AT TIME ZONE 'UTC', \$\$[^$]*\$\$\)"), _moment),
    (re.compile(r"\b(rows_written) -> ('[^']*')"), r"(\1 -> \2)"),
    (re.compile(r"\bto_jsonb\("), "to_json("),
    (re.compile(r"\bAS jsonb\b"), "AS json"),
    (re.compile(r"to_regnamespace\('public'\)"), f"to_regnamespace('{MAIN}')"),
    (re.compile(r"to_regnamespace\(('[^']*')\)"), _namespace),
    (re.compile(r"\barray_agg\((DISTINCT [^()]*(?:\([^()]*\))?)\)"), r"list_sort(array_agg(\1))"),
    (re.compile(r"^\s*BEGIN ISOLATION LEVEL REPEATABLE READ,? READ ONLY"), "BEGIN READ ONLY"),
)
