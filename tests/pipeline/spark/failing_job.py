"""A driver that runs the batch again and again, each time with tasks that fail in another way. Started by the test.

Arguments: the ingestion bucket, the file with tables.json, a folder for marks, and
the processed bucket of each way to fail.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from pyspark import TaskContext
from pyspark.sql import SparkSession

# Of the zip that is submitted with this script.
transform = importlib.import_module("lambdas.transform.batch").transform
spark = importlib.import_module("lambdas.transform.spark")

VICTIM = 2  # the number of the part whose task fails


class FailingBuckets:
    """Buckets that fail in a task: after its files are stored, where that is not its last try."""

    def __init__(self, how: str, buckets, marks: str) -> None:
        self._how, self._buckets, self._marks = how, buckets, marks

    def __call__(self):
        """Opens the two buckets."""
        ingestion, processed = self._buckets()
        task = TaskContext.get()
        if task is None or task.partitionId() != VICTIM:
            return ingestion, processed
        attempt = task.attemptNumber()
        (Path(self._marks) / f"{self._how}-{attempt}").touch()
        really = processed.put_table

        def put_table(folder, part):
            key = really(folder, part)
            if self._how == "killed" and attempt == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._how == "executor" and attempt == 0:
                os.kill(_executor(), signal.SIGKILL)
                time.sleep(120)  # until the executor's end ends this process, too
            if (self._how == "raised" and attempt == 0) or self._how == "hopeless":
                raise ConnectionResetError("the task fails after it has stored its file")
            if self._how == "slow" and attempt == 0:
                time.sleep(120)
                (Path(self._marks) / "slow-awake").touch()
            return key

        processed.put_table = put_table
        return ingestion, processed


def _executor() -> int:
    """The process of Java that has started the one of this task."""
    pid = os.getppid()
    while Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() != "java":
        pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return pid


def main() -> None:
    """Prints a line of JSON for each way."""
    _, ingestion, tables_file, marks, *ways = sys.argv
    tables = Path(tables_file).read_text(encoding="utf-8")
    session = SparkSession.builder.getOrCreate()
    for way in ways:
        how, bucket = way.split("=")
        buckets = spark.Buckets(ingestion, bucket)
        engine = spark.OnSpark(session, FailingBuckets(how, buckets, marks), tables)
        try:
            done = transform(*buckets(), spark.declared(tables), 1, engine=engine)
        except Exception as error:  # the test reads it
            print(json.dumps({"way": how, "error": type(error).__name__}))
        else:
            print(json.dumps({"way": how, "created": done.created}))


main()
