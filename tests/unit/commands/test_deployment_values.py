"""What a deployment has of each declaration: names of one account in place of placeholders, wherever there are some."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lambda_script import Alarm, BucketSpec, CatalogTable, FunctionSpec, S3Trigger, SecretSpec, TopicSpec, TopicTrigger
from lambda_toolkit.pipeline.config.aws.deployment import (
    aws_name,
    aws_names,
    check_mirror,
    deployment,
    environment,
    function_spec,
    schema_sql,
    tables_json,
)
from lambda_toolkit.pipeline.config.aws.lake_catalog import database_name
from lambda_toolkit.pipeline.config.aws.role_policy import permissions
from lambda_toolkit.pipeline.config.model import IamLogin, Pipeline, ReadSecret
from lambda_toolkit.pipeline.errors import ConfigurationError, UsageError
from tests.unit.commands.test_load_values import PIPELINE, REPORT, TABLES, loaded

ACCOUNT = "123456789012"
GENERAL = 'permissions_boundary = "arn:aws:iam::{account}:policy/limits"\ntags = { team = "data" }\n'
ALERTS = '[alerts]\ntopic = "{name}-{stage}-alerts"\nalarms = "{name}-{account}-alarms"\nemails = ["a@b.c"]\n'
KEYS = """
alarms = ["full"]
schedule_role = "arn:aws:iam::{account}:role/scheduler"
on_failure = "lake"
log_group = "/{name}/{stage}"
s3_trigger = { bucket = "lake", prefix = "a/" }
topic_trigger = ["alerts", "{name}-other"]
schedule = [{ expression = "rate(1 hour)", dead_letter_queue = "arn:aws:sqs:{region}:{account}:late" }]
secret = ["source", "hook"]
environment = { KEY = "a" }
reads = ["lake/a/"]
writes = ["lake/b/"]
sweeps = ["more"]
requirements = ["numpy", "pyarrow==24"]
[functions.given]
source = "given.py"
role = "arn:aws:iam::{account}:role/given"
on_failure = "arn:aws:sqs:{region}:{account}:failed"
requirements = ["pyarrows", "not-pyarrow"]
[functions.hears]
source = "hears.py"
topic_trigger = ["alarms"]
alarms = ["full"]
[buckets]
lake = "{name}-{account}"
more = "{name}-more"
[alarms.full]
metric = "DiskUsed"
namespace = "{name}-{stage}"
description = "{function} is full."
[secrets.source]
name = "{name}/source"
environment = "SOURCE_URL"
[secrets.hook]
name = "{name}/hook"
environment = "HOOK_URL"
kind = "webhook"
[lake]
catalog = false
"""
SCHEMA = "CREATE TABLE dim_item (item_id integer PRIMARY KEY);\n"


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    found = loaded(tmp_path, PIPELINE + GENERAL + ALERTS + REPORT + KEYS + TABLES)
    (tmp_path / "config/warehouse.sql").write_text(SCHEMA, encoding="utf-8")
    return found


def changed(spec: FunctionSpec, declared: FunctionSpec) -> dict[str, Any]:
    return {name: value for name, value in vars(spec).items() if value != getattr(declared, name)}


def test_placeholders_of_a_function_are_of_its_account(pipeline: Pipeline) -> None:
    declared = pipeline.functions["report"]
    spec = function_spec(pipeline, declared, ACCOUNT)
    [hourly] = declared.spec.schedules or ()
    given = changed(spec, declared.spec)
    assert {each["Resource"] for each in given.pop("permissions")} > {f"arn:aws:s3:::shop-{ACCOUNT}/b/*"}
    assert given == {
        "schedule_role": f"arn:aws:iam::{ACCOUNT}:role/scheduler",
        "schedules": (replace(hourly, dead_letter_queue=f"arn:aws:sqs:eu-west-2:{ACCOUNT}:late"),),
        "on_failure": f"arn:aws:s3:::shop-{ACCOUNT}",
        "permissions_boundary": f"arn:aws:iam::{ACCOUNT}:policy/limits",
        "log_group": "/shop/dev",
        "s3_triggers": (S3Trigger(f"shop-{ACCOUNT}", "a/"),),
        "topic_triggers": (TopicTrigger("shop-dev-alerts"), TopicTrigger("shop-other")),
        "environment": {
            "LAKE_BUCKET": f"shop-{ACCOUNT}",
            "MORE_BUCKET": "shop-more",
            "SOURCE_SECRET": "shop/source",
            "HOOK_SECRET": "shop/hook",
            "MIMALLOC_ARENA_EAGER_COMMIT": "0",
            "METRICS_NAMESPACE": "shop-dev",
            "KEY": "a",
        },
        "alarms": (
            Alarm(
                *("full", "DiskUsed", "shop-dev"),
                topic=f"shop-{ACCOUNT}-alarms",
                notify_on_ok=True,
                description="report is full.",
            ),
        ),
    }


def test_function_with_a_given_role_has_no_policy(pipeline: Pipeline) -> None:
    """And nothing is made of what it does not declare."""
    given = pipeline.functions["given"]
    assert changed(function_spec(pipeline, given, ACCOUNT), given.spec) == {
        "role": f"arn:aws:iam::{ACCOUNT}:role/given",
        "on_failure": f"arn:aws:sqs:eu-west-2:{ACCOUNT}:failed",
        "environment": {"METRICS_NAMESPACE": "shop-dev"},
    }
    removed = {"on_failure": "", "schedule_role": "", "log_group": "", "permissions_boundary": "", "schedules": ()}
    empty = replace(given, spec=replace(given.spec, **removed), s3_triggers=(), topic_triggers=(), alarms=())
    found = function_spec(pipeline, empty, ACCOUNT)
    assert {name: getattr(found, name) for name in removed} == removed
    assert (found.s3_triggers, found.topic_triggers, found.alarms) == ((), (), ())
    assert environment(pipeline, replace(empty, spec=replace(empty.spec, environment=None)), ACCOUNT) == {
        "METRICS_NAMESPACE": "shop-dev"
    }


def test_everything_is_of_the_account(pipeline: Pipeline) -> None:
    url = "https://hooks.slack.com/services/T0/B0/x"
    found = deployment(pipeline, ACCOUNT, {"HOOK_URL": url}, date(2026, 1, 1), overwritten=["hook"])
    tags = {"team": "data"}
    assert found.buckets == (BucketSpec(f"shop-{ACCOUNT}", tags=tags), BucketSpec("shop-more", tags=tags))
    assert found.topics == (
        TopicSpec("shop-dev-alerts", emails=("a@b.c",), tags=tags),
        TopicSpec(f"shop-{ACCOUNT}-alarms", tags=tags),
    )
    assert found.secrets == (
        SecretSpec("shop/source", environment="SOURCE_URL", tags=tags),
        SecretSpec(
            *("shop/hook",),
            value=json.dumps({"url": url}),
            environment="HOOK_URL",
            overwrite=True,
            optional=True,
            tags=tags,
        ),
    )
    assert (found.application, found.stage, found.secrets_of_others) == ("shop", "dev", ())
    assert (found.dashboards, found.catalogs) == ((), ())
    report, given, hears = found.functions
    assert [sorted(each.extra_files) for each in found.functions] == [["tables.json"], ["tables.json"], ["alarms.json"]]
    assert report.extra_files == given.extra_files == {"tables.json": tables_json(pipeline)}
    [alarm] = hears.alarms or ()
    assert (alarm.topic, hears.environment["ALERTS_TOPIC"]) == (  # type: ignore[index]
        *("shop-dev-alerts", f"arn:aws:sns:eu-west-2:{ACCOUNT}:shop-dev-alerts"),
    )
    own = replace(pipeline.functions["given"], spec=replace(pipeline.functions["given"].spec, extra_files={"a": b"b"}))
    more = replace(pipeline, functions={"given": own}, alarm_topic="")
    alone = deployment(more, ACCOUNT, {})
    assert sorted(alone.functions[0].extra_files) == ["a", "tables.json"]
    assert alone.topics == found.topics[:1], "alarms notify what people read"


def test_notes_name_secrets_that_are_not_written(pipeline: Pipeline) -> None:
    arn = f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:a-AbCdEf"
    read = replace(pipeline.secrets["source"], read=ReadSecret(arn.replace(ACCOUNT, "{account}")))
    login = replace(pipeline.secrets["source"], name="iam", iam=IamLogin("h", 1, "d", "u", "db-1"))
    functions = {name: replace(each, secrets=()) for name, each in pipeline.functions.items()}
    found = deployment(replace(pipeline, secrets={"source": read, "iam": login}, functions=functions), ACCOUNT, {})
    assert (found.secrets, found.secrets_of_others) == ((), (arn,))
    assert [note for note in found.notes if "locked" not in note] == [
        f"secret source is {arn}, which others manage: no function reads it, and nothing of it is written or tagged",
        "iam: u logs in to h by IAM authentication, and no password is stored",
    ]


@pytest.mark.parametrize(
    ("named", "change", "says"),
    [
        ("hook", {}, "the environment variable HOOK_URL is not set"),
        ("shop/hook", {}, "the environment variable HOOK_URL is not set"),
        ("hok", {}, "there is no secret `hok` .* Did you mean `hook`"),
        ("hook", {"read": ReadSecret("arn:{name}")}, r"others manage it \(\[secrets.hook\] has `arn`\)"),
        ("arn:shop", {"read": ReadSecret("arn:{name}")}, r"others manage it \(\[secrets.hook\] has `arn`\)"),
        ("hook", {"iam": IamLogin("h", 1, "d", "u", "db-1")}, "has `auth`, and no value to write"),
        ("shop/hook", {"iam": IamLogin("h", 1, "d", "u", "db-1")}, "there is no secret `shop/hook`"),
    ],
)
def test_secret_that_cannot_be_overwritten_is_refused(
    pipeline: Pipeline, named: str, change: Mapping[str, Any], says: str
) -> None:
    secrets = {**pipeline.secrets, "hook": replace(pipeline.secrets["hook"], **change)}
    with pytest.raises(UsageError, match=f"--overwrite-secret.*{says}"):
        deployment(replace(pipeline, secrets=secrets), ACCOUNT, {}, overwritten=[named])


@pytest.mark.parametrize(
    ("name", "many", "more"),
    [
        ("extract", 1, {}),
        ("extract", 2, {"READER_FUNCTION": "shop-dev-reader:live", "READERS": "2", "READER_ROWS": "20000000"}),
        ("transform", 1, {}),
        ("transform", 2, {"TRANSFORM_WORKERS": "2"}),
        ("load", 2, {"LOAD_CONNECTIONS": "4"}),
        ("other", 2, {}),
    ],
)
def test_function_that_starts_others_knows_which(
    pipeline: Pipeline, name: str, many: int, more: dict[str, str]
) -> None:
    function = replace(pipeline.functions["given"], name=name)
    several = replace(pipeline, readers=many, workers=many)
    assert environment(several, function, ACCOUNT) == {"METRICS_NAMESPACE": "shop-dev", **more}
    place = f"arn:aws:lambda:eu-west-2:{ACCOUNT}:function:shop-dev-{'reader' if name == 'extract' else name}"
    starting = {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": [place, f"{place}:*"]}
    starts = many > 1 and name in ("extract", "transform")
    assert permissions(several, replace(function, spec=FunctionSpec("f", Path())), ACCOUNT) == (starting,) * starts


def test_functions_have_two_names(pipeline: Pipeline) -> None:
    assert aws_name(pipeline, "given") == aws_name(pipeline, "shop-dev-given") == "shop-dev-given"
    assert aws_names(pipeline, ["given", "shop-dev-report"]) == ("shop-dev-given", "shop-dev-report")
    assert aws_names(pipeline, []) is None


def test_catalog_is_over_the_files_of_each_table(tmp_path: Path) -> None:
    """One of the manifests, one of the revisions; of a table its rows and the keys of deleted ones; then the views."""
    lake = '[buckets]\nprocessed = "{name}-{account}"\n[lake]\ndatabase = "My-Lake.{stage}"\n'
    text = PIPELINE + ALERTS + REPORT + lake + TABLES
    found = loaded(tmp_path, text)
    (tmp_path / "config/warehouse.sql").write_text(SCHEMA, encoding="utf-8")
    [spec] = deployment(found, ACCOUNT, {}).catalogs
    assert (spec.name, database_name(replace(found, catalog=None), ACCOUNT)) == ("my_lake_dev", "shop_dev")
    root = f"s3://shop-{ACCOUNT}"
    files = [(table.location, [column.name for column in table.columns]) for table in spec.tables if table.location]
    assert [location for location, _ in files] == [
        *(f"{root}/manifests/", f"{root}/revisions/", f"{root}/data/dim_item/", f"{root}/deleted/dim_item/"),
    ]
    assert files[0][1] == files[1][1] and "item_id" in files[2][1] and "item_id" in files[3][1]
    assert [table.format for table in spec.tables[:3]] == ["lines", "lines", CatalogTable("", ()).format]
    views = [table for table in spec.tables if not table.location]
    assert views and all(view.query and view.query == view.query.strip() and view.columns for view in views)
    for without in (replace(found, buckets={}), replace(found, catalog=None)):
        assert (without.has_catalog, deployment(without, ACCOUNT, {}).catalogs) == (False, ())
    umlaut = loaded(tmp_path, text.replace("dim_item", "dim_ä").replace("[warehouse.dim_ä]", '[warehouse."dim_ä"]'))
    (tmp_path / "config/warehouse.sql").write_text(SCHEMA.replace("dim_item", '"dim_ä"'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="`dim_ä.*` cannot be a table.* or write `catalog = false`"):
        deployment(umlaut, ACCOUNT, {})


def test_schema_is_the_file_and_what_is_mirrored(pipeline: Pipeline) -> None:
    assert schema_sql(pipeline) == SCHEMA
    text = tables_json(replace(pipeline, fresh_within="é")).decode()
    assert text.startswith('{\n "format": ') and "é" in text and text.endswith("}\n"), "as a person reads it"
    mirrored = replace(pipeline, mirrored=("*",), mirror="CREATE TABLE film ();")
    assert schema_sql(mirrored) == f"{SCHEMA}\n;\nCREATE TABLE film ();"
    unknown = replace(mirrored, mirror=None)
    for asked in (schema_sql, tables_json, check_mirror):
        with pytest.raises(ConfigurationError, match="Set SOURCE_URL to the URL of the source, and repeat"):
            asked(unknown)
    with pytest.raises(ConfigurationError, match=r"\. Declare \[secrets.source\], and repeat the command"):
        check_mirror(replace(unknown, secrets={}))
    file = pipeline.root / "config/warehouse.sql"
    file.write_bytes(b"\xef\xbb\xbf" + SCHEMA.encode())
    assert schema_sql(pipeline) == SCHEMA
    for wrong, says in ((b"\xe9", "cannot be read: 'utf-8'"), (None, "does not exist. It holds the CREATE TABLE")):
        file.unlink() if wrong is None else file.write_bytes(wrong)
        with pytest.raises(ConfigurationError, match=says):
            schema_sql(pipeline)
    with pytest.raises(ConfigurationError, match="does not exist"):
        schema_sql(mirrored)
    alone = replace(mirrored, declared={**pipeline.declared, "warehouse": {}})
    assert schema_sql(alone) == "CREATE TABLE film ();"
    with pytest.raises(ConfigurationError, match="does not exist"):
        schema_sql(replace(alone, mirrored=()))
    file.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read: .*Is a directory"):
        schema_sql(pipeline)
