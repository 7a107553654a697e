"""Breaks each guarantee on purpose and shows that the tests notice: ``python tests/mutations.py [name ...]``.

Each mutation is made in a copy of the repository, one at a time in each of ``--processes`` copies, and the tests that
should catch it run there. Exit status 1 when one survives, or when the text that it would change is not there any more.

What was caught is kept below ``.local/mutations``: the same command goes on where it was interrupted, and tries again
what was not caught, and what has another text, or tests of another text, than when it was caught. ``--fresh``: all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY))  # for this file as a program

from tests.toolkit_mutations import ROWS as TOOLKIT  # noqa: E402

COPIED = ("lambdas", "tests", "config", "lambda_toolkit", "docs", "lambda_script.py", "deploy.py")
COPIED += ("pyproject.toml",)
TIMEOUT = 3600  # seconds for one mutation's tests, on a machine that is busy with others
RESULTS = REPOSITORY / ".local" / "mutations" / "caught.jsonl"

DUCKDB = "tests/pipeline/test_duckdb.py"
FRESHNESS = "tests/pipeline/test_freshness.py"
FAILED_EVENTS = "tests/aws/test_failed_events.py"
CAPTURE = "tests/pipeline/test_capture.py"
COMPOSITE = "tests/pipeline/test_composite_keys.py"
JOINS = "tests/pipeline/test_joins.py"
JOIN_TYPES = "tests/pipeline/shapes/test_join_types.py"
SORTED = "tests/unit/lambdas/test_sorted_keys.py"
BINARY = "tests/pipeline/test_binary_copy.py"
FILLING = "tests/pipeline/test_filling.py"
PARALLEL = "tests/pipeline/test_parallel_filling.py"
FOREIGN = "tests/pipeline/test_foreign_keys.py"
PARTS = "tests/pipeline/test_parts.py"
PART_WORKERS = "tests/pipeline/test_part_workers.py"
LOADING = "tests/pipeline/test_loading.py"
VALUES = "tests/pipeline/test_transform.py"
SERVER_VALUES = "tests/pipeline/test_values.py"
VERSIONS = "tests/pipeline/test_version_references.py"
HISTORY = "tests/pipeline/test_dimension_history.py"
COMPOSITE_LOADING = "tests/pipeline/test_composite_loading.py"
EXPRESSIONS = "tests/pipeline/test_expressions.py -k gives"
FILTERS = "tests/pipeline/test_filters.py"
REFERENCES = "tests/pipeline/test_dimension_references.py"
READERS = "tests/pipeline/test_readers.py"
READER_FAULTS = "tests/pipeline/test_reader_faults.py"
SCHEMA_READER = "tests/pipeline/test_schema_reader.py"
CONCURRENCY = "tests/proof/test_concurrency.py"
LAKE_VIEWS = "tests/pipeline/test_lake_views.py"
PUBLISHING = "tests/pipeline/test_publishing.py"
PROMISES = "tests/proof/test_promises.py"
SPARK_TASKS = "tests/pipeline/test_spark_tasks.py"


@dataclass(frozen=True)
class Mutation:
    """``old`` in ``file``, which holds it exactly once, becomes ``new``; one of ``tests`` must fail then.

    ``more``: other changes (file, old, new) that belong to it.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    more: tuple[tuple[str, str, str], ...] = ()


MUTATIONS = (
    # Iceberg tables.
    Mutation(
        "a commit that another publication was quicker with is made again",
        "lambda_toolkit/pipeline/iceberg/publishing.py",
        '"commit.retry.num-retries": "0",',
        '"commit.retry.num-retries": "4",',
        f"{PUBLISHING} -k second_of_two",
    ),
    Mutation(
        "a published table has no ledger",
        "lambda_toolkit/pipeline/iceberg/publishing.py",
        "if last is not None and last.position == self.loaded.position:\n            return 0, 0\n        before =",
        "if last is None and self.loaded is None:\n            return 0, 0\n        last = None\n        before =",
        f"{PUBLISHING} -k killed_at",
    ),
    Mutation(
        "a table in which nothing changed does not get the batch",
        "lambda_toolkit/pipeline/iceberg/publishing.py",
        "            self._commit(name, table, entry, lambda change: change.append(schema.empty_table(), ",
        "            dict().get((name, table), lambda change: change.append(schema.empty_table(), ",
        PUBLISHING,
    ),
    Mutation(
        "versions that load took away stay published",
        "lambda_toolkit/pipeline/iceberg/publishing.py",
        "        if count == before.rows:",
        "        if True:",
        f"{PUBLISHING} -k took_away",
    ),
    Mutation(
        "what a rebuilt warehouse has is added to what another had",
        "lambda_toolkit/pipeline/iceberg/publishing.py",
        "        if not is_same:",
        "        if False:",
        f"{PUBLISHING} -k rebuilt",
    ),
    # What SQL engines read of the lake.
    Mutation(
        "an earlier revision of a batch counts beside the newest",
        "lambda_toolkit/pipeline/lake/views.py",
        "ON n.lake_batch = r.lake_batch AND n.revision = r.revision",
        "ON n.lake_batch = r.lake_batch",
        f"{LAKE_VIEWS} -k newest_revision",
    ),
    Mutation(
        "batches behind a gap count",
        "lambda_toolkit/pipeline/lake/views.py",
        "    WHERE n.lake_batch = n.position AND (",
        "    WHERE (",
        f"{LAKE_VIEWS} -k missing_one",
    ),
    Mutation(
        "a file of the lake counts though no manifest names it",
        "lambda_toolkit/pipeline/lake/views.py",
        "_DATA = \"f.file = regexp_extract(r.{path}, '(data/[^/]+/batch=[0-9]+/[^/]+)$', 1)\"",
        "_DATA = \"f.file IS NULL AND r.{path} LIKE '%batch=' || lpad(f.lake_batch::text, 12, '0') || '%'\"",
        f"{LAKE_VIEWS} -k no_manifest_names",
    ),
    Mutation(
        "a database of the catalog is deleted with the tables of others",
        "lambda_toolkit/resources/account/catalog.py",
        "        if not now.of_others:",
        "        if True:",
        "tests/aws/test_catalog.py -k of_others",
    ),
    # Freshness.
    Mutation(
        "a file keeps rows whose references lead nowhere",
        "lambdas/load/warehouse/control/duckdb_pending.py",
        "        session.run(_DELETE, **parts)",
        "        return written",
        f"{DUCKDB} -k model_says",
    ),
    Mutation(
        "control characters of a key in a file are escaped as DuckDB does it",
        "lambdas/shared/duckdb/dialect.py",
        "u{code:04x}",
        "u{code:04X}0",
        f"{DUCKDB} -k model_says",
    ),
    Mutation(
        "two sessions of one process load into a file",
        "lambdas/shared/duckdb/connection.py",
        "            if name in _writers and not self._writes:",
        "            if False:",
        f"{DUCKDB} -k two_sessions",
    ),
    Mutation(
        "a file that another process has open is not waited for",
        "lambdas/shared/duckdb/connection.py",
        "            if is_locked and attempt + 1 < tries:",
        "            if False:",
        f"{DUCKDB} -k gets_a_sentence",
    ),
    Mutation(
        "a DuckDB file is deployed to AWS",
        "lambda_toolkit/pipeline/commands/plan.py",
        "        refuse_file(target)\n",
        "",
        "tests/unit/commands/test_duckdb_file.py",
    ),
    Mutation(
        "a batch that is not loaded yet counts as fresh",
        "lambdas/freshness/comparison.py",
        "if self.source.has_changes(one.table, stored.snapshot_xmin, self._in_flight(files)):",
        "if False:",
        f"{FRESHNESS} -k until_it_is_loaded",
    ),
    Mutation(
        "a deleted row is no change to be fresh of",
        "lambdas/freshness/comparison.py",
        "return _state(files.rows is not None and self.source.count(one.table) != files.rows)",
        "return UNCHANGED",
        f"{FRESHNESS} -k until_it_is_loaded",
    ),
    Mutation(
        "rows that a batch has are changes since, while an older transaction is open",
        "lambdas/freshness/comparison.py",
        "        if files.in_flight is None:",
        "        if True:",
        f"{FRESHNESS} -k younger",
    ),
    Mutation(
        "a source that is down was compared just now",
        "lambdas/freshness/handler.py",
        "replace(of, state=UNKNOWN, problem=problem) for",
        "replace(of, state=UNKNOWN, fresh_at=at, problem=problem) for",
        f"{FRESHNESS} -k last_was",
    ),
    Mutation(
        "another server's transactions are taken for the source's",
        "lambdas/freshness/comparison.py",
        "        if not position.continues(stored):",
        "        if False:",
        f"{FRESHNESS} -k copy_of_it",
    ),
    # Failed events.
    Mutation(
        "an event that is unknown is given to the function all the same",
        "lambda_toolkit/pipeline/client/observing/failed_events.py",
        '    if names[function] in shipped_functions() and not _is_known(document["requestPayload"]):',
        "    if False:",
        f"{FAILED_EVENTS} -k unknown",
    ),
    Mutation(
        "the record of an event goes although the function failed again",
        "lambda_toolkit/pipeline/client/observing/failed_events.py",
        'replayed.failed.append({**known, "error": outcome.error})\n            continue',
        'replayed.failed.append({**known, "error": outcome.error})',
        f"{FAILED_EVENTS} -k fails_again",
    ),
    Mutation(
        "a run that failed makes up for a failed event",
        "lambda_toolkit/pipeline/client/observing/failed_events.py",
        'and bool(later) and not run.get("last_failed")',
        "and bool(later)",
        f"{FAILED_EVENTS} -k makes_good",
    ),
    # Capture.
    Mutation(
        "rows are found by last_updated",
        "lambdas/extract/source/conditions.py",
        '"(age(t.xmin) <= (SELECT age(CAST($xmin AS xid8)::xid)) AND age(t.xmin) >= 0)"',
        '"(age(t.xmin) <= (SELECT age(CAST($xmin AS xid8)::xid)) AND age(t.xmin) >= 0'
        " AND t.last_updated > now() - interval '5 minutes')\"",
        f"{PROMISES} -k silent",
    ),
    Mutation(
        "the newest transaction is remembered instead of the oldest unfinished one",
        "lambdas/extract/source/snapshot.py",
        "pg_snapshot_xmin(pg_current_snapshot())::text",
        "pg_snapshot_xmax(pg_current_snapshot())::text",
        f"{PROMISES} -k opened",
    ),
    Mutation(
        "the last snapshot is asked what it saw, in whose list no subtransaction is",
        "lambdas/extract/source/conditions.py",
        '"(age(t.xmin) <= (SELECT age(CAST($xmin AS xid8)::xid)) AND age(t.xmin) >= 0)"',
        '"(NOT pg_visible_in_snapshot(t.xmin::text::xid8, CAST((SELECT $xmin) AS pg_snapshot)))"',
        "tests/proof/test_regressions.py -k savepoints",
        more=(
            ("lambdas/extract/source/snapshot.py", "XID_HORIZON = 2**31", "SNAPSHOTS: dict = {}\nXID_HORIZON = 2**31"),
            (
                "lambdas/extract/source/snapshot.py",
                "    return Snapshot(",
                "    SNAPSHOTS[0] = connection.rows('SELECT pg_current_snapshot()::text')[0][0]\n    return Snapshot(",
            ),
            (
                "lambdas/extract/source/conditions.py",
                "from .catalog import Column, TableInfo",
                "from .catalog import Column, TableInfo\nfrom .snapshot import SNAPSHOTS",
            ),
            (
                "lambdas/extract/source/conditions.py",
                "        xmin=sql.constant(str(xmin)),",
                "        xmin=sql.constant(SNAPSHOTS.get(xmin, SNAPSHOTS[0])),",
            ),
            (
                "lambdas/extract/extraction.py",
                "from .row_set import WrittenSince\n",
                "from .row_set import WrittenSince\nfrom .source.snapshot import SNAPSHOTS\n",
            ),
            (
                "lambdas/extract/extraction.py",
                "    if not lake.put_if_absent(key, to_json(manifest)):",
                "    SNAPSHOTS[manifest.source.snapshot_xmin] = SNAPSHOTS[0]\n"
                "    if not lake.put_if_absent(key, to_json(manifest)):",
            ),
        ),
    ),
    Mutation(
        "reread rows are not deduplicated",
        "lambdas/extract/capture/change_file.py",
        "        if self._before is not None:",
        "        if False:",
        "tests/proof/test_regressions.py",
    ),
    Mutation(
        "each table is read at its own moment",
        "lambdas/extract/source/snapshot.py",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "BEGIN READ ONLY",
        "tests/proof/test_regressions.py -k reading",
    ),
    Mutation(
        "a transaction that was unfinished at the last snapshot is not waited for",
        "lambdas/extract/source/full_refresh.py",
        "    return previous.snapshot_xmin == previous.snapshot_xmax == now.identity.snapshot_xmin == now.xmax",
        "    return previous.snapshot_xmax == now.xmax",
        "tests/proof/test_regressions.py -k 'no and id and given'",
    ),
    Mutation(
        "a standby's snapshots are taken for a primary's",
        "lambdas/extract/source/full_refresh.py",
        "    if previous is None or now.is_standby or full_refresh",
        "    if previous is None or full_refresh",
        "tests/pipeline/test_source_identity.py -k standby",
    ),
    Mutation(
        "tables are not locked before the snapshot",
        "lambdas/extract/source/snapshot.py",
        "        _lock(connection, tables)\n",
        "        pass\n",
        "tests/pipeline/test_schema_drift.py -k truncate_between",
    ),
    Mutation(
        "keys are not compared",
        "lambdas/extract/capture/key_files.py",
        "        deleted = distinct(missing)",
        "        deleted = missing.slice(0, 0)",
        f"{CAPTURE} -k deletes",
    ),
    Mutation(
        "a bucket with a gap is taken for one without",
        "lambdas/extract/source/dense_keys.py",
        "        return self.keys == self.last - self.first + 1",
        "        return self.keys > 1",
        "tests/pipeline/test_dense_keys.py",
    ),
    Mutation(
        "rows are counted instead of comparing their keys",
        "lambdas/extract/capture/deletes.py",
        "    if _are_counted(plan, captured) and total == sum(file.rows for file in captured.keys):\n",
        "    if total == sum(file.rows for file in captured.keys):\n"
        "        return DeleteDetection(Action.UNCHANGED, 'as many')\n",
        f"{CAPTURE} -k 'replaced_by_an_insert'",
    ),
    Mutation(
        "a changed department brings no staff",
        "lambdas/extract/context.py",
        "        made = [rows for table in tables if table.source == name for rows in reached_rows(table, captured)]",
        "        made: list[RowSet] = []",
        f"{PROMISES} -k department",
    ),
    Mutation(
        "columns of two types are compared as if they had one",
        "lambdas/extract/source/conditions.py",
        'template = "$c" if have_one_equality(column.type, key.type) else "$c::text"',
        'template = "$c"',
        f"{JOIN_TYPES} -k whatever",
    ),
    Mutation(
        "values that are equal with other texts join, and miss rows",
        "lambdas/shared/conversions.py",
        "            if found is not None and same and base_type(found) in _EQUAL_THOUGH_OTHER_TEXTS:",
        "            if found is not None and same and False:",
        f"{JOIN_TYPES} -k refused",
    ),
    Mutation(
        "a change further along a path reaches nothing",
        "lambdas/extract/context.py",
        "        rows = union(_changed(captured[join.table]), *_referring(table, name, captured))",
        "        rows = _changed(captured[join.table])",
        f"{JOINS} -k depends",
    ),
    Mutation(
        "rows are looked up for the first step of a path alone",
        "lambdas/extract/context.py",
        "    return [at[name] for name in table.joins]",
        "    return [at[name] for name, join in table.joins.items() if join.parent is None]",
        f"{JOINS} -k depends",
    ),
    Mutation(
        "a deleted row reaches no row that refers to it",
        "lambdas/extract/context.py",
        "        if captured[join.table].deleted:",
        "        if False:",
        f"{JOINS} -k depends",
    ),
    Mutation(
        "rows that are only looked up are transformed",
        "lambdas/extract/context.py",
        'kind, into = ("lookups", looked_up) if name in again else ("context", files)',
        'kind, into = ("lookups", files) if name in again else ("context", files)',
        f"{JOINS} -k depends",
    ),
    Mutation(
        "rows that the joins of another table reach are transformed",
        "lambdas/transform/parts.py",
        "                if not is_changed and (shared or ",
        "                if False and (shared or ",
        f"{JOINS} -k depends",
    ),
    Mutation(
        "what is reached beyond a batch is dropped",
        "lambdas/extract/context.py",
        "            captured[name] = replace(captured[name], state=run.reading_again(captured[name].state), "
        "state_changed=True)",
        "            pass",
        f"{JOINS} -k more_than",
    ),
    Mutation(
        "a table that is read again begins again in each batch",
        "lambdas/extract/table_plan.py",
        "            return replace(state, again=True)",
        "            return self.next_pass()",
        f"{JOINS} -k last_rows",
    ),
    Mutation(
        "rows that are read once more count as changes",
        "lambdas/extract/table_plan.py",
        "        return Backfill(ALL, changes=WrittenSince(self.snapshot.position().snapshot_xmin))",
        "        return Backfill(ALL)",
        f"{JOINS} -k last_one",
    ),
    Mutation(
        "a table is not read once more at its end",
        "lambdas/extract/capture/backfill.py",
        "    return run.next_pass() if mode.again else Complete()",
        "    return Complete()",
        f"{JOINS} -k all_refer",
    ),
    Mutation(
        "a batch of a backfill leaves its memory to the next",
        "lambdas/extract/extraction.py",
        "        release_memory()\n",
        "",
        "tests/pipeline/test_backfill.py -k unwritten_rows",
    ),
    Mutation(
        "as many rows as keys are the same keys, whatever was written during a backfill",
        "lambdas/extract/capture/deletes.py",
        "    return every_row_has_key and one_pass and not captured.keys_since_compare",
        "    return every_row_has_key and one_pass",
        "tests/pipeline/test_backfill.py -k as_many_rows",
    ),
    Mutation(
        "a backfill ends without a look at how many rows there are",
        "lambdas/extract/capture/deletes.py",
        "    if _are_counted(plan, captured) and total == sum(file.rows for file in captured.keys):",
        "    if _are_counted(plan, captured):",
        "tests/pipeline/test_backfill.py -k missing_from",
    ),
    Mutation(
        "a row without a key hides a deleted one",
        "lambdas/extract/capture/deletes.py",
        "    return every_row_has_key and one_pass and not captured.keys_since_compare",
        "    return one_pass and not captured.keys_since_compare",
        "tests/unit/lambdas/test_table_plan.py -k without_a_key",
    ),
    Mutation(
        "rows that a huge transaction did not write are out of reach meanwhile",
        "lambdas/extract/capture/backfill.py",
        "    captured_rows = read_rows if isinstance(mode.scope, AllRows) else ALL",
        "    captured_rows = read_rows",
        f"{JOINS} -k huge",
    ),
    Mutation(
        "NULL in a part of a reference is a value",
        "lambdas/transform/columns/lookup.py",
        "    return pc.if_else(complete, mine, pa.scalar(None, pa.string())), theirs",
        "    return mine, theirs",
        f"{JOINS} tests/unit/lambdas/test_convert.py",
    ),
    Mutation(
        "a promoted standby is taken for the same source",
        "lambdas/extract/source/full_refresh.py",
        "    if previous.timeline != now.identity.timeline:",
        "    if False:",
        f"{CAPTURE} -k compared_again",
    ),
    Mutation(
        "a column of another type is taken",
        "lambdas/extract/source/schema_drift.py",
        '        if before and not _same_type(before, kind) and f"{table}.{name}" not in accepted:',
        "        if False:",
        f"{CAPTURE} -k unsuitable_source",
    ),
    Mutation(
        "any key is accepted",
        "lambdas/extract/source/unique_key.py",
        "        if proven or not self.columns.issuperset(self.keys):",
        "        if True:",
        "tests/pipeline/test_unique_key.py",
    ),
    Mutation(
        "a unique index over some rows proves a key",
        "lambdas/extract/source/unique_key.py",
        "            if index.valid and not index.partial and ",
        "            if index.valid and ",
        "tests/pipeline/test_unique_key.py -k accepted",
    ),
    Mutation(
        "a unique column that may be NULL is a key",
        "lambdas/extract/source/unique_key.py",
        "self.required.issuperset(index.columns)",
        "self.columns.issuperset(index.columns)",
        "tests/pipeline/test_unique_key.py -k accepted",
    ),
    Mutation(
        "an index on a part of a key proves it",
        "lambdas/extract/source/unique_key.py",
        "set(self.keys) == set(columns)",
        "set(self.keys) & set(columns)",
        "tests/pipeline/test_unique_key.py -k several",
    ),
    Mutation(
        "ranges are bounded by the first column of a key alone",
        "lambdas/extract/source/conditions.py",
        "key=_row(expressions), constant=_row(constants)",
        "key=_row(expressions[:1]), constant=_row(constants[:1])",
        f"{COMPOSITE} -k histories",
    ),
    Mutation(
        "ranges of keys are split by the first column alone",
        "lambdas/extract/capture/sorted_keys.py",
        "    for column, value in zip(reversed(key[: len(last) - 1]), reversed(last[:-1]), strict=True):",
        "    found = pc.less_equal(key[0], last[0])\n    for column, value in ():",
        f"{SORTED} -k split",
    ),
    Mutation(
        "keys are compared by their first column alone",
        "lambdas/extract/capture/sorted_keys.py",
        "    for more, more_among in zip(keys.columns[1:], others.columns[1:], strict=True):",
        "    for more, more_among in ():",
        f"{COMPOSITE} -k whole_key",
    ),
    Mutation(
        "the columns of two keys may stand for each other",
        "lambdas/extract/capture/sorted_keys.py",
        "pc.multiply(first.cast(pa.int64()), count)",
        "pc.multiply(first.cast(pa.int64()), 1)",
        f"{SORTED} -k found",
    ),
    Mutation(
        "what is stored of a former key is taken for the present one's",
        "lambdas/extract/table_plan.py",
        "        if self.previous is None or tuple(self.previous.key_columns) != self.keys:",
        "        if self.previous is None:",
        f"{COMPOSITE} -k another_key",
    ),
    Mutation(
        "equal keys in two chunks are two rows",
        "lambdas/extract/capture/by_content.py",
        "        if missing or first == before or ",
        "        if missing or ",
        "tests/pipeline/test_deletes.py -k compared_by_content",
    ),
    Mutation(
        "columns are known by their names alone",
        "lambdas/extract/source/full_refresh.py",
        "    return any(identities.get(name, known) != known for ",
        "    return any(False for ",
        "tests/proof/test_regressions.py -k catalog",
    ),
    Mutation(
        "labels of enums are not compared",
        "lambdas/extract/source/full_refresh.py",
        "info.enum_labels.get(oid, known) != known for",
        "False for",
        "tests/proof/test_regressions.py -k catalog",
    ),
    Mutation(
        "policies are overlooked",
        "lambdas/extract/table_plan.py",
        "        return self.table.by_content or self.info.row_security",
        "        return self.table.by_content",
        "tests/proof/test_regressions.py -k policies",
        more=(
            (
                "lambdas/extract/source/full_refresh.py",
                "files.by_content == (table.by_content or info.row_security)",
                "files.by_content == table.by_content",
            ),
        ),
    ),
    Mutation(
        "a copy of the database is taken for the database",
        "lambdas/extract/source/full_refresh.py",
        "    if previous.database_oid != now.identity.database_oid:",
        "    if False:",
        "tests/proof/test_regressions.py -k copy",
    ),
    Mutation(
        "recovery from a crash is overlooked",
        "lambdas/extract/source/full_refresh.py",
        "    if previous.statistics_reset != now.identity.statistics_reset:",
        "    if False:",
        "tests/pipeline/test_source_identity.py -k crash",
    ),
    Mutation(
        "a clock that is set back sets back the batches' times",
        "lambdas/extract/extraction.py",
        "    return now if before is None else max(",
        "    return now if True else max(",
        "tests/proof/test_regressions.py",
    ),
    # The lake.
    Mutation(
        "a worker is believed that read fewer rows than its part has",
        "lambdas/transform/workers.py",
        "if result.read != expected:",
        "if False:",
        PART_WORKERS,
    ),
    Mutation(
        "rows that a worker lost are not noticed",
        "lambdas/transform/workers.py",
        "if written != result.read + result.unchanged:",
        "if False:",
        PART_WORKERS,
    ),
    Mutation(
        "a file that a worker did not store is listed",
        "lambdas/transform/workers.py",
        "or not parts.processed.exists(file.key)",
        "",
        f"{PART_WORKERS} -k missing",
    ),
    Mutation(
        "a worker's file of another batch is listed",
        "lambdas/transform/workers.py",
        "if not parts.is_of(part, file) or",
        "if",
        f"{PART_WORKERS} -k others",
    ),
    Mutation(
        "a worker of another release transforms its part",
        "lambdas/transform/parts.py",
        "if request not in self.parts:",
        "if False:",
        f"{PART_WORKERS} -k release",
    ),
    Mutation(
        "workers are whatever the alias points to",
        "lambdas/transform/workers.py",
        "{name}:{version}",
        "{name}:live",
        f"{PART_WORKERS} -k version",
    ),
    Mutation(
        "transform waits for a worker that is too slow",
        "lambdas/shared/fan_out.py",
        "if left <= 0 and not done:",
        "if False:",
        f"{PART_WORKERS} -k late",
    ),
    Mutation(
        "a batch has the files of the first part alone",
        "lambdas/transform/batch.py",
        "        rows[1:],\n",
        "        (),\n",
        PARTS,
    ),
    Mutation(
        "a batch has the rejects of the first part alone",
        "lambdas/transform/batch.py",
        "source_rows, files[1:])",
        "source_rows)",
        PARTS,
    ),
    Mutation(
        "load reads the files of the first part alone",
        "lambdas/shared/lake/manifest.py",
        "sum(file.rows for file in self.more)), *self.more)",
        "sum(file.rows for file in self.more)),)",
        PARTS,
    ),
    Mutation(
        "dates that only later parts have are missing",
        "lambdas/transform/parts.py",
        "    for result in results:\n        for first",
        "    for result in results[:1]:\n        for first",
        "tests/proof/test_histories.py -k in_parts",
    ),
    Mutation(
        "each part has the keys that the source deleted",
        "lambdas/transform/parts.py",
        "with_deleted=request.number == len(groups) - 1",
        "with_deleted=True",
        f"{PARTS} -k deleted",
    ),
    Mutation(
        "a task of a Spark job is believed that did less",
        "lambdas/transform/spark.py",
        "            if why is not None:",
        "            if False:",
        f"{SPARK_TASKS} -k did_less",
    ),
    Mutation(
        "a Spark job writes a batch without a part",
        "lambdas/transform/spark.py",
        "        return [found[number] for number in range(len(requests))]",
        "        return list(found.values())",
        f"{SPARK_TASKS} -k did_less",
        more=(("lambdas/transform/spark.py", "        if len(found) != len(requests):", "        if False:"),),
    ),
    Mutation(
        "the state of a job decides what it did",
        "lambda_toolkit/pipeline/spark/backfill.py",
        "            if len(done) == len(batches):",
        '            if len(done) == len(batches) or state.text == "SUCCEEDED":',
        "tests/pipeline/test_backfill_jobs.py -k state",
    ),
    Mutation(
        "a batch that was transformed before counts as reprocessed",
        "lambda_toolkit/pipeline/spark/backfill.py",
        "    if not again:\n",
        "    if True:\n",
        "tests/pipeline/test_backfill_jobs.py -k receipt",
    ),
    Mutation(
        "readers read in snapshots of their own",
        "lambdas/extract/source/shared_snapshot.py",
        'sql.compose("SET TRANSACTION SNAPSHOT $name", name=sql.constant(shared.name))',
        'sql.compose("SELECT $name", name=sql.constant(shared.name))',
        f"{READERS} -k torn",
    ),
    Mutation(
        "a reader does not ask which transactions it sees",
        "lambdas/extract/source/shared_snapshot.py",
        "if other or visible != shared.visible:",
        "if other:",
        f"{READER_FAULTS} -k could_not",
    ),
    Mutation(
        "a reader does not ask which server it reads",
        "lambdas/extract/source/shared_snapshot.py",
        "if other or visible != shared.visible:",
        "if visible != shared.visible:",
        f"{READER_FAULTS} -k could_not",
    ),
    Mutation(
        "the rows that readers read are not counted",
        "lambdas/extract/readers/coordinating.py",
        "if read != rows:",
        "if read < 0:",
        f"{READER_FAULTS} -k could_not",
    ),
    Mutation(
        "the values that readers read are not added up",
        "lambdas/extract/readers/coordinating.py",
        "for column, wanted in sums.items():",
        "for column, wanted in list(sums.items())[:0]:",
        f"{READER_FAULTS} -k could_not",
    ),
    Mutation(
        "extract is idle in its transaction while readers read",
        "lambdas/extract/readers/coordinating.py",
        "gathering.answers(lambda: snapshot.check(self._shared))",
        "gathering.answers()",
        f"{READER_FAULTS} -k idle",
    ),
    Mutation(
        "a snapshot that a standby cancels is an error",
        "lambdas/extract/source/shared_snapshot.py",
        "    except (DatabaseError, InterfaceError) as error:\n        why = message(error)",
        "    except ZeroDivisionError as error:\n        why = message(error)",
        "tests/pipeline/test_reader_standby.py",
    ),
    Mutation(
        "a range whose reader died is not read again",
        "lambdas/shared/fan_out.py",
        "elif attempt < self._limits.attempts:",
        "elif False:",
        f"{READER_FAULTS} -k failed",
    ),
    Mutation(
        "readers take the last connections of the source",
        "lambdas/extract/readers/coordinating.py",
        "run.snapshot.free_connections() // 2",
        "1000",
        f"{READER_FAULTS} -k bounded",
    ),
    Mutation(
        "rows in flight that readers read are reported again",
        "lambdas/extract/capture/by_transaction.py",
        "in_flight=parts.in_flight,",
        "in_flight=None,",
        f"{READERS} -k backlog",
    ),
    Mutation(
        "a manifest names the files of the first range alone",
        "lambdas/extract/extraction.py",
        "more_changes=found.more_changes,",
        "more_changes=(),",
        f"{READERS} -k one_batch",
    ),
    Mutation(
        "transform takes the first of several files of changes",
        "lambdas/transform/parts.py",
        "        for file in groups[number]:\n",
        "        for file in groups[number][:1]:\n",
        f"{READERS} -k one_batch",
    ),
    Mutation(
        "joins look into the first of several files of changes",
        "lambdas/transform/parts.py",
        "for file in files.change_files] if files else []",
        "for file in files.change_files[:1]] if files else []",
        f"{READERS} -k join",
    ),
    Mutation(
        "a first load is planned that load cannot write in one invocation",
        "lambda_toolkit/pipeline/cost/backfill.py",
        "if sum(table.rows for table in tables) > most:",
        "if sum(table.rows for table in tables) < 0:",
        "tests/unit/commands/test_backfill_plan.py",
    ),
    Mutation(
        "a way that cannot be done is taken",
        "lambda_toolkit/pipeline/cost/backfill.py",
        "possible = [each for each in found if not each.problem]",
        "possible = list(found)",
        "tests/unit/commands/test_backfill_plan.py",
    ),
    Mutation(
        "a plan forgets what the source does",
        "lambda_toolkit/pipeline/cost/reading.py",
        "        SOURCE: rates.source / machines.source_cores,\n",
        "        SOURCE: 0.0,\n",
        "tests/unit/commands/test_backfill_plan.py",
    ),
    Mutation(
        "puts are not conditional",
        "lambdas/shared/lake/store.py",
        'Body=body, IfNoneMatch="*")',
        "Body=body)",
        CONCURRENCY,
    ),
    Mutation(
        "a short page ends a listing",
        "lambdas/shared/lake/listing.py",
        """            if not answer.get("IsTruncated"):
                return
            if found:""",
        """            if len(found) < limit:
                return
            if found:""",
        "tests/unit/lambdas/test_listing.py -k complete",
    ),
    Mutation(
        "an empty page ends a listing",
        "lambdas/shared/lake/listing.py",
        """            if not answer.get("IsTruncated"):
                return
            if found:""",
        """            if not found or not answer.get("IsTruncated"):
                return
            if found:""",
        "tests/pipeline/test_listing.py -k short",
    ),
    Mutation(
        "an unlisted manifest is not looked for",
        "lambdas/extract/extraction.py",
        "    while lake.get_optional(manifest_key(last + 1)) is not None:",
        "    while False:",
        "tests/pipeline/test_listing.py -k committed_after",
    ),
    Mutation(
        "a lost race is never an error",
        "lambdas/extract/extraction.py",
        "            if (last or 0) < manifest.batch:",
        "            if False:",
        "tests/pipeline/test_listing.py -k lost_race",
    ),
    Mutation(
        "every key behind the manifests is listed",
        "lambdas/shared/lake/listing.py",
        "            return max(key, manifest_key(number)[:-1]) if number is not None and number <= until else None",
        "            return key",
        "tests/unit/lambdas/test_listing.py -k foreign",
    ),
    Mutation(
        "NULL becomes ''",
        "lambdas/extract/source/reader.py",
        '"strings_can_be_null": True',
        '"strings_can_be_null": False',
        f"{VALUES} -k null",
    ),
    # Transform.
    Mutation(
        "transform names its files differently each time",
        "lambdas/shared/lake/store.py",
        "{part.finish()[:8]}",
        "{part.finish()[:0]}{os.urandom(4).hex()}",
        f"{CONCURRENCY} {VALUES} -k 'same'",
    ),
    Mutation(
        "rejected rows are dropped silently",
        "lambdas/transform/batch.py",
        "                rejected[name] = rejects",
        "                pass",
        f"{VALUES} -k rejected",
    ),
    Mutation(
        "milliseconds are cut",
        "lambdas/transform/columns/convert.py",
        'column.cast(pa.timestamp("us")).cast(pa.time64("us"))',
        'pc.floor_temporal(column.cast(pa.timestamp("us")), unit="second").cast(pa.time64("us"))',
        f"{VALUES} -k milliseconds",
    ),
    Mutation(
        "30 February is 2 March",
        "lambdas/transform/columns/times.py",
        "    days = pc.if_else(pc.fill_null(exact, False), times, pa.scalar(None, times.type)).cast(pa.date32())",
        "    days = times.cast(pa.date32())",
        f"{VALUES} {SERVER_VALUES}",
    ),
    Mutation(
        "transform reads columns that nothing is made of",
        "lambdas/transform/parts.py",
        "        return self.ingestion.iter_tables(file.key, [*self._needed[name], UNREADABLE])",
        "        return self.ingestion.iter_tables(file.key)",
        "tests/pipeline/test_transform.py -k 'nothing_is_made_of'",
    ),
    Mutation(
        "transform drops the texts of what the lake cannot represent",
        "lambdas/transform/parts.py",
        "        return self.ingestion.iter_tables(file.key, [*self._needed[name], UNREADABLE])",
        "        return self.ingestion.iter_tables(file.key, list(self._needed[name]))",
        "tests/pipeline/test_transform.py",
    ),
    Mutation(
        "the digits of a scale are not counted among those that a decimal is computed with",
        "lambdas/transform/columns/numbers.py",
        "    if longest + to.scale > MAX_PRECISION:",
        "    if longest > MAX_PRECISION:",
        "tests/unit/lambdas/test_numbers.py",
    ),
    Mutation(
        "all keys of a table without gaps are in memory together",
        "lambdas/extract/source/dense_keys.py",
        "        if rows >= _CHUNK:",
        "        if rows < 0:",
        "tests/pipeline/test_dense_keys.py",
    ),
    Mutation(
        "prices are rounded to fit",
        "lambdas/transform/columns/numbers.py",
        "        fits = pc.and_kleene(fits, pc.equal(cut(wide, scale).cast(wide.type), wide))",
        "        pass",
        f"{VALUES} {SERVER_VALUES}",
    ),
    Mutation(
        "a decimal becomes a float by way of Arrow's cast",
        "lambdas/transform/columns/numbers.py",
        "        return CastResult(values.cast(pa.string()).cast(to))",
        "        return CastResult(values.cast(to))",
        SERVER_VALUES,
    ),
    Mutation(
        "a text loses the byte order mark it begins with",
        "lambdas/extract/source/reader.py",
        "            text = _MARK + text",
        "            pass",
        SERVER_VALUES,
    ),
    Mutation(
        "a float is written as Python writes it",
        "lambdas/shared/postgres_text.py",
        "    while not low < abs(Fraction(number)) < high:",
        "    while False:",
        SERVER_VALUES,
    ),
    Mutation(
        "a reference outside the key's type raises",
        "lambdas/transform/columns/lookup.py",
        "            return one[0].cast(pa.int64()), other[0].cast(pa.int64())",
        "            return one[0].cast(other[0].type), other[0]",
        "tests/unit/lambdas/test_column_functions.py -k reference",
    ),
    Mutation(
        "values without equality are compared as they are",
        "lambdas/load/warehouse/table_sql.py",
        "is_compared_as_text(table.types[name].type)",
        "False",
        "tests/pipeline/test_type_pairs.py",
    ),
    Mutation(
        "keys of the lake are sought in Arrow's notation",
        "lambdas/load/warehouse/read_ahead.py",
        "postgres_text(part[key], kind)",
        "part[key].cast(pa.string())",
        "tests/pipeline/test_type_pairs.py",
    ),
    Mutation(
        "a deleted key that does not fit the warehouse is loaded",
        "lambdas/transform/parts.py",
        "kind, wanted.type).values",
        'kind, wanted.type.replace("integer", "bigint")).values',
        "tests/pipeline/test_type_pairs.py",
    ),
    Mutation(
        "the lake stores a date that is a key as a date",
        "lambdas/shared/lake/parquet.py",
        "in (*DATES, *FLOATS)",
        "in FLOATS",
        "tests/pipeline/test_keys.py -k date",
    ),
    Mutation(
        "a row without a key in the lake is joined by NULL",
        "lambdas/transform/columns/convert.py",
        "    errors = _unreadable_references(table, source, lookups)",
        "    errors: list[DataError] = []",
        "tests/pipeline/test_keys.py -k date",
    ),
    Mutation(
        "a table called null is a NULL among the names that the catalog is asked for",
        "lambdas/shared/postgres/connection.py",
        "_array(value) if isinstance(value, list) else value",
        "value",
        "tests/pipeline/test_table_names.py",
    ),
    Mutation(
        "a row that the warehouse refuses stops its batch",
        "lambdas/load/loading.py",
        "if error.is_about_a_row and location not in refusing",
        "if False and location not in refusing",
        "tests/pipeline/test_refusals.py",
    ),
    Mutation(
        "a constraint that is checked at COMMIT is not noticed before",
        "lambdas/load/warehouse/postgres.py",
        '"SET CONSTRAINTS ALL IMMEDIATE"',
        '"SELECT 1"',
        "tests/pipeline/test_refusals.py -k deferred",
    ),
    Mutation(
        "a constraint is checked at COMMIT once the history of a dimension was rebuilt",
        "lambdas/load/warehouse/tables/facts.py",
        '"SET CONSTRAINTS ALL IMMEDIATE"',
        '"SELECT 1"',
        "tests/pipeline/test_deferred_constraints.py",
    ),
    Mutation(
        "a row that waited ends its own deletion",
        "lambdas/load/warehouse/tables/dimensions.py",
        ' AND d.batch < r."_batch"',
        "",
        "tests/pipeline/test_deleted_while_pending.py tests/pipeline/test_control_tables.py",
    ),
    Mutation(
        "a batch whose event was missed is not looked for",
        "lambdas/transform/sweep.py",
        "        if found.number not in written and now - found.written > EVENT_TIMEOUT:",
        "        if False:",
        "tests/pipeline/test_replay.py -k missed",
    ),
    # Load.
    Mutation(
        "history is read in the transaction",
        "lambdas/load/warehouse/read_ahead.py",
        "            raise MissingHistoryError([needed])\n",
        "            self._read(needed)\n            return self._history[_identity(needed)]\n",
        "tests/pipeline/test_read_ahead.py -k slow",
    ),
    Mutation(
        "the ledger has only the tables of which rows were written",
        "lambdas/load/loading.py",
        "                if files or resolved:  # with files also where",
        "                if now.rows or resolved:  # with files also where",
        "tests/pipeline/test_late_arrivals.py",
    ),
    Mutation(
        "history is read without the revisions that load did not see",
        "lambdas/load/warehouse/read_ahead.py",
        "{*needed.batches, *(batch for batch in revised if batch <= needed.last)}",
        "{*needed.batches}",
        "tests/pipeline/test_read_ahead.py -k revision",
    ),
    Mutation(
        "a transaction does not look whether another session writes",
        "lambdas/load/warehouse/postgres.py",
        "                ledger.check_unchanged(self._connection, self._schemas, last_loaded)\n",
        "",
        "tests/pipeline/test_read_ahead.py -k 'moved or overtaken'",
    ),
    Mutation(
        "the ledger is not written",
        "lambdas/load/warehouse/postgres.py",
        "        ledger.record(self._session.connection, self._session.schemas, manifest, written)\n",
        "",
        f"{LOADING} -k 'flipped or a_b_a'",
    ),
    Mutation(
        "a gap is passed over",
        "lambdas/load/loading.py",
        "        if found.number != expected:",
        "        if False:",
        f"{LOADING} -k missing_batch",
    ),
    Mutation(
        "a missing batch is not reported",
        "lambdas/load/loading.py",
        "            if late > GAP_TIMEOUT:",
        "            if False:",
        f"{LOADING} -k missing_batch",
    ),
    Mutation(
        "batches are taken newest first",
        "lambdas/shared/lake/listing.py",
        '            for entry in found:\n                self._check_order(after, entry["Key"])\n',
        "            for entry in reversed(found):\n",
        f"{LOADING} -k order",
    ),
    Mutation(
        "concurrent loads",
        "lambdas/load/warehouse/control/lock.py",
        "    return connection.try_lock(schemas.lock)\n",
        "    return True or connection.try_lock(schemas.lock)\n",
        CONCURRENCY,
    ),
    Mutation(
        "every reported row is a version",
        "lambdas/load/warehouse/tables/facts.py",
        "       OR ROW($new) IS DISTINCT FROM ROW($latest)\n",
        "       OR TRUE\n",
        f"{LOADING} -k 'a_b_a or differs'",
    ),
    Mutation(
        "a version of a dimension never ends",
        "lambdas/load/warehouse/tables/facts.py",
        "    if last:  # there are versions before",
        "    if False:",
        f"{HISTORY} -k lake",
        more=(
            (
                "lambdas/load/warehouse/tables/late_arrivals.py",
                'validity.refresh(session, table, staged["keys"])',
                "pass",
            ),
        ),
    ),
    Mutation(
        "a deleted row stays the present of a dimension with history",
        "lambdas/load/warehouse/postgres.py",
        "    validity.refresh(session, table, staging)\n",
        "",
        "tests/pipeline/test_late_arrivals.py",
    ),
    Mutation(
        "facts do not follow the versions that they refer to",
        "lambdas/load/warehouse/tables/facts.py",
        '    validity.follow(session, table, parts["different"])\n',
        "",
        VERSIONS,
    ),
    Mutation(
        "a replay does not fill the versions of facts that it finds",
        "lambdas/load/warehouse/tables/changed_keys.py",
        "    validity.follow_in_batch(session, table, sql.number(batch))\n",
        "",
        f"{VERSIONS} -k later",
    ),
    Mutation(
        "facts refer to the present version",
        "lambdas/load/warehouse/tables/validity.py",
        "ORDER BY v.batch <= $batch DESC, CASE",
        "ORDER BY true DESC, CASE",
        VERSIONS,
    ),
    Mutation(
        "facts of a row without versions stay",
        "lambdas/load/warehouse/tables/facts.py",
        "            if first is not None:\n                rebuild",
        "            if False:\n                rebuild",
        VERSIONS,
    ),
    Mutation(
        "the times of a version make its row wait",
        "lambdas/load/warehouse/references/requirements.py",
        "elif not has_default and column not in table.filled_by_load:",
        "elif not has_default:",
        f"{HISTORY} -k lake",
    ),
    Mutation(
        "a composite key is joined by its first column",
        "lambdas/load/warehouse/table_sql.py",
        'f"key_of_{alias}": sql.columns(table.keys, of=alias)',
        'f"key_of_{alias}": sql.columns(table.keys[:1], of=alias)',
        "tests/pipeline/test_late_arrivals.py",
    ),
    Mutation(
        "a deletion knows one column of a composite key",
        "lambdas/load/warehouse/table_sql.py",
        "return texts[0] if len(texts) == 1 else",
        "return texts[0] if texts else",
        COMPOSITE_LOADING,
    ),
    Mutation(
        "a deleted composite key of which a column does not fit is loaded",
        "lambdas/transform/parts.py",
        "return pa.table(columns).drop_null(),",
        "return pa.table(columns),",
        "tests/proof/test_regressions.py -k several",
    ),
    Mutation(
        "transform writes another text of a composite key than the server",
        "lambdas/shared/postgres_text.py",
        "json.dumps(text, ensure_ascii=False)",
        "json.dumps(text)",
        COMPOSITE_LOADING,
    ),
    Mutation(
        "A, B, A is two versions",
        "lambdas/load/warehouse/tables/facts.py",
        "ORDER BY $descending, f.$record DESC",
        "ORDER BY $descending, f.$record ASC",
        f"{LOADING} -k a_b_a",
    ),
    Mutation(
        "a row that is back with the same content is no version",
        "lambdas/load/warehouse/tables/facts.py",
        "       OR EXISTS (\n           SELECT FROM $deletion AS d\n",
        "       OR FALSE AND EXISTS (\n           SELECT FROM $deletion AS d\n",
        f"{LOADING} -k deleted",
    ),
    Mutation(
        "a row that is back stays deleted",
        "lambdas/load/warehouse/postgres.py",
        "    session.run(_UNDELETE, **session.sql(table).parts, staging=staging, batch=sql.number(batch))\n",
        "",
        f"{LOADING} -k deleted",
    ),
    Mutation(
        "deletions are not recorded",
        "lambdas/load/warehouse/postgres.py",
        "    session.run(_DELETE, **session.sql(table).parts, staging=staging, batch=sql.number(batch))\n",
        "",
        f"{PROMISES} -k deleted",
    ),
    Mutation(
        "a self-reference counts only what is in the table already",
        "lambdas/load/warehouse/control/pending.py",
        '"($unmet AND NOT EXISTS (SELECT FROM $staging AS p WHERE $is_referred AND $same))"',
        '"$unmet"',
        f"{REFERENCES} -k together",
    ),
    Mutation(
        "rows that wait for a row of their own table are left to the next batch",
        "lambdas/load/loading.py",
        "rows += batch.write_resolved(table)",
        "rows += 0",
        f"{REFERENCES} -k together",
    ),
    Mutation(
        "a pending row of a dimension undeletes its key when it is written",
        "lambdas/load/warehouse/tables/dimensions.py",
        'min(r."_batch") AS batch FROM $resolved',
        'max(r."_batch") + 1 AS batch FROM $resolved',
        f"{REFERENCES} -k together",
    ),
    Mutation(
        "the calendar has the dates of facts alone",
        "lambdas/transform/columns/convert.py",
        "(name in referring and",
        "(False and",
        "tests/unit/lambdas/test_convert.py",
    ),
    Mutation(
        "a row that stops matching the filter stays in the present",
        "lambdas/transform/parts.py",
        "for rows in (*deleted, *unmatched)",
        "for rows in deleted",
        FILTERS,
    ),
    Mutation(
        "NULL matches a filter",
        "lambdas/transform/columns/convert.py",
        "matching = pc.fill_null(found.values.cast(pa.bool_()), False)",
        "matching = pc.fill_null(found.values.cast(pa.bool_()), True)",
        FILTERS,
    ),
    Mutation(
        "a row whose filter cannot be computed is deleted",
        "lambdas/transform/columns/convert.py",
        "    matching = pc.or_(matching, faults)",
        "    pass",
        FILTERS,
    ),
    Mutation(
        "another filter does not read its table again",
        "lambdas/shared/model/declarations.py",
        '[["where", str(table.where)]] if table.where',
        '[["where", str(table.where)]] if False',
        FILTERS,
    ),
    Mutation(
        "a numeric is divided with one digit less than PostgreSQL has",
        "lambdas/transform/expressions/arithmetic.py",
        "_NBASE_DIGITS, _SIGNIFICANT_DIGITS, _MAX_SCALE = 4, 16, 1000",
        "_NBASE_DIGITS, _SIGNIFICANT_DIGITS, _MAX_SCALE = 4, 15, 1000",
        EXPRESSIONS,
    ),
    Mutation(
        "a branch of CASE that is not taken can fail",
        "lambdas/transform/expressions/evaluate.py",
        "chosen = pc.if_else(holds, _or_none(result.reasons, column), _or_none(reasons, column))",
        "chosen = first_reason(_or_none(result.reasons, column), _or_none(reasons, column))",
        EXPRESSIONS,
    ),
    Mutation(
        "comments of a schema are not nested",
        "lambda_toolkit/pipeline/warehouse/sql_tokens.py",
        'depth += 1 if mark[0] == "/*" else -1',
        'depth = 1 if mark[0] == "/*" else 0',
        SCHEMA_READER,
    ),
    Mutation(
        "a column of the primary key may be NULL",
        "lambda_toolkit/pipeline/warehouse/create_table.py",
        "required=found.required or column in table.primary_key",
        "required=found.required",
        SCHEMA_READER,
    ),
    Mutation(
        "tables are created and loaded in the order in which they are written",
        "lambda_toolkit/pipeline/warehouse/ddl.py",
        "if reference.table != name:",
        "if False:",
        "tests/unit/commands/test_column_types.py",
    ),
    Mutation(
        "a row of a dimension that is written stays pending",
        "lambdas/load/warehouse/control/pending.py",
        'p.key = $key_text_of_s AND p.batch <= s."_batch"',
        'p.key = $key_text_of_s AND p.batch < s."_batch"',
        f"{REFERENCES} -k together",
    ),
    Mutation(
        "pending rows are discarded",
        "lambdas/load/warehouse/tables/facts.py",
        "    return 0 if first is None else rebuild_history(",
        "    return 0 if True else rebuild_history(",
        f"{LOADING} -k 'wait or pending'",
    ),
    Mutation(
        "rows wait only for what the warehouse enforces",
        "lambdas/load/warehouse/references/requirements.py",
        "    found = (*declared(schemas, table), *enforced(connection, schemas, table))",
        "    found = tuple(enforced(connection, schemas, table))",
        "tests/pipeline/test_requirements.py -k stay_when_a_foreign_key",
    ),
    Mutation(
        "rows wait only for what is declared",
        "lambdas/load/warehouse/references/requirements.py",
        "    found = (*declared(schemas, table), *enforced(connection, schemas, table))",
        "    found = tuple(declared(schemas, table))",
        "tests/pipeline/test_requirements.py -k by_hand",
    ),
    Mutation(
        "a late version goes behind those that are newer",
        "lambdas/load/warehouse/tables/facts.py",
        "    session.run(_RETRACT, **parts)\n",
        "",
        "tests/proof/test_regressions.py tests/pipeline/test_late_arrivals.py",
    ),
    # Loading: straight into an empty fact, and foreign keys checked together.
    Mutation(
        "the first rows of a fact are numbered in the order of the file",
        "lambdas/load/warehouse/tables/filling.py",
        "    return pc.add(pc.sort_indices(places).cast(pa.int64()), 1)  # of a permutation, the inverse",
        "    return pc.add(places.cast(pa.int64()), 1)",
        f"{FILLING} -k 'staging_table or composite'",
    ),
    Mutation(
        "a row that refers to nothing is copied where no foreign key refuses it",
        "lambdas/load/warehouse/tables/filling.py",
        "    if values.has_unmet(connection) or _has_unmet(session, relation, values.unknown):",
        "    if _has_unmet(session, relation, values.unknown):",
        f"{FILLING} -k must_wait",
    ),
    Mutation(
        "a column of too many values to collect is not looked at at all",
        "lambdas/load/warehouse/tables/filling.py",
        "    if values.has_unmet(connection) or _has_unmet(session, relation, values.unknown):",
        "    if values.has_unmet(connection):",
        f"{FILLING} -k many_values",
    ),
    Mutation(
        "the values of the last rows alone are looked for",
        "lambdas/load/warehouse/references/distinct_values.py",
        "    return None if known.type != found.type else pc.unique(pa.concat_arrays([known, found]))",
        "    return found",
        f"{FILLING} -k 'must_wait or many_values'",
    ),
    Mutation(
        "the first rows of a fact are copied past rules",
        "lambdas/load/warehouse/tables/filling.py",
        "        AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid)\n",
        "",
        f"{FILLING} -k not_new_or_plain",
    ),
    Mutation(
        "a copy that was rolled back stays in the table's file",
        "lambdas/load/warehouse/tables/filling.py",
        '    session.run("TRUNCATE ONLY $table", table=relation)\n',
        "",
        f"{FILLING} -k must_wait",
    ),
    Mutation(
        "indexes are not made again after a copy",
        "lambdas/load/warehouse/tables/filling.py",
        "        connection.run(str(create))",
        "        str(create)",
        f"{FILLING} -k 'staging_table or would_not'",
    ),
    # Loading: first rows over several connections, into a table that takes the place of the empty one.
    Mutation(
        "a table takes a place without all of its rows",
        "lambdas/load/warehouse/tables/filling.py",
        "        beside.check_rows(connection, rows)\n",
        "",
        f"{PARALLEL} -k lost_part",
    ),
    Mutation(
        "a table takes a place with rows that have to wait",
        "lambdas/load/warehouse/tables/filling.py",
        "        if _has_unmet(session, beside.relation, _asked(required, left_to_server)):",
        "        if False:",
        f"{PARALLEL} -k must_wait",
    ),
    Mutation(
        "a table takes the place of one that others have written to",
        "lambdas/load/warehouse/parallel/replacement.py",
        "        if connection.rows(sql.compose(_HAS_ROWS, old=old))[0][0]:",
        "        if False:",
        f"{PARALLEL} -k others_write",
    ),
    Mutation(
        "what a table loses with its place is not noticed",
        "lambdas/load/warehouse/parallel/replacement.py",
        "        if different:\n",
        "        if False:\n",
        f"{PARALLEL} -k would_be_lost",
    ),
    Mutation(
        "rows are copied before the change of places was rehearsed",
        "lambdas/load/warehouse/parallel/parallel_filling.py",
        "                    rehearse(connection, schemas, first.table)\n",
        "",
        f"{PARALLEL} -k would_be_lost",
    ),
    Mutation(
        "sequences begin again with another table",
        "lambdas/load/warehouse/parallel/replacement.py",
        "    SELECT setval(CAST(:new AS regclass), s.last_value, s.is_called) FROM $old AS s\n",
        "    SELECT CAST(:new AS regclass) FROM $old AS s\n",
        f"{PARALLEL} -k belongs",
    ),
    Mutation(
        "connections commit what they were given of a file that cannot be read",
        "lambdas/load/warehouse/parallel/parallel_copy.py",
        "        if stopped.is_set():\n",
        "        if False:\n",
        f"{PARALLEL} -k error_of_the_lake",
    ),
    Mutation(
        "load takes the last connections of the warehouse",
        "lambdas/load/warehouse/parallel/parallel_copy.py",
        "free_connections(first) // 2",
        "free_connections(first)",
        f"{PARALLEL} -k bounded",
    ),
    Mutation(
        "tables that a killed load left stay for ever",
        "lambdas/load/loading.py",
        "    warehouse.discard_leftovers()\n",
        "",
        f"{PARALLEL} -k killed_load_left",
    ),
    Mutation(
        "foreign keys do not check a row that refers to a missing one",
        "lambdas/load/warehouse/references/proven_references.py",
        "SELECT (SELECT count(*) FROM referred) = (SELECT count(*) FROM locked)",
        "SELECT (SELECT count(*) FROM referred) >= (SELECT count(*) FROM locked)",
        f"{FOREIGN} -k 'missing or removed'",
    ),
    Mutation(
        "referenced rows are read and not locked",
        "lambdas/load/warehouse/references/proven_references.py",
        " FOR KEY SHARE OF r)",
        ")",
        f"{FOREIGN} -k 'removed or right'",
    ),
    Mutation(
        "triggers of others are not run where foreign keys are not checked",
        "lambdas/load/warehouse/references/proven_references.py",
        "WHERE NOT t.tgisinternal\n",
        "WHERE false\n",
        f"{FOREIGN} -k triggers",
    ),
    Mutation(
        "a deferrable key is not checked with the foreign keys",
        "lambdas/load/warehouse/references/proven_references.py",
        "t.tgtype & $inserts <> 0 AND keys.oid IS NULL",
        "t.tgtype & $inserts <> 0 AND false",
        f"{FOREIGN} -k triggers",
    ),
    Mutation(
        "foreign keys are dropped for rows that are not written",
        "lambdas/load/warehouse/tables/facts.py",
        "    if not rows:\n        return 0\n    last",
        "    last",
        f"{FILLING} -k repeated",
    ),
    Mutation(
        "a row of the largest key is taken for a new version",
        "lambdas/load/warehouse/tables/facts.py",
        "WHERE $key <= (SELECT max",
        "WHERE $key < (SELECT max",
        f"{FILLING} -k beyond",
    ),
    Mutation(
        "the first version of a key is taken for the last where each is looked up",
        "lambdas/load/warehouse/tables/facts.py",
        "ORDER BY f.$record + 0 DESC LIMIT 1",
        "ORDER BY f.$record + 0 LIMIT 1",
        f"{FILLING} -k last_version",
    ),
    # Loading: the binary format of COPY.
    Mutation(
        "decimals that a numeric shows are those of the longest one",
        "lambdas/load/warehouse/binary/binary_numeric.py",
        "    return _fixed(numbers, Part(_SHOWN_AT, shown.cast(pa.int16())))",
        "    return _fixed(numbers)",
        f"{BINARY} -k every_bit",
    ),
    Mutation(
        "decimals are taken away by a division that Arrow gets wrong",
        "lambdas/shared/decimals.py",
        "_DIGITS = 9",
        "_DIGITS = 38",
        "tests/unit/lambdas/test_decimals.py",
    ),
    Mutation(
        "what is compared with a list takes the type of the list",
        "lambdas/shared/expression/resolve.py",
        "        pairs = [(left, _coerced(other, kind(found))) for other in constants]",
        "        pairs = [(_coerced(left, kind(found)), _coerced(other, kind(found))) for other in constants]",
        "tests/unit/lambdas/test_recorded_expressions.py",
    ),
    Mutation(
        "a wide number loses what does not fit into 64 bits",
        "lambdas/load/warehouse/binary/binary_numeric.py",
        "    words = _words(numbers) if largest < _WORD_LIMIT else None",
        "    words = _words(numbers)",
        f"{BINARY} -k every_bit",
    ),
    Mutation(
        "bytes that differ between rows are written as the same",
        "lambdas/load/warehouse/binary/binary_fields.py",
        "if low[byte] != high[byte]), size)",
        "if low[byte] != high[byte]), size) or 1",
        f"{BINARY} -k every_bit",
    ),
    Mutation(
        "texts of another form are taken for those of PostgreSQL",
        "lambdas/load/warehouse/binary/binary_values.py",
        "    if len(decoded) != 16 * count:\n        raise UnencodableError\n",
        "",
        f"{BINARY} -k another_form",
        more=(
            (
                "lambdas/load/warehouse/binary/binary_values.py",
                "or not dashes:\n        raise UnencodableError",
                "or not dashes:\n        content(column)",
            ),
        ),
    ),
    Mutation(
        "touched rows of dimensions are written again",
        "lambdas/load/warehouse/tables/dimensions.py",
        "    WHERE ROW($present) IS DISTINCT FROM ROW($new)\n",
        "",
        f"{LOADING} -k 'full_compare or idle_run or same_batch'",
    ),
    Mutation(
        "what a trigger says of a row is logged",
        "lambdas/shared/postgres/server_errors.py",
        "    if kind == _RAISED or _is_of_a_language(fields):\n",
        "    if kind == _RAISED:\n",
        "tests/pipeline/test_log_contents.py -k loses",
    ),
    Mutation(
        "what a value says of a place in a COPY is logged",
        "lambdas/shared/postgres/server_errors.py",
        '_PLACE.findall(_QUOTED.sub("", fields["W"]))',
        '_PLACE.findall(fields["W"])',
        "tests/pipeline/test_log_contents.py -k loses",
    ),
    Mutation(
        "history ends a version when the one after the next begins",
        "lambda_toolkit/pipeline/warehouse/views.py",
        "LEAST(lead(v.valid_from) OVER",
        "LEAST(lead(v.valid_from, 2) OVER",
        "tests/proof/test_regressions.py tests/pipeline/test_facts.py",
    ),
    *(Mutation(*row) for row in TOOLKIT),
)


@dataclass(frozen=True)
class Outcome:
    """``caught``: the test that failed; or why the mutation is no proof."""

    mutation: Mutation
    caught: str | None
    problem: str | None
    seconds: float


def main() -> int:
    """The exit status: 1 when a mutation survived, or could not be made; 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of the mutations to make; all unless given")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="also those that were caught before")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [m for m in MUTATIONS if not asked.names or any(name in m.name for name in asked.names)]
    known = {} if asked.fresh else _known(chosen)
    remaining = [mutation for mutation in chosen if mutation.name not in known]
    print(f"{len(chosen)} mutations, {len(remaining)} to try.", flush=True)
    pool = ThreadPoolExecutor(asked.processes)
    try:
        outcomes = list(pool.map(_try, remaining))
    except KeyboardInterrupt:
        pool.shutdown(cancel_futures=True)
        print("\nInterrupted. What was caught is kept; the same command goes on from here.")
        return 130
    pool.shutdown()
    bad = [outcome for outcome in outcomes if outcome.problem]
    print(f"\n{len(chosen) - len(bad)} of {len(chosen)} mutations were caught.")
    for outcome in bad:
        print(f"NOT CAUGHT: {outcome.mutation.name}: {outcome.problem}")
    return 1 if bad else 0


def _state(mutation: Mutation) -> str:
    """What identifies a mutation with the texts of the files that it changes and of the tests that should catch it."""
    parts = [repr(mutation)]
    for file in (mutation.file, *(file for file, _, _ in mutation.more), *shlex.split(mutation.tests)):
        path = REPOSITORY / file.partition("::")[0]
        parts += [path.read_text(encoding="utf-8")] if path.is_file() else []
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _known(chosen: Iterable[Mutation]) -> dict[str, str]:
    """The tests that caught mutations in their present state, by their names."""
    states = {_state(mutation): mutation.name for mutation in chosen}
    found = {}
    for line in RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.is_file() else ():
        try:
            kept = json.loads(line)
        except ValueError:  # a line that was cut by an interruption
            continue
        if kept["state"] in states:
            found[states[kept["state"]]] = kept["caught"]
    return found


def _try(mutation: Mutation) -> Outcome:
    began, state = time.monotonic(), _state(mutation)
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        caught, problem = _run(mutation, Path(name))
    outcome = Outcome(mutation, caught, problem, time.monotonic() - began)
    if caught:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"state": state, "name": mutation.name, "caught": caught}) + "\n")
    print(f"{outcome.seconds:4.0f} s  {mutation.name}  ->  {caught or problem}", flush=True)
    return outcome


def _run(mutation: Mutation, copy: Path) -> tuple[str | None, str | None]:
    for name in COPIED:
        source = REPOSITORY / name
        copier: Callable[..., object] = shutil.copytree if source.is_dir() else shutil.copy
        options = {"ignore": shutil.ignore_patterns("__pycache__"), "symlinks": True} if source.is_dir() else {}
        copier(source, copy / name, **options)
    for name, old, new in ((mutation.file, mutation.old, mutation.new), *mutation.more):
        text = (copy / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            return None, f"{name} holds this {text.count(old)} times, not once: {old.strip()}"
        (copy / name).write_text(text.replace(old, new), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-n", "0", "-p", "no:cacheprovider", "--tb=no", "-rfE"]
    environment = {**os.environ, "HISTORIES_AS_FOUND": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [*command, *shlex.split(mutation.tests)],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return None, f"its tests took longer than {TIMEOUT} s"
    failed = re.search(r"^FAILED (.+?)(?: - |$)", done.stdout, re.MULTILINE)
    if done.returncode == 1 and failed:
        return failed[1], None
    if done.returncode == 0:
        return None, "every test passed"
    return None, f"pytest ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"


if __name__ == "__main__":
    sys.exit(main())
