"""The function ``access`` in a configuration: declared by ``[vpc]``, with few rights, in a complete package."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.import_advice import ImportProblems, check_imports
from lambda_toolkit.packaging.layer_zip import layer_of
from lambda_toolkit.pipeline.config.aws.deployment import function_spec
from lambda_toolkit.pipeline.config.aws.role_policy import operator_policy
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Pipeline
from tests.support.repository import CONFIG

ACCOUNT = "123456789012"
NETWORK = '[vpc]\nsubnets = ["subnet-0a1b2c3d"]\nsecurity_groups = ["sg-0a1b2c3d"]\n'


@pytest.fixture
def loaded(tmp_path: Path):
    """The pipeline of the repository's configuration with more lines."""

    def read(more: str = "") -> Pipeline:
        (tmp_path / "config").mkdir(exist_ok=True)
        for name in ("pipeline.toml", "warehouse.sql", "requirements.lock"):
            (tmp_path / "config" / name).write_bytes((CONFIG / name).read_bytes())
        path = tmp_path / "config" / "pipeline.toml"
        path.write_text(f"{path.read_text(encoding='utf-8')}\n{more}", encoding="utf-8")
        return load(path, "prod", {"AWS_REGION": "eu-west-2"})

    return read


def test_network_declares_it_and_nothing_else_does(loaded):
    assert "access" not in loaded().functions
    assert "access" not in loaded("[vpc]\nsubnets = []\n").functions
    declared = loaded(NETWORK).functions["access"]
    assert declared.secrets == ("warehouse", "source")
    assert (declared.spec.timeout, declared.spec.memory, declared.alarms) == (600, 1024, ())
    assert declared.spec.vpc is not None and declared.spec.vpc.subnets == ("subnet-0a1b2c3d",)
    own = loaded(f'{NETWORK}[functions.access]\nmemory = 2048\nsecret = "warehouse"\n').functions["access"]
    assert (own.spec.memory, own.spec.timeout, own.secrets) == (2048, 600, ("warehouse",))
    assert "access" in loaded("[functions.access]\n").functions, "a server may be reached from Lambda alone without one"


def test_its_role_reads_two_secrets_and_writes_answers(loaded):
    pipeline = loaded(NETWORK)
    granted = {
        (action, resource)
        for statement in function_spec(pipeline, pipeline.functions["access"], ACCOUNT).permissions or ()
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
        for resource in [statement["Resource"]]
    }
    answers = f"arn:aws:s3:::totes-prod-processed-{ACCOUNT}/answers/*"
    secret = f"arn:aws:secretsmanager:eu-west-2:{ACCOUNT}:secret:totes/prod/"
    assert granted == {
        ("secretsmanager:GetSecretValue", f"{secret}source-??????"),
        ("secretsmanager:GetSecretValue", f"{secret}warehouse-??????"),
        ("s3:ListBucket", f"arn:aws:s3:::totes-prod-processed-{ACCOUNT}"),
        *((f"s3:{action}", answers) for action in ("GetObject", "PutObject", "AbortMultipartUpload", "DeleteObject")),
    }


def test_who_operates_needs_no_secret_with_it(loaded):
    without, with_it = (operator_policy(loaded(more), ACCOUNT)["Statement"] for more in ("", NETWORK))
    assert {each["Sid"] for each in without} - {each["Sid"] for each in with_it} == {"Warehouse"}
    (answers,) = (each for each in with_it if each["Sid"] == "Answers")
    assert answers["Action"] == ["s3:GetObject"] and answers["Resource"][0].endswith(f"-{ACCOUNT}/answers/*")


def test_its_package_has_all_that_it_imports(loaded, tmp_path):
    """A module of it that is not in the package is nowhere else: the package of its name is there alone."""
    spec = loaded(NETWORK).functions["access"].spec
    package = build(spec)
    zipfile.ZipFile(io.BytesIO(package.content)).extractall(tmp_path)
    code = (
        f"import {package.handler.rpartition('.')[0]}, lambda_toolkit.pipeline.lambdas.extract.source.reader, sys"
        "; print(lambda_toolkit.__file__); assert not {'click', 'rich', 'boto3'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert check_imports(spec, package, layer_of(spec), None) == ImportProblems()
    assert Path(done.stdout.strip()).is_relative_to(tmp_path)
