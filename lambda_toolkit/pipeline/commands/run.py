"""``run``: extracts now, and follows the batch to the warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from lambda_toolkit.pipeline.client.observing.follow import Follower
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.errors import CommandError
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.shared.messages.events import ExtractResult, LoadResult

IDLE_CALLS = 3  # invocations without a new batch, while there is more to read


@click.command("run")
@with_request
def command(request: Request) -> None:
    """Extract now, and follow the batch until it is in the warehouse, or report why it is not."""
    target = request.target()
    document = run(Follower(target.aws(), target.pipeline, request.screen.progress))
    request.screen.say(document["summary"], bold=True)
    if document["appended"]:
        written = sorted(document["appended"].items())
        request.screen.pairs("Written to the warehouse", [(table, counted(rows, "row")) for table, rows in written])
    request.screen.document(document)


def run(follower: Follower) -> dict[str, Any]:
    """Extract, and follow the batch to the warehouse. Returns what was extracted and written, as JSON values.

    Raises CommandError where a function fails or takes too long.
    """
    follower.report("extract: reading the source ...")
    extracted = _extract(follower)
    new, last = extracted.batch, extracted.last_batch
    rows, deleted = sum(extracted.rows.values()), sum(extracted.deleted.values())
    if last is None:
        return _document(extracted, LoadResult(), "The source is empty: nothing to extract.")
    if new is None:
        follower.report(f"extract: nothing changed since batch {last}")
        if (follower.loaded().last_batch or 0) >= last:
            return _document(extracted, LoadResult(), f"Nothing changed. The warehouse has batch {last}, the last one.")
    else:
        follower.report(f"extract: batch {new}, {counted(rows, 'row')} changed, {deleted:,} deleted")
    follower.report(f"transform: started by the manifest of batch {last} ...")
    processed = follower.await_transform(last)
    rejected = sum(int(file["source_rows"]) for file in (processed.get("rejected") or {}).values())
    follower.report(
        f"transform: batch {last} is written" + (f", {counted(rejected, 'row')} rejected" if rejected else "")
    )
    follower.report("load: writing the warehouse ...")
    loaded = follower.load(last)
    summary = f"Batch {last} is in the warehouse."
    if rejected:
        summary += f" Rejected: {counted(rejected, 'row')}."
    return _document(extracted, loaded, summary)


def _extract(follower: Follower) -> ExtractResult:
    """Invoke extract until everything is read: of a large table, each invocation reads what it has time for.

    Raises CommandError where invocations write no batch any more although there is more to read.
    """
    extracted = follower.extract()
    idle = 0
    while extracted.incomplete:
        still = ", ".join(f"{table} ({how_far})" for table, how_far in sorted(extracted.incomplete.items()))
        follower.report(f"extract: batch {extracted.last_batch}; more remains to be read: {still} ...")
        following = follower.extract()
        idle = idle + 1 if following.last_batch == extracted.last_batch else 0
        if idle == IDLE_CALLS and following.incomplete:
            raise CommandError(f"extract makes no progress: {still}. See: {suggested('logs extract')}")
        extracted = replace(
            following,
            batch=following.batch or extracted.batch,
            rows=_added(extracted.rows, following.rows),
            deleted=_added(extracted.deleted, following.deleted),
        )
    return extracted


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {table: one.get(table, 0) + other.get(table, 0) for table in {**one, **other}}


def _document(extracted: ExtractResult, loaded: LoadResult, summary: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "batch": extracted.batch,
        "last_batch": extracted.last_batch,
        "rows": dict(extracted.rows),
        "deleted": dict(extracted.deleted),
        "loaded": list(loaded.loaded),
        "appended": {table: count for table, count in loaded.appended.items() if count},
    }
