"""Each key of ``pipeline.toml`` with a value of its own: what it becomes; and what is there without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lambda_script import Alarm, BucketSpec, Canary, FunctionSpec, LifecycleRule, S3Trigger, Schedule, TopicSpec, Vpc
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Backfill, FunctionDeclaration, Notice, Pipeline
from lambda_toolkit.pipeline.installed import FUNCTIONS, PACKAGE_ROOT, SHARED, access_package

PIPELINE = '[pipeline]\nname = "shop"\nregion = "eu-west-2"\n'
ALERTS = '[alerts]\ntopic = "{name}-{stage}-alerts"\n'
REPORT = '[functions.report]\nsource = "code/report"\n'
TABLES = """
[source.item]
key = "item_id"
[warehouse.dim_item]
kind = "dimension"
from = "item"
key = "item_id"
columns = { item_id = "item_id" }
"""
LEAST = PIPELINE + ALERTS + REPORT + TABLES


def loaded(folder: Path, text: str, stage: str | None = None, environ: dict[str, str] | None = None) -> Pipeline:
    path = folder / "config" / "pipeline.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return load(path, stage, environ)


def test_file_with_the_least_has_the_defaults(tmp_path: Path) -> None:
    pipeline = loaded(tmp_path, LEAST)
    common = FunctionSpec("", tmp_path)
    assert pipeline.common == common
    assert pipeline.functions == {
        "report": FunctionDeclaration(
            "report",
            replace(
                common,
                name="shop-dev-report",
                source=tmp_path / "code/report",
                environment={},
                description="shop: report",
                zip_path=tmp_path / "build/report.zip",
            ),
        )
    }
    assert pipeline.topic == TopicSpec("{name}-{stage}-alerts")
    assert (pipeline.name, pipeline.stage, pipeline.region) == ("shop", "dev", "eu-west-2")
    assert (pipeline.buckets, pipeline.secrets, pipeline.alarms, pipeline.notices) == ({}, {}, {}, {})
    assert (pipeline.readers, pipeline.reader_rows, pipeline.workers, pipeline.part_rows) == (
        0,
        20_000_000,
        0,
        1_000_000,
    )
    assert (pipeline.load_connections, pipeline.backfill, pipeline.lock) == (4, Backfill(), None)
    assert (pipeline.dashboard, pipeline.catalog, pipeline.fresh_within) == (None, "{name}_{stage}", None)
    assert (pipeline.alarm_topic, pipeline.mirrored, pipeline.mirror, pipeline.warehouse_file) == ("", (), None, None)
    assert pipeline.tables == pipeline.declared
    assert (list(pipeline.tables["source"]), list(pipeline.tables["warehouse"])) == (["item"], ["dim_item"])


def test_each_key_of_a_function_is_read(tmp_path: Path) -> None:
    keys = """
include = ["code/shared"]
handler = "report.run"
memory = 256
timeout = 30
environment = { KEY = "b" }
schedule = "0 9 * * *"
timezone = "Europe/London"
schedule_role = "arn:aws:iam::123456789012:role/scheduler"
s3_trigger = { bucket = "lake", prefix = "a/", suffix = ".json" }
topic_trigger = ["alerts"]
alarms = ["errors"]
reads = ["lake/a/"]
writes = ["lake/b/"]
sweeps = ["lake/c/"]
secret = "source"
on_failure = "arn:aws:sqs:eu-west-2:123456789012:failed"
retries = 1
max_event_age = 3600
concurrency = 7
layers = ["arn:aws:lambda:eu-west-2:123456789012:layer:tools:3"]
provisioned_concurrency = 2
recursive_loop = "Allow"
health_event = { action = "check" }
canary = { weight = 0.2, minutes = 5 }
vpc = { subnets = ["subnet-1"], security_groups = ["sg-1"], ipv6 = true }
ephemeral_storage = 1024
tracing = "Active"
kms_key = "arn:aws:kms:eu-west-2:123456789012:key/1234abcd"
snapstart = false
log_format = "JSON"
log_level = "WARN"
system_log_level = "INFO"
log_group = "/{name}/{stage}"
runtime = "python3.12"
architecture = "arm64"
platform = "host"
requirements = ["pg8000"]
requirements_exclude = ["pg8000/tests/**"]
provided_modules = ["torch"]
"""
    more = '[buckets]\nlake = "{name}-lake"\n[alarms.errors]\nmetric = "Errors"\n'
    more += '[secrets.source]\nname = "s"\nenvironment = "S"\n'
    found = loaded(tmp_path, PIPELINE + ALERTS + REPORT + keys + more + TABLES).functions["report"]
    assert found.spec == FunctionSpec(
        "shop-dev-report",
        tmp_path / "code/report",
        handler="report.run",
        runtime="python3.12",
        architecture="arm64",
        memory=256,
        timeout=30,
        environment={"KEY": "b"},
        include=(tmp_path / "code/shared",),
        requirements=("pg8000",),
        requirements_exclude=("pg8000/tests/**",),
        layers=("arn:aws:lambda:eu-west-2:123456789012:layer:tools:3",),
        platform="host",
        provided_modules=("torch",),
        schedule="",
        schedules=(Schedule("cron(0 9 * * ? *)", "Europe/London", "schedule"),),
        schedule_role="arn:aws:iam::123456789012:role/scheduler",
        on_failure="arn:aws:sqs:eu-west-2:123456789012:failed",
        retries=1,
        max_event_age=3600,
        concurrency=7,
        provisioned_concurrency=2,
        recursive_loop="Allow",
        vpc=Vpc(("subnet-1",), ("sg-1",), ipv6=True),
        ephemeral_storage=1024,
        tracing="Active",
        kms_key="arn:aws:kms:eu-west-2:123456789012:key/1234abcd",
        snapstart=False,
        log_format="JSON",
        log_level="WARN",
        system_log_level="INFO",
        log_group="/{name}/{stage}",
        description="shop: report",
        zip_path=tmp_path / "build/report.zip",
        health_event={"action": "check"},
        canary=Canary(0.2, 5),
    )
    assert replace(found, spec=FunctionSpec("", tmp_path)) == FunctionDeclaration(
        "report",
        FunctionSpec("", tmp_path),
        s3_triggers=(S3Trigger("lake", "a/", ".json"),),
        topic_triggers=("alerts",),
        alarms=("errors",),
        reads=("lake/a/",),
        writes=("lake/b/",),
        sweeps=("lake/c/",),
        secrets=("source",),
    )


def test_functions_have_what_the_pipeline_and_its_packages_say(tmp_path: Path) -> None:
    general = """tags = { team = "data" }
log_retention_days = 7
permissions_boundary = "arn:aws:iam::{account}:policy/limits"
log_format = "JSON"
log_level = "WARN"
system_log_level = "INFO"
fresh_within = "2 hours"
"""
    packages = """[packages]
runtime = "python3.12"
architecture = "arm64"
platform = "x86_64-manylinux_2_28"
requirements = ["pg8000"]
requirements_exclude = ["pg8000/tests/**"]
provided_modules = ["torch"]
lock = "config/locked"
[vpc]
subnets = ["subnet-1"]
security_groups = ["sg-1"]
[extract]
readers = 3
reader_rows = 4
[transform]
workers = 5
part_rows = 6
[load]
connections = 64
[backfill]
engine = "emr-serverless"
role = "arn:aws:iam::123456789012:role/r"
application = "00f1"
workers = 500
python = "/opt/python"
[cloudwatch_dashboard]
name = "shown"
[lake]
database = "lake"
[functions.extract]
[functions.transform]
[functions.own]
source = "own.py"
role = "arn:aws:iam::123456789012:role/own"
"""
    whole = PIPELINE + general + ALERTS + 'alarms = "{name}-alarms"\nkms_key = "arn:aws:kms:k"\nemails = []\n'
    whole += REPORT + packages + TABLES
    pipeline = loaded(tmp_path, whole + '[functions.hears]\nsource = "a.py"\ntopic_trigger = ["alarms"]\n')
    common = FunctionSpec(
        "",
        tmp_path,
        runtime="python3.12",
        architecture="arm64",
        requirements=("pg8000",),
        requirements_exclude=("pg8000/tests/**",),
        platform="x86_64-manylinux_2_28",
        provided_modules=("torch",),
        permissions_boundary="arn:aws:iam::{account}:policy/limits",
        vpc=Vpc(("subnet-1",), ("sg-1",)),
        log_retention_days=7,
        log_format="JSON",
        log_level="WARN",
        system_log_level="INFO",
        tags={"team": "data"},
    )
    assert pipeline.common == common
    report, own = pipeline.functions["report"].spec, pipeline.functions["own"].spec
    same = ("name", "source", "environment", "description", "zip_path")
    assert replace(report, **{name: getattr(common, name) for name in same}) == common
    assert (own.role, own.permissions_boundary, own.vpc) == ("arn:aws:iam::123456789012:role/own", None, common.vpc)
    topic = TopicSpec("{name}-{stage}-alerts", emails=(), kms_key="arn:aws:kms:k", tags={"team": "data"})
    assert (pipeline.topic, pipeline.alarm_topic, pipeline.fresh_within) == (topic, "{name}-alarms", "2 hours")
    assert (pipeline.readers, pipeline.reader_rows, pipeline.workers, pipeline.part_rows) == (3, 4, 5, 6)
    assert pipeline.load_connections == 64
    assert pipeline.backfill == Backfill(
        "emr-serverless", "arn:aws:iam::123456789012:role/r", "00f1", 500, "/opt/python"
    )
    assert (pipeline.dashboard, pipeline.catalog, pipeline.lock) == ("shown", "lake", tmp_path / "config/locked")
    assert loaded(tmp_path, LEAST + "[lake]\ncatalog = false\n").catalog is None


@pytest.mark.parametrize(
    ("keys", "alarm", "notice"),
    [
        ("", Alarm("a", "m"), Notice()),
        ("threshold = 0", Alarm("a", "m", threshold=0), Notice()),
        (
            'threshold = 3\nmissing_data = "breaching"\nexpression = "m / 2"\nperiod = 120\nevaluation_periods = 3\n'
            'datapoints_to_alarm = 2\nnamespace = "n"\nalias = "live"\nstatistic = "Maximum"\ndescription = "d"\n'
            'command = "c"\nincident = "i"\nsymptom = true',
            Alarm(
                *("a", "m", "n", 3, 120, 3, "Maximum"),
                missing_data="breaching",
                expression="m / 2",
                datapoints_to_alarm=2,
                alias="live",
                description="d",
            ),
            Notice("c", "i", symptom=True),
        ),
        (
            "below = 2\nperiod = 900",
            Alarm(
                *("a", "m", "AWS/Lambda", 2, 900),
                comparison="LessThanThreshold",
                expression="FILL(m, 0)",
                missing_data="missing",
                notify_on_insufficient_data=True,
            ),
            Notice(),
        ),
        (
            'below = 0.5\nexpression = "FILL(m, 1)"',
            Alarm(
                *("a", "m"),
                threshold=0.5,
                comparison="LessThanThreshold",
                expression="FILL(m, 1)",
                missing_data="missing",
                notify_on_insufficient_data=True,
            ),
            Notice(),
        ),
    ],
)
def test_each_key_of_an_alarm_is_read(tmp_path: Path, keys: str, alarm: Alarm, notice: Notice) -> None:
    pipeline = loaded(tmp_path, f'{LEAST}\n[alarms.a]\nmetric = "m"\n{keys}\n')
    assert (pipeline.alarms, pipeline.notices) == ({"a": alarm}, {"a": notice})


def test_each_key_of_a_bucket_is_read(tmp_path: Path) -> None:
    keys = """
[buckets]
short = "b-short"
[buckets.long]
name = "c-long"
kms_key = "arn:aws:kms:k"
versioned = true
lifecycle = [
    { name = "all", prefix = "p/", abort_uploads_days = 1, noncurrent_days = 2, expire_days = 3 },
    { name = "moved", transition_days = 4, storage_class = "GLACIER_IR" },
]
"""
    rules = (
        LifecycleRule("all", prefix="p/", abort_uploads_days=1, noncurrent_days=2, expire_days=3),
        LifecycleRule("moved", transition_days=4, storage_class="GLACIER_IR"),
    )
    assert loaded(tmp_path, LEAST + keys).buckets == {
        "short": BucketSpec("b-short"),
        "long": BucketSpec("c-long", versioned=True, kms_key="arn:aws:kms:k", lifecycle=rules),
    }


def test_reader_is_extract_without_what_starts_it(tmp_path: Path) -> None:
    """Nor has it what is about events: where they fail, how often they come again, how a new version is tried."""
    starts = """
schedule = "0 9 * * *"
timezone = "Europe/London"
schedule_role = "arn:aws:iam::123456789012:role/scheduler"
queue_trigger = { queue = "orders" }
stream_trigger = { stream = "clicks" }
event_trigger = { pattern = { source = ["shop"] } }
url = { auth = "AWS_IAM" }
s3_trigger = { bucket = "lake" }
topic_trigger = ["alerts"]
alarms = ["errors"]
retries = 1
max_event_age = 3600
concurrency = 7
provisioned_concurrency = 2
canary = { weight = 0.2 }
sweeps = ["lake"]
"""
    keys = 'reads = ["lake"]\nwrites = ["lake"]\nmemory = 2048\nhealth_event = { action = "check" }\n'
    more = '[buckets]\nlake = "{name}-lake"\n[alarms.errors]\nmetric = "Errors"\n[extract]\nreaders = 2\n'

    def declared(lines: str) -> dict[str, FunctionDeclaration]:
        text = LEAST.replace(REPORT, f"{more}[functions.extract]\n{lines}{keys}")
        return dict(loaded(tmp_path, text).functions)

    found = declared(starts)
    assert list(found) == ["extract", "reader"]
    plain = declared('on_failure = ""\n')["extract"]
    reader = {"name": "shop-dev-reader", "description": "shop: reader", "zip_path": tmp_path / "build/reader.zip"}
    assert found["reader"] == replace(plain, name="reader", spec=replace(plain.spec, on_failure=None, **reader))


def test_shipped_function_may_include_more(tmp_path: Path) -> None:
    """Beside the modules that it shares with others: all, a few that are named one by one, or those of commands."""
    shipped = "".join(f'[functions.{name}]\ninclude = ["own.py"]\n' for name in ("load", "notifier", "access"))
    found = {name: each.spec for name, each in loaded(tmp_path, LEAST.replace(REPORT, shipped)).functions.items()}
    load_, notifier, access = (found[name] for name in ("load", "notifier", "access"))
    own = tmp_path / "own.py"
    assert (load_.source, load_.include, load_.package_root) == (FUNCTIONS / "load", (SHARED, own), PACKAGE_ROOT)
    assert load_.extra_files == {}
    assert (notifier.source, notifier.include, notifier.package_root) == (FUNCTIONS / "notifier", (own,), PACKAGE_ROOT)
    assert notifier.extra_files and all(isinstance(path, Path) for path in notifier.extra_files.values())
    package = access_package()
    assert (access.source, access.include) == (package["source"], (*package["include"], own))
    assert (access.package_root, access.extra_files) == (package["package_root"], package["extra_files"])
