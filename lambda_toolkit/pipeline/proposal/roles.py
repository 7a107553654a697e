"""Which source table is a fact, a dimension or a bridge, by its foreign keys, measures and dates (Kimball's terms)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from lambda_toolkit.pipeline.lambdas.shared.conversions import DATES, NUMBERS, base_type
from lambda_toolkit.pipeline.proposal.catalog import Catalog, Column, ForeignKey, Table, listed
from lambda_toolkit.pipeline.proposal.names import snake

_MANY = 3  # references: what refers to so many tables records what happened among them
_CHANGED = re.compile(
    r"(^|_)(last_)?(update|updated|modified|modification|changed|deleted|removed|synced|rowversion)(_|$)"
)
_CREATED = re.compile(r"(^|_)(create|created|creation|insert|inserted|added|registered)(_|$)")
_NO_MEASURE = re.compile(
    r"(^|_)(id|no|nr|number|code|key|year|month|day|version|position|sort|order|rank|level|type|status|state|flag|seq"
    r"|sequence|zip|phone|latitude|longitude|lat|lon|lng|age|birth)$"
)
_LABEL = re.compile(r"name|title|label|(first|last|full|display|company|user)_?name")


class Role(Enum):
    """What a source table becomes."""

    FACT = "fact"
    DIMENSION = "dimension"
    BRIDGE = "bridge"


@dataclass(frozen=True)
class Classified:
    """A source table, and what it becomes."""

    table: Table
    role: Role
    reason: str
    """Why, a sentence without its subject: ``2 tables refer to it``."""


def classify(catalog: Catalog) -> Mapping[str, Classified]:
    """The role of each table that extract can read, by name."""
    referring: dict[str, list[str]] = {table.name: [] for table in catalog.readable}
    for table in catalog.readable:
        for other in sorted({key.table for key in table.foreign_keys} - {table.name}):
            if other in referring:
                referring[other].append(table.name)
    return {table.name: _classified(table, referring[table.name], catalog) for table in catalog.readable}


def usable_references(table: Table, catalog: Catalog) -> tuple[ForeignKey, ...]:
    """The foreign keys of which each row finds the row that it refers to, by the other table's key, in its order.

    Not one that is not validated, nor one to a table whose policies may hide rows, nor one of texts that are equal
    though they are different: neither a join nor a foreign key of the warehouse would find those.
    """
    return tuple(_usable_references(table, catalog))


def _usable_references(table: Table, catalog: Catalog) -> Iterator[ForeignKey]:
    for found in table.foreign_keys:
        other = catalog.by_name.get(found.table)
        if other is None or other.obstacle is not None or other.row_security or not found.proven:
            continue
        if set(found.references) == set(other.key) and is_exact(table, found, other):
            mine = dict(zip(found.references, found.columns, strict=True))
            yield ForeignKey(tuple(mine[name] for name in other.key), other.name, other.key, proven=True)


def is_exact(table: Table, key: ForeignKey, other: Table) -> bool:
    """Whether each value of the foreign key is the same text as the value that it refers to."""
    pairs = [
        (table.by_name[mine], other.by_name[theirs]) for mine, theirs in zip(key.columns, key.references, strict=True)
    ]
    padded = any(base_type(one.base_type) == "character" and one.base_type != two.base_type for one, two in pairs)
    return not padded and all(one.exact and two.exact for one, two in pairs)


def is_date(column: Column) -> bool:
    """Whether the column says when something happened: a date or a timestamp, but not when the row was changed."""
    return base_type(column.type) in DATES and not _CHANGED.search(snake(column.name))


def is_audit(column: Column) -> bool:
    """Whether the column says when the row was created or changed, which is no attribute of what it describes."""
    name = snake(column.name)
    return base_type(column.base_type) in DATES and bool(_CHANGED.search(name) or _CREATED.search(name))


def measures(table: Table) -> tuple[str, ...]:
    """The columns with something to add up: numbers that identify nothing and refer to nothing."""
    used = {*table.key, *(name for key in table.foreign_keys for name in key.columns)}
    return tuple(
        column.name
        for column in table.columns
        if base_type(column.base_type) in (*NUMBERS, "money")
        and column.name not in used
        and not column.identity
        and not _NO_MEASURE.search(snake(column.name))
    )


def _classified(table: Table, referring: list[str], catalog: Catalog) -> Classified:
    references = usable_references(table, catalog)
    targets = sorted({key.table for key in references} - {table.name})
    added = measures(table)
    dates = [column.name for column in table.columns if is_date(column)]
    happened = [name for name in dates if not is_audit(table.by_name[name])]
    role, reason = Role.DIMENSION, _dimension_reason(referring)
    if _is_bridge(table, references, referring):
        role, reason = Role.BRIDGE, f"it does nothing but connect {listed([key.table for key in references])}"
    elif referring and _has_label(table):
        pass  # it describes something that has a name, however much that refers to
    elif len(targets) >= _MANY:
        role, reason = Role.FACT, f"it refers to {len(targets)} tables: {listed(targets)}"
    elif _has_label(table):
        pass  # the same, and nothing refers to it
    elif targets and not referring and (added or dates):
        what = f"has measures ({listed(added)})" if added else f"says when ({listed(dates)})"
        role, reason = Role.FACT, f"it refers to {listed(targets)}, {what}, and no table refers to it"
    elif happened and added:
        refers = f"refers to {listed(targets)}, " if targets else ""
        role, reason = Role.FACT, f"it {refers}says when ({listed(happened)}) and has measures ({listed(added)})"
    return Classified(table, role, reason)


def _dimension_reason(referring: list[str]) -> str:
    if not referring:
        return "no table refers to it, and it has no dates with measures"
    return f"{listed(referring)} {'refers' if len(referring) == 1 else 'refer'} to it"


def _is_bridge(table: Table, references: tuple[ForeignKey, ...], referring: list[str]) -> bool:
    connecting = {name for key in references for name in key.columns}
    rest = [column for column in table.columns if column.name not in connecting and column.name not in table.key]
    return len(references) > 1 and not referring and all(is_audit(column) for column in rest)


def _has_label(table: Table) -> bool:
    own = snake(table.name)
    names = [snake(column.name) for column in table.columns]
    return any(_LABEL.fullmatch(name) or name in (f"{own}_name", f"{own}_title") for name in names)
