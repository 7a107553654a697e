"""The mirror of a catalog: which tables and columns it has, made or updated, and what changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lambda_toolkit.pipeline.config.mirror import (
    Mirror,
    MirrorColumn,
    MirrorTable,
    is_mirrored,
    relation_names,
    warehouse_name,
)
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, Table, listed
from lambda_toolkit.pipeline.proposal.names import FORBIDDEN_COLUMNS, Names
from lambda_toolkit.pipeline.proposal.types import warehouse_type
from lambda_toolkit.pipeline.warehouse.widening import widens

_RECORD = "record_number"
_MOST_COLUMNS = 1599  # beside the record number: PostgreSQL's limit is 1600


@dataclass
class Mirrored:
    """A mirror, and how it came to be."""

    mirror: Mirror = field(default_factory=Mirror)
    changes: list[str] = field(default_factory=list)
    """What is different from the mirror before, sentences, each with what to do where something is to be done."""
    notes: list[str] = field(default_factory=list)
    """The tables that are meant and not mirrored, with the reason, and patterns that mean no table; sentences."""


def mirrored(
    catalog: Catalog,
    patterns: Sequence[str],
    declared: Mapping[str, Mapping[str, Any]],
    taken: Collection[str],
    previous: Mirror | None,
) -> Mirrored:
    """The mirror of the tables of ``catalog`` that ``patterns`` mean.

    ``declared``: the ``[source.<table>]`` that pipeline.toml has, whose keys are used; ``taken``: the tables and views
    of the warehouse that are no mirror. What ``previous`` says of a table stays wherever it can: names; types, unless a
    wider one has all their values; and columns that the source has no more. Nothing in it becomes NOT NULL again.
    """
    made = Mirrored()
    before = previous or Mirror()
    meant = [table for table in catalog.tables if is_mirrored(patterns, table.name)]
    chosen = [table for table in meant if _may_be_read(table, declared, made)]
    names = {each.name for each in chosen}
    used = set(taken).union(*(relation_names(each.name) for each in before.tables))
    tables = []
    for table in chosen:
        known = before.get(table.name)
        if known is None:
            own = [name for name in used if name != table.name or name not in taken]  # refused, where it is declared
            new = _new(table, _key(table, declared), warehouse_name(table.name, own, names))
            used |= {*relation_names(new.name)}
            tables.append(new)
            if previous is not None:
                made.changes.append(f"{table.name} is a new table of the source: prepare creates {new.name}.")
        else:
            tables.append(_updated(known, table, made.changes))
    _report_missing(catalog, before, {each.name for each in chosen}, patterns, made, tables)
    made.notes += [
        f'The pattern "{pattern}" in [warehouse] `mirror` means no table.'
        for pattern in patterns
        if not pattern.startswith("!") and not any(is_mirrored([pattern], table.name) for table in catalog.tables)
    ]
    made.mirror = Mirror(tuple(sorted(tables, key=lambda each: each.source)))
    return made


def without_alterations(mirror: Mirror, previous: Mirror) -> Mirror:
    """``mirror`` with each table as ``previous`` has it where following the source takes an ALTER TABLE.

    What remains different are tables that are new or removed, and columns that are dropped and may be NULL.
    """
    return Mirror(tuple(_without_alteration(table, previous.get(table.source)) for table in mirror.tables))


def _without_alteration(table: MirrorTable, known: MirrorTable | None) -> MirrorTable:
    if known is None:
        return table
    before = {column.name: (column.type, column.required) for column in known.columns}
    return known if any(before.get(each.name) != (each.type, each.required) for each in table.columns) else table


def _may_be_read(table: Table, declared: Mapping[str, Mapping[str, Any]], made: Mirrored) -> bool:
    obstacle = table.obstacle
    entry = declared.get(table.name)
    if obstacle is not None and isinstance(entry, Mapping) and entry.get("compare") == "content" and table.columns:
        obstacle = None if all(column.readable for column in table.columns) else obstacle
    if obstacle is None and len(table.columns) > _MOST_COLUMNS:
        obstacle = f"It has {len(table.columns)} columns, and PostgreSQL no room for the number of a version."
    if obstacle is not None:
        made.notes.append(f"{table.name} cannot be mirrored. {obstacle}")
    return obstacle is None


def _key(table: Table, declared: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    entry = declared.get(table.name)
    key = entry.get("key") if isinstance(entry, Mapping) else None
    if isinstance(key, str):
        return (key,)
    return tuple(key) if isinstance(key, list) and key else table.key


def _new(table: Table, key: tuple[str, ...], name: str) -> MirrorTable:
    record = Names((*FORBIDDEN_COLUMNS, *table.by_name)).make(_RECORD)
    names = Names((*FORBIDDEN_COLUMNS, record))
    columns = tuple(_column(column, names, required=column.required) for column in table.columns)
    return MirrorTable(table.name, name, key, record, columns)


def _column(column: Column, names: Names, *, required: bool) -> MirrorColumn:
    return MirrorColumn(names.make(column.name), column.name, warehouse_type(column).type, required)


def _updated(known: MirrorTable, table: Table, changes: list[str]) -> MirrorTable:
    """``known`` with the columns that ``table`` has now."""
    changed_keys = [name for name in known.key if not _is_same_key(known, table.by_name.get(name))]
    if changed_keys:
        changes.append(
            f"{listed(changed_keys)} of {known.source}, which identifies its versions, is not what it was: the mirror "
            f"does not follow. To begin again with the key of today: rename the warehouse's table {known.name}, remove "
            f"{known.source} from config/mirror.json, and prepare."
        )
        return known
    names = Names((*FORBIDDEN_COLUMNS, known.record, *(column.name for column in known.columns)))
    columns = [
        column if column.dropped else _updated_column(column, table.by_name.get(column.source), known, changes)
        for column in known.columns
    ]
    present = {column.source for column in columns if not column.dropped}
    for column in table.columns:
        if column.name in present:
            continue
        made = _column(column, names, required=False)
        again = next((number for number, each in enumerate(columns) if _is_again(each, made)), None)
        if again is not None:
            made = columns[again] = replace(columns[again], dropped=False)
        else:
            columns.append(made)
        changes.append(
            f"{table.name}.{column.name} ({column.type}) is a new column of the source: prepare --alter adds "
            f"{made.name} ({made.type}) to {known.name}, and earlier versions have NULL there."
        )
    return replace(known, columns=tuple(columns))


def _is_same_key(known: MirrorTable, column: Column | None) -> bool:
    """Whether the column of the key is there, and its values are as they were in the warehouse."""
    if column is None:
        return False
    before = next((each.type for each in known.present if each.source == column.name), None)
    wanted = warehouse_type(column).type
    return before in (None, wanted) or widens(str(before), wanted) or widens(wanted, str(before))


def _is_again(known: MirrorColumn, made: MirrorColumn) -> bool:
    return known.dropped and known.source == made.source and known.type == made.type


def _updated_column(known: MirrorColumn, column: Column | None, table: MirrorTable, changes: list[str]) -> MirrorColumn:
    """``known`` with the type of ``column``; dropped where that is no wider one, and where there is no such column."""
    what, where = f"{table.source}.{known.source}", f"{table.name}.{known.name}"
    if column is None:
        reason = f"{what} is no column of the source any more"
    else:
        wanted = warehouse_type(column).type
        found = known
        if widens(known.type, wanted):
            changes.append(f"{what} is {column.type} in the source now: prepare --alter makes {where} {wanted}.")
            found = replace(found, type=wanted)
        if known.required and not column.required:
            changes.append(f"{what} may be NULL in the source now: prepare --alter lets {where} be NULL.")
            found = replace(found, required=False)
        if wanted in (known.type, found.type) or widens(wanted, known.type):
            return found
        reason = f"{what} is {column.type} in the source now, and {where} is {known.type}"
    changes.append(
        f"{reason}: {where} stays for the earlier versions, and is NULL in later ones"
        f"{'; prepare --alter lets it be NULL' if known.required else ''}."
    )
    return replace(known, dropped=True, required=False)


def _report_missing(
    catalog: Catalog,
    before: Mirror,
    chosen: Collection[str],
    patterns: Sequence[str],
    made: Mirrored,
    tables: list[MirrorTable],
) -> None:
    """Says what became of the tables that were mirrored before, and keeps those that are there and cannot be read."""
    for known in before.tables:
        if known.source in chosen:
            continue
        if not is_mirrored(patterns, known.source):
            made.changes.append(
                f"{known.source} is not mirrored any more: {known.name} stays in the warehouse as it is."
            )
        elif known.source in catalog.by_name:
            tables.append(known)  # extract says so in every run, until it can be read again or is excluded
        else:
            made.changes.append(
                f"{known.source} is no table of the source any more: {known.name} and its views stay in the warehouse "
                "as they are."
            )
