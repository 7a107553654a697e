"""One run of load in a process of its own, in an environment that has what the functions have on Lambda.

`python -m benchmarks.load_step DIRECTORY`: its folder `lake` is the processed lake; `tables.json` the declaration.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.files import Files
from lambda_toolkit.pipeline.lambdas.load.loading import load
from lambda_toolkit.pipeline.lambdas.load.warehouse.parallel.parallel_copy import Connections
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect

SERVER = "BENCHMARK_SERVER"
"""The variable with host, port, database, user and password, as JSON."""
CONNECTIONS = "LOAD_CONNECTIONS"
"""The variable with the number of connections; 1 where it is absent. Where others were used, the run fails."""


def main() -> int:
    """Load every batch, and print the seconds."""
    directory = Path(sys.argv[1])
    declared = declarations.load(directory)
    credentials = Credentials(*json.loads(os.environ[SERVER]))
    connections = Connections(lambda: connect(credentials), int(os.environ.get(CONNECTIONS, "1")))
    ways: set[str] = set()
    with connect(credentials) as connection:
        warehouse = PostgresWarehouse(connection, connections=connections)
        begun, used = time.perf_counter(), time.process_time()
        load(
            warehouse,
            Lake(Files(directory / "lake"), "lake"),
            declared,
            on_batch=lambda done: ways.update(each.filled for each in done.written.values()),
        )
        taken = {"seconds": time.perf_counter() - begun, "client": time.process_time() - used}
    if connections.most > 1 and f"{connections.most} connections" not in ways:
        raise SystemExit(f"{connections.most} connections were to be used, and this was done: {', '.join(ways)}")
    print(json.dumps(taken))
    if {"pandas", "numpy"} & set(sys.modules):
        raise SystemExit("pandas or numpy was imported, which the functions do not have")
    return 0


if __name__ == "__main__":
    sys.exit(main())
