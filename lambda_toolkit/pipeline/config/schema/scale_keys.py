"""The keys of ``pipeline.toml`` that are for large tables: readers, parts, connections of load, Spark."""

from __future__ import annotations

from lambda_toolkit.pipeline.config.model import BACKFILL_ENGINES
from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type
from lambda_toolkit.pipeline.lambdas.shared.model.scale import PART_ROWS, READER_ROWS

EXTRACT = Table(
    "extract",
    "How tables are read of which a batch has not room for all rows: a first load, or what a huge transaction wrote.",
    (
        Key(
            "readers",
            Type.INTEGER,
            "How many functions read such a table at a time, in one snapshot ([scale](scale.md)). From 2 on, the "
            "function `reader` is deployed, with what `[functions.extract]` declares; it has no schedule and no alarm. "
            "Below 2, extract reads alone, a batch after the other.",
            "8",
            default=0,
        ),
        Key(
            "reader_rows",
            Type.INTEGER,
            "The most rows of a table that readers read: all of them are one batch, which load must write in one "
            "invocation. A larger table is read by extract alone.",
            "50000000",
            default=READER_ROWS,
        ),
    ),
)
TRANSFORM = Table(
    "transform",
    "How a batch is transformed of which a table has more rows than a part: one that readers read, as a rule.",
    (
        Key(
            "workers",
            Type.INTEGER,
            "How many invocations of itself transform starts at a time, each for a part of such a batch "
            "([scale](scale.md)). Below 2, it transforms one part after the other. The files are the same.",
            "8",
            default=0,
        ),
        Key(
            "part_rows",
            Type.INTEGER,
            "The most rows of a part, unless a single file of the batch has more. Batches that are transformed again "
            "after a change of it have other files with the same rows: a new revision.",
            "250000",
            default=PART_ROWS,
        ),
    ),
)
LOAD = Table(
    "load",
    "How the first rows of a large fact are loaded.",
    (
        Key(
            "connections",
            Type.INTEGER,
            "Over how many connections at a time load copies the first rows of a fact, from 50,000 on "
            "([scale](scale.md#the-first-rows-of-a-fact-over-several-connections)); no more than half of those that "
            "the server has left. 1: over one, in the transaction of the batch.",
            "8",
            default=4,
        ),
    ),
)
BACKFILL = Table(
    "backfill",
    "What transforms the batches that `backfill` is given: functions, or [Spark](scale.md#transform-on-spark).",
    (
        Key(
            "engine",
            Type.STRING,
            "`lambda`: the function transform. `glue`: a job of AWS Glue, which the command creates. `emr-serverless`: "
            "a job of an application that exists. `local-spark`: Spark on the machine that runs the command.",
            '"glue"',
            default="lambda",
            choices=BACKFILL_ENGINES,
        ),
        Key(
            "role",
            Type.STRING,
            "The ARN of the job's role: it reads both buckets, and writes to the processed one. Glue or EMR Serverless "
            "must be allowed to assume it.",
            '"arn:aws:iam::{account}:role/{name}-{stage}-backfill"',
            absent="needed by `glue` and `emr-serverless`",
        ),
        Key(
            "application",
            Type.STRING,
            "The id of the application of EMR Serverless, with Spark 3.5 or 4 on x86_64.",
            '"00f1abcdexample"',
            absent="needed by `emr-serverless`",
        ),
        Key(
            "workers",
            Type.INTEGER,
            "How many workers of Glue (`G.1X`), executors, or threads of Spark on this machine.",
            "20",
            default=10,
        ),
        Key(
            "python",
            Type.STRING,
            "The Python with pyspark, boto3 and the pyarrow of the lock, for `local-spark`.",
            '"/opt/spark/bin/python"',
            absent="the one that runs the command",
        ),
    ),
)
