"""Where a warehouse is in its database: the schema of the published tables, and that of the pipeline's own tables."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

from ...shared.postgres import sql

_LOCK = 0x746F746573  # an arbitrary number that names this pipeline's loads among PostgreSQL's advisory locks
_SUFFIX = "_pipeline"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,53}")  # with the suffix as long as PostgreSQL's names can be


@dataclass(frozen=True)
class Warehouse:
    """One warehouse of a database. Several can lie side by side, each filled by the same code."""

    published: str = sql.SCHEMA
    own: str = "pipeline"

    @classmethod
    def beside(cls, schema: str) -> Warehouse:
        """The warehouse whose published tables are in ``schema``: its own tables are in ``<schema>_pipeline``."""
        return cls(schema, f"{schema}{_SUFFIX}")

    @staticmethod
    def refusal(schema: str) -> str | None:
        """Why ``schema`` cannot be the name of a warehouse beside the live one; None where it can."""
        if schema in (LIVE.published, LIVE.own):
            return "that is the live warehouse's own schema"
        if not _NAME.fullmatch(schema):
            return "a name has small letters, digits and underscores, begins with a letter, and is at most 54 long"
        if schema.startswith("pg_") or schema == "information_schema":
            return "PostgreSQL keeps that name for itself"
        if schema.endswith(_SUFFIX):
            return f"names that end in {_SUFFIX} are for the pipeline's own tables"
        return None

    @property
    def lock(self) -> int:
        """The advisory lock of those who write to this warehouse: one at a time does."""
        return _LOCK if self == LIVE else _LOCK << 20 ^ zlib.crc32(self.own.encode())

    def table(self, name: str) -> sql.Fragment:
        """The published table or view ``name``, quoted, with its schema."""
        return sql.table(name, self.published)

    def shown(self, name: str) -> str:
        """The published table or view ``name`` as people are told of it."""
        return name if self.published == sql.SCHEMA else f"{self.published}.{name}"

    def parts(self) -> dict[str, sql.Fragment]:
        """The own tables by their names, to be put into a template: ``$ledger``, ``$version``, ..."""
        return {name: sql.table(name, self.own) for name in OWN_TABLES}


LIVE = Warehouse()

# The pipeline's own tables. Beside the published ones, which hold nothing of the pipeline.
OWN_TABLES = {
    "ledger": """
        CREATE TABLE $table (
            batch            bigint PRIMARY KEY,
            source_manifest  text NOT NULL,
            extracted_at     timestamptz NOT NULL,
            loaded_at        timestamptz NOT NULL,
            written          jsonb NOT NULL          -- rows appended or upserted, per table
        )""",
    "version": """
        CREATE TABLE $table (
            table_name    text NOT NULL,
            first_record  bigint NOT NULL,
            last_record   bigint NOT NULL,
            batch         bigint NOT NULL,           -- which brought the versions with these record numbers
            PRIMARY KEY (table_name, first_record)
        )""",
    "deletion": """
        CREATE TABLE $table (
            table_name   text NOT NULL,
            key          text NOT NULL,              -- of the row that the source deleted
            batch        bigint NOT NULL,            -- in which it was gone
            ended_batch  bigint,                     -- in which it was back; NULL while it is gone
            PRIMARY KEY (table_name, key, batch)
        )""",
    "held": """
        CREATE TABLE $table (
            table_name  text NOT NULL,
            key         text NOT NULL,
            batch       bigint NOT NULL,
            version     jsonb NOT NULL,              -- the row: what it names is not here yet, or it lacks a value
            PRIMARY KEY (table_name, key, batch)
        )""",
    "rejected": """
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
            batch       bigint NOT NULL,
            revision    integer NOT NULL,            -- of the processed batch, where it is not the first
            applied_at  timestamptz NOT NULL,
            written     jsonb NOT NULL,              -- rows appended or upserted, per table
            PRIMARY KEY (batch, revision)
        )""",
}
