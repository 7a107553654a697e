"""Compares what the pipeline left, in the lake and in the warehouse, with what the oracle says."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pyarrow.parquet as pq

from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import manifest_key
from tests.proof import composite
from tests.proof.changes import KEYS
from tests.proof.oracle import Lines, Oracle
from tests.proof.simulation import Simulation
from tests.proof.star import DIMENSIONS, FACTS, REFERRING, STAR, Key


def compare_warehouse(world: Simulation) -> None:
    """Everything that is loaded is exactly what the runs up to the last loaded batch could see."""
    loaded = [row[0] for row in world.warehouse.rows("SELECT batch FROM pipeline.ledger ORDER BY batch")]
    assert loaded == list(range(1, len(loaded) + 1)), "a batch is missing, or out of order"
    oracle = world.oracle(len(loaded))
    deletions = set()
    for name in STAR:
        lines = oracle.lines(name)
        _compare_present(world, name, lines)
        _compare_latest(world, name, lines)
        if name in FACTS:
            _compare_versions(world, name, lines, oracle)
        if name == "fact_item":
            _compare_referred_versions(world, lines, oracle)
        world.counts["filtered rows"] += sum(row is None for look in oracle.looks for row in look.star[name].values())
        _compare_rejected(world, name, oracle)
        deletions |= {(name, str(key), *deletion) for key, line in lines.items() for deletion in line.deletions}
        world.counts["fact versions"] += sum(len(line.versions) for line in lines.values()) if name in FACTS else 0
    found = world.warehouse.rows("SELECT table_name, key, batch, undeleted_batch FROM pipeline.deletion")
    assert {tuple(row) for row in found} == deletions
    _compare_date_dimension(world, oracle)


def compare_ranges(world: Simulation) -> None:
    """Where tables were read by a few rows at a time: the present is the present, and a fact's versions are contents
    that the source had when runs looked, in that order. Which of them, only the ranges know. An item waits for ever
    where its section is deleted before it is read: the source does not keep the sections that items name.
    """
    oracle = world.oracle()
    assert world.warehouse.rows("SELECT max(batch) FROM pipeline.ledger") == [[len(oracle.looks)]]
    for name in STAR:
        lines = oracle.lines(name)
        if name in FACTS:
            for key, versions in _versions(world, name).items():
                seen = iter(look.star[name].get(_read(name, key)) for look in oracle.looks)
                assert all(any(row == was for was in seen) for row in versions), f"{name} {key}: {versions}"
        if (
            name not in REFERRING
            and STAR[name].source != composite.ITEM
            and not any(isinstance(row, list) for look in oracle.looks for row in look.star[name].values())
        ):
            _compare_present(world, name, lines)


def _read(name: str, key: str) -> Key:
    """The key of a row of this warehouse table, from its text."""
    return key if STAR[name].source in composite.COLUMNS else int(key)


def _compare_present(world: Simulation, name: str, lines: Lines) -> None:
    columns = list(STAR[name].cells)
    view = f"current_{name}"
    present = {line.versions[-1].row for line in lines.values() if line.present}
    assert _rows(world, view, columns) == sorted(present, key=_order), f"{view} is not the present state"


def _compare_latest(world: Simulation, name: str, lines: Lines) -> None:
    if name in DIMENSIONS:  # what was deleted stays, for the facts that name it
        columns = list(STAR[name].cells)
        latest = {line.versions[-1].row for line in lines.values() if line.versions}
        assert _rows(world, name, columns) == sorted(latest, key=_order), f"{name} is not the latest"


def _compare_versions(world: Simulation, name: str, lines: Lines, oracle: Oracle) -> None:
    table = STAR[name]
    columns = list(table.cells)
    texts = ", ".join(f"{column}::text" for column in columns)
    expected = {str(key): [v.row for v in line.versions] for key, line in lines.items() if line.versions}
    assert _versions(world, name) == expected, f"{name} does not hold every version, in order, once"
    times = {look.batch: datetime.fromisoformat(look.extracted_at) for look in oracle.looks}
    history = []
    for line in lines.values():
        for number, version in enumerate(line.versions):
            ends = [later.batch for later in line.versions[number + 1 :]]
            ends += [deleted for deleted, _ in line.deletions if deleted > version.batch]
            history.append((*version.row, times[version.batch], times[min(ends)] if ends else None))
    relation = name if table.dated else f"history_{name}"
    shown = world.warehouse.rows(f"SELECT {texts}, valid_from, valid_to FROM {relation}")
    assert sorted(map(tuple, shown), key=_order) == sorted(history, key=_order), f"{relation} is wrong"
    if table.dated:
        wrong = world.warehouse.rows(f"SELECT 1 FROM {name} WHERE is_current IS DISTINCT FROM (valid_to IS NULL)")
        assert wrong == [], f"{name} is wrong about its present"


def _compare_referred_versions(world: Simulation, lines: Lines, oracle: Oracle) -> None:
    """Each version of an item refers to the version of its section that was valid at its batch, or to the first one."""
    times = {look.batch: datetime.fromisoformat(look.extracted_at) for look in oracle.looks}
    sections = oracle.lines("dim_section_history")
    expected = []
    for line in lines.values():
        for version in line.versions:
            *_, hall, number = version.row
            found = None
            if hall is not None and number is not None:
                known = [other.batch for other in sections[composite.written((hall, number))].versions]
                found = max((batch for batch in known if batch <= version.batch), default=known[0])
            expected.append((*version.row, times[version.batch], None if found is None else times[found]))
    texts = ", ".join(f"f.{column}::text" for column in STAR["fact_item"].cells)
    shown = world.warehouse.rows(
        f"SELECT {texts}, f.valid_from, d.valid_from FROM history_fact_item AS f"
        " LEFT JOIN dim_section_history AS d ON d.section_key = f.section_version"
    )
    assert sorted(map(tuple, shown), key=_order) == sorted(expected, key=_order), "items refer to other versions"


def _versions(world: Simulation, name: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every version of every key of a fact, in the order of their records."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    texts = ", ".join(f"{column}::text" for column in STAR[name].cells)
    for row in world.warehouse.rows(f"SELECT {texts} FROM {name} ORDER BY {STAR[name].record}"):
        width = len(composite.COLUMNS.get(STAR[name].source, " "))
        found.setdefault(row[0] if width == 1 else composite.written(row[:width]), []).append(tuple(row))
    return found


def _compare_rejected(world: Simulation, name: str, oracle: Oracle) -> None:
    expected = set(oracle.rejected(name))
    query = "SELECT key, column_name, value, table_name FROM pipeline.rejected_value WHERE table_name = :name"
    found = {tuple(row[:3]) for row in world.warehouse.rows(query, name=name)}
    assert found == expected, f"{name}: what was rejected"
    world.counts["rejected values"] += len(expected)


def _compare_date_dimension(world: Simulation, oracle: Oracle) -> None:
    rows = world.warehouse.rows(
        "SELECT date_id::text, year, month, day, day_of_week, day_name, month_name, quarter FROM dim_date"
    )
    assert {row[0] for row in rows} >= oracle.dates(), "a fact names a date that is not there"
    for text, *rest in rows:
        day = date.fromisoformat(text)
        assert rest == [
            day.year,
            day.month,
            day.day,
            day.isoweekday(),
            day.strftime("%A"),
            day.strftime("%B"),
            (day.month + 2) // 3,
        ]


def compare_twin(world: Simulation) -> None:
    """Where there is a second warehouse, it has the same rows, numbers and times."""
    if world.twin is not None:
        world.counts["rows equal in DuckDB"] += world.twin.compare(world.warehouse)


def compare_objects(world: Simulation) -> None:
    """Nothing was ever overwritten or deleted."""
    for bucket in world.buckets:
        listed = world.client.get_paginator("list_object_versions").paginate(Bucket=bucket)
        pages = list(listed)
        assert not any(page.get("DeleteMarkers") for page in pages), f"an object was deleted from {bucket}"
        keys = [entry["Key"] for page in pages for entry in page.get("Versions", ())]
        assert len(keys) == len(set(keys)), f"an object of {bucket} was overwritten"


def compare_lake(world: Simulation) -> None:
    """Nothing was overwritten or deleted, and each batch tells the rows that are new in it, and those alone."""
    compare_objects(world)
    empty: dict[Key, int] = {}
    for look in world.looks:
        tables = json.loads(world.read(world.buckets[0], manifest_key(look.batch)))["tables"]
        before = world.looks[look.batch - 2] if look.batch > 1 else None
        assert set(tables) == set(KEYS)
        for table in KEYS:
            earlier = before.written[table] if before else empty
            now = look.written[table]
            reported = _keys(world, tables[table]["changes"])
            for file in tables[table]["more_changes"]:
                more = _keys(world, file)
                assert not more & reported, f"a row of {table} is in two files of batch {look.batch}"
                reported |= more
            if table in look.secured:  # compared by content
                rows = before.state[table] if before else {}
                new = {key for key, row in look.state[table].items() if rows.get(key) != row}
            else:
                new = {key for key, transaction in now.items() if earlier.get(key) != transaction}
            whole = table in look.full or table in look.altered
            assert reported == new or (whole and new <= reported == set(now)), f"{table} in batch {look.batch}"
            assert _keys(world, tables[table]["deleted"]) == set(earlier) - set(now), f"{table} in batch {look.batch}"


def _keys(world: Simulation, file: Mapping[str, Any] | None) -> set[Key]:
    """The keys in a file of the lake, each once."""
    if file is None:
        return set()
    rows = pq.read_table(io.BytesIO(world.read(world.buckets[0], file["key"]))).to_pydict()
    table = file["key"].split("/")[1]  # data/<table>/batch=<batch>/...
    columns = composite.COLUMNS.get(table)
    if columns is None:
        keys: list[Key] = rows[KEYS[table]]
    else:
        keys = [composite.written(parts) for parts in zip(*(rows[column] for column in columns), strict=True)]
    assert len(keys) == file["rows"] == len(set(keys)), file["key"]
    return set(keys)


def _rows(world: Simulation, relation: str, columns: list[str]) -> list[tuple[Any, ...]]:
    texts = ", ".join(f"{column}::text" for column in columns)
    return sorted(map(tuple, world.warehouse.rows(f"SELECT {texts} FROM {relation}")), key=_order)


def _order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((value is not None, str(value)) for value in row)
