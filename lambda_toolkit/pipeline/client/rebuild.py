"""Rebuilding the warehouse from the lake in a schema beside the live one, and comparing the two."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from lambda_toolkit.pipeline.client.follow import Follower
from lambda_toolkit.pipeline.client.replay import Replaying
from lambda_toolkit.pipeline.commands.prepare import prepare, warehouse_credentials
from lambda_toolkit.pipeline.commands.shared.target import Target
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import program
from lambda_toolkit.pipeline.lambdas.shared.events import (
    CompareRequest,
    CompareResult,
    LoadRequest,
    LoadResult,
    RebuildRequest,
    RebuildResult,
)

ROUNDS = 5  # times that the live warehouse may move on while the two are compared


class Rebuilding:
    """One schema beside the live warehouse of ``target``. Raises UsageError for a name that cannot be meant."""

    def __init__(self, target: Target, schema: str, tell: Callable[[str], None]) -> None:
        from lambda_toolkit.pipeline.lambdas.load.warehouse.schemas import Warehouse

        problem = Warehouse.name_problem(schema)
        if problem:
            raise UsageError(f"--into {schema}: {problem}.")
        self._target = target
        self._schema = schema
        self._tell = tell
        self._warehouse = Warehouse.shadow(schema)

    @cached_property
    def _replaying(self) -> Replaying:
        return Replaying(Follower(self._target.aws(), self._target.pipeline, self._tell))

    def rebuild(self) -> dict[str, Any]:
        """Prepares the schema and fills it, invocation by invocation, until it holds all that the lake does.

        One that an earlier call began is gone on with. Raises CommandError for a schema that is somebody else's, and
        for one that was made for other tables than are declared now.
        """
        self._check_ours()
        prepared = prepare(self._target, self._warehouse)
        if prepared["differences"]:
            raise CommandError(
                f"The schema {self._schema} is there already, and made for other tables: "
                f"{'; '.join(prepared['differences'])}. Drop it and {self._warehouse.control}, or name another."
            )
        last = self._fill()
        return {"schema": self._schema, "last_batch": last, "tables": list(self._target.pipeline.tables["warehouse"])}

    def compare(self) -> CompareResult:
        """What differs from the live warehouse, once both hold the same batches."""
        for _ in range(ROUNDS):
            self._tell(f"load: comparing {self._schema} with the live warehouse ...")
            result = self._replaying.patiently(CompareRequest(self._schema), CompareResult)
            live, other = (batch or 0 for batch in result.last_batches)
            if live == other:
                break
            if live < other:
                self._replaying.patiently(LoadRequest(), LoadResult)
            else:
                self._fill()
        return result

    def _fill(self) -> int | None:
        while True:
            result = self._replaying.patiently(RebuildRequest(self._schema), RebuildResult)
            self._tell(f"load: {self._schema} holds everything up to batch {result.last_batch}")
            if result.done:
                return result.last_batch
            if not result.loaded and not result.replayed:
                raise CommandError(
                    f"Batch {result.missing_batch} is missing from the lake: {self._schema} holds what is before it. "
                    f"See: {program()} logs transform"
                )

    def _check_ours(self) -> None:
        """Raises CommandError for a schema that is there, and that no rebuild made."""
        from lambda_toolkit.pipeline.lambdas.shared.postgres import connection as postgres
        from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
        from lambda_toolkit.pipeline.warehouse.preparation import columns_of

        names = (self._warehouse.published, self._warehouse.control)
        with postgres.connected(warehouse_credentials(self._target)) as connection:
            ours = columns_of(connection, str(sql.table("ledger", self._warehouse.control)))
            found = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname IN (:published, :control) ORDER BY 1"
            present = [row[0] for row in connection.rows(found, published=names[0], control=names[1])]
        if present and not ours:
            raise CommandError(
                f"The schema {present[0]} is there already, and no rebuild made it: nothing was written to it. "
                "Name another: replay --all --into SCHEMA"
            )
