"""Every key of ``pipeline.toml``: its type, default, meaning and an example.

The reader (``toml_reader``), ``pipeline.schema.json`` and ``docs/configuration.md`` come from this one declaration.
Defaults that the toolkit has as well are taken from its dataclasses.
"""

from __future__ import annotations

from lambda_toolkit.pipeline.config.schema.function_keys import FUNCTION, PACKAGES, VPC
from lambda_toolkit.pipeline.config.schema.key_types import Key, Table, Type
from lambda_toolkit.pipeline.config.schema.resource_keys import (
    ALARM,
    ALERTS,
    BUCKET,
    DASHBOARD,
    LAKE,
    PIPELINE,
)
from lambda_toolkit.pipeline.config.schema.scale_keys import BACKFILL, EXTRACT, LOAD, TRANSFORM
from lambda_toolkit.pipeline.config.schema.secret_table import SECRET
from lambda_toolkit.pipeline.config.schema.table_keys import MIRROR, SOURCE, WAREHOUSE

FILE = Table(
    "",
    "The whole file.",
    (
        Key("pipeline", Type.TABLE, PIPELINE.meaning, "", required=True, table=PIPELINE),
        Key("buckets", Type.NAMED_TABLES, "The S3 buckets.", "", default={}, table=BUCKET, shorthand="name"),
        Key("alerts", Type.TABLE, ALERTS.meaning, "", required=True, table=ALERTS),
        Key("secrets", Type.NAMED_TABLES, "The database URLs.", "", default={}, table=SECRET),
        Key("functions", Type.NAMED_TABLES, "The Lambda functions.", "", required=True, table=FUNCTION),
        Key("extract", Type.TABLE, EXTRACT.meaning, "", default={}, table=EXTRACT),
        Key("load", Type.TABLE, LOAD.meaning, "", default={}, table=LOAD),
        Key("backfill", Type.TABLE, BACKFILL.meaning, "", default={}, table=BACKFILL),
        Key("transform", Type.TABLE, TRANSFORM.meaning, "", default={}, table=TRANSFORM),
        Key("alarms", Type.NAMED_TABLES, "The CloudWatch alarms.", "", default={}, table=ALARM),
        Key("cloudwatch_dashboard", Type.TABLE, DASHBOARD.meaning, "", absent="no dashboard", table=DASHBOARD),
        Key("lake", Type.TABLE, LAKE.meaning, "", default={}, table=LAKE),
        Key("vpc", Type.TABLE, VPC.meaning, "", absent="not managed", table=VPC),
        Key("packages", Type.TABLE, PACKAGES.meaning, "", default={}, table=PACKAGES),
        Key("source", Type.NAMED_TABLES, "The source tables.", "", default={}, table=SOURCE),
        Key(
            "warehouse",
            Type.NAMED_TABLES,
            "The warehouse tables.",
            "",
            required=True,
            table=WAREHOUSE,
            beside=MIRROR,
        ),
    ),
)
