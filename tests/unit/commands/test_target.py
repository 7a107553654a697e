"""The AWS endpoint that a command uses; the choice leaves the process environment unchanged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.pipeline.client import target
from lambda_toolkit.pipeline.client.target import choose, local_target, means_local
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.model import IamLogin, ReadSecret, SecretDeclaration
from lambda_toolkit.pipeline.local_stack.description import Stack, environment, read_stack, write_stack
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.postgres.external_source import ExternalSource

CONFIG = Path("config/pipeline.toml")
AUTHORITIES = Path("lambdas/shared/postgres/amazon-roots.pem")
REAL = {"AWS_ACCESS_KEY_ID": "real", "AWS_SECRET_ACCESS_KEY": "real-secret", "AWS_SESSION_TOKEN": "real-token"}
DATABASE = Database("127.0.0.1", 1, "d", "u", "p")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(
        root=tmp_path,
        aws_endpoint_url="http://127.0.0.1:1",
        region="eu-west-2",
        account_id="0" * 12,
        access_key_id="local",
        secret_access_key="local-secret",
        source=DATABASE,
        source_admin=DATABASE,
        warehouse=DATABASE,
        processes={},
    )


def test_the_client_of_the_stack_uses_its_keys_and_its_endpoint(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the environment has the credentials of a real account, and a profile that does not exist."""
    for name, value in {**REAL, "AWS_PROFILE": "missing", "AWS_ENDPOINT_URL": "http://127.0.0.1:2"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    aws = local_target(CONFIG, stack, os.environ).aws()
    for service in ("lambda", "s3", "iam"):
        client = aws.client(service)
        assert client.meta.endpoint_url == stack.aws_endpoint_url
        credentials = client._request_signer._credentials
        assert (credentials.access_key, credentials.secret_key, credentials.token) == ("local", "local-secret", None)
    assert aws.region == "eu-west-2"
    assert dict(os.environ) == before


def test_a_command_about_the_stack_imports_no_driver(stack: Stack, tmp_path: Path) -> None:
    """Counted, since a time depends on what else the machine does: ``python -m benchmarks.startup`` measures it."""
    shutil.copytree(CONFIG.parent, tmp_path / "config")
    (tmp_path / ".local").mkdir()
    write_stack(stack)
    code = (
        "import sys\nfrom pathlib import Path\nimport lambda_toolkit.pipeline.commands.run\n"
        "from lambda_toolkit.pipeline.client.target import choose\n"
        f"target = choose(Path({str(tmp_path / CONFIG)!r}), 'local', {{}})\n"
        "target.aws().client('s3')\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    slow = {"pg8000", "scramp", "asn1crypto", "rich", "boto3", "pyarrow"}
    parts = {f"lambda_toolkit.pipeline.local_stack.{name}" for name in ("stack", "postgres.databases", "aws_emulator")}
    assert "botocore.client" in imported
    assert not imported & (slow | parts | {"lambda_toolkit.resources.planning.reads"})


def test_the_stack_is_given_its_own_databases_alone(stack: Stack, tmp_path: Path) -> None:
    """Whatever the variables are called, and whatever a shell exports under their names."""
    shutil.copytree(CONFIG.parent, tmp_path / "config")
    config = tmp_path / "config" / "pipeline.toml"
    text = config.read_text(encoding="utf-8").replace("SOURCE_DATABASE_URL", "SHOP")
    config.write_text(text.replace("WAREHOUSE_DATABASE", "STAR"), encoding="utf-8")
    production = dict.fromkeys(("SHOP", "STAR_URL", "SOURCE_DATABASE_URL"), "postgresql://production/shop")
    given = local_target(config, stack, production).environ
    assert (given["SHOP"], given["STAR_URL"]) == (stack.source.url, stack.warehouse.url)
    external = ExternalSource("postgresql://me:s3cret@shop.example.com/shop", "shop at shop.example.com:5432")
    given = local_target(config, replace(stack, external=external), production).environ
    assert (given["SHOP"], given["STAR_URL"]) == (external.url, stack.warehouse.url)
    assert "s3cret" not in f"{external} {replace(stack, external=external)}"


def test_the_stack_has_its_own_secrets_and_no_authorities(stack: Stack, tmp_path: Path) -> None:
    """RDS manages the secret of production, whose certificate is signed by a company: the stack has its own instead."""
    shutil.copytree(CONFIG.parent, tmp_path / "config")
    config = tmp_path / "config" / "pipeline.toml"
    (tmp_path / "company.pem").write_bytes(AUTHORITIES.read_bytes())
    text = config.read_text(encoding="utf-8")
    own = 'name = "{name}/{stage}/%s"\nenvironment = "%s_DATABASE_URL"'
    name = "arn:aws:secretsmanager:{region}:{account}:secret:rds!db-1-AbCdEf"
    arn = f'arn = "{name}"\ndatabase = "shop"\nhost = "h.example"'
    assert own % ("source", "SOURCE") in text and own % ("warehouse", "WAREHOUSE") in text
    text = text.replace(own % ("source", "SOURCE"), f'{arn}\nca = "company.pem"')
    config.write_text(text.replace(own % ("warehouse", "WAREHOUSE"), arn), encoding="utf-8")

    def deployed(stack: Stack) -> dict[str, dict]:
        of = local_target(config, stack, {})
        secrets = deployment(of.pipeline, "0" * 12, of.environ).secrets
        return {secret.name: json.loads(secret.value or "") for secret in secrets if not secret.optional}

    found = deployed(stack)
    assert list(found) == ["totes/local/source", "totes/local/warehouse"]
    assert "sslrootcert" not in found["totes/local/source"], "the stack's server has no TLS"
    there = ExternalSource("postgresql://me:s3cret@shop.example.com/shop", "shop at shop.example.com:5432")
    assert deployed(replace(stack, external=there))["totes/local/source"]["sslrootcert"] == "source-ca.pem"
    copy = ExternalSource("postgresql://me:s3cret@localhost/shop", "shop at localhost:5432")
    assert "sslrootcert" not in deployed(replace(stack, external=copy))["totes/local/source"]


def test_exports_never_hold_the_url_of_another_source(stack: Stack) -> None:
    assert environment(stack)["PGUSER"] == "u"
    external = ExternalSource("postgresql://me:s3cret@shop.example.com/shop", "shop at shop.example.com:5432")
    exported = environment(replace(stack, external=external))
    assert not [name for name in exported if name.startswith(("PG", "SOURCE_"))]
    assert "s3cret" not in json.dumps(exported)
    stack.directory.mkdir()
    write_stack(replace(stack, external=external))
    assert read_stack(stack.directory / "stack.json").external == external
    assert (stack.directory / "stack.json").stat().st_mode & 0o077 == 0


def test_elsewhere_the_environment_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**REAL, "AWS_ENDPOINT_URL": "http://127.0.0.1:2"}.items():
        monkeypatch.setenv(name, value)
    client = choose(CONFIG, "dev", os.environ).aws().client("s3")
    assert client.meta.endpoint_url == "http://127.0.0.1:2"
    assert client._request_signer._credentials.token == "real-token"


def command(root: Path, environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command on a copy of the configuration below ``root``."""
    config = root / "config" / "pipeline.toml"
    shutil.copytree(CONFIG.parent, config.parent, dirs_exist_ok=True)
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL", "LAMBDA_SCRIPT_STACK")
    env = {**dict.fromkeys(names), **environ}
    result = CliRunner().invoke(deploy.main, [*arguments, "--config", str(config)], env=env)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("arguments", [["status"], ["plan", "--stage", "prod"], ["logs", "extract"]])
def test_exports_of_a_stack_that_is_down_are_named(stack: Stack, tmp_path: Path, arguments: list[str]) -> None:
    """Also where the stack was wiped, and where it is up again with other keys."""
    exports = environment(stack)
    code, _, error = command(tmp_path, exports, *arguments)
    assert code == 1
    [line] = error.splitlines()
    assert "This shell has the exports of `local env`" in line
    assert "http://127.0.0.1:1 is not up any more" in line and "local up" in line

    (tmp_path / ".local").mkdir()
    write_stack(replace(stack, aws_endpoint_url="http://127.0.0.1:3"))
    error = command(tmp_path, exports, *arguments)[2]
    assert 'is not up any more. For the local stack: eval "$(python deploy.py local env' in error
    write_stack(stack)
    assert "is not up any more" not in command(tmp_path, exports, "policy", "--account", "123456789012")[2]


def test_policy_is_never_one_for_the_account_of_the_stack(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / ".local").mkdir()
    write_stack(stack)
    code, shown, error = command(tmp_path, {}, "policy", "--stage", "local")
    assert (code, shown) in ((1, ""), (2, ""))
    code, shown, error = command(tmp_path, {}, "policy", "--account", "123456789012")
    assert code == 0, error
    assert "totes-dev-extract" in shown and "000000000000" not in shown and "local" not in shown
    assert "inline policy" in error and json.loads(shown)["Statement"]
    code, shown, error = command(tmp_path, {}, "policy", "--account", "my-account")
    assert (code, shown) == (2, "") and "12 digits" in error


def test_policy_of_a_stack_asks_for_the_account(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lambda_toolkit.pipeline.local_stack import running

    (tmp_path / ".local").mkdir()
    write_stack(stack)
    monkeypatch.setattr(running, "load_stack", lambda root: stack)
    for environ in ({}, environment(stack)):
        code, shown, error = command(tmp_path, environ, "policy")
        assert (code, shown) == (2, "")
        assert "Name yours: --account" in error


STACK = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("stage", "is_started", "environ", "is_local"),
    [
        ("local", False, REAL, True),
        ("dev", True, STACK, False),
        (None, False, STACK, False),
        (None, True, {}, True),
        (None, True, {**STACK, **REAL}, True),
        (None, True, {"AWS_ENDPOINT_URL": "http://127.0.0.1:2"}, False),
        (None, True, {"AWS_ENDPOINT_URL": "", "AWS_PROFILE": "", "AWS_REGION": "r"}, True),
        (None, True, {"AWS_ACCESS_KEY_ID": "real"}, False),
        (None, True, {"AWS_PROFILE": "real"}, False),
        (None, True, {"AWS_WEB_IDENTITY_TOKEN_FILE": "real"}, False),
        (None, True, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "real"}, False),
    ],
)
def test_stack_is_meant_unless_something_names_aws(
    stack: Stack, tmp_path: Path, stage: str | None, is_started: bool, environ: dict[str, str], is_local: bool
) -> None:
    if is_started:
        stack.directory.mkdir()
        write_stack(stack)
    assert means_local(tmp_path, stage, environ) is is_local


def test_exports_of_another_stack_do_not_matter_to_a_stage(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack that is meant is the one below the configuration."""
    shutil.copytree(CONFIG.parent, tmp_path / "config")
    monkeypatch.setattr("lambda_toolkit.pipeline.local_stack.running.load_stack", lambda root: stack)
    exports = {**STACK, "LAMBDA_SCRIPT_STACK": "/none", "OTHER": "kept"}
    local = choose(tmp_path / CONFIG, "local", exports)
    assert (local.is_local, local.pipeline.stage, local.environ["OTHER"]) == (True, "local", "kept")
    for incomplete in ("AWS_ENDPOINT_URL", "LAMBDA_SCRIPT_STACK"):
        found = choose(tmp_path / CONFIG, "dev", {name: value for name, value in exports.items() if name != incomplete})
        assert (found.is_local, found.pipeline.stage) == (False, "dev")
    slack = "http://127.0.0.1/slack"
    named = local_target(CONFIG, replace(stack, slack_url=slack), {"SLACK_WEBHOOK_URL": "real"}, "dev")
    assert (named.pipeline.stage, named.is_local) == ("dev", True)
    assert named.environ["SLACK_WEBHOOK_URL"] == slack, "no real channel is written to"
    given = [function.spec.environment or {} for function in named.pipeline.functions.values()]
    assert not any(target.DRIVER_VARIABLE in each for each in given), "the warehouse is no file"


def test_functions_on_this_machine_have_no_triggers_of_others(stack: Stack, tmp_path: Path) -> None:
    shutil.copytree(CONFIG.parent, tmp_path / "config")
    config = tmp_path / "config" / "pipeline.toml"
    text = config.read_text(encoding="utf-8")
    more = '[functions.load]\nenvironment = { KEPT = "1" }\nurl = { auth = "AWS_IAM" }\n'
    assert text.count("[functions.load]\n") == 1
    config.write_text(
        text.replace("[functions.load]\n", more) + '\n[warehouse]\nengine = "duckdb"\npath = "my data/w.duckdb"\n',
        encoding="utf-8",
    )
    found = local_target(config, stack, {})
    load = found.pipeline.functions["load"].spec
    assert load.url is None and (load.environment or {})["KEPT"] == "1"
    assert found.environ["WAREHOUSE_DATABASE_URL"] == f"duckdb://{tmp_path}/my%20data/w.duckdb"


@pytest.mark.parametrize(
    ("url", "has_authorities"),
    [
        ("postgresql://me:s3cret@shop.example.com/shop", True),
        ("postgresql://me:s3cret@127.0.0.1/shop", False),
        ("postgresql://me:s3cret@%2Fvar%2Frun/shop", False),
        ("postgresql://me:s3cret@shop.example.com/shop?sslrootcert=system", False),
    ],
)
@pytest.mark.parametrize("has_own", [True, False])
def test_secret_of_the_stack_is_its_own(stack: Stack, url: str, has_authorities: bool, has_own: bool) -> None:
    """Whoever manages the secret, and however functions log in on AWS: here it is a URL, and what is stored of it."""
    declared = SecretDeclaration(
        "source",
        "{name}/own" if has_own else "",
        "SHOP" if has_own else "",
        AUTHORITIES,
        ReadSecret("arn"),
        iam=IamLogin("h", 1, "d", "u", "db-1"),
    )
    names = ("{name}/own", "SHOP") if has_own else ("{name}/{stage}/source", "SOURCE_DATABASE_URL")
    assert target._own(declared, url) == SecretDeclaration("source", *names, AUTHORITIES if has_authorities else None)
