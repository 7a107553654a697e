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
from lambda_toolkit.pipeline.lambdas.load.warehouse.postgres import PostgresWarehouse
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect

SERVER = "BENCHMARK_SERVER"
"""The variable with host, port, database, user and password, as JSON."""


def main() -> int:
    """Load every batch, and print the seconds."""
    directory = Path(sys.argv[1])
    declared = declarations.load(directory)
    with connect(Credentials(*json.loads(os.environ[SERVER]))) as connection:
        begun, used = time.perf_counter(), time.process_time()
        load(PostgresWarehouse(connection), Lake(Files(directory / "lake"), "lake"), declared)
        print(json.dumps({"seconds": time.perf_counter() - begun, "client": time.process_time() - used}))
    if {"pandas", "numpy"} & set(sys.modules):
        raise SystemExit("pandas or numpy was imported, which the functions do not have")
    return 0


if __name__ == "__main__":
    sys.exit(main())
