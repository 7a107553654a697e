"""From the declaration to the toolkit: names, exact permissions, and secrets that no output shows."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import trustme

from lambda_toolkit.pipeline.config.aws.deployment import aws_names, deployment, environment, tables_json
from lambda_toolkit.pipeline.config.aws.role_policy import permissions
from lambda_toolkit.pipeline.config.database_url import credentials
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import ConfigurationError, UsageError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH

ACCOUNT = "123456789012"
INVOKE = "lambda:InvokeFunction"
URL = "postgresql://reader:p%40ss%2Fword@db.example.com:6543/totesys"


@pytest.fixture(scope="module")
def pipeline():
    return load(DEFAULT_PATH)


def test_everything_declared_is_deployed(pipeline):
    everything = deployment(pipeline, ACCOUNT, {"SOURCE_DATABASE_URL": URL})
    assert [function.name for function in everything.functions] == [
        "totes-dev-extract",
        "totes-dev-transform",
        "totes-dev-load",
        "totes-dev-notifier",
        "totes-dev-freshness",
    ]
    assert [bucket.name for bucket in everything.buckets] == [
        f"totes-dev-ingestion-{ACCOUNT}",
        f"totes-dev-processed-{ACCOUNT}",
        f"totes-dev-failed-{ACCOUNT}",
    ]
    assert everything.topics[0].emails == pipeline.topic.emails
    source, warehouse, slack = everything.secrets
    assert (slack.value, slack.optional) == (None, True)
    assert json.loads(source.value or "") == {
        "engine": "postgres",
        "host": "db.example.com",
        "port": 6543,
        "dbname": "totesys",
        "username": "reader",
        "password": "p@ss/word",
    }
    assert warehouse.value is None, "a variable that is not set leaves the stored value alone"


def test_reader_is_deployed_as_extract_is_declared(tmp_path):
    """`[extract] readers`: a function of its own, which extract alone may start; without, nothing of it is there."""
    shutil.copytree(DEFAULT_PATH.parent, tmp_path / "config")
    path = tmp_path / "config" / "pipeline.toml"
    text = path.read_text(encoding="utf-8")

    def declared(section):
        path.write_text(f"{text}\n[extract]\n{section}\n", encoding="utf-8")
        return load(path)

    with_readers = declared("readers = 8")
    functions = {function.name: function for function in deployment(with_readers, ACCOUNT, {}).functions}
    extract, reader = functions["totes-dev-extract"], functions["totes-dev-reader"]
    assert extract.environment["READER_FUNCTION"] == "totes-dev-reader:live"
    assert (extract.environment["READERS"], extract.environment["READER_ROWS"]) == ("8", "20000000")
    assert (reader.schedule, reader.alarms, reader.s3_triggers) == (None, None, None)
    assert (reader.source, reader.memory, reader.timeout) == (extract.source, extract.memory, extract.timeout)
    assert reader.environment["SOURCE_SECRET"] == extract.environment["SOURCE_SECRET"]
    assert "READERS" not in reader.environment
    assert reader.permissions == tuple(each for each in extract.permissions if each["Action"] != [INVOKE])
    invoking = [each["Resource"] for each in extract.permissions if each["Action"] == [INVOKE]]
    arn = f"arn:aws:lambda:eu-west-2:{ACCOUNT}:function:totes-dev-reader"
    assert invoking == [[arn, f"{arn}:*"]]
    assert deployment(declared("readers = 1"), ACCOUNT, {}) == deployment(declared(""), ACCOUNT, {})
    assert "totes-dev-reader" not in [function.name for function in deployment(declared(""), ACCOUNT, {}).functions]
    for wrong, message in (("readers = 501", "from 0 to 500"), ("readers = 2\nreader_rows = 0", "1 or more")):
        with pytest.raises(ConfigurationError, match=message):
            declared(wrong)
    with pytest.raises(ConfigurationError, match="another function"):
        declared('readers = 2\n[functions.reader]\nsource = "config"')


def test_workers_are_invocations_of_transform(tmp_path):
    """`[transform] workers`: transform may start itself, and knows how often; nothing else is deployed."""
    shutil.copytree(DEFAULT_PATH.parent, tmp_path / "config")
    path = tmp_path / "config" / "pipeline.toml"
    text = path.read_text(encoding="utf-8")

    def declared(section, rest=text):
        path.write_text(f"{rest}\n[transform]\n{section}\n", encoding="utf-8")
        return load(path)

    alone = deployment(declared(""), ACCOUNT, {})
    assert deployment(declared("workers = 1"), ACCOUNT, {}) == alone
    found = {each.name: each for each in deployment(declared("workers = 8\npart_rows = 5"), ACCOUNT, {}).functions}
    assert set(found) == {each.name for each in alone.functions}
    transform, load_function = found["totes-dev-transform"], found["totes-dev-load"]
    assert transform.environment["TRANSFORM_WORKERS"] == "8"
    assert "TRANSFORM_WORKERS" not in load_function.environment
    arn = f"arn:aws:lambda:eu-west-2:{ACCOUNT}:function:totes-dev-transform"
    assert [each["Resource"] for each in transform.permissions if each["Action"] == [INVOKE]] == [[arn, f"{arn}:*"]]
    assert json.loads(transform.extra_files["tables.json"])["part_rows"] == 5
    for wrong, message in (("workers = 501", "from 0 to 500"), ("part_rows = 0", "1 or more")):
        with pytest.raises(ConfigurationError, match=message):
            declared(wrong)
    reserved = text.replace("[functions.transform]\n", "[functions.transform]\nconcurrency = 8\n")
    with pytest.raises(ConfigurationError, match="must be more than the 8 `workers`"):
        declared("workers = 8", reserved)


def test_load_is_deployed_with_its_connections(tmp_path):
    shutil.copytree(DEFAULT_PATH.parent, tmp_path / "config")
    path = tmp_path / "config" / "pipeline.toml"
    text = path.read_text(encoding="utf-8")

    def declared(section):
        path.write_text(f"{text}\n{section}\n", encoding="utf-8")
        return {each.name: each.environment for each in deployment(load(path), ACCOUNT, {}).functions}

    assert declared("")["totes-dev-load"]["LOAD_CONNECTIONS"] == "4"
    found = declared("[load]\nconnections = 1")
    assert [name for name, given in found.items() if "LOAD_CONNECTIONS" in given] == ["totes-dev-load"]
    assert found["totes-dev-load"]["LOAD_CONNECTIONS"] == "1"
    for wrong in (0, 65):
        with pytest.raises(ConfigurationError, match="from 1 to 64"):
            declared(f"[load]\nconnections = {wrong}")


def test_secret_to_overwrite_is_named_as_in_the_file_or_on_aws(pipeline):
    environ = {"SOURCE_DATABASE_URL": URL}
    for name in ("source", "totes/dev/source"):
        secrets = deployment(pipeline, ACCOUNT, environ, overwritten=(name,)).secrets
        assert [secret.overwrite for secret in secrets] == [True, False, False]
    with pytest.raises(
        UsageError, match=r"no secret `sorce`.*Did you mean `source`.*Declared: source, warehouse, slack"
    ):
        deployment(pipeline, ACCOUNT, environ, overwritten=("sorce",))
    with pytest.raises(UsageError, match="WAREHOUSE_DATABASE_URL is not set"):
        deployment(pipeline, ACCOUNT, environ, overwritten=("warehouse",))


def test_authorities_travel_in_the_package(pipeline, tmp_path):
    """`ca` in [secrets.*]: the functions that use the secret have the file, as it may be larger than a secret."""
    (tmp_path / "config").mkdir()
    text = DEFAULT_PATH.read_text(encoding="utf-8")
    path = tmp_path / "config" / "pipeline.toml"
    path.write_text(text.replace("[secrets.source]\n", '[secrets.source]\nca = "rds.pem"\n'), encoding="utf-8")
    for name in ("warehouse.sql", "requirements.lock"):
        shutil.copy(DEFAULT_PATH.parent / name, path.parent / name)
    with_ca = load(path)
    environ = {"SOURCE_DATABASE_URL": URL}
    assert with_ca.secrets["source"].ca == with_ca.root / "rds.pem"
    assert with_ca.secrets["warehouse"].ca is None
    for content in (None, "é"):
        if content:
            (with_ca.root / "rds.pem").write_text(content, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"rds.pem"):
            deployment(with_ca, ACCOUNT, environ)
    authority = trustme.CA().cert_pem.bytes()
    (with_ca.root / "rds.pem").write_bytes(authority)
    for given in (environ, {}):  # the package is the same, whether the URL is known to this deploy or not
        extract, transform, load_, _, freshness = deployment(with_ca, ACCOUNT, given).functions
        assert extract.extra_files["source-ca.pem"] == freshness.extra_files["source-ca.pem"] == authority
        assert "source-ca.pem" not in {**transform.extra_files, **load_.extra_files}
    value = json.loads(deployment(with_ca, ACCOUNT, environ).secrets[0].value or "")
    assert value.pop("sslrootcert") == "source-ca.pem"
    assert value == credentials(URL, "it")


def test_no_secret_reaches_a_function_or_a_repr(pipeline):
    everything = deployment(pipeline, ACCOUNT, {"SOURCE_DATABASE_URL": URL})
    assert "p@ss" not in repr(everything)
    for function in everything.functions:
        assert "p@ss" not in str(dict(function.environment))
    assert everything.functions[0].environment["SOURCE_SECRET"] == "totes/dev/source"


def test_each_function_may_do_what_it_declares_and_no_more(pipeline):
    def allowed(function: str) -> set[tuple[str, str]]:
        statements = permissions(pipeline, pipeline.functions[function], ACCOUNT)
        return {(action, statement["Resource"]) for statement in statements for action in statement["Action"]}

    processed = f"arn:aws:s3:::totes-dev-processed-{ACCOUNT}"
    assert allowed("load") == {
        ("s3:ListBucket", processed),
        ("s3:GetObject", f"{processed}/*"),
        (
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:totes/dev/warehouse-??????",
        ),
    }
    transform = permissions(pipeline, pipeline.functions["transform"], ACCOUNT)
    deleting = {(s["Effect"], s["Resource"]) for s in transform if "s3:DeleteObject" in s["Action"]}
    ingestion = f"arn:aws:s3:::totes-dev-ingestion-{ACCOUNT}"
    assert deleting == {
        (effect, f"{bucket}/{keys}")
        for bucket in (ingestion, processed)
        for effect, keys in (("Allow", "*"), ("Deny", "manifests/*"), ("Deny", "revisions/*"))
    }
    assert not any(action == "s3:DeleteObject" for name in ("extract", "load") for action, _ in allowed(name))
    assert not any(action.startswith("secretsmanager") for action, _ in allowed("transform"))
    assert ("s3:PutObject", f"{processed}/*") not in allowed("extract")


def test_a_place_may_be_a_prefix_of_a_bucket(pipeline):
    narrow = replace(pipeline.functions["load"], reads=("processed/reports/",), writes=("ingestion/incoming/",))
    bucket = f"arn:aws:s3:::totes-dev-processed-{ACCOUNT}"
    listing, reading, writing, _secret = permissions(pipeline, narrow, ACCOUNT)
    assert (listing["Resource"], listing["Condition"]) == (bucket, {"StringLike": {"s3:prefix": "reports/*"}})
    assert reading["Resource"] == f"{bucket}/reports/*"
    assert writing["Resource"] == f"arn:aws:s3:::totes-dev-ingestion-{ACCOUNT}/incoming/*"
    assert environment(pipeline, narrow, ACCOUNT)["PROCESSED_BUCKET"] == f"totes-dev-processed-{ACCOUNT}"


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-west-2", "aws"),
        ("us-east-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("eusc-de-east-1", "aws-eusc"),
        ("us-iso-east-1", "aws-iso"),
    ],
)
def test_permissions_are_for_the_partition_of_the_region(region, partition):
    pipeline = load(DEFAULT_PATH, environ={"AWS_REGION": region})
    statements = permissions(pipeline, pipeline.functions["extract"], ACCOUNT)
    assert {statement["Resource"].split(":")[1] for statement in statements} == {partition}


def test_an_alarm_says_what_to_do(pipeline):
    errors, _, rejected = deployment(pipeline, ACCOUNT, {}).functions[1].alarms
    assert errors.description == "transform failed. What helps: python deploy.py logs transform --stage dev"
    assert "transform rejected rows" in rejected.description
    assert (errors.topic, errors.notify_on_ok) == ("totes-dev-alarms", True)


def test_alarms_of_the_notifier_itself_reach_people_directly(pipeline):
    everything = deployment(pipeline, ACCOUNT, {})
    [notifier] = [function for function in everything.functions if function.name.endswith("notifier")]
    assert {(alarm.topic, alarm.notify_on_ok) for alarm in notifier.alarms} == {("totes-dev-alerts", True)}
    assert [trigger.topic for trigger in notifier.topic_triggers] == ["totes-dev-alarms"]
    read, alarms = everything.topics
    assert (read.name, read.emails) == ("totes-dev-alerts", pipeline.topic.emails)
    assert (alarms.name, alarms.emails) == ("totes-dev-alarms", None), "no address is subscribed to raw alarms"
    assert "tables.json" not in notifier.extra_files
    assert not notifier.requirements and not notifier.include, "its package has few shared modules, and no layer"
    known = json.loads(notifier.extra_files["alarms.json"])["alarms"]
    declared = {
        f"{spec.name}-{alarm.name}"
        for spec in (each for each in everything.functions if each is not notifier)
        for alarm in spec.alarms
    }
    assert set(known) == declared
    of_rows = ("transform-rejected", "load-outstanding", "load-pending")
    assert {known[f"totes-dev-{name}"]["incident"] for name in of_rows} == {"rows"}


def test_error_of_a_run_that_timed_out_is_still_looked_at(pipeline):
    """Its metric comes when it ends, with the time of its start."""
    minute = 60  # seconds: how often metrics are sent, and alarms evaluated
    for spec in deployment(pipeline, ACCOUNT, {}).functions:
        for alarm in spec.alarms:
            if alarm.metric == "Errors":
                assert alarm.period * alarm.evaluation_periods >= spec.timeout + 2 * minute
                assert alarm.datapoints_to_alarm == 1


def test_alarm_that_lasts_does_not_end_a_canary(pipeline):
    """Rows that are outstanding before a release say nothing about it."""
    watching = {alarm.name for alarm in deployment(pipeline, ACCOUNT, {}).functions[2].alarms if alarm.watches_canary}
    assert watching == {"errors"}


def test_less_than_alarm_treats_missing_data_as_breaching(pipeline):
    """An alarm below something tells also when nothing comes at all."""
    errors, silent = deployment(pipeline, ACCOUNT, {}).functions[0].alarms
    assert (silent.metric, silent.comparison, silent.threshold) == ("Invocations", "LessThanThreshold", 1)
    assert (silent.missing_data, silent.notify_on_insufficient_data) == ("missing", True)
    assert (silent.expression, silent.period * silent.evaluation_periods, silent.datapoints_to_alarm) == (
        "FILL(m, 0)",
        900,
        None,
    )
    assert not silent.watches_canary
    assert "extract was not started" in silent.description
    assert not errors.notify_on_insufficient_data


def test_arrow_takes_memory_when_it_is_used(pipeline):
    """Of functions that require pyarrow; who declares the variable means it."""
    given = {spec.name: dict(spec.environment) for spec in deployment(pipeline, ACCOUNT, {}).functions}
    extract, notifier = given["totes-dev-extract"], given["totes-dev-notifier"]
    assert extract["MIMALLOC_ARENA_EAGER_COMMIT"] == "0"
    assert "MIMALLOC_ARENA_EAGER_COMMIT" not in notifier
    load_ = pipeline.functions["load"]
    own = replace(load_, spec=replace(load_.spec, environment={"MIMALLOC_ARENA_EAGER_COMMIT": "1"}))
    assert environment(pipeline, own, ACCOUNT)["MIMALLOC_ARENA_EAGER_COMMIT"] == "1"


def test_the_tables_travel_as_the_same_bytes(pipeline):
    assert tables_json(pipeline) == tables_json(load(DEFAULT_PATH, "local"))
    assert set(json.loads(tables_json(pipeline))) == {"format", "fresh_within", "source", "warehouse"}


def test_functions_are_chosen_by_their_short_names(pipeline):
    assert aws_names(pipeline, []) is None
    assert aws_names(pipeline, ["load"]) == ("totes-dev-load",)
    with pytest.raises(
        UsageError, match="no function `lode` in .*Did you mean `load`.*Declared: extract, transform, load"
    ):
        aws_names(pipeline, ["lode"])


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u:hush@h/d", "does not start with postgresql://"),
        ("postgresql://u@h/d", "the password is missing"),
        ("postgresql://:hush@h/d", "the user is missing"),
        ("postgresql://u:hush@/d", "the host is missing"),
        ("postgresql://u:hush@h", "the database is missing"),
        ("postgresql://u:hush@h:port/d", "the port is not a number from 1 to 65535"),
    ],
)
def test_a_malformed_url_is_refused_without_being_shown(url, says):
    with pytest.raises(ConfigurationError, match=says) as refusal:
        credentials(url, "the environment variable X")
    assert "hush" not in str(refusal.value)


def test_a_bucket_with_a_key_needs_that_key(pipeline):
    key = "arn:aws:kms:eu-west-2:1:key/1"
    keyed = replace(
        pipeline, buckets={**pipeline.buckets, "processed": replace(pipeline.buckets["processed"], kms_key=key)}
    )

    def allowed(function: str) -> list[list[str]]:
        statements = permissions(keyed, keyed.functions[function], ACCOUNT)
        return [statement["Action"] for statement in statements if statement["Resource"] == key]

    assert allowed("load") == [["kms:Decrypt"]]
    assert allowed("transform") == [["kms:Decrypt", "kms:GenerateDataKey"]]
    assert allowed("extract") == []
    [_, processed, _] = deployment(keyed, ACCOUNT, {}).buckets
    assert processed.kms_key == key
