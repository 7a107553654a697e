"""Databases of the Glue Data Catalog with their tables and views: one resource each.

A database has tags, which say who owns it; tables have none, and say it in their parameters. In a database of the
toolkit there may be tables of others, such as those that a query created: they are left alone.
https://docs.aws.amazon.com/glue/latest/dg/monitor-tags.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import run_parallel, task
from lambda_toolkit.changes import Change, Difference, Key
from lambda_toolkit.resources.planning import tags
from lambda_toolkit.resources.planning.diff import differences
from lambda_toolkit.resources.planning.reads import Reads
from lambda_toolkit.spec.catalog import CatalogSpec, CatalogTable, shape, table_input
from lambda_toolkit.spec.model import Kind
from lambda_toolkit.spec.ownership import OWNER, OWNER_TAG, desired_tags, is_owned, require_owned

KIND = Kind.CATALOG
DEPLOYER_ACTIONS = (
    "CreateDatabase",
    "CreateTable",
    "DeleteDatabase",
    "DeleteTable",
    "GetDatabase",
    "GetTables",
    "GetTags",
    "TagResource",
    "UntagResource",
    "UpdateTable",
)
_MARK = {OWNER_TAG: OWNER}  # of a table, in its parameters: its database says for which application
_EXISTS = ("AlreadyExistsException",)


@dataclass(frozen=True)
class _Live:
    """A database as it is."""

    tags: Mapping[str, str]
    tables: Mapping[str, Mapping[str, Any]]

    @property
    def own(self) -> list[str]:
        """The tables that the toolkit created."""
        return [name for name, table in self.tables.items() if _is_own(table)]

    @property
    def of_others(self) -> int:
        """How many tables it did not create."""
        return len(self.tables) - len(self.own)


@dataclass(frozen=True)
class _Tables:
    """What is to be done with tables."""

    created: list[CatalogTable] = field(default_factory=list)
    updated: list[CatalogTable] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    found: list[Difference] = field(default_factory=list)


def plan(reads: Reads, spec: CatalogSpec) -> list[Change]:
    """The change that brings the database and its tables to ``spec``. Raises OwnershipError."""
    arn = reads.arn("glue", f"database/{spec.name}")
    live = _read(reads.aws, spec.name, arn)
    if live is None:

        def create(executor_aws: Aws) -> None:
            executor_aws.create(
                "glue",
                "create_database",
                exists=_EXISTS,
                DatabaseInput={"Name": spec.name},
                Tags=desired_tags(spec.tags),
            )
            _write(executor_aws, spec, _Tables(created=list(spec.tables)))

        return [Change(KIND, spec.name, "create", (f"{len(spec.tables)} tables and views",), apply=create)]

    require_owned(KIND, spec.name, live.tags, adopt=spec.adopt, declared=spec.tags)
    tag_change = tags.compare(live.tags, spec.tags)
    tables = _compared(spec, live)
    if not tables.found and not tag_change:
        return []

    def update(executor_aws: Aws) -> None:
        tag_change.apply(executor_aws, "glue", arn)
        _write(executor_aws, spec, tables)

    return [Change(KIND, spec.name, "update", differences=(*tables.found, *tag_change.differences), apply=update)]


def plan_removal(reads: Reads, spec: CatalogSpec, after: frozenset[Key] = frozenset()) -> list[Change]:
    """The change that deletes the toolkit's tables, and the database unless it has tables of others."""
    arn = reads.arn("glue", f"database/{spec.name}")
    live = _read(reads.aws, spec.name, arn)
    if live is None or not is_owned(live.tags, declared=spec.tags):
        return []
    details = (f"the database stays, as it has {live.of_others} tables of others",) if live.of_others else ()

    def delete(executor_aws: Aws) -> str | None:
        now = _read(executor_aws, spec.name, arn)
        if now is None:
            return None
        _delete(executor_aws, spec.name, now.own)
        if not now.of_others:
            executor_aws.find("glue", "delete_database", Name=spec.name)
            return None
        own = [key for key in desired_tags(spec.tags) if key in now.tags]
        executor_aws.call("glue", "untag_resource", ResourceArn=arn, TagsToRemove=own)
        return None

    return [Change(KIND, spec.name, "delete", details, after=after, apply=delete)]


def _read(aws: Aws, name: str, arn: str) -> _Live | None:
    """The database; ``None`` where there is none."""
    if aws.find("glue", "get_database", Name=name) is None:
        return None
    found = aws.find("glue", "get_tags", ResourceArn=arn) or {}
    tables = aws.list_existing("glue", "get_tables", "TableList", DatabaseName=name)
    return _Live(dict(found.get("Tags") or {}), {str(table["Name"]): table for table in tables})


def _compared(spec: CatalogSpec, live: _Live) -> _Tables:
    """Raises OwnershipError where a declared table is another's."""
    tables = _Tables()
    for table in spec.tables:
        found = live.tables.get(table.name)
        attribute = f"tables.{table.name}"
        if found is None:
            tables.created.append(table)
            tables.found.append(Difference(attribute, None, "a view" if table.query else table.location))
            continue
        name = f"{spec.name}.{table.name}"
        require_owned(KIND, name, found.get("Parameters") or {}, adopt=spec.adopt)
        changed = differences(shape(found), shape(table_input(table, spec.name, _MARK)), attribute)
        if not _is_own(found):
            changed = (*changed, Difference(f"{attribute}.{OWNER_TAG}", None, OWNER))
        if changed:
            tables.updated.append(table)
            tables.found.extend(changed)
    declared = {table.name for table in spec.tables}
    for name in live.own:
        if name not in declared:
            tables.deleted.append(name)
            tables.found.append(Difference(f"tables.{name}", "not declared", None))
    return tables


def _write(aws: Aws, spec: CatalogSpec, tables: _Tables) -> None:
    """In parallel: Glue does not look whether what a view reads is there."""

    def create(table: CatalogTable) -> None:
        wanted = table_input(table, spec.name, _MARK)
        aws.create("glue", "create_table", exists=_EXISTS, DatabaseName=spec.name, TableInput=wanted)

    def update(table: CatalogTable) -> None:
        wanted = table_input(table, spec.name, _MARK)
        aws.call("glue", "update_table", DatabaseName=spec.name, TableInput=wanted, SkipArchive=True)

    run_parallel([*(task(create, one) for one in tables.created), *(task(update, one) for one in tables.updated)])
    _delete(aws, spec.name, tables.deleted)


def _delete(aws: Aws, database: str, names: Sequence[str]) -> None:
    run_parallel([task(aws.find, "glue", "delete_table", DatabaseName=database, Name=name) for name in names])


def _is_own(table: Mapping[str, Any]) -> bool:
    return is_owned(table.get("Parameters") or {})
