"""Where a warehouse is in its database: the schema of the published tables, and the schema of the control tables."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from ...shared.postgres import sql

FORMAT_VERSION = 2  # of the control schema: raised whenever a control table changes

_LOCK = 0x746F746573  # an arbitrary number that identifies this pipeline's loads among PostgreSQL's advisory locks
_SUFFIX = "_pipeline"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,53}")  # with the suffix as long as PostgreSQL's names can be


@dataclass(frozen=True)
class SchemaNames:
    """The schemas of one warehouse. A database can contain several warehouses, each filled by the same code."""

    published: str = sql.SCHEMA
    """The presentation schema: dimensions, facts and their views."""
    control: str = "pipeline"
    """The schema of the control tables."""

    @classmethod
    def shadow(cls, schema: str) -> SchemaNames:
        """The warehouse whose published tables are in ``schema``; its control tables are in ``<schema>_pipeline``."""
        return cls(schema, f"{schema}{_SUFFIX}")

    @staticmethod
    def name_problem(schema: str) -> str | None:
        """Why ``schema`` cannot be the schema of a shadow warehouse; None where it can."""
        if schema in (LIVE.published, LIVE.control):
            return "that is the live warehouse's own schema"
        if not _NAME.fullmatch(schema):
            return "a name has small letters, digits and underscores, begins with a letter, and is at most 54 long"
        if schema.startswith("pg_") or schema == "information_schema":
            return "PostgreSQL reserves that name"
        if schema.endswith(_SUFFIX):
            return f"names that end in {_SUFFIX} are for control tables"
        return None

    @property
    def lock(self) -> int:
        """The key of the advisory lock that serializes the writers of this warehouse."""
        return _LOCK if self == LIVE else _LOCK << 20 ^ zlib.crc32(self.control.encode())

    def table(self, name: str) -> sql.Fragment:
        """The published table or view ``name``, quoted, with its schema."""
        return sql.table(name, self.published)

    def display_name(self, name: str) -> str:
        """The published table or view ``name`` as messages show it."""
        return name if self.published == sql.SCHEMA else f"{self.published}.{name}"

    def control_tables(self) -> dict[str, sql.Fragment]:
        """The control tables by their names, as parts of a template: ``$ledger``, ``$version_range``, ..."""
        return {name: sql.table(name, self.control) for name in CONTROL_TABLES}


LIVE = SchemaNames()

FORMAT_TABLE = "format"
CREATE_FORMAT = "CREATE TABLE $table AS SELECT $version AS version"

# The control tables: what load records about the published tables, which have no column of the pipeline.
CONTROL_TABLES = {
    "ledger": """
        CREATE TABLE $table (
            batch            bigint PRIMARY KEY,
            source_manifest  text NOT NULL,          -- the object key of the manifest of the extracted batch
            extracted_at     timestamptz NOT NULL,
            loaded_at        timestamptz NOT NULL,
            rows_written     jsonb NOT NULL          -- rows appended or upserted, per table
        )""",
    "version_range": """
        CREATE TABLE $table (
            table_name    text NOT NULL,
            first_record  bigint NOT NULL,
            last_record   bigint NOT NULL,
            batch         bigint NOT NULL,           -- which appended the versions with these record numbers
            PRIMARY KEY (table_name, first_record)
        )""",
    "deletion": """
        CREATE TABLE $table (
            table_name       text NOT NULL,
            key              text NOT NULL,          -- of the row that the source deleted
            batch            bigint NOT NULL,        -- in which it was deleted
            undeleted_batch  bigint,                 -- in which it was inserted again; NULL while it is deleted
            PRIMARY KEY (table_name, key, batch)
        )""",
    "pending_row": """
        CREATE TABLE $table (
            table_name  text NOT NULL,
            key         text NOT NULL,
            batch       bigint NOT NULL,
            content     jsonb NOT NULL,              -- the row, which does not meet a requirement of its table yet
            deleted_batch bigint,                    -- in which the source deleted it; NULL while it is there
            PRIMARY KEY (table_name, key, batch)
        )""",
    "rejected_value": """
        CREATE TABLE $table (
            table_name   text NOT NULL,
            key          text NOT NULL,
            batch        bigint NOT NULL,
            column_name  text,                       -- of the source; of a joined table: table.column
            value        text,
            reason       text NOT NULL
        )""",
    "revision": """
        CREATE TABLE $table (
            batch         bigint NOT NULL,
            revision      integer NOT NULL,          -- of the processed batch, where it is not the first
            applied_at    timestamptz NOT NULL,
            rows_written  jsonb NOT NULL,            -- rows appended or upserted, per table
            PRIMARY KEY (batch, revision)
        )""",
    "freshness": """
        CREATE TABLE $table (
            source_table  text PRIMARY KEY,
            first_seen    timestamptz NOT NULL,      -- when the source was first compared with the warehouse
            fresh_at      timestamptz,               -- every change committed before is in the warehouse
            checked_at    timestamptz NOT NULL,      -- when it was last compared, or that was tried
            state         text NOT NULL,             -- what was found: unchanged, changed or unknown
            batch         bigint,                    -- the last loaded batch then
            problem       text                       -- why it could not be compared
        )""",
}
