"""The declaration is read in full, or rejected with an error that names the file and the key."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_script import BucketSpec, short_hash
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import stage_name
from lambda_toolkit.pipeline.errors import ConfigurationError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH, FUNCTIONS, PACKAGE_ROOT, SHARED
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.spec.model import THIS_RUNTIME, Canary

SHIPPED = DEFAULT_PATH.read_text(encoding="utf-8")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config" / "pipeline.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_file_declares_the_whole_pipeline():
    pipeline = load(DEFAULT_PATH)
    assert list(pipeline.functions) == ["extract", "transform", "load", "notifier", "freshness"]
    assert set(pipeline.buckets) == {"ingestion", "processed", "failed"}
    assert len(pipeline.tables["source"]) == 11
    assert len(pipeline.tables["warehouse"]) == 11
    assert pipeline.function_name("extract") == "totes-dev-extract"
    assert pipeline.bucket_name("ingestion", "123456789012") == "totes-dev-ingestion-123456789012"


def test_a_stage_is_merged_over_the_rest():
    assert load(DEFAULT_PATH).functions["extract"].spec.schedule == "rate(5 minutes)"
    local = load(DEFAULT_PATH, "local")
    assert local.functions["extract"].spec.schedule == "rate(1 minute)"
    assert local.functions["extract"].spec.memory == load(DEFAULT_PATH).functions["extract"].spec.memory
    assert local.common.platform == "host"
    assert local.common.runtime == THIS_RUNTIME
    assert load(DEFAULT_PATH).common.runtime == "python3.13"
    assert local.functions["notifier"].spec.requirements == (), "it needs none"
    for function in (local.functions[name] for name in ("extract", "transform", "load")):
        assert function.spec.requirements == local.common.requirements != ()
        assert function.spec.requirements_exclude == local.common.requirements_exclude != ()


def test_a_schedule_that_a_stage_replaces_is_checked_too(tmp_path):
    """Another stage would deploy it: what is wrong is found whichever stage is read."""
    path = written(tmp_path, SHIPPED.replace('schedule = "rate(5 minutes)"', 'schedule = "rate(0 minutes)"', 1))
    for stage in ("dev", "local"):
        with pytest.raises(ConfigurationError, match=r"\[functions.extract\] `schedule`: "):
            load(path, stage)
    replaced = SHIPPED.replace('extract.schedule = "rate(1 minute)"', 'extract.schedule = ""')
    assert load(written(tmp_path, replaced), "local").functions["extract"].spec.schedule == ""
    assert load(written(tmp_path, replaced), "dev").functions["extract"].spec.schedule == "rate(5 minutes)"


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({}, "eu-west-2"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "us-east-1"),
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "us-east-1"}, "eu-north-1"),
    ],
)
def test_the_region_is_what_every_aws_tool_would_take(environ, region):
    assert load(DEFAULT_PATH, environ=environ).region == region


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "totes"\n', "", r"\[pipeline\] lacks the key `name` \(a string\)\.(?! Is)"),
        (
            'name = "totes"\n',
            'nmae = "totes"\n',
            r"\[pipeline\] lacks the key `name` \(a string\)\. Is `nmae` meant for it\?",
        ),
        ('fresh_within = "30 minutes"', 'fresh_within = "soon"', r"\[pipeline\] `fresh_within` must be a time such as"),
        (
            "[source.staff]",
            '[source.staff]\nfresh_within = "0 days"',
            r"\[source.staff\] `fresh_within` must be a time",
        ),
        ('["source", "warehouse"]', '["source", "warehose"]', r"\[functions.freshness\].*warehose"),
        (
            "[functions.extract]",
            "[functions.export]",
            r"\[functions.export\] lacks the key `source`.*extract, freshness, load",
        ),
        ('topic = "{name}-{stage}-alerts"', "topic = 7", r"\[alerts\] `topic` must be a string, not 7"),
        ("memory = 1024 ", "memory = true ", r"\[functions.extract\] `memory` must be an integer, not True"),
        ("memory = 1024 ", "memroy = 1024 ", r"\[functions.extract\] contains the unknown key `memroy`"),
        (
            'alarms = ["errors", "silent"]',
            'alarms = ["erors", "silent"]',
            r"\[functions.extract\] names `erors`, which \[alarms\] does not",
        ),
        (
            'secret = "source"',
            'secret = "sauce"',
            r"names `sauce`, which \[secrets\] does not declare. Did you mean `source`\? Declared there: s",
        ),
        ('runtime = "python3.13"', 'runtimes = "python3.13"', r"\[packages\] contains the unknown key `runtimes`"),
        ('"rate(5 minutes)"', '"0 0 1 * 1"', r"\[functions.extract\] `schedule`: .*day"),
        (
            "data-alerts@example.com",
            "data-alerts",
            r"\[alerts\] `emails` contains 'data-alerts', which is not an email address",
        ),
        ('bucket = "ingestion"', 'bucket = "lake"', r"\[functions.transform\] names `lake`"),
        ('emails = ["', 'emails = [1, "', r"\[alerts\] `emails` must be a list of strings"),
        ("[buckets]", "[bukkets]", r"the unknown key `bukkets`"),
        ("[buckets]", "[buckets", r"not valid TOML"),
        ("[pipeline]", "[pipelines]", r"the file lacks the table \[pipeline\]"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, says):
    assert old in SHIPPED
    with pytest.raises(ConfigurationError, match=says):
        load(written(tmp_path, SHIPPED.replace(old, new, 1)))


def test_function_without_source_is_the_packaged_one(tmp_path):
    """A function without source is the shipped one of its name."""
    shipped = load(DEFAULT_PATH).functions["extract"].spec
    assert (shipped.source, shipped.include, shipped.package_root) == (FUNCTIONS / "extract", (SHARED,), PACKAGE_ROOT)
    own = '[functions.extract]\nsource = "code/extract"\n'
    function = load(written(tmp_path, SHIPPED.replace("[functions.extract]\n", own))).functions["extract"].spec
    assert (function.source, function.include, function.package_root) == (tmp_path / "code" / "extract", (), None)


def test_functions_have_the_requirements_of_the_command_line():
    """The same pins in both: what the tests run with is what is deployed."""
    setup = Path("setup.py").read_text(encoding="utf-8")
    requirements = load(DEFAULT_PATH).common.requirements
    assert requirements
    assert [requirement for requirement in requirements if f'"{requirement}"' not in setup] == []


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist. Run this in the folder of a project"):
        load(tmp_path / "pipeline.toml")
    with pytest.raises(ConfigurationError, match=r"cannot be read: Is a directory\.$"):
        load(tmp_path)


@pytest.mark.parametrize("template", ["{name}-{team}", "{}", "{name", "{name.x}", "{name[x]}"])
def test_an_unknown_placeholder_is_refused(template):
    with pytest.raises(ConfigurationError, match="unknown placeholder"):
        load(DEFAULT_PATH).expand(template, "1")
    assert load(DEFAULT_PATH, "prod").expand("{name}/{stage}/{region}/{account}", "1") == "totes/prod/eu-west-2/1"


def test_names_are_shortened_where_aws_allows_no_longer_ones():
    """A stage has 24 characters, a function 64, a bucket 63: those that are shorter stay as they are."""
    assert [stage_name("x" * length) for length in (24, 25)] == ["x" * 24, f"{'x' * 15}-{short_hash('x' * 25)}"]
    assert stage_name("feature/abcdef-gh") == f"feature-abcdef-{short_hash('feature/abcdef-gh')}"
    assert stage_name("/") == short_hash("/")
    pipeline = load(DEFAULT_PATH)
    names = [pipeline.function_name("f" * length) for length in (54, 55, 56)]
    assert names[0] == f"totes-dev-{'f' * 54}" and [len(name) for name in names] == [64] * 3 and len(set(names)) == 3
    buckets = {str(length): BucketSpec("b" * length) for length in (63, 64, 65)}
    shown = [replace(pipeline, buckets=buckets).bucket_name(name, "1") for name in buckets]
    assert shown[0] == "b" * 63 and [len(name) for name in shown] == [63] * 3 and len(set(shown)) == 3


def test_all_errors_are_reported_together_with_table_and_advice(tmp_path):
    """All mistakes are reported concurrently each with its table and what to write."""
    text = SHIPPED
    for old, new in (
        ('"rate(5 minutes)"', '"rate(1 minutes)"'),
        ("memory = 1024 ", "memroy = 1024 "),
        ("timeout = 600 ", "timeout = 100000 "),
        ('runtime = "python3.13"', 'runtime = "python313"'),
        ("log_retention_days = 30", "log_retention_days = 31"),
        ('tags = { project = "totes" }', 'tags = { "aws:project" = "totes" }'),
        ('alarms = ["errors", ', 'alarms = ["error", '),
        ("[alarms.errors]", "[alarms.errors]\nthreshhold = 2\nx = 1 #"),
        (
            'secret = "warehouse"',
            'secret = "warehouse"\nenvironment = { AWS_REGION = "x", BIG = "' + "x" * 4096 + '" }',
        ),
        ("period = 60 ", "period = 61 "),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    with pytest.raises(ConfigurationError) as refused:
        load(written(tmp_path, text))
    lines = str(refused.value).splitlines()
    assert all("config/pipeline.toml: " in line for line in lines)
    for says in (
        "[functions.extract] `schedule`: Schedule `rate(1 minutes)`: EventBridge requires the singular for 1",
        "[functions.extract] contains the unknown key `memroy`. Did you mean `memory`?",
        "[functions.extract] timeout 100000 is outside 1 to ",
        "[packages] runtime `python313` is not one of Lambda's for Python; write it like python3.12.",
        "[pipeline] log_retention_days 31 is not one of 1, 3, 5",
        "[pipeline] tag `aws:project`: keys that begin with `aws:` are reserved by AWS.",
        "names `error`, which [alarms] does not declare. Did you mean `errors`?",
        "[alarms.errors] contains the unknown key `threshhold`. Did you mean `threshold`?",
        "[functions.load] its environment has",
        "[functions.load] the environment variable `AWS_REGION` is reserved by Lambda.",
        "[alarms.errors] alarm `errors`: period 61",
    ):
        assert any(says in line for line in lines), says


def test_a_missing_table_does_not_miss_its_keys_too(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        load(written(tmp_path, SHIPPED.replace("[alerts]", "[alert]")))
    assert "[alerts] lacks the key `topic`" not in str(refused.value)
    assert "Is `alert` meant for it?" in str(refused.value)


@pytest.mark.parametrize(
    ("one", "other"), [('prefix = "a/"', 'prefix = "a/b/"'), ('prefix = "a/"', 'prefix = "a/"'), ("", 'suffix = ".x"')]
)
def test_triggers_that_overlap_are_refused(tmp_path, one, other):
    triggers = ", ".join("{ " + ", ".join(filter(None, ('bucket = "ingestion"', part))) + " }" for part in (one, other))
    old = 's3_trigger = { bucket = "ingestion", prefix = "manifests/", suffix = ".json" }'
    assert old in SHIPPED
    with pytest.raises(ConfigurationError, match=r"\[functions.transform\] `s3_trigger`: .*overlap"):
        load(written(tmp_path, SHIPPED.replace(old, f"s3_trigger = [{triggers}]")))


def test_not_mentioned_is_not_managed_and_empty_is_to_be_removed(tmp_path):
    def function(lines: str):
        own = f"[functions.load]\n{lines}\n\n"
        text = re.sub(r"(?s)\[functions\.load\].*?\n\n", own, SHIPPED)
        return load(written(tmp_path, text)).functions["load"]

    silent = function("")
    assert (silent.spec.schedule, silent.s3_triggers, silent.alarms) == (None, None, None)
    empty = function('schedule = ""\ns3_trigger = []\nalarms = []')
    assert (empty.spec.schedule, empty.s3_triggers, empty.alarms) == ("", (), ())
    without = re.sub(r"emails = .*", "", SHIPPED)
    assert load(written(tmp_path, without)).topic.emails is None
    assert load(written(tmp_path, re.sub(r"emails = .*", "emails = []", SHIPPED))).topic.emails == ()


BUCKET = """[buckets.ingestion]
name = "{name}-{stage}-in-{account}"
kms_key = "arn:aws:kms:eu-west-2:1:key/1"
versioned = false
lifecycle = [
    { name = "uploads", abort_uploads_days = 7 },
    { name = "archive", prefix = "old/", transition_days = 90, storage_class = "GLACIER_IR" },
]
[buckets.processed]
name = "{name}-{stage}-out-{account}"
"""


def test_a_bucket_may_be_a_table(tmp_path):
    with_tables = re.sub(r"(?s)\[buckets\].*?\n\n", lambda _: BUCKET + "\n", SHIPPED)
    pipeline = load(written(tmp_path, with_tables))
    settings = pipeline.buckets["ingestion"]
    assert pipeline.bucket_name("ingestion", "1") == "totes-dev-in-1"
    assert (settings.versioned, settings.kms_key) == (False, "arn:aws:kms:eu-west-2:1:key/1")
    assert [rule.name for rule in settings.lifecycle or ()] == ["uploads", "archive"]
    wrong = with_tables.replace("abort_uploads_days = 7", "abort_upload_days = 7").replace("GLACIER_IR", "ICE")
    with pytest.raises(ConfigurationError) as refused:
        load(written(tmp_path, wrong))
    for says in (
        "[buckets.ingestion.lifecycle.1] contains the unknown key `abort_upload_days`. Did you mean `abort_uploads_d",
        "rule `uploads` does nothing",
        "`storage_class` must be one of DEEP_ARCHIVE",
    ):
        assert says in str(refused.value)


@pytest.mark.parametrize("stage", ["feature/Login-page", "dependabot/pip/a-very-long-name-of-a-branch-1.2.3", "UPPER"])
def test_a_branch_is_a_stage(stage):
    pipeline = load(DEFAULT_PATH, stage)
    names = [pipeline.function_name(name) for name in pipeline.functions]
    buckets = [pipeline.bucket_name(name, "1" * 12) for name in pipeline.buckets]
    assert all(re.fullmatch(r"[a-z0-9-]{1,64}", name) for name in names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", name) for name in buckets)
    assert len(set(names)) == len(pipeline.functions)
    assert names == [load(DEFAULT_PATH, stage).function_name(name) for name in pipeline.functions]
    assert load(DEFAULT_PATH, stage + "x").stage != pipeline.stage
    assert load(DEFAULT_PATH, "prod").stage == "prod"


def test_health_event_and_canary_are_read_and_checked(tmp_path):
    assert load(DEFAULT_PATH).functions["load"].spec.health_event == {"action": "check"}
    text = SHIPPED.replace('health_event = { action = "check" }', "canary = { minutes = 5 }", 1)
    function = load(written(tmp_path, text)).functions["extract"].spec
    assert (function.health_event, function.canary) == (None, Canary(0.1, 5.0))
    unwatched = text.replace('alarms = ["errors", "silent"]\n', "", 1)
    with pytest.raises(ConfigurationError, match="its canary needs at least one alarm"):
        load(written(tmp_path, unwatched))
    with pytest.raises(ConfigurationError, match="unknown key `weigth`"):
        load(written(tmp_path, text.replace("minutes = 5", "weigth = 0.5")))


def test_errors_of_tables_name_the_file_and_come_together(tmp_path):
    """All errors of [source.*] and [warehouse.*], with those of other sections, of the file that has them."""
    text = DEFAULT_PATH.read_text(encoding="utf-8")
    text = text.replace(
        "[warehouse.dim_staff]", '[source.ghost]\nkey = "id"\ndeletes = "sometimes"\n\n[warehouse.dim_staff]'
    )
    text = text.replace("[warehouse.dim_design]", f'[source.{"t" * 64}]\nkey = "id"\n\n[warehouse.dim_design]')
    text = text.replace("timeout = 600", "timeout = 6000", 1)
    text += """
[warehouse.dim_new]
kind = "dimension"
from = "staff"
key = "staff_id"
columns = { staff_id = "staff_id", a = "nowhere.x", b = "date(", c = "len(first_name)", _batch = "first_name" }
where = "first_name = 'Ann' AND last_name IN (SELECT 1)"

[warehouse.dim_lost]
kind = "dimension"
from = "nothing"
key = "id"
columns = { id = "id" }
"""
    path = tmp_path / "config" / "pipeline.toml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as raised:
        load(path)
    lines = str(raised.value).splitlines()
    assert all(line.startswith(f"{path}: [") for line in lines)
    for says in (
        "[source.ghost] `deletes` must be",
        "cannot be the name of a table: PostgreSQL's have 1 to 63 bytes",
        "[warehouse.dim_new] column `a` names `nowhere`, which `join` does not",
        "[warehouse.dim_new] column `b` = 'date(': ",
        "[warehouse.dim_new] column `c` = 'len(first_name)': there is no function len; known: abs, ",
        "[warehouse.dim_new] `where` = \"first_name = 'Ann' AND last_name IN (SELECT 1)\": "
        "IN takes a list of values, not a query (at character 38).",
        "[warehouse.dim_new] column `_batch` has a name that load uses itself",
        "[warehouse.dim_lost] reads the table `nothing`, which no [source.nothing] declares",
        "6000",
    ):
        assert [line for line in lines if says in line], says


def test_joins_are_columns_or_tables_under_an_alias(tmp_path):
    """Both together, in the forms that TOML has for tables; packaged as they are."""
    more = """
[warehouse.dim_pair]
kind = "dimension"
from = "staff"
key = "staff_id"
columns = { staff_id = "staff_id", place = "there.location", own = "department.location", boss = "boss.last_name" }
[warehouse.dim_pair.join]
department = "department_id"
there = { table = "department", on = ["department_id"], from = "boss" }
[warehouse.dim_pair.join.boss]
table = "staff"
on = "reports_to"
"""
    pipeline = load(written(tmp_path, SHIPPED + more))
    declared = parse(json.loads(json.dumps(pipeline.tables)))
    assert list(declared.warehouse["dim_pair"].joins) == ["department", "boss", "there"]
    assert declared.warehouse["dim_pair"].source_tables == ("staff", "department")
    for old, new, says in (
        ('on = "reports_to"', "on = 3", r"\[warehouse.dim_pair\] `join.boss` `on` must be a text or a list of texts"),
        ('from = "boss"', 'from = "chief"', r"\[warehouse.dim_pair\] `join.there` is from `chief`, which is no alias"),
        (
            'department = "department_id"\nthere',
            "department = 3\nthere",
            r"`join.department` must be a column, or",
        ),
    ):
        with pytest.raises(ConfigurationError, match=says):
            load(written(tmp_path, SHIPPED + more.replace(old, new)))


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "config" / "pipeline.toml"
    path.parent.mkdir()
    content = DEFAULT_PATH.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + content)
    assert load(path).tables == load(DEFAULT_PATH).tables
    path.write_bytes(content.replace(b"totes", b"t\xe4tes"))
    with pytest.raises(ConfigurationError, match="is not valid TOML: 'utf-8' codec can't decode"):
        load(path)


@pytest.mark.parametrize("key", ["alias/aws/sns", "1234abcd", "arn:aws:kms:eu-west-2:1:alias/aws/sns"])
def test_key_that_silences_the_alarms_is_refused(tmp_path, key):
    """CloudWatch may not use AWS's own key: an alarm would rise, and no message would be sent."""
    text = DEFAULT_PATH.read_text(encoding="utf-8").replace("[alerts]\n", f'[alerts]\nkms_key = "{key}"\n')
    with pytest.raises(ConfigurationError, match=r"\[alerts\].*`kms_key` must be the ARN of a key of your own"):
        load(written(tmp_path, text))
