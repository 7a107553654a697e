"""How many rows load takes for many."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

from lambda_toolkit.pipeline.lambdas.load.warehouse.binary import copying
from lambda_toolkit.pipeline.lambdas.load.warehouse.parallel import parallel_copy
from lambda_toolkit.pipeline.lambdas.load.warehouse.references import foreign_keys, proven_references
from lambda_toolkit.pipeline.lambdas.load.warehouse.tables import facts


@contextlib.contextmanager
def small_thresholds() -> Iterator[None]:
    """Within it load takes the ways that it has for many rows with any number of rows."""
    with (
        mock.patch.object(foreign_keys, "MANY", 1),
        mock.patch.object(proven_references, "FEW", 1),
        mock.patch.object(facts, "PROBED_RATIO", 0),
        mock.patch.object(copying, "PIECE_ROWS", 2),
        mock.patch.object(parallel_copy, "PART_ROWS", 2),
    ):
        yield
