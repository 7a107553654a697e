"""One run of extract, or of transform, in a process of its own, in an environment as the functions have it on Lambda.

`python -m benchmarks.extract_step extract DIRECTORY`: `tables.json` there is the declaration, `ingestion` the lake.
`transform` writes every batch of it to `processed`.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from pathlib import Path

from benchmarks.files import Files
from lambda_toolkit.pipeline.lambdas.extract.extraction import Request, extract, extract_all
from lambda_toolkit.pipeline.lambdas.extract.limits import Limits
from lambda_toolkit.pipeline.lambdas.extract.source.postgres import PostgresSource
from lambda_toolkit.pipeline.lambdas.shared.lake.store import Lake
from lambda_toolkit.pipeline.lambdas.shared.model import declarations
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import Credentials, connect
from lambda_toolkit.pipeline.lambdas.transform.batch import transform

SERVER = "BENCHMARK_SERVER"
"""The variable with host, port, database, user and password, as JSON."""


def main() -> int:
    """Run it, and print the seconds."""
    step, directory = sys.argv[1], Path(sys.argv[2])
    declared = declarations.load(directory)
    ingestion, processed = (Lake(Files(directory / name), name) for name in ("ingestion", "processed"))
    last = ingestion.last_batch() or 0
    if step == "transform":
        begun, used = time.perf_counter(), time.process_time()
        for batch in range(1, last + 1):
            transform(ingestion, processed, declared, batch)
    else:
        with connect(Credentials(*json.loads(os.environ[SERVER]))) as connection:
            begun, used = time.perf_counter(), time.process_time()
            source = PostgresSource(connection)
            if last:
                extract(source, ingestion, declared, uuid.uuid4().hex)
            else:
                extract_all(source, ingestion, declared, Request(), Limits())
    print(json.dumps({"seconds": time.perf_counter() - begun, "client": time.process_time() - used}))
    if {"pandas", "numpy"} & set(sys.modules):
        raise SystemExit("pandas or numpy was imported, which the functions do not have")
    return 0


if __name__ == "__main__":
    sys.exit(main())
