"""Rebuilds the warehouse from the lake in a shadow schema, and compares it with the live one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from lambda_toolkit.pipeline.client.observing.follow import Follower
from lambda_toolkit.pipeline.client.replay import Replay
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.client.warehouses.reader import warehouse_of
from lambda_toolkit.pipeline.client.warehouses.warehouse import prepare
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import suggested
from lambda_toolkit.pipeline.lambdas.shared.messages.events import (
    CompareRequest,
    CompareResult,
    LoadRequest,
    LoadResult,
    RebuildRequest,
    RebuildResult,
)

_SCHEMAS = (
    "SELECT n.nspname::text, n.nspname = :control AND EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c"
    " WHERE c.relnamespace = n.oid AND c.relname = 'ledger')"
    " FROM pg_catalog.pg_namespace AS n WHERE n.nspname IN (:published, :control) ORDER BY 1"
)
ROUNDS = 5  # of comparing: batches may be loaded into the live warehouse meanwhile


class Rebuild:
    """A shadow schema in the database of the warehouse of ``target``. Raises UsageError for a name that is not one."""

    def __init__(self, target: Target, schema: str, report: Callable[[str], None]) -> None:
        from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import SchemaNames

        problem = SchemaNames.name_problem(schema)
        if problem:
            raise UsageError(f"--into {schema}: {problem}.")
        self._target = target
        self._schema = schema
        self._report = report
        self._warehouse = SchemaNames.shadow(schema)

    @cached_property
    def _replay(self) -> Replay:
        return Replay(Follower(self._target.aws(), self._target.pipeline, self._report))

    def rebuild(self) -> dict[str, Any]:
        """Prepare the schema and fill it, invocation by invocation, until it contains all batches of the lake.

        A rebuild that was started earlier is resumed. Raises CommandError for a schema that no rebuild created, and
        for one that was created for other tables than are declared now.
        """
        self._check_ours()
        prepared = prepare(self._target, self._warehouse)
        if prepared["differences"]:
            raise CommandError(
                f"The schema {self._schema} exists, and was created for other tables: "
                f"{'; '.join(prepared['differences'])}. Drop it and {self._warehouse.control}, or name another."
            )
        last = self._fill()
        return {"schema": self._schema, "last_batch": last, "tables": list(self._target.pipeline.tables["warehouse"])}

    def compare(self) -> CompareResult:
        """The differences from the live warehouse, once both contain the same batches. Raises CommandError."""
        for _ in range(ROUNDS):
            self._report(f"load: comparing {self._schema} with the live warehouse ...")
            result = self._replay.call_load(CompareRequest(self._schema), CompareResult)
            live, other = (batch or 0 for batch in result.last_batches)
            if live == other:
                break
            if live < other:
                self._replay.call_load(LoadRequest(), LoadResult)
            else:
                self._fill()
        return result

    def _fill(self) -> int | None:
        while True:
            result = self._replay.call_load(RebuildRequest(self._schema), RebuildResult)
            self._report(f"load: {self._schema} contains everything up to batch {result.last_batch}")
            if result.done:
                return result.last_batch
            if not result.loaded and not result.replayed:
                raise CommandError(
                    f"Batch {result.missing_batch} is missing from the lake: {self._schema} contains those before "
                    f"it. See: {suggested('logs transform')}"
                )

    def _check_ours(self) -> None:
        """Raise CommandError for a schema that exists, unless a rebuild created it."""
        names = {"published": self._warehouse.published, "control": self._warehouse.control}
        found = warehouse_of(self._target).rows(_SCHEMAS, **names)
        if found and not any(has_ledger for _, has_ledger in found):
            raise CommandError(
                f"The schema {found[0][0]} exists, and no rebuild created it: nothing was written to it. "
                "Name another: replay --all --into SCHEMA"
            )
