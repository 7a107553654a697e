"""Cells of the matrix that once failed, and one of each other operation, drawn from a fixed seed."""

from __future__ import annotations

import random

import pytest

from tests.deploy_faults.faults import Cell
from tests.deploy_faults.matrix import cells, run
from tests.deploy_faults.operations import OPERATIONS

pytestmark = pytest.mark.no_cover  # hundreds of deployments: watching each line would take as long again
_EACH = 1  # cell of each operation: each deploys several times; `make fault-matrix` runs all
_KNOWN = [
    # what an earlier version did not survive
    ("FirstDeploy", Cell("s3.CreateBucket", 1, "lost")),
    ("FirstDeploy", Cell("s3.CreateBucket", 1, "crash after")),
    ("FirstDeploy", Cell("iam.CreateRole", 1, "lost")),
    ("FirstDeploy", Cell("logs.CreateLogGroup", 1, "lost")),
    ("FirstDeploy", Cell("secretsmanager.CreateSecret", 1, "lost")),
    ("FirstDeploy", Cell("lambda.CreateFunction", 1, "lost")),
    ("FirstDeploy", Cell("lambda.AddPermission", 1, "reset")),
    ("FirstLayer", Cell("lambda.PublishLayerVersion", 1, "500 after")),
    ("DestroyWithLayer", Cell("lambda.DeleteLayerVersion", 1, "denied")),
    ("DestroyWithLayer", Cell("lambda.DeleteFunction", 1, "crash after")),
    ("RemoveEveryFunction", Cell("lambda.DeleteLayerVersion", 1, "crash before")),
    ("TwoTriggers", Cell("s3.PutBucketNotificationConfiguration", 1, "lag")),
    ("ChangeCode", Cell("lambda.UpdateAlias", 1, "crash before")),
    ("ChangeEverything", Cell("lambda.UpdateFunctionCode", 1, "interrupt")),
    ("Rollback", Cell("lambda.UpdateAlias", 1, "lost")),
    ("FirstTriggers", Cell("lambda.CreateEventSourceMapping", 1, "lost")),
    ("FirstTriggers", Cell("lambda.CreateFunctionUrlConfig", 1, "500 after")),
    ("ChangeTriggers", Cell("lambda.AddPermission", 1, "denied")),
    ("ChangeTriggers", Cell("lambda.RemovePermission", 2, "crash after")),
]


@pytest.mark.parametrize(("name", "cell"), _KNOWN, ids=lambda value: str(value))
def test_cell_that_once_failed(name: str, cell: Cell) -> None:
    outcome = run(name, cell)
    assert outcome.happened
    assert not outcome.problem


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - {name for name, _ in _KNOWN}))
def test_sampled_cells_of_an_operation(name: str) -> None:
    every = cells(name)
    sample = random.Random(name).sample(every, min(_EACH, len(every)))  # noqa: S311 - the same cells each time
    problems = {str(cell): problem for cell in sample if (problem := run(name, cell).problem)}
    assert problems == {}
