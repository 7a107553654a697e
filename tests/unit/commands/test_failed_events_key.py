"""The bucket of failed events in a configuration: there without being declared, changed, switched off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lambda_script import Deployment
from lambda_toolkit.aws.account import Place
from lambda_toolkit.deploy.deployer_policy import deployer_policy
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.aws.role_policy import operator_policy, permissions
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.errors import ConfigurationError
from tests.support.repository import CONFIG

ACCOUNT = "123456789012"
BUCKET = f"totes-dev-failed-{ACCOUNT}"
KEY = "arn:aws:kms:eu-west-2:123456789012:key/1"


@pytest.fixture
def loaded(tmp_path: Path):
    """The pipeline of the repository's configuration with other lines."""

    def read(more: str = "", **lines: str):
        (tmp_path / "config").mkdir(exist_ok=True)
        for name in ("pipeline.toml", "warehouse.sql", "requirements.lock"):
            (tmp_path / "config" / name).write_bytes((CONFIG / name).read_bytes())
        path = tmp_path / "config" / "pipeline.toml"
        text = path.read_text(encoding="utf-8")
        for table, added in lines.items():
            text = text.replace(f"[{table.replace('__', '.')}]", f"[{table.replace('__', '.')}]\n{added}", 1)
        path.write_text(f"{text}\n{more}", encoding="utf-8")
        return load(path, "dev", {"AWS_REGION": "eu-west-2"})

    return read


def deployed(pipeline) -> Deployment:
    return deployment(pipeline, ACCOUNT, {})


def destinations(pipeline) -> dict[str, str | None]:
    return {each.name.rpartition("-")[2]: each.on_failure for each in deployed(pipeline).functions}


def test_shipped_functions_keep_what_fails_by_default(loaded):
    pipeline = loaded("[functions.report]\nsource = 'report'\n[extract]\nreaders = 4\n")
    arn = f"arn:aws:s3:::{BUCKET}"
    found = destinations(pipeline)
    assert {name for name, place in found.items() if place == arn} == {
        "extract",
        "transform",
        "load",
        "notifier",
        "freshness",
    }
    assert (found["report"], found["reader"]) == (None, None), "own code, and what extract waits for"
    [bucket] = [each for each in deployed(pipeline).buckets if each.name == BUCKET]
    assert bucket.tls_only and bucket.versioned is False
    assert bucket.lifecycle is not None and bucket.lifecycle[0].expire_days == 30


def test_a_function_may_name_a_bucket_another_place_or_none(loaded):
    queue = "arn:aws:sqs:eu-west-2:{account}:failed"
    own = '[functions.report]\nsource = "report"\non_failure = "failed"\n'
    own += f'[buckets.failed]\nname = "mine"\nkms_key = "{KEY}"'
    pipeline = loaded(own, functions__load=f'on_failure = "{queue}"', functions__extract='on_failure = ""')
    found = destinations(pipeline)
    assert (found["load"], found["extract"]) == (queue.format(account=ACCOUNT), "")
    assert found["report"] == found["transform"] == "arn:aws:s3:::mine"
    granted = permissions(pipeline, pipeline.functions["report"], ACCOUNT)
    assert [item["Action"] for item in granted if item["Resource"] == KEY] == [["kms:GenerateDataKey"]]
    [bucket] = [each for each in deployed(pipeline).buckets if each.name == "mine"]
    assert bucket.kms_key == KEY and bucket.lifecycle is not None, "what is not said of it stays the default"


def test_switched_off_it_is_taken_from_the_functions(loaded):
    pipeline = loaded(pipeline="keep_failed_events = false")
    assert set(destinations(pipeline).values()) == {""}
    assert "failed" not in pipeline.buckets


def test_a_given_role_is_not_expected_to_write_there(loaded):
    role = 'role = "arn:aws:iam::{account}:role/given"'
    found = destinations(loaded(functions__extract=role))
    assert (found["extract"], found["load"]) == (None, f"arn:aws:s3:::{BUCKET}")
    given = loaded(functions__extract=f'{role}\non_failure = "failed"')
    assert destinations(given)["extract"] == f"arn:aws:s3:::{BUCKET}"


def test_printed_policies_have_the_bucket_and_its_records(loaded):
    pipeline = loaded()
    operator = {item["Sid"]: item for item in operator_policy(pipeline, ACCOUNT)["Statement"]}["FailedEvents"]
    assert operator["Resource"] == [f"arn:aws:s3:::{BUCKET}/aws/lambda/async/*"]
    assert operator["Action"] == ["s3:DeleteObject", "s3:GetObject"]
    statements = deployer_policy(deployed(pipeline), Place(ACCOUNT, "eu-west-2", "aws"))["Statement"]
    by_sid = {item["Sid"]: item for item in statements}
    assert f"arn:aws:s3:::{BUCKET}" in by_sid["Buckets"]["Resource"]
    assert any("load:live" in arn for arn in by_sid["AsyncInvocation"]["Resource"])


def test_a_mistake_elsewhere_is_the_only_one_reported(loaded):
    with pytest.raises(ConfigurationError) as raised:
        loaded(functions__extract="memory_size = 1")
    assert "memory_size" in str(raised.value)
    assert "on_failure `failed`" not in str(raised.value)


def test_a_bucket_that_is_not_declared_is_an_error(loaded):
    with pytest.raises(ConfigurationError, match="on_failure `faild` is not the ARN"):
        loaded(functions__extract='on_failure = "faild"')


def test_stage_of_its_own_may_switch_it_on(loaded):
    more = "[stages.dev.pipeline]\nkeep_failed_events = true"
    pipeline = loaded(more, pipeline="keep_failed_events = false")
    assert replace(pipeline.buckets["failed"], name="") and destinations(pipeline)["load"] == f"arn:aws:s3:::{BUCKET}"
